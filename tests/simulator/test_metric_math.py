"""Metric math on small series. The rules are those of "Using math expressions with CloudWatch metrics"."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .metric_math import MetricMathError, Points, Scope, Value, evaluate

TIMES = [60.0, 120.0, 180.0]
SERIES: dict[str, Value] = {
    "m1": {60.0: 10.0, 120.0: 20.0, 180.0: 30.0},
    "m2": {60.0: 2.0, 180.0: 0.0},
    "none": {},
}
SCOPE = Scope(SERIES.__getitem__, ["m1", "m2"], TIMES, {"m1": 60, "m2": 60}.__getitem__)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("m1 + 1", {60.0: 11.0, 120.0: 21.0, 180.0: 31.0}),
        ("m1 + m2", {60.0: 12.0, 120.0: 20.0, 180.0: 30.0}),
        ("m2 / m1", {60.0: 0.2, 120.0: 0.0, 180.0: 0.0}),
        ("m1 / m2", {60.0: 5.0}),
        ("1 + 2 * m1", {60.0: 21.0, 120.0: 41.0, 180.0: 61.0}),
        ("(1 + 2) * m2", {60.0: 6.0, 180.0: 0.0}),
        ("2 * m1 ^ 2", {60.0: 200.0, 120.0: 800.0, 180.0: 1800.0}),
        ("-m2 - 1", {60.0: -3.0, 180.0: -1.0}),
        ("m1 >= 20", {60.0: 0.0, 120.0: 1.0, 180.0: 1.0}),
        ("m1 > 10 AND m2 == 0", {60.0: 0.0, 120.0: 0.0, 180.0: 1.0}),
        ("m1 < 15 || m1 > 25", {60.0: 1.0, 120.0: 0.0, 180.0: 1.0}),
        ("IF(m1 > 10, m1, 0)", {60.0: 0.0, 120.0: 20.0, 180.0: 30.0}),
        ("IF(m1 > 10, m1)", {120.0: 20.0, 180.0: 30.0}),
        ("IF(0, m1)", {}),
        ("IF(1, m2, m1)", {60.0: 2.0, 180.0: 0.0}),
        ("FILL(m2, 7)", {60.0: 2.0, 120.0: 7.0, 180.0: 0.0}),
        ("FILL(m2, -1)", {60.0: 2.0, 120.0: -1.0, 180.0: 0.0}),
        ("FILL(m2, m1)", {60.0: 2.0, 120.0: 20.0, 180.0: 0.0}),
        ("FILL(m2, MIN(m1))", {60.0: 2.0, 120.0: 10.0, 180.0: 0.0}),
        ("FILL(m2, REPEAT)", {60.0: 2.0, 120.0: 2.0, 180.0: 0.0}),
        ("FILL(m2, LINEAR)", {60.0: 2.0, 120.0: 1.0, 180.0: 0.0}),
        ("FILL(none, 0)", {60.0: 0.0, 120.0: 0.0, 180.0: 0.0}),
        ("SUM(METRICS())", {60.0: 12.0, 120.0: 20.0, 180.0: 30.0}),
        ("AVG(METRICS())", {60.0: 6.0, 120.0: 10.0, 180.0: 15.0}),
        ("MAX([m1, m2])", {60.0: 10.0, 120.0: 20.0, 180.0: 30.0}),
        ("MIN([m1, m2])", {60.0: 2.0, 120.0: 20.0, 180.0: 0.0}),
        ("DATAPOINT_COUNT(METRICS())", {60.0: 2.0, 120.0: 1.0, 180.0: 2.0}),
        ("STDDEV([m1, m2])", {60.0: 4.0, 120.0: 0.0, 180.0: 15.0}),
        ('AVG(METRICS("m2"))', {60.0: 2.0, 180.0: 0.0}),
        ('SUM([METRICS("1"), METRICS("2")])', {60.0: 12.0, 120.0: 20.0, 180.0: 30.0}),
        ("m1 / SUM(m1) * 60", {60.0: 10.0, 120.0: 20.0, 180.0: 30.0}),
        ("[m1, m2] * 2", [{60.0: 20.0, 120.0: 40.0, 180.0: 60.0}, {60.0: 4.0, 180.0: 0.0}]),
        ("RATE(m1)", {120.0: 10 / 60, 180.0: 10 / 60}),
        ("RATE(m2)", {180.0: -2 / 120}),
        ("DIFF(m1)", {120.0: 10.0, 180.0: 10.0}),
        ("DIFF_TIME(m2)", {180.0: 120.0}),
        ("RUNNING_SUM(m1)", {60.0: 10.0, 120.0: 30.0, 180.0: 60.0}),
        ("ABS(0 - m2)", {60.0: 2.0, 180.0: 0.0}),
        ("CEIL(m1 / 7)", {60.0: 2.0, 120.0: 3.0, 180.0: 5.0}),
        ("FLOOR(m1 / 7)", {60.0: 1.0, 120.0: 2.0, 180.0: 4.0}),
        ("LOG10(m1 * 0 + 100)", {60.0: 2.0, 120.0: 2.0, 180.0: 2.0}),
        ("LOG(m2 / 2)", {60.0: 0.0}),
        ("m1 / PERIOD(m1)", {60.0: 10 / 60, 120.0: 20 / 60, 180.0: 0.5}),
        ("TIME_SERIES(MAX(m1))", {60.0: 30.0, 120.0: 30.0, 180.0: 30.0}),
        ("MINUTE(m2)", {60.0: 1.0, 120.0: 2.0, 180.0: 3.0}),
        ("EPOCH(m1) + HOUR(m1) + YEAR(m1) - 1970", {60.0: 60.0, 120.0: 120.0, 180.0: 180.0}),
        ("DAY(m1)", {60.0: 4.0, 120.0: 4.0, 180.0: 4.0}),
        ("FIRST(SORT(METRICS(), AVG, ASC))", {60.0: 2.0, 180.0: 0.0}),
        ("SORT(METRICS(), MAX, DESC, 1)", [{60.0: 10.0, 120.0: 20.0, 180.0: 30.0}]),
        ("LAST(SLICE(METRICS(), 0, 1))", {60.0: 10.0, 120.0: 20.0, 180.0: 30.0}),
        ("SLICE(METRICS(), 1)", [{60.0: 2.0, 180.0: 0.0}]),
        ("REMOVE_EMPTY([none, m2])", [{60.0: 2.0, 180.0: 0.0}]),
        ("m2 / METRIC_COUNT(METRICS())", {60.0: 1.0, 180.0: 0.0}),
    ],
)
def test_expression(expression: str, expected: Value) -> None:
    """User guide, "Metric math syntax and functions": "Missing values in a time series are treated as 0.  If the value
    of a data point causes a function to attempt to divide by zero, the data point is dropped"."""
    assert evaluate(expression, SCOPE) == expected


