"""The state of simulated CloudWatch Logs: groups, streams, events, and metric filters that make metrics of them."""

import bisect
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from .aws_protocol import Json
from .clock import Clock
from .cloudwatch import MetricName, MetricStore, Sample
from .log_patterns import Fields, Match, compile_pattern, read_selector

MAX_EVENTS_PER_GROUP = 200_000
"""The newest are kept, so that a long run does not fill the memory."""


@dataclass(frozen=True, order=True)
class LogEvent:
    """A line of a log. Times are milliseconds since the epoch; `sequence` tells apart events of one millisecond."""

    timestamp: int
    sequence: int
    stream: str = field(compare=False)
    message: str = field(compare=False)
    ingested_at: int = field(compare=False)

    @property
    def position(self) -> tuple[int, int]:
        """Its place in the group."""
        return self.timestamp, self.sequence

    @property
    def id(self) -> str:
        """As FilterLogEvents shows it: 56 digits."""
        return f"{self.timestamp:020d}{self.sequence:036d}"


@dataclass
class LogStream:
    """A stream of a group. Times are milliseconds since the epoch."""

    name: str
    arn: str
    created_at: int
    first_event_at: int | None = None
    last_event_at: int | None = None
    ingested_at: int | None = None


@dataclass(frozen=True)
class MetricFilter:
    """Turns matching events into points. `transformation` is an API type MetricTransformation."""

    name: str
    pattern: str
    match: Match
    transformation: Json
    created_at: int


@dataclass
class Bucket:
    """What a filter saw in one minute: points of matches, and whether anything came that did not match."""

    values: list[tuple[MetricName, float]] = field(default_factory=list)
    other: bool = False


@dataclass
class LogGroup:
    """A log group; `events` are in order of time stamp."""

    name: str
    arn: str
    created_at: int
    retention_days: int | None = None
    tags: dict[str, str] = field(default_factory=dict)
    streams: dict[str, LogStream] = field(default_factory=dict)
    filters: dict[str, MetricFilter] = field(default_factory=dict)
    events: list[LogEvent] = field(default_factory=list)
    stored_bytes: int = 0
    buckets: dict[tuple[str, float], Bucket] = field(default_factory=dict)
    """By name of the filter and start of the simulated minute (wall seconds)."""

    def select(self, start: int, end: int) -> list[LogEvent]:
        """The events with time stamps from `start` to `end`, both included."""
        low = bisect.bisect_left(self.events, start, key=lambda event: event.timestamp)
        return self.events[low : bisect.bisect_right(self.events, end, key=lambda event: event.timestamp)]


