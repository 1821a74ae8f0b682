"""A pass over a PlanApproval: tell the approver whether it counts."""

from datetime import timedelta

from bokgu.api.plan_approval import PlanApproval
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.core.approval import approval_status, plan_digest
from bokgu.reconcile.approvals import judge_approvals
from bokgu.reconcile.context import Context, Key

RECHECK = timedelta(minutes=1)
"""How soon an approval that does not count is judged again: its plan or its right may come later."""


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
    return max(timedelta(seconds=1), approval.spec.valid_until - now) if judgement.accepted else RECHECK
