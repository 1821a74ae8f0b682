"""Storm and breaker: what has written nothing yet is stopped until it is over, or somebody has looked (S7)."""

from datetime import datetime

from bokgu.api.fields import format_timestamp
from bokgu.api.meta import Gate, OpenBreaker
from bokgu.api.recovery_plan import RecoveryPlanStatus
from bokgu.core.guards.facts import GuardFacts
from bokgu.core.guards.gate import build_gate

STORM = "Storm"
"""Reason of what waits for the end of a storm."""

MADE_BEFORE = "MadeBeforeReset"
"""Reason of a plan that is older than the reset of a breaker: what waited is not replayed."""

BREAKER_OPEN = "BreakerOpen"
"""Reason of what waits for a person's reset."""


def has_written(status: RecoveryPlanStatus) -> bool:
    """Whether the plan has stored a write: it then goes on to its end, which is better than the middle."""
    return any(step.intent for step in status.steps)


def check_no_storm(facts: GuardFacts) -> Gate:
    """So many incidents at once have a cause that none of them tells."""
    storm, limit = facts.around.storm, facts.around.limits.storm
    return build_gate(
        "NoStorm",
        STORM,
        storm is None or has_written(facts.plan.status),
        value=f"{storm.incidents} incidents" if storm else "",
        limit=f"{limit.threshold} in {limit.window}",
        blocked_until=storm.until if storm else None,
        message=f"a storm since {format_timestamp(storm.since)}: look for what is wrong with all of them; nothing new"
        " begins until it has been quiet"
        if storm
        else "",
    )


def check_service_breaker(facts: GuardFacts) -> Gate:
    """Too many recoveries of the service have failed."""
    around = facts.around
    return _check_breaker(
        facts, "ServiceBreakerClosed", around.service_breaker, "ProtectedService", around.service_reset_at
    )


def check_namespace_breaker(facts: GuardFacts) -> Gate:
    """Too many recoveries of the namespace have failed."""
    around = facts.around
    return _check_breaker(
        facts, "NamespaceBreakerClosed", around.namespace_breaker, "RecoveryPolicy", around.namespace_reset_at
    )


def _check_breaker(
    facts: GuardFacts, name: str, breaker: OpenBreaker | None, kind: str, reset_at: datetime | None
) -> Gate:
    if has_written(facts.plan.status):
        return build_gate(name, BREAKER_OPEN, True)
    made = facts.plan.metadata.creation_timestamp
    if breaker is None and reset_at and made and made < reset_at:
        old = f"the plan was made before the reset at {format_timestamp(reset_at)}: what it was made for may be over"
        return build_gate(name, MADE_BEFORE, False, value=format_timestamp(made), message=old)
    if breaker is None:
        return build_gate(name, BREAKER_OPEN, True)
    return build_gate(
        name,
        BREAKER_OPEN,
        False,
        value=f"{len(breaker.plans)} failed",
        message=f"{', '.join(breaker.plans)} failed, the last one at {format_timestamp(breaker.opened_at)}: find out"
        f" why, then set spec.resetBreakerAt of the {kind} to now",
    )
