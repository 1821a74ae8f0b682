"""Trends: how a metric moved, told from its datapoints alone."""

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from statistics import median

from bokgu.api.observed import Series

MIN_BASELINE = 3
"""Datapoints below which nothing is said about what is normal."""

BASELINE = 6
"""Datapoints at the beginning of a series that say what is normal: trouble may begin soon after."""

MOVED = 0.5
"""A metric that changed by half of its level has moved; less is the usual swing of a day [experience]."""

MIDDLE, LEFT = 0.5, 0.1
"""Parts of the way from one level to the other: beyond the first it is there, beyond the second it is on its way."""

STAYS = 0.8
"""Share of the datapoints from the move on that must stay beyond it: one outlier is no move."""

LATELY = 5
"""The last datapoints, that say what is now."""


@dataclass(frozen=True)
class Move:
    """A lasting change: its moment (start of the first period), and the levels (medians) before and since."""

    at: datetime
    before: float
    since: float

    @property
    def ratio(self) -> float:
        """The level since, divided by the one before; infinite where it began from nothing."""
        return self.since / self.before if self.before else float("inf")


def find_move(series: Series, floor: float = 0.0) -> Move | None:
    """The lasting change of level between the beginning of the series and now, up or down; None where there is none.

    It is dated to where the series leaves its level for good: a tenth of the way, on the last climb to the middle of
    it. A change smaller than `floor`, in the metric's own unit, does not count.
    """
    points, now = series.points, latest(series)
    if len(points) <= MIN_BASELINE or now is None:
        return None
    base = median(value for _, value in points[: min(max(MIN_BASELINE, len(points) // 4), BASELINE)])
    if abs(now - base) <= max(abs(base) * MOVED, floor):
        return None
    way = [(value - base) / (now - base) for _, value in points]
    for index in range(MIN_BASELINE, len(points)):
        rest = [part > MIDDLE for part in way[index:]]
        if rest[0] and sum(rest) >= STAYS * len(rest):
            left = next((i for i in range(index, MIN_BASELINE, -1) if way[i - 1] <= LEFT), MIN_BASELINE)
            return Move(points[left][0], base, now)
    return None


def find_growth(series: Series, onset: datetime | None = None) -> float | None:
    """The level since the onset divided by the one before it (medians); without an onset, of the latest datapoints
    by the first ones. None where either is too thin."""
    points = series.points
    if onset is not None:
        before = [value for t, value in points if t < onset]
        since = [value for t, value in points if t >= onset]
    else:
        begin = max(len(points) // 3, MIN_BASELINE)
        before = [value for _, value in points[:begin]]
        since = [value for _, value in points[begin:][-max(len(points) // 5, 1) :]]
    if len(before) < MIN_BASELINE or not since or not median(before):
        return None
    return median(since) / median(before)


def latest(series: Series) -> float | None:
    """The level now: the median of the last datapoints."""
    return median(value for _, value in series.points[-LATELY:]) if series.points else None


def peak(series: Series) -> float | None:
    """The highest datapoint."""
    return max((value for _, value in series.points), default=None)


def climbs(series: Series, begin: datetime, end: datetime) -> bool:
    """Whether the level grows all the way between two moments, as memory does that is never given back: each quarter
    lies above the one before, and the last a quarter above the first."""
    values = [value for t, value in series.points if begin <= t <= end]
    size = len(values) // 4
    if size < 2:
        return False
    quarters = [median(values[i * size : (i + 1) * size]) for i in range(4)]
    return all(a < b for a, b in pairwise(quarters)) and quarters[3] >= 1.25 * quarters[0]
