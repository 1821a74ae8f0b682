"""The objects of this process's shard that are not over, as the store has them at one moment: what state metrics are
read from."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from bokgu.api.detector import Detector
from bokgu.api.incident import Incident
from bokgu.api.meta import ObjectMeta
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.recovery_policy import POLICY_NAME, RecoveryPolicy, RecoveryPolicySpec
from bokgu.api.shards import read_shard
from bokgu.api.unchecked import text_at
from bokgu.api.vocabulary import IncidentPhase, PlanPhase
from bokgu.core.approval.requirement import find_confirmable
from bokgu.core.proof import awaits_confirmation
from bokgu.core.recovery_policy import Policies, count_budget_left, list_pauses
from bokgu.core.surroundings import Surroundings
from bokgu.reconcile.approvals import know_policies
from bokgu.reconcile.context import Context
from bokgu.reconcile.sharding import is_ours
from bokgu.reconcile.surroundings import look_around_plan
from bokgu.runtime.queue import Queue
from bokgu.runtime.store import Raw, key_of

Labels = tuple[str, ...]


class State:
    """The objects that are not over, as the store has them at one moment. Nothing here waits."""

    def __init__(self, context: Context, queues: Mapping[str, Queue]) -> None:
        self.context, self.queues, self.now = context, queues, context.clock()

    @cached_property
    def incidents(self) -> list[Incident]:
        """Those that are open."""
        bodies = (b for b in self._ours(Incident.plural) if _phase(b) != IncidentPhase.RESOLVED)
        return self.context.readable(Incident, bodies)

    @cached_property
    def plans(self) -> list[RecoveryPlan]:
        """Those that are not over."""
        over = {phase for phase in PlanPhase if phase.terminal}
        bodies = (b for b in self._ours(RecoveryPlan.plural) if _phase(b) not in over)
        return self.context.readable(RecoveryPlan, bodies)

    @cached_property
    def services(self) -> dict[tuple[str, str], ProtectedService]:
        """All ProtectedServices, by namespace and name."""
        found = self.context.readable(ProtectedService, self._ours(ProtectedService.plural))
        return {(s.metadata.namespace, s.metadata.name): s for s in found}

    @cached_property
    def detectors(self) -> list[Detector]:
        """All Detectors."""
        return self.context.readable(Detector, self._ours(Detector.plural))

    @cached_property
    def namespaces(self) -> dict[str, "Namespace"]:
        """Those with a ProtectedService or a RecoveryPolicy."""
        policies = {b["metadata"]["namespace"] for b in self._ours(RecoveryPolicy.plural)}
        return {name: Namespace.of(self.context, name) for name in {n for n, _ in self.services} | policies}

    @cached_property
    def shards(self) -> Counter[str]:
        """How many ProtectedServices each shard has, also those of other processes."""
        return Counter(read_shard(body) for body in self.context.objects.all(ProtectedService.plural))

    def _ours(self, plural: str) -> Iterator[Raw]:
        """The objects of a kind that are in the shard of this process."""
        return (b for b in self.context.objects.all(plural) if is_ours(self.context, key_of(plural, b)))

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


def _phase(body: Raw) -> str:
    return text_at(body, "status", "phase")
