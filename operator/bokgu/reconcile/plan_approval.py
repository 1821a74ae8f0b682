"""A pass over a PlanApproval: tell the approver whether it counts."""

from datetime import timedelta

from bokgu.api.plan_approval import PlanApproval
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.core.approval import approval_status, plan_digest
from bokgu.reconcile.approvals import judge_approvals
from bokgu.reconcile.context import Context, Key

RECHECK = timedelta(minutes=1)
"""How soon an approval that does not count is judged again: a right or a signer may come later."""

FINAL = frozenset({"Expired", "DigestMismatch", "PlanNotFound", "Withdrawn"})
"""Reasons that time alone does not change; a new plan wakes the approvals that name it."""


async def reconcile(context: Context, key: Key) -> timedelta | None:
    """Judge the approval and write the condition. Approvals of plans that are over keep their last word."""
    raw = context.objects.get(key)
    if raw is None:
        return None
    approval = PlanApproval.model_validate(raw)
    plan = context.objects.get((RecoveryPlan.plural, approval.metadata.namespace, approval.spec.plan_ref.name))
    if plan and approval.status.conditions and RecoveryPlan.model_validate(plan).status.phase.terminal:
        return None
    digest = plan_digest(context.cluster_id, plan) if plan else None
    (judgement,) = await judge_approvals(context, [approval], digest)
    now = context.clock()
    await context.write_status(PlanApproval, raw, approval_status(judgement, now=now))
    if judgement.accepted:
        return max(timedelta(seconds=1), approval.spec.valid_until - now)
    return None if judgement.reason in FINAL else RECHECK
