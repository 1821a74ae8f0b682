"""A watch: the metrics of one service and the conditions on them, whether a Detector or presets ask for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property

from bokgu.api.detector import Detector, DetectorCondition, Query
from bokgu.api.fields import parse_duration
from bokgu.api.incident import IncidentSource
from bokgu.api.observed import LogMetric, Metric
from bokgu.api.vocabulary import SourceKind

Source = Metric | LogMetric


@dataclass(frozen=True)
class Watch:
    """What is measured about one service, how often, and when it means trouble.

    `settle` is the age below which datapoints are not looked at: CloudWatch delivers late. Conditions name queries of
    the same watch.
    """

    kind: SourceKind
    name: str
    namespace: str
    service: str
    interval: timedelta
    settle: timedelta
    queries: tuple[Query, ...]
    conditions: tuple[DetectorCondition, ...]
    halves: Mapping[str, str] = field(default_factory=dict)
    """Conditions on one half of a blue/green pair, each with the same condition on the other half, by name."""

    def period(self, condition: DetectorCondition) -> timedelta:
        """Length of the condition's datapoints."""
        name = condition.ratio.denominator if condition.ratio else condition.query
        return parse_duration(next(q.period for q in self.queries if q.name == name))

    def source(self, condition: str) -> IncidentSource:
        """What an incident says of where it came from."""
        return IncidentSource(kind=self.kind, name=self.name, condition=condition)

    @cached_property
    def sources(self) -> dict[str, Source]:
        """What AWS is asked for, by the name of the query."""
        return {query.name: source_of(query) for query in self.queries}

    @cached_property
    def lookback(self) -> timedelta:
        """How far back datapoints are needed to evaluate all conditions."""
        reach = timedelta()
        for condition in self.conditions:
            period = self.period(condition)
            longest = max(condition.evaluation_periods * period, parse_duration(condition.clear_after))
            if condition.critical_evaluation:
                longest = max(longest, condition.critical_evaluation.evaluation_periods * period)
            reach = max(reach, longest + 2 * period)
        return self.settle + reach


def source_of(query: Query) -> Source:
    """What AWS is asked for: equal for queries that differ in name only."""
    period = int(parse_duration(query.period).total_seconds())
    if query.log is not None:
        return LogMetric(query.log.log_group, query.log.pattern, period)
    dimensions = tuple(sorted((d.name, d.value) for d in query.dimensions))
    return Metric(query.namespace or "", query.metric_name or "", dimensions, query.stat, period)


def watch_of(detector: Detector) -> Watch:
    """The watch that a Detector asks for."""
    return Watch(
        kind=SourceKind.DETECTOR,
        name=detector.metadata.name,
        namespace=detector.metadata.namespace,
        service=detector.spec.service_ref.name,
        interval=parse_duration(detector.spec.interval),
        settle=parse_duration(detector.spec.settle),
        queries=detector.spec.queries,
        conditions=detector.spec.conditions,
    )
