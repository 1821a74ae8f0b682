"""A pass over a PlanApproval: tell the approver whether it counts."""

from datetime import timedelta

from bokgu.api.incident import Incident
from bokgu.api.plan_approval import PlanApproval
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.core.approval.judgement import approval_status
from bokgu.core.approval.requirement import Requirement
from bokgu.reconcile.approvals import gather_requirement, judge_approvals, know_policy
from bokgu.reconcile.context import Context, Key

FINAL = frozenset({"Expired", "DigestMismatch", "PlanNotFound", "Withdrawn", "Edited"})
"""Reasons that time alone does not change; a new plan wakes the approvals that name it."""


async def reconcile(context: Context, key: Key) -> timedelta | None:
    """Judge the approval and write the condition. Approvals of plans that are over keep their last word."""
    raw = context.objects.get(key)
    if raw is None:
        return None
    approval = context.parse(PlanApproval, raw)
    body = context.objects.get((RecoveryPlan.plural, approval.metadata.namespace, approval.spec.plan_ref.name))
    plan = context.parse(RecoveryPlan, body) if body else None
    if plan and approval.status.conditions and plan.status.phase.terminal:
        return None
    digest = context.digest_of(body) if body else None
    (judgement,) = await judge_approvals(context, [approval], digest, _requirement(context, plan))
    now = context.clock()
    await context.write_status(PlanApproval, raw, approval_status(judgement, now=now))
    if judgement.reason in FINAL:
        return None
    # A right, a signer or a policy may come, or go: nothing else tells of it.
    return min(max(timedelta(seconds=1), approval.spec.valid_until - now), context.settings.minute)


def _requirement(context: Context, plan: RecoveryPlan | None) -> Requirement:
    """What the plan demands of its approvals, as the store knows it."""
    if plan is None:
        return Requirement(roles=())
    namespace, spec = plan.metadata.namespace, plan.spec
    incident = context.find(Incident, namespace, spec.incident_ref.name)
    protected = context.find(ProtectedService, namespace, spec.service_ref.name)
    policy = know_policy(context, namespace)
    return gather_requirement(context, plan, policy, incident=incident, protected=protected)
