"""What CloudWatch alarms tell: events for EventBridge, notifications for SNS, and reason data.

Shapes of events: CloudWatch user guide, "Alarm events and EventBridge". Shape of notifications: Amazon SNS messages of
CloudWatch alarms as AWS sends them.
"""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .alarm_evaluation import Datapoint, Rule
from .aws_protocol import Json

if TYPE_CHECKING:
    from .alarms import Alarm

Event = tuple[str, list[str], Json]
"""detail-type, resources and detail."""

_CONFIGURED = {
    "EvaluationPeriods": "evaluationPeriods",
    "DatapointsToAlarm": "datapointsToAlarm",
    "Threshold": "threshold",
    "ComparisonOperator": "comparisonOperator",
    "TreatMissingData": "treatMissingData",
}
_REGION_NAMES = {
    "us-east-1": "US East (N. Virginia)",
    "us-east-2": "US East (Ohio)",
    "us-west-2": "US West (Oregon)",
    "eu-west-1": "EU (Ireland)",
    "eu-central-1": "EU (Frankfurt)",
    "ap-northeast-1": "Asia Pacific (Tokyo)",
    "ap-northeast-2": "Asia Pacific (Seoul)",
}


def format_time(time: float) -> str:
    """`2019-10-02T17:04:40.989+0000`."""
    moment = datetime.fromtimestamp(time, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+0000"


def build_reason_data(members: Json, watched: Json, rule: Rule, datapoints: Sequence[Datapoint], now: float) -> Json:
    """The StateReasonData of an evaluation at `now`; alarms on math have no statistic in it."""
    real = [(time, value) for time, value in datapoints if value is not None][-rule.evaluation_periods :]
    data: Json = {"version": "1.0", "queryDate": format_time(now)}
    if real:
        data["startDate"] = format_time(real[0][0])
    stat = watched.get("MetricStat")
    if stat is not None:
        data |= {"unit": members["Unit"]} if "Unit" in members else {}
        data["statistic"] = stat["Stat"]
    period = stat["Period"] if stat is not None else round(datapoints[1][0] - datapoints[0][0])
    data |= {"period": period, "recentDatapoints": [value for _, value in real], "threshold": rule.threshold}
    return data


def build_state_event(alarm: "Alarm", before: Json, before_at: float) -> Event:
    """ "CloudWatch Alarm State Change"; `before` has value, reason and reasonData of the state until now."""
    previous = {name: value for name, value in before.items() if value is not None}
    detail = {
        "alarmName": alarm.name,
        "configuration": {**_describe(alarm.members), "metrics": _shape_metrics(alarm)},
        "previousState": {**previous, "timestamp": format_time(before_at)},
        "state": _shape_state(alarm),
    }
    return "CloudWatch Alarm State Change", [alarm.arn], detail


def build_configuration_event(alarm: "Alarm", operation: str, previous: Json | None) -> Event:
    """ "CloudWatch Alarm Configuration Change": `operation` is create, update or delete."""
    detail = {
        "alarmName": alarm.name,
        "operation": operation,
        "state": _shape_state(alarm),
        "configuration": {
            "alarmName": alarm.name,
            **_shape_configuration(alarm.members),
            "metrics": _shape_metrics(alarm),
            "timestamp": format_time(alarm.configured_at),
        },
    }
    if previous is not None:
        detail["previousConfiguration"] = {"alarmName": alarm.name, **_shape_configuration(previous)}
    return "CloudWatch Alarm Configuration Change", [alarm.arn], detail


def _describe(members: Json) -> Json:
    return {"description": members["AlarmDescription"]} if "AlarmDescription" in members else {}


def _shape_configuration(members: Json) -> Json:
    return {
        **_describe(members),
        **{name: members[member] for member, name in _CONFIGURED.items() if member in members},
        "actionsEnabled": members.get("ActionsEnabled", True),
        "okActions": members.get("OKActions", []),
        "alarmActions": members.get("AlarmActions", []),
        "insufficientDataActions": members.get("InsufficientDataActions", []),
    }


def _shape_state(alarm: "Alarm") -> Json:
    data = {} if alarm.reason_data is None else {"reasonData": alarm.reason_data}
    return {
        "value": alarm.state,
        "reason": alarm.reason,
        **data,
        "timestamp": format_time(alarm.state_updated_at),
    }


def _shape_metrics(alarm: "Alarm") -> list[Json]:
    """The queries in the events' spelling; the one of a single-metric alarm has a UUID as id."""
    shaped = []
    for query in alarm.queries:
        id_ = query["Id"] if "Metrics" in alarm.members else str(uuid.uuid5(uuid.NAMESPACE_URL, alarm.arn))
        entry: Json = {"id": id_}
        if "MetricStat" in query:
            stat = query["MetricStat"]
            metric = stat["Metric"]
            entry["metricStat"] = {
                "metric": {
                    "namespace": metric["Namespace"],
                    "name": metric["MetricName"],
                    "dimensions": {pair["Name"]: pair["Value"] for pair in metric.get("Dimensions", [])},
                },
                "period": stat["Period"],
                "stat": stat["Stat"],
            }
        else:
            entry["expression"] = query["Expression"]
        if "Label" in query:
            entry["label"] = query["Label"]
        shaped.append({**entry, "returnData": query.get("ReturnData", True)})
    return shaped


def build_notification(alarm: "Alarm", old: str, account: str, region: str) -> tuple[str, Json]:
    """Subject and message for SNS of the state the alarm has just come to from `old`."""
    members = alarm.members
    name = _REGION_NAMES.get(region, region)
    message = {
        "AlarmName": alarm.name,
        "AlarmDescription": members.get("AlarmDescription"),
        "AWSAccountId": account,
        "AlarmConfigurationUpdatedTimestamp": format_time(alarm.configured_at),
        "NewStateValue": alarm.state,
        "NewStateReason": alarm.reason,
        "StateChangeTime": format_time(alarm.state_updated_at),
        "Region": name,
        "AlarmArn": alarm.arn,
        "OldStateValue": old,
        "OKActions": members.get("OKActions", []),
        "AlarmActions": members.get("AlarmActions", []),
        "InsufficientDataActions": members.get("InsufficientDataActions", []),
        "Trigger": _shape_trigger(alarm),
    }
    return f'{alarm.state}: "{alarm.name}" in {name}', message


def _shape_trigger(alarm: "Alarm") -> Json:
    members = alarm.members
    trigger: Json = {}
    if "Metrics" in members:
        trigger["Metrics"] = members["Metrics"]
    else:
        extended = "ExtendedStatistic" in members
        trigger = {
            "MetricName": members["MetricName"],
            "Namespace": members["Namespace"],
            "StatisticType": "ExtendedStatistic" if extended else "Statistic",
            "ExtendedStatistic" if extended else "Statistic": (
                members["ExtendedStatistic"] if extended else members["Statistic"].upper()
            ),
            "Unit": members.get("Unit"),
            "Dimensions": [{"value": p["Value"], "name": p["Name"]} for p in members.get("Dimensions", [])],
            "Period": members["Period"],
        }
    rule = alarm.rule
    return {
        **trigger,
        "EvaluationPeriods": rule.evaluation_periods,
        "DatapointsToAlarm": rule.datapoints_to_alarm,
        "ComparisonOperator": rule.comparison,
        "Threshold": rule.threshold,
        "TreatMissingData": rule.treat_missing_data,
        "EvaluateLowSampleCountPercentile": members.get("EvaluateLowSampleCountPercentile", ""),
    }
