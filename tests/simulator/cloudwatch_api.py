"""The operations of the CloudWatch API on a MetricStore."""

import math
from collections.abc import Callable, Sequence

from .aws_protocol import Json
from .clock import Clock
from .cloudwatch import MetricName, MetricStore, Sample, StatisticSet
from .errors import AwsError
from .metric_conditions import MetricConditions
from .metric_queries import COMPLETE, Retrieval, align, check_queries, check_statistics, read_metric, validation_error
from .pages import cut_page, read_token, write_token

MAX_DATAPOINTS = 100_800
MAX_METRICS_PER_PUT = 1000
MAX_VALUES_PER_METRIC = 150
MAX_DIMENSIONS = 30
MAX_VALUE = 2.0**360
"""PutMetricData: "Values must be in the range of -2^360 to 2^360"; no NaN and no infinity."""
MAX_PAST_SECONDS = 14 * 86400
MAX_FUTURE_SECONDS = 2 * 3600
"""PutMetricData: time stamps "as much as two weeks before the current date, and as much as 2 hours after"."""
LIST_PAGE = 500
_MESSAGES = {
    "Forbidden": "The caller is not allowed to read this metric.",
    "InternalError": "An internal error occurred. Retry the request.",
    "PartialData": "Not all data points could be retrieved.",
}


class CloudWatchApi:
    """Each method answers one operation: request parameters in, members of the answer out, AwsError else."""

    def __init__(self, store: MetricStore, clock: Clock, conditions: MetricConditions | None = None) -> None:
        """`conditions`: what is wrong with CloudWatch; nothing when None."""
        self._store = store
        self._clock = clock
        self._conditions = conditions or MetricConditions(clock)
        self.operations: dict[str, Callable[[Json], Json]] = {
            "PutMetricData": self.put_metric_data,
            "GetMetricData": self.get_metric_data,
            "GetMetricStatistics": self.get_metric_statistics,
            "ListMetrics": self.list_metrics,
        }

    def put_metric_data(self, request: Json) -> Json:
        """PutMetricData: Value, Values with Counts, or StatisticValues. All or nothing; no entities."""
        if "EntityMetricData" in request:
            raise AwsError("InvalidParameterValueException", "The simulator does not know EntityMetricData.")
        data = request.get("MetricData", [])
        if len(data) > MAX_METRICS_PER_PUT:
            raise AwsError("InvalidParameterValueException", f"At most {MAX_METRICS_PER_PUT} metrics a request.")
        now = self._clock.now()
        for datum in data:
            _check_datum(datum, now)
        for datum in data:
            metric, unit = read_metric(request["Namespace"], datum), datum.get("Unit", "None")
            for sample in _read_samples(datum, now):
                self._store.publish(metric, unit, sample, now)
        return {}

    def get_metric_data(self, request: Json) -> Json:
        """GetMetricData. With math there is no NextToken, as in AWS, and MaxDatapoints does not cut."""
        queries = request["MetricDataQueries"]
        check_queries(queries)
        if request["StartTime"] >= request["EndTime"]:
            raise validation_error("The parameter StartTime must be less than the parameter EndTime.")
        if request.get("MaxDatapoints", 1) < 1:
            raise validation_error("The parameter MaxDatapoints must be greater than 0.")
        self._store.deliver(self._clock.now())
        retrieval = Retrieval(self._store, self._conditions, queries, request["StartTime"], request["EndTime"])
        newest_first = request.get("ScanBy", "TimestampDescending") == "TimestampDescending"
        results = []
        for query in queries:
            if query.get("ReturnData", True):
                for points in retrieval.series(query["Id"]):
                    ordered = sorted(points.items(), reverse=newest_first)
                    results.append(_shape_result(query, ordered, retrieval.status(query["Id"])))
        if any("Expression" in query for query in queries):
            return {"MetricDataResults": results, "Messages": []}
        offset = read_token(request.get("NextToken"))
        return _paginate_results(results, offset, min(request.get("MaxDatapoints", MAX_DATAPOINTS), MAX_DATAPOINTS))

    def get_metric_statistics(self, request: Json) -> Json:
        """GetMetricStatistics: the older way to read one metric."""
        statistics = request.get("Statistics", []) + request.get("ExtendedStatistics", [])
        if not statistics:
            raise AwsError("InvalidParameterCombinationException", "Specify Statistics or ExtendedStatistics.")
        check_statistics(statistics, request["Period"])
        self._store.deliver(self._clock.now())
        series = self._store.get(read_metric(request["Namespace"], request))
        points: dict[float, Json] = {}
        if series is not None and request.get("Unit", "") in {"", *series.units}:
            unit = min(series.units, default="None")
            start, period = align(request["StartTime"], request["Period"]), request["Period"]
            for statistic in statistics:
                for time, value in series.aggregate(start, request["EndTime"], period, statistic):
                    point = points.setdefault(time, {"Timestamp": time, "Unit": unit})
                    if statistic.startswith("p"):
                        point.setdefault("ExtendedStatistics", {})[statistic] = value
                    else:
                        point[statistic] = value
        return {"Label": request["MetricName"], "Datapoints": list(points.values())}

    def list_metrics(self, request: Json) -> Json:
        """ListMetrics by namespace, name and dimensions; a dimension without a value matches any."""
        self._store.deliver(self._clock.now())
        found = [
            metric
            for metric in self._store.names()
            if request.get("Namespace") in (None, metric.namespace)
            and request.get("MetricName") in (None, metric.name)
            and _has_dimensions(metric, request.get("Dimensions", []))
        ]
        page, token = cut_page(found, request.get("NextToken"), LIST_PAGE)
        answer: Json = {
            "Metrics": [
                {
                    "Namespace": metric.namespace,
                    "MetricName": metric.name,
                    "Dimensions": [{"Name": name, "Value": value} for name, value in metric.dimensions],
                }
                for metric in page
            ]
        }
        return answer | ({"NextToken": token} if token else {})


