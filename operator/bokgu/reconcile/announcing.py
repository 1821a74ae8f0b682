"""Tells people of a plan: Events, and what is counted beside them. A telling that fails holds nothing up."""

import structlog

from bokgu.api.protected_service import Reversal
from bokgu.api.recovery_plan import RecoveryPlan, RecoveryPlanStatus
from bokgu.core.announcement import Announcement, announce_approvals
from bokgu.core.approval.tally import AUTO_APPROVED, EMERGENCY_OVERRIDE
from bokgu.core.timeline import REVERTED
from bokgu.kube.client import KubeError
from bokgu.metrics import AUTO_APPROVALS, EMERGENCY_OVERRIDES, EVENTS_FAILED
from bokgu.reconcile.context import Context

log = structlog.get_logger()
_COUNTED = {AUTO_APPROVED: AUTO_APPROVALS, EMERGENCY_OVERRIDE: EMERGENCY_OVERRIDES}


async def announce_plan(context: Context, plan: RecoveryPlan, new: RecoveryPlanStatus) -> None:
    """Tell what has changed from the plan as it was read to its new, stored status."""
    for announcement in announce_approvals(plan.status, new):
        if announcement.reason in _COUNTED:
            _COUNTED[announcement.reason].inc()
        await _announce(context, plan, announcement)


async def announce_reversal(context: Context, namespace: str, reversal: Reversal) -> None:
    """Tell that somebody has set back what a plan had set, if that plan is still there."""
    plan = context.find(RecoveryPlan, namespace, reversal.plan.name)
    if plan is not None and plan.metadata.uid == reversal.plan.uid:
        await _announce(context, plan, Announcement(REVERTED, reversal.message, warning=True))


async def _announce(context: Context, plan: RecoveryPlan, announcement: Announcement) -> None:
    write = log.warning if announcement.warning else log.info
    write(
        announcement.reason,
        plan=plan.metadata.name,
        namespace=plan.metadata.namespace,
        note=announcement.note,
    )
    try:
        await context.kube.create_event(
            plan,
            reason=announcement.reason,
            note=announcement.note,
            warning=announcement.warning,
            instance=context.settings.holder,
        )
    except KubeError as error:
        EVENTS_FAILED.inc()
        log.warning("event not created", plan=plan.metadata.name, reason=announcement.reason, error=str(error))
