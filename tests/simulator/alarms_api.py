"""The operations of the CloudWatch API on Alarms."""

from collections.abc import Callable

from .alarm_evaluation import COMPARISONS, TREATMENTS
from .alarms import Alarm, Alarms, HistoryItem
from .aws_protocol import Json
from .errors import AwsError
from .metric_queries import check_queries, check_statistics, validation_error
from .pages import cut_page

MAX_ALARMS = 5000
MAX_METRICS = 10
"""User guide, "Alarms on math expressions": "A math expression used for an alarm can include as many as 10 metrics"."""
MAX_RECORDS = 100
MAX_DELETED = 100
DAY_SECONDS = 86_400
_SINGLE_METRIC = ("MetricName", "Namespace", "Dimensions", "Period", "Unit", "Statistic", "ExtendedStatistic")


class AlarmsApi:
    """Each method answers one operation: request parameters in, members of the answer out, AwsError else."""

    def __init__(self, alarms: Alarms) -> None:
        self._alarms = alarms
        self.operations: dict[str, Callable[[Json], Json]] = {
            "PutMetricAlarm": self.put_metric_alarm,
            "DescribeAlarms": self.describe_alarms,
            "DescribeAlarmsForMetric": self.describe_alarms_for_metric,
            "DescribeAlarmHistory": self.describe_alarm_history,
            "DeleteAlarms": self.delete_alarms,
            "SetAlarmState": self.set_alarm_state,
            "EnableAlarmActions": lambda request: self._enable_actions(request, enabled=True),
            "DisableAlarmActions": lambda request: self._enable_actions(request, enabled=False),
            "TagResource": self.tag_resource,
            "UntagResource": self.untag_resource,
            "ListTagsForResource": self.list_tags_for_resource,
        }

    def put_metric_alarm(self, request: Json) -> Json:
        """PutMetricAlarm on one metric, or on an expression in Metrics; no anomaly detection, PromQL or Insights."""
        members = {name: value for name, value in request.items() if name != "Tags"}
        _check_alarm(members)
        if self._alarms.get(members["AlarmName"]) is None and len(self._alarms.find()) >= MAX_ALARMS:
            raise AwsError("LimitExceededFault", "The maximum number of alarms has been reached.")
        self._alarms.put(members, {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])})
        return {}

    def describe_alarms(self, request: Json) -> Json:
        """DescribeAlarms: metric alarms by names or prefix, state and action prefix; at most a hundred a page."""
        names, prefix = request.get("AlarmNames"), request.get("AlarmNamePrefix", "")
        if names is not None and "AlarmNamePrefix" in request:
            raise validation_error("AlarmNamePrefix and AlarmNames cannot both be given.")
        if len(names or []) > MAX_RECORDS:
            raise validation_error(f"At most {MAX_RECORDS} AlarmNames.")
        found = [
            alarm
            for alarm in self._alarms.find()
            if (names is None or alarm.name in names)
            and alarm.name.startswith(prefix)
            and request.get("StateValue") in (None, alarm.state)
            and _has_action(alarm, request.get("ActionPrefix", ""))
            and "MetricAlarm" in request.get("AlarmTypes", ["MetricAlarm"])
        ]
        page, token = cut_page(found, request.get("NextToken"), min(request.get("MaxRecords", 50), MAX_RECORDS))
        answer = {"MetricAlarms": [_shape_alarm(alarm) for alarm in page], "CompositeAlarms": []}
        return answer | ({"NextToken": token} if token else {})

    def describe_alarms_for_metric(self, request: Json) -> Json:
        """DescribeAlarmsForMetric: those on exactly this metric, not those on math."""
        wanted = sorted((pair["Name"], pair["Value"]) for pair in request.get("Dimensions", []))
        found = [
            alarm
            for alarm in self._alarms.find()
            if "MetricName" in alarm.members
            and alarm.members["MetricName"] == request["MetricName"]
            and alarm.members["Namespace"] == request["Namespace"]
            and sorted((pair["Name"], pair["Value"]) for pair in alarm.members.get("Dimensions", [])) == wanted
        ]
        return {"MetricAlarms": [_shape_alarm(alarm) for alarm in found]}

    def describe_alarm_history(self, request: Json) -> Json:
        """DescribeAlarmHistory, newest first unless told otherwise; of deleted alarms too."""
        found = [
            item
            for item in self._alarms.history
            if request.get("AlarmName") in (None, item.alarm)
            and request.get("HistoryItemType") in (None, item.kind)
            and request.get("StartDate", item.time) <= item.time <= request.get("EndDate", item.time)
        ]
        if request.get("ScanBy", "TimestampDescending") == "TimestampDescending":
            found.reverse()
        page, token = cut_page(found, request.get("NextToken"), min(request.get("MaxRecords", 50), MAX_RECORDS))
        answer = {"AlarmHistoryItems": [_shape_item(item) for item in page]}
        return answer | ({"NextToken": token} if token else {})

    def delete_alarms(self, request: Json) -> Json:
        """DeleteAlarms: all of them, or none when one is not there."""
        names = request["AlarmNames"]
        if len(names) > MAX_DELETED:
            raise validation_error(f"At most {MAX_DELETED} AlarmNames.")
        missing = [name for name in names if self._alarms.get(name) is None]
        if missing:
            raise AwsError("ResourceNotFound", f"Alarm {missing[0]} does not exist.")
        for name in names:
            self._alarms.delete(name)
        return {}

    def set_alarm_state(self, request: Json) -> Json:
        """SetAlarmState: "metric alarms return to their actual state quickly", here at their next evaluation."""
        name = request["AlarmName"]
        try:
            self._alarms.set_state(name, request["StateValue"], request["StateReason"], request.get("StateReasonData"))
        except LookupError as error:
            raise AwsError("ResourceNotFound", f"Alarm {name} does not exist.") from error
        return {}

    def _enable_actions(self, request: Json, *, enabled: bool) -> Json:
        for name in request["AlarmNames"]:
            if (alarm := self._alarms.get(name)) is not None:
                alarm.members = {**alarm.members, "ActionsEnabled": enabled}
        return {}

    # Tags

    def _find(self, request: Json) -> Alarm:
        arn = request["ResourceARN"]
        alarm = self._alarms.get(arn.partition(":alarm:")[2])
        if alarm is None or alarm.arn != arn:
            raise AwsError("ResourceNotFoundException", f"{arn} does not exist.", 404)
        return alarm

    def tag_resource(self, request: Json) -> Json:
        """TagResource."""
        self._find(request).tags.update({tag["Key"]: tag["Value"] for tag in request["Tags"]})
        return {}

    def untag_resource(self, request: Json) -> Json:
        """UntagResource."""
        alarm = self._find(request)
        for key in request["TagKeys"]:
            alarm.tags.pop(key, None)
        return {}

    def list_tags_for_resource(self, request: Json) -> Json:
        """ListTagsForResource."""
        return {"Tags": [{"Key": key, "Value": value} for key, value in sorted(self._find(request).tags.items())]}


