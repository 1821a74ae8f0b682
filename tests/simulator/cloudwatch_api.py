"""The operations of the CloudWatch API on a MetricStore."""

import base64
import binascii
import functools
import math
import re
from collections.abc import Callable, Sequence

from .aws_json import Json
from .clock import Clock
from .cloudwatch import MetricName, MetricStore, StatisticSet, is_period, is_statistic
from .errors import AwsError
from .metric_math import MetricMathError, Points, Scope, Value, evaluate, find_references

MAX_QUERIES = 500
MAX_DATAPOINTS = 100_800
MAX_METRICS_PER_PUT = 1000
LIST_PAGE = 500
_ID = re.compile(r"[a-z][a-zA-Z0-9_]*")


def _validation_error(message: str) -> AwsError:
    return AwsError("ValidationException", message, query_code="ValidationError")


class CloudWatchApi:
    """Each method answers one operation: request parameters in, members of the answer out, AwsError else."""

    def __init__(self, store: MetricStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
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
        for datum in data:
            if sum(name in datum for name in ("Value", "Values", "StatisticValues")) != 1:
                raise AwsError(
                    "InvalidParameterCombinationException",
                    f"{datum['MetricName']} needs exactly one of Value, Values and StatisticValues.",
                )
        for datum in data:
            series = self._store.open(_read_metric(request["Namespace"], datum))
            time = datum.get("Timestamp", self._clock.now())
            series.units.add(datum.get("Unit", "None"))
            if "StatisticValues" in datum:
                given = datum["StatisticValues"]
                statistics = StatisticSet(given["SampleCount"], given["Sum"], given["Minimum"], given["Maximum"])
                series.add_set(time, statistics)
            else:
                values = datum.get("Values", [datum.get("Value")])
                for value, count in zip(values, datum.get("Counts", [1.0] * len(values)), strict=True):
                    series.add(time, value, count)
        return {}

    def get_metric_data(self, request: Json) -> Json:
        """GetMetricData. With math there is no NextToken, as in AWS, and MaxDatapoints does not cut."""
        queries = request["MetricDataQueries"]
        _check_queries(queries)
        if request["StartTime"] >= request["EndTime"]:
            raise _validation_error("The parameter StartTime must be less than the parameter EndTime.")
        retrieval = _Retrieval(self._store, queries, request["StartTime"], request["EndTime"])
        newest_first = request.get("ScanBy", "TimestampDescending") == "TimestampDescending"
        results = []
        for query in queries:
            if query.get("ReturnData", True):
                for points in retrieval.series(query["Id"]):
                    ordered = sorted(points.items(), reverse=newest_first)
                    results.append(_shape_result(query, ordered))
        if any("Expression" in query for query in queries):
            return {"MetricDataResults": results, "Messages": []}
        offset = _read_token(request.get("NextToken"))
        return _paginate_results(results, offset, request.get("MaxDatapoints", MAX_DATAPOINTS))

    def get_metric_statistics(self, request: Json) -> Json:
        """GetMetricStatistics: the older way to read one metric."""
        statistics = request.get("Statistics", []) + request.get("ExtendedStatistics", [])
        if not statistics:
            raise AwsError("InvalidParameterCombinationException", "Specify Statistics or ExtendedStatistics.")
        _check_statistics(statistics, request["Period"])
        series = self._store.get(_read_metric(request["Namespace"], request))
        points: dict[float, Json] = {}
        if series is not None and request.get("Unit", "") in {"", *series.units}:
            unit = min(series.units, default="None")
            start, period = _align(request["StartTime"], request["Period"]), request["Period"]
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
        found = [
            metric
            for metric in self._store.names()
            if request.get("Namespace") in (None, metric.namespace)
            and request.get("MetricName") in (None, metric.name)
            and _has_dimensions(metric, request.get("Dimensions", []))
        ]
        offset = _read_token(request.get("NextToken"))
        page = found[offset : offset + LIST_PAGE]
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
        if offset + LIST_PAGE < len(found):
            answer["NextToken"] = _write_token(offset + LIST_PAGE)
        return answer


class _Retrieval:
    """The points of every query of one GetMetricData call, each computed once."""

    def __init__(self, store: MetricStore, queries: Sequence[Json], start: float, end: float) -> None:
        self._store = store
        self._queries = {query["Id"]: query for query in queries}
        self._start = start
        self._end = end
        self._evaluating: set[str] = set()
        self.value = functools.cache(self._compute)

    def series(self, id_: str) -> list[Points]:
        """The time series that query `id_` returns; ValidationError when it returns a number."""
        value = self.value(id_)
        if isinstance(value, float):
            raise _math_error(id_, "the result must be a time series")
        return value if isinstance(value, list) else [value]

    def _compute(self, id_: str) -> Value:
        query = self._queries[id_]
        if "MetricStat" in query:
            return self._read(query["MetricStat"])
        if id_ in self._evaluating:
            raise _math_error(id_, "it refers to itself")
        self._evaluating.add(id_)
        period = self._period(id_)
        first = _align(self._start, period)
        times = [first + period * step for step in range(math.ceil((self._end - first) / period))]
        metrics = [other for other, candidate in self._queries.items() if "MetricStat" in candidate]
        try:
            return evaluate(query["Expression"], Scope(self._resolve, metrics, times))
        except MetricMathError as error:
            raise _math_error(id_, str(error)) from error
        except RecursionError as error:
            raise _math_error(id_, "it is nested too deeply") from error

    def _resolve(self, id_: str) -> Value:
        if id_ not in self._queries:
            raise KeyError(id_)
        return self.value(id_)

    def _period(self, id_: str, using: frozenset[str] = frozenset()) -> int:
        """A query's own period, else the longest of the queries it uses; `using` are those that led here."""
        query = self._queries[id_]
        if "MetricStat" in query:
            return int(query["MetricStat"]["Period"])
        if "Period" in query:
            return int(query["Period"])
        using |= {id_}
        used = find_references(query["Expression"], [other for other in self._queries if other not in using])
        return max((self._period(other, using) for other in used), default=60)

    def _read(self, stat: Json) -> Points:
        metric = stat["Metric"]
        series = self._store.get(_read_metric(metric["Namespace"], metric))
        if series is None or stat.get("Unit", "") not in {"", *series.units}:
            return {}
        start = _align(self._start, stat["Period"])
        return dict(series.aggregate(start, self._end, stat["Period"], stat["Stat"]))


def _align(start: float, period: int) -> float:
    """GetMetricData rounds StartTime down to the period; minutes for anything of 60 s and more would split periods."""
    return float(math.floor(start / period) * period)


def _math_error(id_: str, message: str) -> AwsError:
    return _validation_error(f"Error in expression '{id_}': {message}")


def _read_metric(namespace: str, members: Json) -> MetricName:
    dimensions = {pair["Name"]: pair["Value"] for pair in members.get("Dimensions", [])}
    return MetricName.build(namespace, members["MetricName"], dimensions)


def _has_dimensions(metric: MetricName, filters: Sequence[Json]) -> bool:
    dimensions = dict(metric.dimensions)
    return all(pair["Name"] in dimensions and pair.get("Value") in (None, dimensions[pair["Name"]]) for pair in filters)


def _check_queries(queries: Sequence[Json]) -> None:
    if not 1 <= len(queries) <= MAX_QUERIES:
        raise _validation_error(f"The collection MetricDataQueries must have between 1 and {MAX_QUERIES} members.")
    if len({query["Id"] for query in queries}) != len(queries):
        raise _validation_error("The values for parameter id in MetricDataQueries are not unique.")
    for query in queries:
        if not _ID.fullmatch(query["Id"]):
            raise _validation_error(f"Invalid metric id {query['Id']!r}: it must match ^[a-z][a-zA-Z0-9_]*$.")
        if ("MetricStat" in query) == ("Expression" in query):
            raise _validation_error(f"Query {query['Id']} needs exactly one of MetricStat and Expression.")
        if "MetricStat" in query:
            _check_statistics([query["MetricStat"]["Stat"]], query["MetricStat"]["Period"])


def _check_statistics(statistics: Sequence[str], period: int) -> None:
    if not is_period(period):
        raise _validation_error(f"Period {period} must be 1, 5, 10, 20, 30 or a multiple of 60.")
    for statistic in statistics:
        if not is_statistic(statistic):
            raise _validation_error(f"The statistic {statistic!r} is not valid.")


def _shape_result(query: Json, points: Sequence[tuple[float, float]]) -> Json:
    default = query["MetricStat"]["Metric"]["MetricName"] if "MetricStat" in query else query["Id"]
    return {
        "Id": query["Id"],
        "Label": query.get("Label", default),
        "Timestamps": [time for time, _ in points],
        "Values": [value for _, value in points],
        "StatusCode": "Complete",
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
                "StatusCode": "PartialData" if partial else "Complete",
            }
        )
    more = {"NextToken": _write_token(offset + size)} if cut else {}
    return {"MetricDataResults": page, "Messages": [], **more}


def _write_token(offset: int) -> str:
    return base64.urlsafe_b64encode(str(offset).encode()).decode()


def _read_token(token: str | None) -> int:
    try:
        return int(base64.b64decode(token, altchars=b"-_", validate=True)) if token else 0
    except (binascii.Error, ValueError) as error:
        raise AwsError("InvalidNextToken", "The next token is not valid.", query_code="InvalidNextToken") from error
