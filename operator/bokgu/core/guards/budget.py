"""Budgets: how much is recovered at a time and how often. They hold what has not begun; what has begun goes on (S7)."""

from collections.abc import Iterator

from bokgu.api.fields import format_duration
from bokgu.api.meta import Gate
from bokgu.api.protected_service import Recovery, ServiceLimits
from bokgu.api.recovery_policy import Allowance
from bokgu.core.guards.facts import GuardFacts
from bokgu.core.guards.gate import build_gate
from bokgu.core.load import Load
from bokgu.core.recoveries import find_cooldown, has_failed

BUDGET = "WithinBudget"
"""The gate that is closed while enough is being recovered."""


def check_concurrency(facts: GuardFacts) -> Gate:
    """So many recoveries at a time in the namespace and in the environment."""
    name, reason, found = BUDGET, "BudgetUsedUp", list(_allowances(facts))
    where, limit, load = next((a for a in found if len(a[2].recovering) >= a[1].max_concurrent), found[0])
    return build_gate(
        name,
        reason,
        _begun(facts) or len(load.recovering) < limit.max_concurrent,
        value=f"{len(load.recovering)} in {where}",
        limit=str(limit.max_concurrent),
        message=f"{', '.join(sorted(load.recovering)) or 'nothing'} runs in {where}, which may have"
        f" {limit.max_concurrent} recoveries at a time (spec.budget.maxConcurrent of the RecoveryPolicy)",
    )


def check_unavailable(facts: GuardFacts) -> Gate:
    """Not too many services down at a time. One may always be recovered: if all waited until the others are well, none
    would ever be mended."""
    service = facts.plan.spec.service_ref.name
    found = [
        (where, load.down_with(service), load.allowance(limit.max_unavailable_percent))
        for where, limit, load in _allowances(facts)
    ]
    where, down, most = next((f for f in found if f[1] > f[2]), found[0])
    return build_gate(
        "EnoughAvailable",
        "TooManyUnavailable",
        _begun(facts) or not facts.around.load.recovering or down <= most,
        value=f"{down} in {where}",
        limit=str(most),
        message=f"with {service}, {down} services of {where} would be unavailable or in recovery, of at most {most}"
        " (spec.budget.maxUnavailablePercent of the RecoveryPolicy)",
    )


def check_rate(facts: GuardFacts) -> Gate:
    """So many recoveries of the service in any hour."""
    limit, hour = _limits(facts).max_recoveries_per_hour, facts.hour
    recent = sorted(r.started_at for r in _others(facts) if r.started_at > facts.now - hour)
    passed = _begun(facts) or len(recent) < limit
    return build_gate(
        "WithinRate",
        "TooManyRecoveries",
        passed,
        value=str(len(recent)),
        limit=f"{limit} an hour",
        blocked_until=recent[len(recent) - limit] + hour if recent and limit and not passed else None,
        message=f"{len(recent)} recoveries of the service have begun within an hour, of at most {limit}"
        " (spec.limits.maxRecoveriesPerHour of the ProtectedService)",
    )


def check_cooldown(facts: GuardFacts) -> Gate:
    """After a recovery the service is left in peace for a while. What belongs to the same incident may follow: that is
    its next rung."""
    incident_uid = facts.plan.spec.incident_ref.uid
    found = find_cooldown(_others(facts), _limits(facts), incident_uid=incident_uid, now=facts.now)
    if found is None or _begun(facts):
        return build_gate("CooledDown", "CoolingDown", True)
    until, recovery = found
    kind = "cooldownAfterFailure" if has_failed(recovery) else "cooldown"
    return build_gate(
        "CooledDown",
        "CoolingDown",
        False,
        value=recovery.plan,
        limit=format_duration(until - (recovery.finished_at or until)),
        blocked_until=until,
        message=f"plan {recovery.plan} ended as {recovery.outcome}: nothing begins for another incident of the service"
        f" until spec.limits.{kind} of the ProtectedService has passed",
    )


def _begun(facts: GuardFacts) -> bool:
    return facts.plan.status.started_at is not None


def _allowances(facts: GuardFacts) -> Iterator[tuple[str, Allowance, Load]]:
    """What holds, and how much of it is used by others: for the namespace, and for the environment."""
    budget = facts.around.limits.budget
    yield f"namespace {facts.plan.metadata.namespace}", budget, facts.around.load
    environment = facts.protected_service.spec.environment if facts.protected_service else ""
    for limit in budget.environments:
        if limit.environment == environment:
            yield f"environment {environment}", limit, facts.around.load.within(environment)


def _limits(facts: GuardFacts) -> ServiceLimits:
    return facts.protected_service.spec.limits if facts.protected_service else ServiceLimits()


def _others(facts: GuardFacts) -> tuple[Recovery, ...]:
    return tuple(r for r in facts.around.recoveries if r.uid != facts.plan.metadata.uid)
