"""The functions of CloudWatch metric math, on values: numbers, time series and lists of time series.

Rules and names are those of the CloudWatch user guide, "Using math expressions with CloudWatch metrics", section
"Metric math syntax and functions".
"""

import math
import operator
import statistics
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import pairwise

Points = dict[float, float]
"""A time series: value by time (wall seconds)."""
Value = float | Points | list[Points]
"""What an expression is worth: S, TS or TS[] in the user guide's words."""
Binary = Callable[[float, float], float | None]


class MetricMathError(ValueError):
    """The expression cannot be parsed or evaluated."""


def _divide(left: float, right: float) -> float | None:
    return left / right if right else None


def _power(left: float, right: float) -> float | None:
    try:
        result = left**right
    except (OverflowError, ZeroDivisionError):
        return None
    return result if isinstance(result, float) else None


OPERATORS: dict[str, Binary] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divide,
    "^": _power,
    "==": lambda left, right: float(left == right),
    "!=": lambda left, right: float(left != right),
    "<": lambda left, right: float(left < right),
    ">": lambda left, right: float(left > right),
    "<=": lambda left, right: float(left <= right),
    ">=": lambda left, right: float(left >= right),
    "AND": lambda left, right: float(bool(left) and bool(right)),
    "OR": lambda left, right: float(bool(left) or bool(right)),
}


def combine(symbol: str, left: Value, right: Value) -> Value:
    """`left symbol right`, for each member of a list and at each time of a series.

    "Missing values in a time series are treated as 0. If the value of a data point causes a function to attempt to
    divide by zero, the data point is dropped."
    """
    pairs: list[tuple[Value, Value]] = []
    if isinstance(left, list) and isinstance(right, list):
        if len(left) != len(right):
            raise MetricMathError("the lists of time series differ in length")
        pairs.extend(zip(left, right, strict=True))
    elif isinstance(left, list):
        pairs.extend((item, right) for item in left)
    elif isinstance(right, list):
        pairs.extend((left, item) for item in right)
    if isinstance(left, list) or isinstance(right, list):
        return flatten([combine(symbol, one, other) for one, other in pairs])
    apply = OPERATORS[symbol]
    if isinstance(left, float) and isinstance(right, float):
        result = apply(left, right)
        if result is None or not math.isfinite(result):
            raise MetricMathError(f"{left} {symbol} {right} has no value")
        return result
    times = {time for side in (left, right) if isinstance(side, dict) for time in side}
    results = {time: apply(_at(left, time), _at(right, time)) for time in sorted(times)}
    return {time: result for time, result in results.items() if result is not None and math.isfinite(result)}


def _at(value: float | Points, time: float) -> float:
    return value if isinstance(value, float) else value.get(time, 0.0)


def flatten(items: Sequence[Value]) -> list[Points]:
    """One list of all time series in `items`; MetricMathError when one is a number."""
    flat: list[Points] = []
    for item in items:
        if isinstance(item, float):
            raise MetricMathError("a list holds time series only")
        flat.extend(item if isinstance(item, list) else [item])
    return flat


def map_series(value: Value, change: Callable[[Points], Points]) -> Value:
    """`change` applied to the series, or to each of the list; MetricMathError for a number."""
    if isinstance(value, float):
        raise MetricMathError("a time series is needed, not a number")
    return [change(points) for points in value] if isinstance(value, list) else change(value)


# Functions that reduce a series to a number, or a list to a series


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


REDUCERS: dict[str, Callable[[Sequence[float]], float]] = {
    "SUM": sum,
    "AVG": _mean,
    "MIN": min,
    "MAX": max,
    "STDDEV": statistics.pstdev,
    "DATAPOINT_COUNT": len,
}


def reduce_value(function: str, value: Value) -> Value:
    """A list becomes a series, at each time over its members; a series becomes a number.

    A member without a point counts as 0 for AVG ("Missing values are treated as 0"), and not at all for the others.
    """
    reducer = REDUCERS[function]
    if isinstance(value, float):
        return value
    if not isinstance(value, list):
        if not value and function != "DATAPOINT_COUNT":
            raise MetricMathError("no data to reduce to a number")
        return float(reducer(list(value.values())))
    reduced: Points = {}
    for time in sorted({time for points in value for time in points}):
        present = [points[time] for points in value if time in points]
        if function == "AVG":
            present += [0.0] * (len(value) - len(present))
        reduced[time] = float(reducer(present))
    return reduced


# Functions of each series


def _each(compute: Callable[[float], float]) -> Callable[[Points], Points]:
    return lambda points: {time: compute(value) for time, value in points.items()}