class Logs:
    """CloudWatch Logs of one account and region. Not thread safe: the owner holds a lock around every use."""

    def __init__(self, account: str, region: str, clock: Clock, store: MetricStore) -> None:
        self.account = account
        self.region = region
        self._clock = clock
        self._store = store
        self._sequence = 0
        self.groups: dict[str, LogGroup] = {}

    def now_ms(self) -> int:
        """Wall time in milliseconds since the epoch."""
        return round(self._clock.now() * 1000)

    def create_group(self, name: str) -> LogGroup:
        """The group of this name, made if there is none."""
        arn = f"arn:aws:logs:{self.region}:{self.account}:log-group:{name}"
        return self.groups.setdefault(name, LogGroup(name, arn, self.now_ms()))

    def create_stream(self, group: LogGroup, name: str) -> LogStream:
        """The stream of this name, made if there is none."""
        arn = f"{group.arn}:log-stream:{name}"
        return group.streams.setdefault(name, LogStream(name, arn, self.now_ms()))

    def write(self, group: str, stream: str, message: str) -> None:
        """A container wrote a line now; group and stream are made if there are none."""
        found = self.create_group(group)
        self.append(found, self.create_stream(found, stream), self.now_ms(), message)

    def append(self, group: LogGroup, stream: LogStream, timestamp: int, message: str) -> None:
        """Store an event, and show it to the group's metric filters."""
        now = self.now_ms()
        self._sequence += 1
        event = LogEvent(timestamp, self._sequence, stream.name, message, now)
        if group.events and event < group.events[-1]:
            bisect.insort(group.events, event)
        else:
            group.events.append(event)
        group.stored_bytes += len(message.encode()) + 26
        if len(group.events) > MAX_EVENTS_PER_GROUP * 1.1:
            del group.events[: len(group.events) - MAX_EVENTS_PER_GROUP]
        stream.first_event_at = min(timestamp, stream.first_event_at or timestamp)
        stream.last_event_at = max(timestamp, stream.last_event_at or timestamp)
        stream.ingested_at = now
        for metric_filter in group.filters.values():
            self._feed(group, metric_filter, event)

    def put_filter(self, group: LogGroup, name: str, pattern: str, transformation: Json) -> None:
        """Set a metric filter, for events to come; LogPatternError when the pattern makes no sense."""
        group.filters[name] = MetricFilter(name, pattern, compile_pattern(pattern), transformation, self.now_ms())

    # Metrics

    def _feed(self, group: LogGroup, metric_filter: MetricFilter, event: LogEvent) -> None:
        """User guide: "The metric value is aggregated and reported every minute." The minute is that of the event."""
        period = self._clock.metric_period
        start = math.floor(event.timestamp / 1000 / period) * period
        bucket = group.buckets.setdefault((metric_filter.name, start), Bucket())
        fields = metric_filter.match(event.message)
        if fields is None:
            bucket.other = True
            return
        found = _extract(metric_filter.transformation, fields)
        if found is not None:
            bucket.values.append(found)

    def _ripe(self, now: float) -> "Iterator[tuple[LogGroup, tuple[str, float]]]":
        for group in self.groups.values():
            for key in list(group.buckets):
                if key[1] + self._clock.metric_period <= now:
                    yield group, key

    def next_due(self) -> float | None:
        """Wall time at which the next minute of a metric filter ends."""
        starts = [start for group in self.groups.values() for _, start in group.buckets]
        return min(starts) + self._clock.metric_period if starts else None

    def run_due(self, now: float) -> None:
        """Publish the minutes of metric filters that ended by `now`.

        "If logs are ingested during a one-minute time period but no matches are found, the value specified for Default
        Value (if any) is reported. However, if no log events are ingested during a one-minute period, then no value is
        reported."
        """
        for group, (name, start) in self._ripe(now):
            bucket = group.buckets.pop((name, start))
            metric_filter = group.filters.get(name)
            if metric_filter is None:
                continue
            transformation = metric_filter.transformation
            points = bucket.values
            if not points and bucket.other and "defaultValue" in transformation:
                metric = MetricName(transformation["metricNamespace"], transformation["metricName"], ())
                points = [(metric, float(transformation["defaultValue"]))]
            for metric, value in points:
                self._store.publish(metric, transformation.get("unit", "None"), Sample(start, value), now)

    def forget_before(self, timestamp: float) -> None:
        """Drop the events older than `timestamp` (wall seconds), and those past their group's retention."""
        for group in self.groups.values():
            limit = timestamp * 1000
            if group.retention_days is not None:
                limit = max(limit, self.now_ms() - group.retention_days * 86_400_000)
            del group.events[: bisect.bisect_left(group.events, limit, key=lambda event: event.timestamp)]


def _extract(transformation: Json, fields: Fields) -> tuple[MetricName, float] | None:
    """The metric and value of an event with these fields; None when the value is no number."""
    text = transformation["metricValue"]
    value = _read_field(text, fields) if text.startswith("$") else text
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    except ValueError:
        number = None
    if number is None or not math.isfinite(number):
        return None
    dimensions = {name: _read_field(path, fields) for name, path in transformation.get("dimensions", {}).items()}
    known = {name: str(found) for name, found in dimensions.items() if found is not None}
    return MetricName.build(transformation["metricNamespace"], transformation["metricName"], known), number


def _read_field(path: str, fields: Fields) -> object:
    if path in fields:
        return fields[path]
    found = read_selector(path, fields) if path.startswith("$.") else []
    return found[0] if found else None
