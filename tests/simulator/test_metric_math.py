"""Metric math on small series. The rules are those of "Using math expressions with CloudWatch metrics"."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .metric_math import MetricMathError, Scope, Value, evaluate

SERIES: dict[str, Value] = {
    "m1": {60.0: 10.0, 120.0: 20.0, 180.0: 30.0},
    "m2": {60.0: 2.0, 180.0: 0.0},
    "none": {},
}
SCOPE = Scope(resolve=SERIES.__getitem__, metric_ids=["m1", "m2"], times=[60.0, 120.0, 180.0])


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("m1 + 1", {60.0: 11.0, 120.0: 21.0, 180.0: 31.0}),
        ("m1 / m2", {60.0: 5.0}),
        ("1 + 2 * m1", {60.0: 21.0, 120.0: 41.0, 180.0: 61.0}),
        ("(1 + 2) * m2", {60.0: 6.0, 180.0: 0.0}),
        ("-m2 - 1", {60.0: -3.0, 180.0: -1.0}),
        ("m1 >= 20", {60.0: 0.0, 120.0: 1.0, 180.0: 1.0}),
        ("m1 > 10 AND m2 == 0", {60.0: 0.0, 180.0: 1.0}),
        ("m1 < 15 || m1 > 25", {60.0: 1.0, 120.0: 0.0, 180.0: 1.0}),
        ("IF(m1 > 10, m1, 0)", {60.0: 0.0, 120.0: 20.0, 180.0: 30.0}),
        ("IF(m1 > 10, m1)", {120.0: 20.0, 180.0: 30.0}),
        ("IF(m1 > 10, m2)", {180.0: 0.0}),
        ("FILL(m2, 7)", {60.0: 2.0, 120.0: 7.0, 180.0: 0.0}),
        ("FILL(m2, -1)", {60.0: 2.0, 120.0: -1.0, 180.0: 0.0}),
        ("FILL(m2, REPEAT)", {60.0: 2.0, 120.0: 2.0, 180.0: 0.0}),
        ("FILL(m2, LINEAR)", {60.0: 2.0, 120.0: 1.0, 180.0: 0.0}),
        ("FILL(none, 0)", {60.0: 0.0, 120.0: 0.0, 180.0: 0.0}),
        ("SUM(METRICS())", {60.0: 12.0, 120.0: 20.0, 180.0: 30.0}),
        ("MAX([m1, m2])", {60.0: 10.0, 120.0: 20.0, 180.0: 30.0}),
        ("MIN([m1, m2])", {60.0: 2.0, 120.0: 20.0, 180.0: 0.0}),
        ('AVG(METRICS("m2"))', {60.0: 2.0, 180.0: 0.0}),
        ("m1 / SUM(m1) * 60", {60.0: 10.0, 120.0: 20.0, 180.0: 30.0}),
        ("[m1, m2] * 2", [{60.0: 20.0, 120.0: 40.0, 180.0: 60.0}, {60.0: 4.0, 180.0: 0.0}]),
    ],
)
def test_expression(expression: str, expected: Value) -> None:
    """User guide, "Metric math syntax and functions"; points that only one side has are dropped."""
    assert evaluate(expression, SCOPE) == expected


@pytest.mark.parametrize(
    "expression", ["", "m1 +", "m3", "m1 m2", "RATE(m1)", "(m1", "FILL(m1, m2)", "1 / 0", "SUM(none)"]
)
def test_expression_that_makes_no_sense_is_an_error(expression: str) -> None:
    """GetMetricData answers ValidationError for an expression it cannot evaluate."""
    with pytest.raises(MetricMathError):
        evaluate(expression, SCOPE)


@given(st.text(alphabet="m12 +-*/()[],<>=ANDORIFSUM", max_size=30))
def test_any_text_is_evaluated_or_refused(expression: str) -> None:
    """Whatever is sent, there is an answer or a ValidationError, never an internal failure."""
    try:
        evaluate(expression, SCOPE)
    except MetricMathError:
        return
