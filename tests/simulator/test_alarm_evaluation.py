"""What alarms make of data points: the tables and texts of the CloudWatch user guide."""

import pytest

from .alarm_evaluation import Datapoint, Rule, State, explain, judge

NOON = 1_570_035_540.0
"""2019-10-02 16:59:00 UTC, as in the guide's sample event."""
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")


def _points(text: str) -> list[Datapoint]:
    """`0` does not breach, `X` does, `-` is missing; oldest first."""
    values = {"0": 0.0, "X": 99.0, "-": None}
    return [(NOON + 60 * index, values[letter]) for index, letter in enumerate(text.split())]


def _rule(m: int, n: int, treatment: str) -> Rule:
    return Rule("GreaterThanThreshold", 50.0, n, m, treatment)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 - X - X", ("OK", "OK", "OK", "OK")),
        ("- - - - 0", ("OK", "OK", "OK", "OK")),
        ("- - - - -", ("INSUFFICIENT_DATA", None, "ALARM", "OK")),
        ("0 X X - X", ("ALARM", "ALARM", "ALARM", "ALARM")),
        ("- - X - -", ("ALARM", None, "ALARM", "OK")),
    ],
)
def test_three_out_of_three(text: str, expected: tuple[State | None, ...]) -> None:
    """User guide, "Configuring how CloudWatch alarms treat missing data", first table; None: retain current state."""
    assert tuple(judge(_rule(3, 3, treatment), _points(text)) for treatment in TREATMENTS) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 - X - X", ("ALARM", "ALARM", "ALARM", "ALARM")),
        ("0 0 X 0 X", ("ALARM", "ALARM", "ALARM", "ALARM")),
        ("0 - X - -", ("OK", "OK", "ALARM", "OK")),
        ("- - - - 0", ("OK", "OK", "ALARM", "OK")),
        ("- - - X -", ("ALARM", None, "ALARM", "OK")),
    ],
)
def test_two_out_of_three(text: str, expected: tuple[State | None, ...]) -> None:
    """The same page, second table."""
    assert tuple(judge(_rule(2, 3, treatment), _points(text)) for treatment in TREATMENTS) == expected


@pytest.mark.parametrize("text", ["- - - - X", "- - - X -"])
def test_alarm_is_not_premature(text: str) -> None:
    """ "The alarm does not go immediately into ALARM state when the data is either `- - - - X` or `- - - X -`"."""
    assert judge(_rule(3, 3, "missing"), _points(text)) != "ALARM"


@pytest.mark.parametrize(
    ("comparison", "value", "breaches"),
    [
        ("GreaterThanThreshold", 50.0, False),
        ("GreaterThanOrEqualToThreshold", 50.0, True),
        ("LessThanThreshold", 50.0, False),
        ("LessThanOrEqualToThreshold", 50.0, True),
    ],
)
def test_comparison_at_the_threshold(comparison: str, value: float, breaches: bool) -> None:
    """PutMetricAlarm.ComparisonOperator: "The specified statistic value is used as the first operand"."""
    assert Rule(comparison, 50.0, 1, 1, "missing").breaches(value) is breaches


@pytest.mark.parametrize(
    ("rule", "points", "change", "reason"),
    [
        (
            _rule(1, 1, "missing"),
            [(NOON, 99.50160229693434)],
            ("OK", "ALARM"),
            "Threshold Crossed: 1 out of the last 1 datapoints [99.50160229693434 (02/10/19 16:59:00)] was greater "
            "than the threshold (50.0) (minimum 1 datapoint for OK -> ALARM transition).",
        ),
        (
            _rule(1, 1, "missing"),
            [(NOON, 0.0666851903306472)],
            ("ALARM", "OK"),
            "Threshold Crossed: 1 out of the last 1 datapoints [0.0666851903306472 (02/10/19 16:59:00)] was not "
            "greater than the threshold (50.0) (minimum 1 datapoint for ALARM -> OK transition).",
        ),
        (
            _rule(2, 3, "missing"),
            [(NOON, 60.0), (NOON + 60, 1.0), (NOON + 120, 70.0)],
            ("INSUFFICIENT_DATA", "ALARM"),
            "Threshold Crossed: 2 out of the last 3 datapoints [70.0 (02/10/19 17:01:00), 60.0 (02/10/19 16:59:00)] "
            "were greater than the threshold (50.0) (minimum 2 datapoints for OK -> ALARM transition).",
        ),
        (
            _rule(1, 1, "notBreaching"),
            [(NOON, None)],
            ("ALARM", "OK"),
            "Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as "
            "[NonBreaching].",
        ),
        (
            _rule(3, 3, "breaching"),
            [(NOON, None), (NOON + 60, None), (NOON + 120, 70.0)],
            ("OK", "ALARM"),
            "Threshold Crossed: 1 datapoint [70.0 (02/10/19 17:01:00)] was greater than the threshold (50.0) and 2 "
            "missing datapoints were treated as [Breaching].",
        ),
        (
            _rule(1, 2, "missing"),
            [(NOON, None), (NOON + 60, None)],
            ("OK", "INSUFFICIENT_DATA"),
            "Insufficient Data: 2 datapoints were unknown.",
        ),
    ],
)
def test_reason(rule: Rule, points: list[Datapoint], change: tuple[State, State], reason: str) -> None:
    """User guide, "Alarm events and EventBridge": the reasons in its sample events, and AWS's words for the others."""
    assert explain(rule, points, *change) == reason