def _series(*values: float | None) -> Points:
    return {60.0 * index: value for index, value in enumerate(values) if value is not None}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("metric1 < metric2", _series(0, 0, 1, 0)),
        ("metric1 >= 30", _series(1, 0, 0, 0)),
        ("metric1 > 15 AND metric2 > 15", _series(1, 0, 0, 0)),
    ],
)
def test_comparisons_as_documented(expression: str, expected: Points) -> None:
    """User guide, "Comparison and logical operators": the table for [30, 20, 0, 0] and [20, -, 20, -]."""
    series: dict[str, Value] = {"metric1": _series(30, 20, 0, 0), "metric2": _series(20, None, 20, None)}
    assert evaluate(expression, Scope(series.__getitem__, [], [], int)) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("IF(metric1, metric2, metric3)", _series(30, 0, 20)),
        ("IF(metric1, 5, metric3)", _series(5, 5, 20)),
        ("IF(metric1, metric2, 5)", _series(30, 0, 5, 5)),
    ],
)
def test_if_as_documented(expression: str, expected: Points) -> None:
    """User guide, "Using IF expressions": the three tables."""
    series: dict[str, Value] = {
        "metric1": _series(1, 1, 0, 0, None),
        "metric2": _series(30, None, 0, 0, 30),
        "metric3": _series(0, 0, 20, None, 20),
    }
    assert evaluate(expression, Scope(series.__getitem__, [], [], int)) == expected


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "m1 +",
        "m3",
        "m1 m2",
        "RATE(1)",
        "(m1",
        "FILL(m1, [m2])",
        "1 / 0",
        "SUM(none)",
        "SEARCH('{AWS/ECS} x', 'Sum', 60)",
        "PERIOD(m1 + 1)",
        "FIRST(m1)",
        "SORT(METRICS(), P99, DESC)",
        "IF(METRICS(), 1, 0)",
    ],
)
def test_expression_that_makes_no_sense_is_an_error(expression: str) -> None:
    """GetMetricData answers ValidationError for an expression it cannot evaluate."""
    with pytest.raises(MetricMathError):
        evaluate(expression, SCOPE)


@given(st.text(alphabet="m12 +-*/^()[],<>=ANDORIFSUM", max_size=30))
def test_any_text_is_evaluated_or_refused(expression: str) -> None:
    """Whatever is sent, there is an answer or a ValidationError, never an internal failure."""
    try:
        evaluate(expression, SCOPE)
    except MetricMathError:
        return
