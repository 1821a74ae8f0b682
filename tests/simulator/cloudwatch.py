"""The store of CloudWatch metrics: samples in bounded series, aggregated by period when asked for."""

import heapq
import math
import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

RETENTION_SECONDS = 3 * 3600.0
"""GetMetricData: "Data points with a period of less than 60 seconds are available for 3 hours"."""
MAX_SAMPLES = 10_800
"""Three hours of one sample a second."""

SIMPLE_STATISTICS = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,10})?|100)")

Dimensions = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class MetricName:
    """What identifies a metric: all of it, exactly. `dimensions` are sorted pairs of name and value."""

    namespace: str
    name: str
    dimensions: Dimensions

    @staticmethod
    def build(namespace: str, name: str, dimensions: Mapping[str, str]) -> "MetricName":
        """The metric with these dimensions in any order."""
        return MetricName(namespace, name, tuple(sorted(dimensions.items())))


@dataclass(frozen=True)
class StatisticSet:
    """SampleCount, Sum, Minimum and Maximum of values that are not known one by one."""

    count: float
    total: float
    minimum: float
    maximum: float


def is_statistic(name: str) -> bool:
    """Whether `name` is a statistic known here: the five simple ones and percentiles `pNN`."""
    return name in SIMPLE_STATISTICS or _PERCENTILE.fullmatch(name) is not None


def is_period(seconds: int) -> bool:
    """Whether AWS accepts `seconds`: 1, 5, 10, 20, 30 or a multiple of 60 (MetricStat.Period)."""
    return seconds in (1, 5, 10, 20, 30) or (seconds > 0 and seconds % 60 == 0)


@dataclass
class Series:
    """The samples of one metric in order of time: a value, and how many times it occurred."""

    times: "array[float]" = field(default_factory=lambda: array("d"))
    values: "array[float]" = field(default_factory=lambda: array("d"))
    counts: "array[float]" = field(default_factory=lambda: array("d"))
    units: set[str] = field(default_factory=set)
    set_times: set[float] = field(default_factory=set)
    """When statistic sets were stored: AWS gives no percentile over them."""

    def add(self, time: float, value: float, count: float = 1.0) -> None:
        """Store `count` occurrences of `value` at `time` (wall seconds)."""
        if not self.times or time >= self.times[-1]:
            self.times.append(time)
            self.values.append(value)
            self.counts.append(count)
        else:
            index = bisect_right(self.times, time)
            self.times.insert(index, time)
            self.values.insert(index, value)
            self.counts.insert(index, count)
        if len(self.times) > 2 * MAX_SAMPLES:
            self._drop(len(self.times) - MAX_SAMPLES)

    def add_set(self, time: float, statistics: StatisticSet) -> None:
        """Store a statistic set as its extremes and a rest, which keeps count, sum, minimum and maximum exact."""
        if statistics.minimum == statistics.maximum or statistics.count <= 1:
            self.add(time, statistics.total / statistics.count, statistics.count)
            return
        self.set_times.add(time)
        self.add(time, statistics.minimum)
        self.add(time, statistics.maximum)
        if (rest := statistics.count - 2) > 0:
            self.add(time, (statistics.total - statistics.minimum - statistics.maximum) / rest, rest)

    def forget_before(self, time: float) -> None:
        """Drop the samples older than `time`."""
        self._drop(bisect_left(self.times, time))

    def _drop(self, count: int) -> None:
        if count:
            self.set_times.difference_update(self.times[:count])
            for column in (self.times, self.values, self.counts):
                del column[:count]

    def aggregate(
        self, start: float, end: float, period: int, statistic: str, offset: float = 0.0
    ) -> Iterator[tuple[float, float]]:
        """(start of period, statistic) of every period from `start` to before `end` that has a sample.

        Periods begin `offset` seconds after multiples of `period` seconds since the epoch.
        """
        index = bisect_left(self.times, start)
        stop = bisect_left(self.times, end)
        while index < stop:
            bucket = math.floor((self.times[index] - offset) / period) * period + offset
            following = bisect_left(self.times, bucket + period, index, stop)
            value = self._compute(index, following, statistic)
            if value is not None:
                yield float(bucket), value
            index = following

    def _compute(self, index: int, stop: int, statistic: str) -> float | None:
        values, counts = self.values[index:stop], self.counts[index:stop]
        samples = sum(counts)
        if statistic in ("Minimum", "Maximum"):
            return min(values) if statistic == "Minimum" else max(values)
        if statistic == "SampleCount":
            return samples
        if statistic in ("Sum", "Average"):
            total = sum(value * count for value, count in zip(values, counts, strict=True))
            return total if statistic == "Sum" else total / samples
        if not self.set_times.isdisjoint(self.times[index:stop]):
            return None
        return _find_percentile(sorted(zip(values, counts, strict=True)), samples * float(statistic[1:]) / 100)


def _find_percentile(ordered: list[tuple[float, float]], rank: float) -> float:
    """The smallest value at or below which `rank` samples lie (nearest rank)."""
    seen = 0.0
    for value, count in ordered:
        seen += count
        if seen >= rank:
            return value
    return ordered[-1][0]


@dataclass(frozen=True)
class Sample:
    """`count` occurrences of a value, or a statistic set, at `time` (wall seconds)."""

    time: float
    value: float | StatisticSet
    count: float = 1.0


class Delivery(Protocol):
    """How published samples reach those who read."""

    def delay(self, metric: MetricName) -> float:
        """Wall seconds until a sample published now can be read."""

    def loses(self, metric: MetricName) -> bool:
        """Whether a sample published now is lost."""


class MetricStore:
    """Every metric of one account and region. Not thread safe: the owner holds a lock around every use."""

    def __init__(self, delivery: Delivery | None = None) -> None:
        """Without `delivery`, samples can be read at once."""
        self._series: dict[MetricName, Series] = {}
        self._delivery = delivery
        self._late: list[tuple[float, int, MetricName, str, Sample]] = []
        self._published = 0

    def publish(self, metric: MetricName, unit: str, sample: Sample, now: float) -> None:
        """Add a sample at `now`, to be read at once, later or never, as the delivery has it."""
        if self._delivery is not None:
            if self._delivery.loses(metric):
                return
            if (delay := self._delivery.delay(metric)) > 0:
                self._published += 1
                heapq.heappush(self._late, (now + delay, self._published, metric, unit, sample))
                return
        self._add(metric, unit, sample)

    def deliver(self, now: float) -> None:
        """Let the late samples that are due by `now` be read."""
        while self._late and self._late[0][0] <= now:
            _, _, metric, unit, sample = heapq.heappop(self._late)
            self._add(metric, unit, sample)

    def _add(self, metric: MetricName, unit: str, sample: Sample) -> None:
        series = self.open(metric)
        series.units.add(unit)
        if isinstance(sample.value, StatisticSet):
            series.add_set(sample.time, sample.value)
        else:
            series.add(sample.time, sample.value, sample.count)

    def get(self, metric: MetricName) -> Series | None:
        """The samples of `metric`; None when it was never published."""
        return self._series.get(metric)

    def open(self, metric: MetricName) -> Series:
        """The series to add samples of `metric` to."""
        series = self._series.get(metric)
        if series is None:
            series = self._series[metric] = Series()
        return series

    def names(self) -> list[MetricName]:
        """All metrics that have samples, sorted."""
        found = (metric for metric, series in self._series.items() if series.times)
        return sorted(found, key=lambda metric: (metric.namespace, metric.name, metric.dimensions))

    def forget_before(self, time: float) -> None:
        """Drop all samples older than `time`."""
        for series in self._series.values():
            series.forget_before(time)
