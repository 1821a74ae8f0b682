"""Whether this version knows all that the plan says."""

from bokgu.api.meta import Gate
from bokgu.core.guards.facts import GuardFacts
from bokgu.core.guards.gate import build_gate


def check_understood(facts: GuardFacts) -> Gate:
    """What a later version has written into the plan would not be done as people approved it."""
    names = ", ".join(facts.unread)
    return build_gate(
        "PlanUnderstood",
        "UnknownField",
        not facts.unread,
        value=names,
        message=f"this version of Bokgu does not know {names}: let the version run that made the plan, or a later one",
    )
