"""The gates in their order."""

from collections.abc import Callable
from datetime import datetime, timedelta

from bokgu.api.meta import Gate
from bokgu.core.guards import (
    budget,
    coverage,
    deployment,
    people,
    protection,
    reading,
    scaling,
    service,
    task_definition,
    tasks,
    trouble,
    windows,
)
from bokgu.core.guards.facts import GuardFacts

SOON = timedelta(seconds=1)
"""Nothing is looked at again sooner because of a gate: clocks differ a little."""


def evaluate_gates(facts: GuardFacts) -> tuple[Gate, ...]:
    """Ask every guard, in the order that a person would. What lies behind a closed gate is not asked, unless AWS was:
    then all of it is known, and shown. A plan that has written is not held by other recoveries."""
    asked = facts.service is not None or facts.problem is not None
    written = protection.has_written(facts.plan.status)
    gates: tuple[Gate, ...] = ()
    for checks in (CHECKS, () if written else NAMESPACE_CHECKS, LIVE_CHECKS):
        gates += tuple(check(facts) for check in checks)
        if first_blocking(gates) and not asked:
            break
    return gates


def evaluate_namespace_gates(facts: GuardFacts) -> tuple[Gate, ...]:
    """What other recoveries say."""
    return tuple(check(facts) for check in NAMESPACE_CHECKS)


def first_blocking(gates: tuple[Gate, ...]) -> Gate | None:
    """The first gate that blocks, or None where all let the work go on."""
    return next((gate for gate in gates if not gate.passed), None)


def look_again(usual: timedelta, gates: tuple[Gate, ...], now: datetime) -> timedelta:
    """How soon to look again: as usual, or when the first of the closed gates opens by itself."""
    opens = (gate.blocked_until - now for gate in gates if not gate.passed and gate.blocked_until)
    return max(min((usual, *opens)), SOON)


Check = Callable[[GuardFacts], Gate]

CHECKS: tuple[Check, ...] = (
    reading.check_understood,
    coverage.check_protected,
    coverage.check_role_allowed,
    coverage.check_only_protector,
    coverage.check_mode,
    coverage.check_action_allowed,
    coverage.check_listed,
    people.check_approved,
    windows.check_window_open,
)
"""What people and configuration decide."""

NAMESPACE_CHECKS: tuple[Check, ...] = (
    protection.check_no_storm,
    protection.check_service_breaker,
    protection.check_namespace_breaker,
    budget.check_cooldown,
    budget.check_rate,
    budget.check_concurrency,
    budget.check_unavailable,
)
"""What other recoveries say, asked once the people have spoken. Budgets hold what has not begun, storm and breaker what
has not written."""

LIVE_CHECKS: tuple[Check, ...] = (
    people.check_not_suspended,
    trouble.check_still_needed,
    trouble.check_not_frozen,
    trouble.check_dependencies_well,
    service.check_lock_free,
    service.check_readable,
    service.check_supported,
    service.check_owner_idle,
    deployment.check_not_rolling_back,
    deployment.check_no_hook,
    deployment.check_no_deployment,
    deployment.check_settled,
    coverage.check_within_limits,
    trouble.check_trouble_gone,
    scaling.check_count_owner,
    scaling.check_count_in_range,
    scaling.check_scale_in_floor,
    tasks.check_others_well,
    task_definition.check_copy_needed,
)
"""What the service itself must be asked; asked once it was read, or could not be."""
