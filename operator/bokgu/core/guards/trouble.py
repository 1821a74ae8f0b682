"""What the incident says: whether the trouble is still there, and what it forbids."""

from bokgu.api.meta import Gate
from bokgu.api.vocabulary import Action
from bokgu.core.guards.facts import GuardFacts
from bokgu.core.guards.gate import build_gate


def check_still_needed(facts: GuardFacts) -> Gate:
    """A plan that has not begun does not begin for trouble that has gone away."""
    begun = facts.plan.status.started_at is not None
    return build_gate(
        "StillNeeded",
        "Mitigated",
        begun or not facts.mitigated or facts.step.action is Action.SCALE_IN,
        message="the trouble has gone away; should it come back while the plan is valid, the plan goes on",
    )


def check_not_frozen(facts: GuardFacts) -> Gate:
    """What an open incident forbids, whatever people approve: data is corrupted, tasks could not be replaced."""
    freeze, running = facts.frozen_by, facts.service.running_count if facts.service else 1
    if freeze is None or not freeze.holds(facts.step.action, running):
        return build_gate("NotFrozen", "Frozen", True)
    return build_gate("NotFrozen", freeze.reason, False, value=freeze.incident, message=freeze.message)


def check_dependencies_well(facts: GuardFacts) -> Gate:
    """While what the service needs is in trouble, mending the service proves nothing. A plan that has begun goes on."""
    begun, troubled = facts.plan.status.started_at is not None, facts.troubled
    needed = ", ".join(dict.fromkeys(trouble.service for trouble in troubled))
    return build_gate(
        "DependenciesWell",
        "DependencyTroubled",
        begun or not troubled or not facts.step.action.writes,
        value=", ".join(trouble.incident for trouble in troubled),
        message=f"the service depends on {needed}, which has an open incident: the plan waits until that is over",
    )


def check_trouble_gone(facts: GuardFacts) -> Gate:
    """Fewer tasks while the trouble lasts would be the second incident."""
    return build_gate(
        "TroubleGone",
        "TroubleLasts",
        facts.mitigated or facts.step.action is not Action.SCALE_IN,
        message="the trouble is there, or nobody says that it has gone: nothing is scaled in meanwhile",
    )
