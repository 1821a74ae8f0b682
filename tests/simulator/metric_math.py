"""CloudWatch metric math: parses an expression and evaluates it on time series.

Follows the CloudWatch user guide, "Using math expressions with CloudWatch metrics": arithmetic, comparison and logic,
IF, FILL, and SUM, AVG, MIN, MAX over METRICS(), a list, or one series (which gives a scalar).
"""

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Points = dict[float, float]
"""A time series: value by time (wall seconds)."""
Value = float | Points | list[Points]
"""What an expression is worth: S, TS or TS[] in the user guide's words."""

_TOKEN = re.compile(
    r'\s*(?:(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)|([A-Za-z_]\w*)|("[^"]*"|\'[^\']*\')|(==|!=|<=|>=|&&|\|\||.))'
)
_PRECEDENCE: tuple[tuple[str, ...], ...] = (
    ("OR",),
    ("AND",),
    ("==", "!=", "<", ">", "<=", ">="),
    ("+", "-"),
    ("*", "/"),
)
_SYNONYMS = {"&&": "AND", "||": "OR"}


class MetricMathError(ValueError):
    """The expression cannot be parsed or evaluated."""


def _divide(left: float, right: float) -> float | None:
    return left / right if right else None


_OPERATORS: dict[str, Callable[[float, float], float | None]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divide,
    "==": lambda left, right: float(left == right),
    "!=": lambda left, right: float(left != right),
    "<": lambda left, right: float(left < right),
    ">": lambda left, right: float(left > right),
    "<=": lambda left, right: float(left <= right),
    ">=": lambda left, right: float(left >= right),
    "AND": lambda left, right: float(bool(left) and bool(right)),
    "OR": lambda left, right: float(bool(left) or bool(right)),
}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


_REDUCERS: dict[str, Callable[[Sequence[float]], float]] = {"SUM": sum, "AVG": _mean, "MIN": min, "MAX": max}


@dataclass(frozen=True)
class Scope:
    """What an expression can see.

    `resolve` gives the points of another query by its id (KeyError when unknown); `metric_ids` are the ids that
    METRICS() stands for; `times` are the starts of the periods that FILL fills.
    """

    resolve: Callable[[str], Value]
    metric_ids: Sequence[str]
    times: Sequence[float]


def find_references(expression: str, ids: Sequence[str]) -> set[str]:
    """Which of `ids` the expression uses, METRICS() included; MetricMathError when it cannot be read."""
    words = [word for kind, word in _tokenize(expression) if kind == "name"]
    return set(ids) if "METRICS" in words else set(words) & set(ids)


def evaluate(expression: str, scope: Scope) -> Value:
    """The worth of `expression`; MetricMathError when it is not one."""
    parser = _Parser(_tokenize(expression), scope)
    value = parser.parse(0)
    parser.expect_end()
    return value


def _tokenize(expression: str) -> list[tuple[str, str]]:
    tokens = []
    for number, name, string, symbol in _TOKEN.findall(expression.strip()):
        if number or string:
            tokens.append(("number", number) if number else ("string", string[1:-1]))
        elif name in ("AND", "OR") or symbol:
            tokens.append(("symbol", _SYNONYMS.get(symbol, symbol or name)))
        else:
            tokens.append(("name", name))
    return tokens