def _has_action(alarm: Alarm, prefix: str) -> bool:
    kinds = ("OKActions", "AlarmActions", "InsufficientDataActions")
    arns = [arn for kind in kinds for arn in alarm.members.get(kind, [])]
    return not prefix or any(arn.startswith(prefix) for arn in arns)


def _check_alarm(members: Json) -> None:
    """ValidationError unless PutMetricAlarm takes `members`, or the simulator cannot evaluate them."""
    for name in ("EvaluationPeriods", "ComparisonOperator", "Threshold"):
        if name not in members:
            raise validation_error(f"The parameter {name} is required; the simulator knows static thresholds only.")
    if members["ComparisonOperator"] not in COMPARISONS:
        raise validation_error("The simulator does not know alarms on anomaly detection.")
    if members.get("TreatMissingData", "missing") not in TREATMENTS:
        raise validation_error(f"TreatMissingData must be one of {', '.join(TREATMENTS)}.")
    if members.get("DatapointsToAlarm", 1) > members["EvaluationPeriods"]:
        raise validation_error("DatapointsToAlarm cannot be above EvaluationPeriods.")
    if ("Metrics" in members) == ("MetricName" in members):
        raise validation_error("Exactly one of MetricName and Metrics must be specified.")
    if "Metrics" in members:
        _check_math(members)
        return
    if "Namespace" not in members or "Period" not in members:
        raise validation_error("Namespace and Period are required with MetricName.")
    if ("Statistic" in members) == ("ExtendedStatistic" in members):
        raise validation_error("Exactly one of Statistic and ExtendedStatistic must be specified.")
    statistic = members.get("Statistic") or members["ExtendedStatistic"]
    check_statistics([statistic], members["Period"])
    longest = DAY_SECONDS if members["Period"] < 3600 else 7 * DAY_SECONDS
    if members["Period"] * members["EvaluationPeriods"] > longest:
        raise validation_error(f"Metrics cannot be checked across more than {longest} seconds.")


def _check_math(members: Json) -> None:
    if extra := [name for name in _SINGLE_METRIC if name in members]:
        raise validation_error(f"{extra[0]} must not be set with Metrics.")
    queries = members["Metrics"]
    check_queries(queries)
    if sum("MetricStat" in query for query in queries) > MAX_METRICS:
        raise validation_error(f"An alarm can include at most {MAX_METRICS} metrics.")
    if sum(query.get("ReturnData", True) for query in queries) != 1:
        raise validation_error("Exactly one element of the metrics list should return data.")


def _shape_alarm(alarm: Alarm) -> Json:
    shaped = {
        **alarm.members,
        "AlarmArn": alarm.arn,
        "AlarmConfigurationUpdatedTimestamp": alarm.configured_at,
        "ActionsEnabled": alarm.members.get("ActionsEnabled", True),
        "OKActions": alarm.members.get("OKActions", []),
        "AlarmActions": alarm.members.get("AlarmActions", []),
        "InsufficientDataActions": alarm.members.get("InsufficientDataActions", []),
        "StateValue": alarm.state,
        "StateReason": alarm.evaluation_error or alarm.reason,
        "StateUpdatedTimestamp": alarm.state_updated_at,
        "StateTransitionedTimestamp": alarm.state_changed_at,
    }
    if "Metrics" not in alarm.members:
        shaped.setdefault("Dimensions", [])
    if alarm.reason_data is not None:
        shaped["StateReasonData"] = alarm.reason_data
    if alarm.evaluation_error is not None:
        shaped["EvaluationState"] = "EVALUATION_ERROR"
    return shaped


def _shape_item(item: HistoryItem) -> Json:
    return {
        "AlarmName": item.alarm,
        "AlarmType": "MetricAlarm",
        "Timestamp": item.time,
        "HistoryItemType": item.kind,
        "HistorySummary": item.summary,
        "HistoryData": item.data,
    }
