"""The count, its owner and its limits."""

from collections.abc import Callable

from bokgu.api.meta import Gate
from bokgu.api.observed import EcsService
from bokgu.core.guards.facts import GuardFacts
from bokgu.core.guards.gate import build_gate
from bokgu.core.scaling_limits import SCALING, find_floor, find_misfit, find_other_owner


def _find_scaling_problem(facts: GuardFacts, find: Callable[[EcsService], str | None]) -> str | None:
    if facts.step.action not in SCALING:
        return None
    return "not known while AWS does not describe the service" if facts.service is None else find(facts.service)


def check_count_owner(facts: GuardFacts) -> Gate:
    """Who owns the count is who is asked to change it."""
    problem = _find_scaling_problem(facts, lambda _: find_other_owner(facts.step, facts.scalable_target))
    owner = "Application Auto Scaling" if facts.scalable_target else "the service"
    return build_gate("CountOwner", "AnotherOwner", problem is None, value=owner, message=problem or "")


def check_count_in_range(facts: GuardFacts) -> Gate:
    """The count is within the range of Application Auto Scaling, which would pull it back."""
    target = facts.scalable_target
    problem = _find_scaling_problem(facts, lambda service: find_misfit(facts.step, service, target))
    return build_gate(
        "CountInRange",
        "OutsideRange",
        problem is None,
        value=str(facts.service.desired_count) if facts.service else "",
        limit=f"{target.minimum} to {target.maximum}" if target else "",
        message=problem or "",
    )


def check_scale_in_floor(facts: GuardFacts) -> Gate:
    """Nothing is scaled in below what was there before (S11)."""
    problem = _find_scaling_problem(facts, lambda service: find_floor(facts.plan, facts.step, service))
    return build_gate("ScaleInFloor", "BelowFloor", problem is None, message=problem or "")
