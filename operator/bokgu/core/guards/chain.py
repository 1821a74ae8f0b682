"""The gates in their order."""

from collections.abc import Callable

from bokgu.api.meta import Gate
from bokgu.core.guards import coverage, deployment, people, scaling, service, task_definition, tasks, trouble
from bokgu.core.guards.facts import GuardFacts


def evaluate_gates(facts: GuardFacts) -> tuple[Gate, ...]:
    """Ask every guard, in the order that a person would. Before the people have spoken the service is not read."""
    asked = facts.service is not None or facts.problem is not None
    return tuple(check(facts) for check in (*CHECKS, *LIVE_CHECKS)[: None if asked else len(CHECKS)])


def first_blocking(gates: tuple[Gate, ...]) -> Gate | None:
    """The first gate that blocks, or None where all let the work go on."""
    return next((gate for gate in gates if not gate.passed), None)


Check = Callable[[GuardFacts], Gate]

CHECKS: tuple[Check, ...] = (
    coverage.check_protected,
    coverage.check_role_allowed,
    coverage.check_only_protector,
    coverage.check_mode,
    coverage.check_action_allowed,
    coverage.check_listed,
    people.check_approved,
)
"""What people and configuration decide."""

LIVE_CHECKS: tuple[Check, ...] = (
    people.check_not_suspended,
    trouble.check_still_needed,
    trouble.check_not_frozen,
    service.check_lock_free,
    service.check_readable,
    service.check_supported,
    service.check_owner_idle,
    deployment.check_not_rolling_back,
    deployment.check_no_hook,
    deployment.check_no_deployment,
    coverage.check_within_limits,
    trouble.check_trouble_gone,
    scaling.check_count_owner,
    scaling.check_count_in_range,
    scaling.check_scale_in_floor,
    tasks.check_others_well,
    task_definition.check_copy_needed,
)
"""What the service itself must be asked; asked once it was read, or could not be."""
