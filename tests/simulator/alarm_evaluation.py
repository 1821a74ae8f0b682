"""What a CloudWatch alarm makes of the data points it sees.

Follows the CloudWatch user guide, "Configuring how CloudWatch alarms treat missing data".
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

State = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]
Datapoint = tuple[float, float | None]
"""The start of a period (wall seconds) and its value; None: missing."""

EXTRA_PERIODS = 2
"""How many more periods than EvaluationPeriods are looked at: the guide's tables have 5 for 3."""

COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}
TREATMENTS = ("breaching", "notBreaching", "ignore", "missing")
_FILLED_AS = {"breaching": "Breaching", "notBreaching": "NonBreaching"}


@dataclass(frozen=True)
class Rule:
    """When an alarm alarms: `datapoints_to_alarm` (m) out of `evaluation_periods` (n) data points breach."""

    comparison: str
    threshold: float
    evaluation_periods: int
    datapoints_to_alarm: int
    treat_missing_data: str

    def breaches(self, value: float) -> bool:
        """Whether `value` is beyond the threshold."""
        return COMPARISONS[self.comparison][0](value, self.threshold)


def judge(rule: Rule, datapoints: Sequence[Datapoint]) -> State | None:
    """The state that `datapoints`, oldest first, put the alarm in; None: it keeps the one it has.

    With as many real points as evaluation periods, the newest of them decide. With fewer, the missing ones are filled
    as `treat_missing_data` says. Treated as `missing` or `ignore`, they leave the decision to the real ones, but for
    the premature alarm: where all real points breach, and the oldest is at least m periods old, it is ALARM.
    """
    n, m = rule.evaluation_periods, rule.datapoints_to_alarm
    real = [(age, value) for age, (_, value) in enumerate(reversed(datapoints), 1) if value is not None]
    newest = [rule.breaches(value) for _, value in real[:n]]
    breaching = sum(newest)
    if len(newest) < n and rule.treat_missing_data == "breaching":
        breaching += n - len(newest)
    if breaching >= m:
        return "ALARM"
    if len(newest) == n or rule.treat_missing_data in ("breaching", "notBreaching") or not all(newest):
        return "OK"
    if rule.treat_missing_data == "ignore":
        return None
    if not real:
        return "INSUFFICIENT_DATA"
    return "ALARM" if real[-1][0] >= m else "OK"


def explain(rule: Rule, datapoints: Sequence[Datapoint], old: State, new: State) -> str:
    """The StateReason of a change from `old` to `new`, in AWS's words."""
    n, m = rule.evaluation_periods, rule.datapoints_to_alarm
    real = [(time, value) for time, value in reversed(datapoints) if value is not None][:n]
    if new == "INSUFFICIENT_DATA":
        return f"Insufficient Data: {_count(n, 'datapoint')} {_was(n)} unknown."
    is_not = "" if new == "ALARM" else "not "
    words = f"{is_not}{COMPARISONS[rule.comparison][1]} the threshold ({rule.threshold})"
    filled = n - len(real)
    if filled and rule.treat_missing_data in _FILLED_AS:
        kind = _FILLED_AS[rule.treat_missing_data]
        treated = f"{_count(filled, 'missing datapoint')} {_was(filled)} treated as [{kind}]"
        if not real:
            return f"Threshold Crossed: no datapoints were received for {_count(n, 'period')} and {treated}."
        seen = f"{_count(len(real), 'datapoint')} {_list(real)} {_was(len(real))}"
        return f"Threshold Crossed: {seen} {words} and {treated}."
    telling = [(time, value) for time, value in real if rule.breaches(value) == (new == "ALARM")]
    least = m if new == "ALARM" else n - m + 1
    # AWS names OK here even when the alarm comes from INSUFFICIENT_DATA, as in the guide's sample events.
    before = old if old != "INSUFFICIENT_DATA" else ("OK" if new == "ALARM" else "ALARM")
    return (
        f"Threshold Crossed: {len(telling)} out of the last {n} datapoints {_list(telling)} {_was(len(telling))} "
        f"{words} (minimum {_count(least, 'datapoint')} for {before} -> {new} transition)."
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def _list(points: Sequence[tuple[float, float]]) -> str:
    shown = (f"{value} ({datetime.fromtimestamp(time, UTC).strftime('%d/%m/%y %H:%M:%S')})" for time, value in points)
    return f"[{', '.join(shown)}]"
