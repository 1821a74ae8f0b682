"""What detection costs: metrics that CloudWatch is asked for, and what it bills for them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache

from bokgu.api.observed import LogMetric
from bokgu.core.doctor.aws import Place
from bokgu.core.doctor.outcome import Outcome, warn, well
from bokgu.core.watch import Source, Watch

COST = "cost"

PRICE = Decimal("0.00001")
"""USD a metric requested by GetMetricData: 0.01 for 1,000 (Amazon CloudWatch pricing, "APIs", US East; regions differ
little, and the free tier does not cover GetMetricData)."""

DAY, MONTH = timedelta(days=1), 30
"""Days of a month, as docs/detection.md counts."""

MANY_SERVICES = 200
"""From so many services on, alarms through EventBridge are the cheaper door (docs/detection.md)."""


@dataclass(frozen=True)
class Bill:
    """A day's metrics and log searches of a scope."""

    place: Place
    metrics: int
    searches: int

    @property
    def dollars(self) -> Decimal:
        """USD a month for the metrics."""
        return self.metrics * PRICE * MONTH


def count_reads(watches: Iterable[tuple[Place, Watch]]) -> tuple[Bill, ...]:
    """What each scope asks for in a day: at each moment that is due for any watch of it, equal queries once."""
    intervals: dict[Place, dict[Source, set[timedelta]]] = defaultdict(lambda: defaultdict(set))
    for place, watch in watches:
        for source in watch.sources.values():
            intervals[place][source].add(watch.interval)
    return tuple(
        Bill(
            place,
            sum(_moments(frozenset(every)) for s, every in found.items() if not isinstance(s, LogMetric)),
            sum(_moments(frozenset(every)) for s, every in found.items() if isinstance(s, LogMetric)),
        )
        for place, found in sorted(intervals.items(), key=lambda item: str(item[0]))
    )


@lru_cache(maxsize=256)
def _moments(intervals: frozenset[timedelta]) -> int:
    """How many moments of a day are a multiple of one of the intervals."""
    day = int(DAY.total_seconds())
    lengths = {max(1, int(interval.total_seconds())) for interval in intervals}
    if len(lengths) == 1:
        return -(-day // lengths.pop())
    return len({moment for length in lengths for moment in range(0, day, length)})


def check_cost(bills: Iterable[Bill], services: int) -> Iterable[Outcome]:
    """What a day and a month come to, by scope, and in all where there are several."""
    found = list(bills)
    for bill in found:
        yield well(COST, str(bill.place), describe_bill(bill.metrics, bill.searches))
    metrics, searches = sum(b.metrics for b in found), sum(b.searches for b in found)
    said = f"{services} services: {describe_bill(metrics, searches)}"
    if services > MANY_SERVICES and metrics:
        yield warn(COST, "all", said, "let CloudWatch alarms open incidents, through EventBridge (docs/doors.md)")
    elif len(found) != 1:
        yield well(COST, "all", said)


def describe_bill(metrics: int, searches: int) -> str:
    """In words."""
    dollars = metrics * PRICE * MONTH
    logs = f"; {searches:,} log searches a day (FilterLogEvents)" if searches else ""
    return f"{metrics:,} metrics a day, {dollars:,.2f} USD a month (GetMetricData){logs}"


def sum_up(bills: Iterable[Bill]) -> Mapping[str, object]:
    """The same as plain data."""
    found = list(bills)
    metrics = sum(bill.metrics for bill in found)
    return {
        "metricsPerDay": metrics,
        "logSearchesPerDay": sum(bill.searches for bill in found),
        "usdPerMonth": str((metrics * PRICE * MONTH).quantize(Decimal("0.01"))),
    }
