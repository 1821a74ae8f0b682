"""Verification: does a measured value hold a comparison for a whole window?"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bokgu.api.fields import format_decimal
from bokgu.api.observed import Series
from bokgu.api.vocabulary import Verdict
from bokgu.core.detection import Points

_EXPRESSION = re.compile(r"\s*([a-z][a-z0-9_]*)\s*(<=|>=|<|>)\s*(-?\d+(?:\.\d+)?)\s*")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Expression:
    """A comparison such as `error_rate < 0.05`. The name is a detector's condition."""

    name: str
    comparison: str
    limit: float

    def holds(self, value: float) -> bool:
        """Whether the value satisfies the comparison."""
        return _COMPARE[self.comparison](value, self.limit)


def parse_expression(text: str) -> Expression:
    """Read a comparison. Raises ValueError that says how to write one."""
    match = _EXPRESSION.fullmatch(text)
    if not match:
        raise ValueError(f"not a comparison: {text!r} (write NAME < NUMBER, such as error_rate < 0.05)")
    return Expression(match[1], match[2], float(match[3]))


def count_in_windows(series: Series, start: datetime, end: datetime, window: timedelta) -> Points:
    """How many log events there were in every whole window within [start, end), stamped with its beginning, one a
    period of the series. A period that has no entry had none: CloudWatch Logs has searched it."""
    period = timedelta(seconds=series.period)
    first = datetime.fromtimestamp(-(-start.timestamp() // series.period) * series.period, UTC)
    length = max(1, -(-window // period))
    moments = [first + i * period for i in range(max(0, (end - first) // period))]
    counts = [series.by_moment.get(moment, 0.0) for moment in moments]
    return tuple((moments[i], sum(counts[i : i + length])) for i in range(len(moments) - length + 1))


@dataclass(frozen=True)
class VerificationResult:
    """`verdict` None: not decided yet."""

    verdict: Verdict | None
    value: float | None
    message: str


def verify_window(
    expression: Expression,
    points: Points,
    *,
    period: timedelta,
    since: datetime,
    hold: timedelta,
    deadline: datetime,
    now: datetime,
    patience: datetime | None = None,
    volumes: Mapping[datetime, float] | None = None,
    enough: float = 0.0,
) -> VerificationResult:
    """Decide whether the comparison has held for `hold` without a break, counting from `since`.

    A period without data breaks the run: silence proves nothing. At the deadline a value on the wrong side within the
    last `hold` is a failure. Where it has held, but the `volumes` of those periods do not come to `enough`, too little
    happens to tell, and more is waited for until `patience`. Anything else is inconclusive (S9).
    """
    run, volume = timedelta(), 0.0
    latest = None
    counted = [(t, value) for t, value in points if t >= since]
    for t, value in counted:
        latest = value if value is not None else latest
        good = value is not None and expression.holds(value)
        run, volume = (run + period, volume + (volumes or {}).get(t, 0.0)) if good else (timedelta(), 0.0)
    held = run >= hold > timedelta()
    shown = "no data" if latest is None else format_decimal(latest)
    if held and volume >= enough:
        message = f"{expression.name} is {shown} and held for {int(run.total_seconds())} s"
        return VerificationResult(Verdict.PASSED, latest, message)
    message = (
        f"{expression.name} is {shown}; {expression.comparison} {format_decimal(expression.limit)} has held for"
        f" {int(run.total_seconds())} of {int(hold.total_seconds())} s"
    )
    if now < deadline:
        return VerificationResult(None, latest, message)
    recent = [value for _, value in counted[-(hold // period + 1) :]]
    failed = any(value is not None and not expression.holds(value) for value in recent)
    if held and patience is not None and now < patience:
        return VerificationResult(None, latest, f"{message}; too little traffic to tell, so it takes longer")
    return VerificationResult(Verdict.FAILED if failed else Verdict.INCONCLUSIVE, latest, message)
