"""What is so now, read from the objects at each scrape: nothing is counted up and down that a restart would forget.

Namespaces and services are labels here, and here only. Each is named by a ProtectedService, a service has at most four
open incidents (one a type) and one plan that runs, and what is over has no series.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from bokgu.api.detector import Detector
from bokgu.api.incident import Incident
from bokgu.api.meta import ObjectMeta, find_condition, is_true
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.recovery_policy import POLICY_NAME, RecoveryPolicy, RecoveryPolicySpec
from bokgu.api.vocabulary import DetectionState, IncidentPhase, PlanPhase
from bokgu.core.announcement import APPROVED
from bokgu.core.approval.requirement import find_confirmable
from bokgu.core.history import detected_at
from bokgu.core.proof import awaits_confirmation
from bokgu.core.recovery_policy import Policies, count_budget_left, list_pauses
from bokgu.core.surroundings import Surroundings
from bokgu.reconcile.approvals import know_policies
from bokgu.reconcile.context import Context
from bokgu.reconcile.scope import find_overdue
from bokgu.reconcile.surroundings import look_around_plan
from bokgu.runtime.queue import Queue
from bokgu.runtime.store import Raw

Labels = tuple[str, ...]
Values = Mapping[Labels, float]


class State:
    """The objects that are not over, as the store has them at one moment. Nothing here waits."""

    def __init__(self, context: Context, queues: Mapping[str, Queue]) -> None:
        self.context, self.queues, self.now = context, queues, context.clock()

    @cached_property
    def incidents(self) -> list[Incident]:
        """Those that are open."""
        bodies = (b for b in self.context.objects.all(Incident.plural) if _phase(b) != IncidentPhase.RESOLVED)
        return self.context.readable(Incident, bodies)

    @cached_property
    def plans(self) -> list[RecoveryPlan]:
        """Those that are not over."""
        over = {phase for phase in PlanPhase if phase.terminal}
        bodies = (b for b in self.context.objects.all(RecoveryPlan.plural) if _phase(b) not in over)
        return self.context.readable(RecoveryPlan, bodies)

    @cached_property
    def services(self) -> dict[tuple[str, str], ProtectedService]:
        """All ProtectedServices, by namespace and name."""
        found = self.context.readable(ProtectedService, self.context.objects.all(ProtectedService.plural))
        return {(s.metadata.namespace, s.metadata.name): s for s in found}

    @cached_property
    def detectors(self) -> list[Detector]:
        """All Detectors."""
        return self.context.readable(Detector, self.context.objects.all(Detector.plural))

    @cached_property
    def namespaces(self) -> dict[str, "Namespace"]:
        """Those with a ProtectedService or a RecoveryPolicy."""
        policies = {b["metadata"]["namespace"] for b in self.context.objects.all(RecoveryPolicy.plural)}
        return {name: Namespace.of(self.context, name) for name in {n for n, _ in self.services} | policies}

    def environment(self, namespace: str, service: str) -> str:
        """That of a service; "" where it is protected no more."""
        found = self.services.get((namespace, service))
        return found.spec.environment if found else ""

    def waiting(self) -> Iterator[tuple[Labels, datetime]]:
        """What waits for people, and since when. Plans of services whose mode runs none wait for nobody."""
        for plan in self.plans:
            namespace, service = plan.metadata.namespace, plan.spec.service_ref.name
            protected, made = self.services.get((namespace, service)), plan.metadata.creation_timestamp
            runs = protected is not None and protected.spec.mode.runs
            if plan.status.phase is PlanPhase.AWAITING_APPROVAL and runs and made:
                yield (namespace, service, "approval"), made
            confirmable = find_confirmable(plan)
            for step in plan.status.steps:
                if awaits_confirmation(step) and (since := confirmable.get(step.name)):
                    yield (namespace, service, "confirmation"), since


@dataclass(frozen=True)
class Namespace:
    """What stands around the plans of a namespace, and its policies."""

    around: Surroundings
    policies: Policies

    @classmethod
    def of(cls, context: Context, name: str) -> "Namespace":
        """As the store has it."""
        policies = know_policies(context, name)
        return cls(look_around_plan(context, name, None, policies.own.found), policies)

    def budget_left(self, name: str, now: datetime) -> int:
        """How many more recoveries may begin. Without a policy its defaults hold; one that cannot be read pauses."""
        none = RecoveryPolicy(metadata=ObjectMeta(name=POLICY_NAME, namespace=name), spec=RecoveryPolicySpec())
        paused = bool(list_pauses(self.policies))
        return count_budget_left(self.policies.own.found or none, self.around, paused=paused, now=now)


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


def _phase(body: Raw) -> str:
    return str((body.get("status") or {}).get("phase", ""))


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
    found = []
    for plan in state.plans:
        closed = next((g for g in plan.status.gates if not g.passed and g.name != APPROVED), None)
        if closed is not None and is_true(plan.status.conditions, "Blocked"):
            found.append((plan.metadata.namespace, plan.spec.service_ref.name, closed.name))
    return _count(found)


def _waiting(state: State) -> Values:
    return _count(labels for labels, _ in state.waiting())


def _waiting_since(state: State) -> Values:
    found: dict[Labels, float] = {}
    for labels, since in state.waiting():
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
        "Plans that a gate holds now, by the first gate that is closed, but for missing approvals.",
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
