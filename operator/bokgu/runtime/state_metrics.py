"""What is so now, read from the objects at each scrape: nothing is counted up and down that a restart would forget.

Namespaces and services are labels here, and here only. Each is named by a ProtectedService, a service has at most four
open incidents (one a type) and one plan that runs, and what is over has no series.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from bokgu.api.meta import find_condition
from bokgu.api.protected_service import ProtectedService
from bokgu.api.vocabulary import DetectionState
from bokgu.core.alerts.outbox import waiting_receivers
from bokgu.core.announcement import list_holding
from bokgu.core.history import detected_at
from bokgu.core.recovery_policy import list_pauses
from bokgu.reconcile.context import Context
from bokgu.reconcile.scope import find_overdue
from bokgu.runtime.queue import Queue
from bokgu.runtime.state import Labels, State

Values = Mapping[Labels, float]


@dataclass(frozen=True)
class StateMetric:
    """A gauge, and how its values are read, by those of its labels."""

    name: str
    text: str
    labels: Labels
    read: Callable[[State], Values]

    def family(self) -> GaugeMetricFamily:
        """It without values."""
        return GaugeMetricFamily(self.name, self.text, labels=self.labels)


class StateCollector(Collector):
    """Reads all state metrics when it is asked."""

    def __init__(self, context: Context, queues: Mapping[str, Queue]) -> None:
        self._context, self._queues = context, queues

    def describe(self) -> Iterable[Metric]:
        """The metrics without values."""
        return [metric.family() for metric in STATE_METRICS]

    def collect(self) -> Iterable[Metric]:
        """The metrics as they are now."""
        state = State(self._context, self._queues)
        for metric in STATE_METRICS:
            family = metric.family()
            for labels, value in sorted(metric.read(state).items()):
                family.add_metric(labels, value)
            yield family


@contextmanager
def collected(registry: CollectorRegistry, collector: Collector) -> Iterator[None]:
    """The collector is asked at each scrape meanwhile."""
    registry.register(collector)
    try:
        yield
    finally:
        registry.unregister(collector)


def _count(labels: Iterable[Labels]) -> Values:
    return Counter(labels)


def _incidents(state: State) -> Values:
    return _count(
        (
            i.metadata.namespace,
            i.spec.service_ref.name,
            state.environment(i.metadata.namespace, i.spec.service_ref.name),
            i.spec.type,
            i.spec.severity,
            i.spec.source.kind,
            i.status.phase,
        )
        for i in state.incidents
    )


def _detected(state: State) -> Values:
    found: dict[Labels, float] = {}
    for one in state.incidents:
        labels = (one.metadata.namespace, one.spec.service_ref.name, one.spec.type)
        found[labels] = min(detected_at(one).timestamp(), found.get(labels, float("inf")))
    return found


def _plans(state: State) -> Values:
    return _count((p.metadata.namespace, p.spec.service_ref.name, p.status.phase) for p in state.plans)


def _held(state: State) -> Values:
    return _count(
        (plan.metadata.namespace, plan.spec.service_ref.name, gate.name)
        for plan in state.plans
        for gate in list_holding(plan.status)
    )


def _waiting(state: State) -> Values:
    return _count(labels for labels, _ in state.waiting())


def _waiting_since(state: State) -> Values:
    found: dict[Labels, float] = {}
    for labels, since in state.waiting():
        found[labels] = min(since.timestamp(), found.get(labels, float("inf")))
    return found


def _alerts_waiting_since(state: State) -> Values:
    found: dict[Labels, float] = {}
    alerting = state.context.alerting
    for _, outbox in alerting.waiting.values():
        for name, since in waiting_receivers(outbox).items():
            labels = (name if name in (alerting.receivers or ()) else "unknown",)
            found[labels] = min(since.timestamp(), found.get(labels, float("inf")))
    return found


def _budget(state: State) -> Values:
    return {(name,): one.budget_left(name, state.now) for name, one in state.namespaces.items()}


def _paused(state: State) -> Values:
    return {(name,): bool(list_pauses(one.policies)) for name, one in state.namespaces.items()}


def _storm(state: State) -> Values:
    return {(name,): one.around.storm is not None for name, one in state.namespaces.items()}


def _namespace_breaker(state: State) -> Values:
    return {(name,): one.around.namespace_breaker is not None for name, one in state.namespaces.items()}


def _service_breaker(state: State) -> Values:
    return {key: service.status.breaker is not None for key, service in state.services.items()}


def _services(state: State) -> Values:
    def ready(service: ProtectedService) -> str:
        said = find_condition(service.status.conditions, "Ready")
        return said.status if said else "Unknown"

    return _count((s.metadata.namespace, s.spec.mode, ready(s)) for s in state.services.values())


def _detections(state: State) -> Values:
    found: dict[Labels, float] = {(name, said): 0 for name, _ in state.services for said in DetectionState}
    of_presets = ((s.metadata.namespace, s.status.detections) for s in state.services.values())
    of_detectors = ((d.metadata.namespace, d.status.detections) for d in state.detectors)
    for namespace, detections in (*of_presets, *of_detectors):
        for one in detections:
            found[namespace, one.state] = found.get((namespace, one.state), 0) + 1
    return found


def _overdue(state: State) -> Values:
    return {(region,): late.total_seconds() for region, late in find_overdue(state.context).items()}


def _queue_depth(state: State) -> Values:
    return {(plural,): queue.depth for plural, queue in state.queues.items()}


STATE_METRICS = (
    StateMetric(
        "bokgu_incidents",
        "Incidents that are open now.",
        ("namespace", "service", "environment", "type", "severity", "source", "phase"),
        _incidents,
    ),
    StateMetric(
        "bokgu_incident_detected_timestamp_seconds",
        "When the trouble of an open incident was seen, in seconds since 1970.",
        ("namespace", "service", "type"),
        _detected,
    ),
    StateMetric("bokgu_plans", "Recovery plans that are not over.", ("namespace", "service", "phase"), _plans),
    StateMetric(
        "bokgu_plans_held",
        "Plans that a gate holds now, by each gate that is closed, but for missing approvals.",
        ("namespace", "service", "gate"),
        _held,
    ),
    StateMetric(
        "bokgu_approvals_waiting",
        "Plans that wait for approvals, and steps that wait for a confirmation.",
        ("namespace", "service", "kind"),
        _waiting,
    ),
    StateMetric(
        "bokgu_approvals_waiting_since_timestamp_seconds",
        "Since when the oldest of them waits, in seconds since 1970.",
        ("namespace", "service", "kind"),
        _waiting_since,
    ),
    StateMetric(
        "bokgu_alerts_waiting_since_timestamp_seconds",
        "Of when the oldest alert is that a receiver has not taken yet, in seconds since 1970; `unknown` is what the"
        " Secret does not have.",
        ("receiver",),
        _alerts_waiting_since,
    ),
    StateMetric("bokgu_budget_left", "How many more recoveries may begin now.", ("namespace",), _budget),
    StateMetric("bokgu_paused", "Whether recoveries are paused: 0 or 1.", ("namespace",), _paused),
    StateMetric("bokgu_storm_active", "Whether there is a storm: 0 or 1.", ("namespace",), _storm),
    StateMetric(
        "bokgu_namespace_breaker_open",
        "Whether the breaker of the namespace is open: 0 or 1.",
        ("namespace",),
        _namespace_breaker,
    ),
    StateMetric(
        "bokgu_service_breaker_open",
        "Whether the breaker of the service is open: 0 or 1.",
        ("namespace", "service"),
        _service_breaker,
    ),
    StateMetric(
        "bokgu_protected_services",
        "ProtectedServices by mode, and by whether they can be watched: the condition Ready.",
        ("namespace", "mode", "ready"),
        _services,
    ),
    StateMetric(
        "bokgu_detections",
        "Conditions of presets and Detectors by what they say.",
        ("namespace", "state"),
        _detections,
    ),
    StateMetric(
        "bokgu_detection_overdue_seconds",
        "How long the look at AWS that has waited longest has been due.",
        ("region",),
        _overdue,
    ),
    StateMetric("bokgu_queue_depth", "Objects that wait for a worker.", ("resource",), _queue_depth),
)
