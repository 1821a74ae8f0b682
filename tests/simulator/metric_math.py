"""CloudWatch metric math: parses an expression and evaluates it on time series.

Follows the CloudWatch user guide, "Using math expressions with CloudWatch metrics". Not known, and refused: SEARCH,
ANOMALY_DETECTION_BAND, INSIGHT_RULE_METRIC, SERVICE_QUOTA, DB_PERF_INSIGHTS, LAMBDA and Metrics Insights queries.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .metric_functions import (
    CALENDAR,
    REDUCERS,
    SERIES_FUNCTIONS,
    MetricMathError,
    Points,
    Value,
    choose,
    combine,
    fill,
    flatten,
    map_series,
    reduce_value,
    slice_series,
    sort_series,
    tell_time,
)

__all__ = ["MetricMathError", "Points", "Scope", "Value", "evaluate", "find_references"]

_TOKEN = re.compile(
    r'\s*(?:(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)|([A-Za-z_]\w*)|("[^"]*"|\'[^\']*\')|(==|!=|<=|>=|&&|\|\||.))'
)
_PRECEDENCE: tuple[tuple[str, ...], ...] = (
    ("OR",),
    ("AND",),
    ("==", "!=", "<", ">", "<=", ">="),
    ("+", "-"),
    ("*", "/"),
    ("^",),
)
_SYNONYMS = {"&&": "AND", "||": "OR"}


@dataclass(frozen=True)
class Scope:
    """What an expression can see.

    `resolve` gives the points of another query by its id (KeyError when unknown); `metric_ids` are the ids that
    METRICS() stands for; `times` are the starts of the periods that the result may have; `period` gives the period
    (seconds) of a metric by its id (KeyError when it is none).
    """

    resolve: Callable[[str], Value]
    metric_ids: Sequence[str]
    times: Sequence[float]
    period: Callable[[str], int]


def find_references(expression: str, ids: Sequence[str]) -> set[str]:
    """Which of `ids` the expression uses, METRICS() included; MetricMathError when it cannot be read."""
    words = [word for kind, word in _tokenize(expression) if kind == "name"]
    return set(ids) if "METRICS" in words else set(words) & set(ids)


def evaluate(expression: str, scope: Scope) -> Value:
    """The worth of `expression`; MetricMathError when it is not one."""
    parser = _Parser(_tokenize(expression), scope)
    try:
        value = parser.parse(0)
    except ArithmeticError as error:
        raise MetricMathError("a number is out of range") from error
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
        self._functions: dict[str, Callable[[], Value]] = {
            "METRICS": self._call_metrics,
            "FILL": self._call_fill,
            "IF": self._call_if,
            "SORT": self._call_sort,
            "SLICE": self._call_slice,
            "FIRST": lambda: self._pick(0),
            "LAST": lambda: self._pick(-1),
            "METRIC_COUNT": lambda: float(len(self._series_list())),
            "REMOVE_EMPTY": lambda: [points for points in self._series_list() if points],
            "TIME_SERIES": lambda: dict.fromkeys(self._scope.times, self._number()),
            "PERIOD": self._call_period,
        }

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "end of expression")

    def _take(self, symbol: str | None = None) -> tuple[str, str]:
        token = self._peek()
        if symbol is not None and token != ("symbol", symbol):
            raise MetricMathError(f"expected {symbol} before {token[1]}")
        self._at += 1
        return token

    def _skip_comma(self) -> bool:
        """Take a comma if there is one; whether there was."""
        found = self._peek() == ("symbol", ",")
        self._at += found
        return found

    def expect_end(self) -> None:
        if self._peek()[0] != "end":
            raise MetricMathError(f"unexpected {self._peek()[1]}")

    def parse(self, level: int) -> Value:
        if level == len(_PRECEDENCE):
            return self._parse_operand()
        value = self.parse(level + 1)
        while self._peek()[0] == "symbol" and self._peek()[1] in _PRECEDENCE[level]:
            symbol = self._take()[1]
            value = combine(symbol, value, self.parse(level + 1))
        return value

    def _parse_operand(self) -> Value:
        kind, text = self._take()
        if kind == "number":
            return float(text)
        if (kind, text) == ("symbol", "-"):
            return combine("*", -1.0, self._parse_operand())
        if (kind, text) == ("symbol", "("):
            value = self.parse(0)
            self._take(")")
            return value
        if (kind, text) == ("symbol", "["):
            return flatten(self._parse_list())
        if kind != "name":
            raise MetricMathError(f"unexpected {text}")
        if self._peek() == ("symbol", "("):
            return self._call(text)
        try:
            return self._scope.resolve(text)
        except KeyError:
            raise MetricMathError(f"undefined variable {text}") from None

    def _parse_list(self) -> list[Value]:
        items: list[Value] = []
        while self._peek() != ("symbol", "]"):
            if items:
                self._take(",")
            items.append(self.parse(0))
        self._take("]")
        return items

    def _call(self, function: str) -> Value:
        self._take("(")
        if function in REDUCERS:
            value = reduce_value(function, self.parse(0))
        elif function in SERIES_FUNCTIONS:
            value = map_series(self.parse(0), SERIES_FUNCTIONS[function])
        elif function in CALENDAR:
            map_series(self.parse(0), dict)
            value = tell_time(function, self._scope.times)
        elif function in self._functions:
            value = self._functions[function]()
        else:
            raise MetricMathError(f"unknown function {function}")
        self._take(")")
        return value

    # Arguments

    def _number(self) -> float:
        value = self.parse(0)
        if not isinstance(value, float):
            raise MetricMathError("a number is needed")
        return value

    def _series_list(self) -> list[Points]:
        value = self.parse(0)
        if not isinstance(value, list):
            raise MetricMathError("a list of time series is needed")
        return value

    # Functions with arguments of their own kind

    def _call_metrics(self) -> list[Points]:
        part = self._take()[1] if self._peek()[0] == "string" else ""
        return flatten([self._scope.resolve(id_) for id_ in self._scope.metric_ids if part in id_])

    def _call_fill(self) -> Value:
        value = self.parse(0)
        self._take(",")
        filling: float | Points | str
        if self._peek() in (("name", "REPEAT"), ("name", "LINEAR")):
            filling = self._take()[1]
        else:
            given = self.parse(0)
            if isinstance(given, list):
                raise MetricMathError("FILL fills with a number, a time series, REPEAT or LINEAR")
            filling = given
        return map_series(value, lambda points: fill(points, filling, self._scope.times))

    def _call_if(self) -> Value:
        condition = self.parse(0)
        self._take(",")
        yes = self.parse(0)
        return choose(condition, yes, self.parse(0) if self._skip_comma() else None)

    def _call_sort(self) -> list[Points]:
        series = self._series_list()
        self._take(",")
        function = self._take()[1]
        self._take(",")
        order = self._take()[1]
        return sort_series(series, function, order, self._number() if self._skip_comma() else None)

    def _call_slice(self) -> list[Points]:
        series = self._series_list()
        self._take(",")
        start = self._number()
        return slice_series(series, start, self._number() if self._skip_comma() else None)

    def _pick(self, index: int) -> Points:
        series = self._series_list()
        if not series:
            raise MetricMathError("the list is empty")
        return series[index]

    def _call_period(self) -> float:
        kind, name = self._take()
        try:
            if kind == "name":
                return float(self._scope.period(name))
        except KeyError:
            pass
        raise MetricMathError("PERIOD takes the id of a metric")