def _positive(compute: Callable[[float], float]) -> Callable[[Points], Points]:
    return lambda points: {time: compute(value) for time, value in points.items() if value > 0}


def _steps(compute: Callable[[float, float], float]) -> Callable[[Points], Points]:
    """A series of `compute(difference of values, difference of times)` between neighbouring points."""

    def change(points: Points) -> Points:
        times = sorted(points)
        pairs = pairwise(times)
        return {later: compute(points[later] - points[earlier], later - earlier) for earlier, later in pairs}

    return change


def _sum_up(points: Points) -> Points:
    total, sums = 0.0, {}
    for time in sorted(points):
        total += points[time]
        sums[time] = total
    return sums


SERIES_FUNCTIONS: dict[str, Callable[[Points], Points]] = {
    "ABS": _each(abs),
    "CEIL": _each(lambda value: float(math.ceil(value))),
    "FLOOR": _each(lambda value: float(math.floor(value))),
    "LOG": _positive(math.log),
    "LOG10": _positive(math.log10),
    "DIFF": _steps(lambda value, _: value),
    "DIFF_TIME": _steps(lambda _, seconds: seconds),
    "RATE": _steps(lambda value, seconds: value / seconds),
    "RUNNING_SUM": _sum_up,
}

CALENDAR: dict[str, Callable[[datetime], float]] = {
    "MINUTE": lambda time: float(time.minute),
    "HOUR": lambda time: float(time.hour),
    "DAY": lambda time: float(time.isoweekday()),
    "DATE": lambda time: float(time.day),
    "MONTH": lambda time: float(time.month),
    "YEAR": lambda time: float(time.year),
    "EPOCH": lambda time: time.timestamp(),
}
"""Functions whose value at a time depends on that time alone, in UTC; Monday is day 1."""


def tell_time(function: str, times: Sequence[float]) -> Points:
    """A CALENDAR function as a series without gaps over `times`."""
    return {time: CALENDAR[function](datetime.fromtimestamp(time, UTC)) for time in times}


# Functions of lists


def sort_series(series: Sequence[Points], function: str, order: str, limit: float | None) -> list[Points]:
    """SORT: by AVG, MIN, MAX or SUM, ASC or DESC, at most `limit` of them. Series without points come last."""
    if function not in ("AVG", "MIN", "MAX", "SUM") or order not in ("ASC", "DESC"):
        raise MetricMathError("SORT needs AVG, MIN, MAX or SUM, and ASC or DESC")
    filled = [points for points in series if points]
    ordered = sorted(filled, key=lambda points: REDUCERS[function](list(points.values())), reverse=order == "DESC")
    ordered += [points for points in series if not points]
    return ordered if limit is None else ordered[: max(0, int(limit))]


def slice_series(series: Sequence[Points], start: float, stop: float | None) -> list[Points]:
    """SLICE: from `start` to before `stop`, or to the end."""
    return list(series[max(0, int(start)) : None if stop is None else max(0, int(stop))])


# IF and FILL


def choose(condition: Value, yes: Value, no: Value | None) -> Value:
    """IF(condition, yes, no): by time.

    Where the condition is true, a missing point of `yes` is 0; where it is false, a missing point of `no`, or no `no`,
    gives no point. A number as condition picks one side as a whole.
    """
    if isinstance(condition, list) or isinstance(yes, list) or isinstance(no, list):
        raise MetricMathError("IF does not take lists of time series")
    if isinstance(condition, float):
        chosen = yes if condition else no
        if chosen is None:
            return {}
        return chosen
    result: Points = {}
    for time in sorted(condition):
        if condition[time]:
            result[time] = _at(yes, time)
        elif isinstance(no, float):
            result[time] = no
        elif no is not None and time in no:
            result[time] = no[time]
    return result


def fill(points: Points, filling: float | Points | str, times: Sequence[float]) -> Points:
    """`points` with every missing one of `times` filled: by a number, another series, REPEAT or LINEAR.

    REPEAT takes the point before; LINEAR draws a straight line between the points around. Where there is none, a time
    stays empty.
    """
    known = sorted(points)
    filled: Points = {}
    at = 0
    for time in times:
        while at < len(known) and known[at] <= time:
            at += 1
        before = known[at - 1] if at else None
        after = known[at] if at < len(known) else None
        value: float | None = None
        if time in points:
            value = points[time]
        elif isinstance(filling, float):
            value = filling
        elif isinstance(filling, dict):
            value = filling.get(time)
        elif filling == "REPEAT" and before is not None:
            value = points[before]
        elif filling == "LINEAR" and before is not None and after is not None:
            value = points[before] + (time - before) / (after - before) * (points[after] - points[before])
        if value is not None:
            filled[time] = value
    return filled