def _check_datum(datum: Json, now: float) -> None:
    """AwsError unless the MetricDatum is one that PutMetricData takes at `now`."""
    name = datum["MetricName"]
    if sum(member in datum for member in ("Value", "Values", "StatisticValues")) != 1:
        raise AwsError(
            "InvalidParameterCombinationException", f"{name} needs exactly one of Value, Values and StatisticValues."
        )
    values = datum.get("Values", [datum.get("Value", 0.0)])
    counts = datum.get("Counts", [1.0] * len(values))
    if len(values) > MAX_VALUES_PER_METRIC:
        raise AwsError("InvalidParameterValueException", f"{name} has more than {MAX_VALUES_PER_METRIC} values.")
    if len(counts) != len(values):
        raise AwsError("InvalidParameterValueException", f"{name} needs as many Counts as Values.")
    numbers = [*values, *counts, *datum.get("StatisticValues", {}).values()]
    if not all(math.isfinite(number) and abs(number) <= MAX_VALUE for number in numbers):
        raise AwsError("InvalidParameterValueException", f"A value of {name} is not within -2^360 and 2^360.")
    if datum.get("StatisticValues", {}).get("SampleCount", 1) <= 0:
        raise AwsError("InvalidParameterValueException", f"The SampleCount of {name} must be above 0.")
    if len(datum.get("Dimensions", [])) > MAX_DIMENSIONS:
        raise AwsError("InvalidParameterValueException", f"{name} has more than {MAX_DIMENSIONS} dimensions.")
    if not now - MAX_PAST_SECONDS <= datum.get("Timestamp", now) <= now + MAX_FUTURE_SECONDS:
        raise AwsError("InvalidParameterValueException", f"The time stamp of {name} is too old or too new.")


def _read_samples(datum: Json, now: float) -> list[Sample]:
    time = datum.get("Timestamp", now)
    if "StatisticValues" in datum:
        given = datum["StatisticValues"]
        return [Sample(time, StatisticSet(given["SampleCount"], given["Sum"], given["Minimum"], given["Maximum"]))]
    values = datum.get("Values", [datum.get("Value")])
    counts = datum.get("Counts", [1.0] * len(values))
    return [Sample(time, value, count) for value, count in zip(values, counts, strict=True)]


def _has_dimensions(metric: MetricName, filters: Sequence[Json]) -> bool:
    dimensions = dict(metric.dimensions)
    return all(pair["Name"] in dimensions and pair.get("Value") in (None, dimensions[pair["Name"]]) for pair in filters)


def _shape_result(query: Json, points: Sequence[tuple[float, float]], status: str) -> Json:
    default = query["MetricStat"]["Metric"]["MetricName"] if "MetricStat" in query else query["Id"]
    return {
        "Id": query["Id"],
        "Label": query.get("Label", default),
        "Timestamps": [time for time, _ in points],
        "Values": [value for _, value in points],
        "StatusCode": status,
        **({} if status == COMPLETE else {"Messages": [{"Code": status, "Value": _MESSAGES[status]}]}),
    }


def _paginate_results(results: Sequence[Json], offset: int, size: int) -> Json:
    """The `size` datapoints from `offset` on, counted over all results; a result cut short is PartialData."""
    page, skipped, left, cut = [], offset, size, False
    for result in results:
        total = len(result["Values"])
        start = min(skipped, total)
        skipped -= start
        stop = min(total, start + left)
        left -= stop - start
        if start and start == total:
            continue
        partial = stop < total
        cut |= partial
        page.append(
            {
                **result,
                "Timestamps": result["Timestamps"][start:stop],
                "Values": result["Values"][start:stop],
                "StatusCode": "PartialData" if partial else result["StatusCode"],
            }
        )
    more = {"NextToken": write_token(offset + size)} if cut else {}
    return {"MetricDataResults": page, "Messages": [], **more}
