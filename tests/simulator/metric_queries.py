"""What MetricDataQuery structures are worth: metrics read from the store, and expressions over them."""

import functools
import math
import re
from collections.abc import Sequence

from .aws_protocol import Json
from .cloudwatch import MetricName, MetricStore, is_period, is_statistic
from .errors import AwsError
from .metric_conditions import STATUS_CODES, MetricConditions
from .metric_math import MetricMathError, Points, Scope, Value, evaluate, find_references

MAX_QUERIES = 500
COMPLETE = "Complete"
_ID = re.compile(r"[a-z][a-zA-Z0-9_]*")


def validation_error(message: str) -> AwsError:
    """CloudWatch's answer to a request that makes no sense."""
    return AwsError("ValidationException", message, query_code="ValidationError")


def read_metric(namespace: str, members: Json) -> MetricName:
    """The metric that `members` (MetricName, Dimensions) name."""
    dimensions = {pair["Name"]: pair["Value"] for pair in members.get("Dimensions", [])}
    return MetricName.build(namespace, members["MetricName"], dimensions)


def align(start: float, period: int) -> float:
    """CloudWatch rounds StartTime down to the minute, for periods of less than one to the period, and counts periods
    from there (API_GetMetricData; boto/boto3#3457)."""
    unit = min(period, 60)
    return float(math.floor(start / unit) * unit)


def check_queries(queries: Sequence[Json]) -> None:
    """ValidationError unless `queries` are at most 500, with ids, periods and statistics that AWS takes."""
    if not 1 <= len(queries) <= MAX_QUERIES:
        raise validation_error(f"The collection MetricDataQueries must have between 1 and {MAX_QUERIES} members.")
    if len({query["Id"] for query in queries}) != len(queries):
        raise validation_error("The values for parameter id in MetricDataQueries are not unique.")
    for query in queries:
        if not _ID.fullmatch(query["Id"]):
            raise validation_error(f"Invalid metric id {query['Id']!r}: it must match ^[a-z][a-zA-Z0-9_]*$.")
        if ("MetricStat" in query) == ("Expression" in query):
            raise validation_error(f"Query {query['Id']} needs exactly one of MetricStat and Expression.")
        if "MetricStat" in query:
            check_statistics([query["MetricStat"]["Stat"]], query["MetricStat"]["Period"])


def check_statistics(statistics: Sequence[str], period: int) -> None:
    """ValidationError unless CloudWatch has such statistics and such a period (seconds)."""
    if not is_period(period):
        raise validation_error(f"Period {period} must be 1, 5, 10, 20, 30 or a multiple of 60.")
    for statistic in statistics:
        if not is_statistic(statistic):
            raise validation_error(f"The statistic {statistic!r} is not valid.")


class Retrieval:
    """The points of every one of some queries from `start` to before `end`, each computed once.

    `start` is rounded down to the minute, or to a query's shorter period, unless `aligned` is False: alarms look at
    windows that end now.
    """

    def __init__(
        self,
        store: MetricStore,
        conditions: MetricConditions,
        queries: Sequence[Json],
        start: float,
        end: float,
        *,
        aligned: bool = True,
    ) -> None:
        self._store = store
        self._conditions = conditions
        self._queries = {query["Id"]: query for query in queries}
        self._start = start
        self._end = end
        self._aligned = aligned
        self._evaluating: set[str] = set()
        self.value = functools.cache(self._compute)
        self.status = functools.cache(self._judge)
        self._uses = functools.cache(self._find_uses)

    def series(self, id_: str) -> list[Points]:
        """The time series that query `id_` returns; ValidationError when it returns a number."""
        value = self.value(id_)
        if isinstance(value, float):
            raise _math_error(id_, "the result must be a time series")
        return value if isinstance(value, list) else [value]

    def _first(self, period: int) -> float:
        return align(self._start, period) if self._aligned else self._start

    def _compute(self, id_: str) -> Value:
        query = self._queries[id_]
        if "MetricStat" in query:
            return self._read(query["MetricStat"], self.status(id_))
        if id_ in self._evaluating:
            raise _math_error(id_, "it refers to itself")
        self._evaluating.add(id_)
        period = self.period(id_)
        first = self._first(period)
        times = [first + period * step for step in range(math.ceil((self._end - first) / period))]
        metrics = [other for other, candidate in self._queries.items() if "MetricStat" in candidate]
        try:
            value = evaluate(query["Expression"], Scope(self._resolve, metrics, times, self._metric_period))
        except MetricMathError as error:
            raise _math_error(id_, str(error)) from error
        except RecursionError as error:
            raise _math_error(id_, "it is nested too deeply") from error
        denied = self.status(id_) in ("Forbidden", "InternalError")
        return {} if denied and not isinstance(value, float) else value

    def _resolve(self, id_: str) -> Value:
        if id_ not in self._queries:
            raise KeyError(id_)
        return self.value(id_)

    def _metric_period(self, id_: str) -> int:
        return int(self._queries[id_]["MetricStat"]["Period"])

    def period(self, id_: str) -> int:
        """A query's own period (seconds), else the longest of the queries it uses."""
        own = [period for other in self._reach(id_, stop_at_periods=True) if (period := self._own_period(other))]
        return max(own, default=60)

    def _own_period(self, id_: str) -> int | None:
        query = self._queries[id_]
        found: int | None = query["MetricStat"]["Period"] if "MetricStat" in query else query.get("Period")
        return found

    def _find_uses(self, id_: str) -> set[str]:
        query = self._queries[id_]
        return find_references(query["Expression"], list(self._queries)) if "Expression" in query else set()

    def _reach(self, id_: str, *, stop_at_periods: bool = False) -> set[str]:
        """The query and all that it uses, directly or not; optionally not beyond queries with a period."""
        reached: set[str] = set()
        waiting = [id_]
        while waiting:
            at = waiting.pop()
            if at not in reached:
                reached.add(at)
                if not (stop_at_periods and self._own_period(at)):
                    waiting.extend(self._uses(at))
        return reached

    def _judge(self, id_: str) -> str:
        """The status code of a query: its metric's, or the worst of the metrics that its expression uses."""
        stats = [query["MetricStat"] for other in self._reach(id_) if "MetricStat" in (query := self._queries[other])]
        found = {self._conditions.status(read_metric(s["Metric"]["Namespace"], s["Metric"])) for s in stats}
        return next((code for code in reversed(STATUS_CODES) if code in found), COMPLETE)

    def _read(self, stat: Json, status: str) -> Points:
        metric = stat["Metric"]
        series = self._store.get(read_metric(metric["Namespace"], metric))
        if status in ("Forbidden", "InternalError") or series is None:
            return {}
        if stat.get("Unit", "") not in {"", *series.units}:
            return {}
        period = stat["Period"]
        start = self._first(period)
        points = dict(series.aggregate(start, self._end, period, stat["Stat"], start % period))
        if status == "PartialData":
            kept = sorted(points)[: len(points) // 2]
            points = {time: points[time] for time in kept}
        return points


def _math_error(id_: str, message: str) -> AwsError:
    return validation_error(f"Error in expression '{id_}': {message}")