class _Parser:
    """Recursive descent that evaluates as it goes."""

    def __init__(self, tokens: list[tuple[str, str]], scope: Scope) -> None:
        self._tokens = tokens
        self._scope = scope
        self._at = 0

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "end of expression")

    def _take(self, symbol: str | None = None) -> tuple[str, str]:
        token = self._peek()
        if symbol is not None and token != ("symbol", symbol):
            raise MetricMathError(f"expected {symbol} before {token[1]}")
        self._at += 1
        return token

    def expect_end(self) -> None:
        if self._peek()[0] != "end":
            raise MetricMathError(f"unexpected {self._peek()[1]}")

    def parse(self, level: int) -> Value:
        if level == len(_PRECEDENCE):
            return self._parse_operand()
        value = self.parse(level + 1)
        while self._peek()[0] == "symbol" and self._peek()[1] in _PRECEDENCE[level]:
            symbol = self._take()[1]
            value = _combine(_OPERATORS[symbol], value, self.parse(level + 1))
        return value

    def _parse_operand(self) -> Value:
        kind, text = self._take()
        if kind == "number":
            return float(text)
        if (kind, text) == ("symbol", "-"):
            return _combine(operator.mul, -1.0, self._parse_operand())
        if (kind, text) == ("symbol", "("):
            value = self.parse(0)
            self._take(")")
            return value
        if (kind, text) == ("symbol", "["):
            return _flatten(self._parse_list("]"))
        if kind != "name":
            raise MetricMathError(f"unexpected {text}")
        if self._peek() == ("symbol", "("):
            return self._call(text)
        try:
            return self._scope.resolve(text)
        except KeyError:
            raise MetricMathError(f"undefined variable {text}") from None

    def _parse_list(self, end: str) -> list[Value]:
        items: list[Value] = []
        while self._peek() != ("symbol", end):
            if items:
                self._take(",")
            items.append(self.parse(0))
        self._take(end)
        return items

    def _call(self, function: str) -> Value:
        self._take("(")
        if function == "METRICS":
            return self._parse_metrics()
        if function == "FILL":
            value = self.parse(0)
            self._take(",")
            filling: float | str
            if self._peek() in (("name", "REPEAT"), ("name", "LINEAR")):
                filling = self._take()[1]
            else:
                number = self.parse(0)
                if not isinstance(number, float):
                    raise MetricMathError("FILL fills with a number, REPEAT or LINEAR")
                filling = number
            self._take(")")
            return _map_series(value, lambda points: _fill(points, filling, self._scope.times))
        arguments = self._parse_list(")")
        if function in _REDUCERS and len(arguments) == 1:
            return _reduce(_REDUCERS[function], arguments[0])
        if function == "IF" and len(arguments) in (2, 3):
            return _choose(arguments[0], arguments[1], arguments[2] if len(arguments) == 3 else None)
        raise MetricMathError(f"{function} with {len(arguments)} arguments is not supported")

    def _parse_metrics(self) -> list[Points]:
        part = self._take()[1] if self._peek()[0] == "string" else ""
        self._take(")")
        return _flatten([self._scope.resolve(id_) for id_ in self._scope.metric_ids if part in id_])


def _flatten(items: Sequence[Value]) -> list[Points]:
    flat: list[Points] = []
    for item in items:
        if isinstance(item, float):
            raise MetricMathError("a list holds time series only")
        flat.extend(item if isinstance(item, list) else [item])
    return flat


def _map_series(value: Value, change: Callable[[Points], Points]) -> Value:
    if isinstance(value, float):
        return value
    return [change(points) for points in value] if isinstance(value, list) else change(value)


def _combine(apply: Callable[[float, float], float | None], left: Value, right: Value) -> Value:
    """`apply` at every time both sides have a point; a scalar has one at every time. None results have no point."""
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
        return _flatten([_combine(apply, one, other) for one, other in pairs])
    if isinstance(left, float) and isinstance(right, float):
        result = apply(left, right)
        if result is None:
            raise MetricMathError("division of a number by zero")
        return result
    sides = [side.keys() for side in (left, right) if not isinstance(side, float)]
    times = set(sides[0]).intersection(*sides)
    results = {time: apply(_at(left, time), _at(right, time)) for time in sorted(times)}
    return {time: result for time, result in results.items() if result is not None}


def _at(value: float | Points, time: float) -> float:
    return value if isinstance(value, float) else value[time]


def _reduce(function: Callable[[Sequence[float]], float], value: Value) -> Value:
    """One series gives a scalar; a list gives a series, at each time over the members that have a point."""
    if isinstance(value, float):
        return value
    if not isinstance(value, list):
        if not value:
            raise MetricMathError("no data to reduce to a number")
        return float(function(list(value.values())))
    times = sorted({time for points in value for time in points})
    return {time: float(function([points[time] for points in value if time in points])) for time in times}


def _choose(condition: Value, yes: Value, no: Value | None) -> Value:
    """IF(condition, yes, no): by time; without `no`, times where the condition is false have no point."""
    if isinstance(condition, list) or isinstance(yes, list) or isinstance(no, list):
        raise MetricMathError("IF does not take lists of time series")
    series = [value for value in (condition, yes, no) if isinstance(value, dict)]
    if not series:
        chosen = yes if condition else no
        if chosen is None:
            raise MetricMathError("IF without a third argument needs a time series")
        return chosen
    times = condition.keys() if isinstance(condition, dict) else {time for points in series for time in points}
    result: Points = {}
    for time in sorted(times):
        chosen = yes if _at(condition, time) else no
        if isinstance(chosen, float):
            result[time] = chosen
        elif chosen is not None and time in chosen:
            result[time] = chosen[time]
    return result


def _fill(points: Points, filling: float | str, times: Sequence[float]) -> Points:
    """`points` with every missing one of `times` filled: by a number, the last value, or a straight line."""
    if isinstance(filling, float):
        return {time: points.get(time, filling) for time in times}
    known = sorted(points)
    filled: Points = {}
    for time in times:
        before = [t for t in known if t <= time]
        after = [t for t in known if t >= time]
        if time in points:
            filled[time] = points[time]
        elif before and filling == "REPEAT":
            filled[time] = points[before[-1]]
        elif before and after:
            left, right = before[-1], after[0]
            share = (time - left) / (right - left)
            filled[time] = points[left] + share * (points[right] - points[left])
    return filled
