"""How much is being recovered, and how much is down, in a namespace: what a budget is about."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil

from bokgu.api.meta import find_condition
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import RecoveryPlan

TARGET_ALREADY_PROTECTED = "TargetAlreadyProtected"
"""Reason of a ProtectedService that is the younger of two for one ECS service."""


@dataclass(frozen=True)
class Load:
    """`services` are all ProtectedServices of the namespace, with their environments, by name. `recovering` are the
    plans that have begun, or are about to, with their services, by name; `unavailable` the services that lack half of
    their tasks or more, or of which nothing is known."""

    services: Mapping[str, str] = field(default_factory=dict)
    recovering: Mapping[str, str] = field(default_factory=dict)
    unavailable: frozenset[str] = frozenset()

    def within(self, environment: str) -> "Load":
        """The part of it that is in an environment."""
        services = {name: env for name, env in self.services.items() if env == environment}
        # Where a service is that is not listed any more nobody knows: it may be anywhere.
        elsewhere = self.services.keys() - services.keys()
        recovering = {plan: service for plan, service in self.recovering.items() if service not in elsewhere}
        return Load(services, recovering, self.unavailable & services.keys())

    def down_with(self, service: str) -> int:
        """How many services are unavailable if that one is recovered too: each that is being recovered counts (S7)."""
        return len(self.unavailable | set(self.recovering.values()) | {service})

    def allowance(self, percent: int) -> int:
        """So many services are that share of all, at least one: else nothing small could ever be recovered."""
        return max(1, ceil(len(self.services) * percent / 100))


@dataclass(frozen=True)
class Standing:
    """How the services of a namespace stand, by name: their environments, the plans that hold their locks, and which
    are unavailable."""

    environments: Mapping[str, str]
    holders: Mapping[str, str]
    unavailable: frozenset[str]


def measure_services(services: Iterable[ProtectedService]) -> Standing:
    """How they stand now."""
    found = tuple(services)
    return Standing(
        environments={s.metadata.name: s.spec.environment for s in found},
        holders={s.status.active_plan.name: s.metadata.name for s in found if s.status.active_plan},
        unavailable=frozenset(s.metadata.name for s in found if _lacks_half(s)),
    )


def measure_load(
    standing: Standing, plans: Iterable[RecoveryPlan], claims: Mapping[str, str], *, without: str = ""
) -> Load:
    """What the objects of a namespace come to, but for one plan, by its name. `plans` are those that are not over,
    `claims` plans that this process is about to start, with their services."""
    begun = {
        p.metadata.name: p.spec.service_ref.name for p in plans if p.status.started_at and not p.status.phase.terminal
    }
    recovering = {**claims, **standing.holders, **begun}
    return Load(
        services=standing.environments,
        recovering={plan: service for plan, service in recovering.items() if plan != without},
        unavailable=standing.unavailable,
    )


def _lacks_half(protected: ProtectedService) -> bool:
    """As little as the preset ecs-running finds `high`, or nobody knows, also where the last look failed."""
    seen, ready = protected.status.service, find_condition(protected.status.conditions, "Ready")
    if seen is None or (ready and ready.status == "False" and ready.reason != TARGET_ALREADY_PROTECTED):
        return True
    return seen.desired_count > 0 and 2 * seen.running_count <= seen.desired_count
