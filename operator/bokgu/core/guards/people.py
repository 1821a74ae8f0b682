"""What people decide: approvals and holds."""

from bokgu.api.meta import Gate
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.core.guards.facts import GuardFacts
from bokgu.core.guards.gate import build_gate
from bokgu.core.recovery_policy import Policies, list_pauses

SUSPEND_TAG = "bokgu:suspend"
"""A tag on the ECS service that blocks at once, without kubectl. Any value but `false` counts."""


SUSPENDED = "Suspended"
"""Reason of a plan, and type of the condition, while people hold it before its next step."""


APPROVED = "Approved"
"""The gate that people open. A plan that waits for it is no blocked plan, it awaits approval."""


def closed_gates(gates: tuple[Gate, ...]) -> tuple[Gate, ...]:
    """What blocks besides missing approvals."""
    return tuple(gate for gate in gates if not gate.passed and gate.name != APPROVED)


def check_approved(facts: GuardFacts) -> Gate:
    """The people, or the rules that stand in for them, have approved the plan."""
    tally = facts.tally
    return build_gate(
        APPROVED,
        "ApprovalsMissing",
        tally.approved,
        value=tally.count,
        limit=", ".join(tally.required),
        message=tally.message,
    )


def list_holders(plan: RecoveryPlan, protected: ProtectedService | None, policies: Policies) -> list[str]:
    """What people have suspended or paused the plan with, in Kubernetes."""
    holders = []
    if plan.spec.suspend:
        holders.append("spec.suspend of the plan")
    if protected and protected.spec.suspend:
        holders.append("spec.suspend of the ProtectedService")
    return holders + list_pauses(policies)


def check_not_suspended(facts: GuardFacts) -> Gate:
    """Nobody holds the plan."""
    holders = list_holders(facts.plan, facts.protected_service, facts.policies)
    if facts.service and facts.service.tags.get(SUSPEND_TAG, "false").lower() != "false":
        holders.append(f"the tag {SUSPEND_TAG} on the ECS service")
    return build_gate(
        "NotSuspended", SUSPENDED, not holders, value=", ".join(holders), message=f"held by {', '.join(holders)}"
    )
