"""Tells people of a plan, or of a storm: Events, and what is counted beside them. A telling that fails holds nothing
up."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

import structlog

from bokgu.api.incident import Incident, IncidentStatus
from bokgu.api.meta import ObjectMeta, Resource
from bokgu.api.protected_service import Reversal
from bokgu.api.recovery_plan import RecoveryPlan, RecoveryPlanStatus
from bokgu.api.recovery_policy import POLICY_NAME, RecoveryPolicy, RecoveryPolicySpec
from bokgu.api.unchecked import Unreadable
from bokgu.core.announcement import (
    Announcement,
    announce_approvals,
    announce_block,
    announce_incident,
    newly_closed,
)
from bokgu.core.approval.tally import AUTO_APPROVED, EMERGENCY_OVERRIDE
from bokgu.core.storm import Storm
from bokgu.core.timeline import REVERTED
from bokgu.kube.client import KubeError
from bokgu.metrics.passes import EVENTS_FAILED
from bokgu.metrics.plans import AUTO_APPROVALS, EMERGENCY_OVERRIDES, PLANS_BLOCKED
from bokgu.reconcile.context import Context

UNREADABLE = "Unreadable"
"""Reason of the Event about an object of another shape."""
STORM_BEGAN = "StormBegan"
"""Reason of the one Event about a storm."""

log = structlog.get_logger()
_COUNTED = {AUTO_APPROVED: AUTO_APPROVALS, EMERGENCY_OVERRIDE: EMERGENCY_OVERRIDES}


async def announce_plan(context: Context, plan: RecoveryPlan, new: RecoveryPlanStatus) -> None:
    """Tell what has changed from the plan as it was read to its new, stored status. What comes and goes, such as a gate
    or an approval, is one Event whose count rises."""
    for announcement in announce_approvals(plan.status, new):
        if announcement.reason in _COUNTED:
            _COUNTED[announcement.reason].inc()
        await _announce(context, plan, announcement, series=True)
    for gate in newly_closed(plan.status, new):
        PLANS_BLOCKED.labels(gate).inc()
    if block := announce_block(plan.status, new):
        await _announce(context, plan, block, series=True, logged=True)


async def announce_timeline(context: Context, incident: Incident, new: IncidentStatus) -> None:
    """Tell what has been added to the timeline of an incident from as it was read to its new, stored status: its Events
    read as its timeline does."""
    for announcement in announce_incident(incident.status, new):
        await _announce(context, incident, announcement, series=True, logged=True)


async def announce_reversal(context: Context, namespace: str, reversal: Reversal) -> None:
    """Tell that somebody has set back what a plan had set, if that plan is still there."""
    plan = context.find(RecoveryPlan, namespace, reversal.plan.name)
    if plan is not None and plan.metadata.uid == reversal.plan.uid:
        await _announce(context, plan, Announcement(REVERTED, reversal.message, warning=True))


async def announce_storm(context: Context, namespace: str, storm: Storm) -> None:
    """Tell once of a storm, for all of its incidents together: about the RecoveryPolicy of the namespace, which need
    not be there. When it began is in the Event's name, so that no restart and no other replica tells it again."""
    if context.storms_told.get(namespace) == storm.since:
        return
    policy = context.find(RecoveryPolicy, namespace, POLICY_NAME)
    began = ObjectMeta(
        name=POLICY_NAME,
        namespace=namespace,
        uid=policy.metadata.uid if policy else "",
        resource_version=f"{storm.since.timestamp():.0f}",
    )
    about = RecoveryPolicy(kind=RecoveryPolicy.kind_name, metadata=began, spec=RecoveryPolicySpec())
    note = (
        f"{storm.incidents} incidents at once: nothing new is planned or begun until it has been quiet. Look for what"
    )
    context.enqueue((RecoveryPolicy.plural, namespace, POLICY_NAME))  # It alerts, where there is one.
    context.storms_told[namespace] = storm.since  # Before it is told: hundreds of passes meet it at once.
    told = Announcement(STORM_BEGAN, f"{note} is wrong with all of them", warning=True)
    _log(about, told, log.warning)
    if not await _create_event(context, about, told, context.clock()):
        context.storms_told.pop(namespace, None)


async def announce_unreadable(context: Context, error: Unreadable) -> None:
    """Tell of an object that no pass can be made over; the same again is counted on the Event that is there."""
    about = error.kind.model_construct(metadata=ObjectMeta.model_validate(error.metadata))
    note = f"{error}. Nothing is done with it: correct it, or run the version that wrote it"
    await _announce(context, about, Announcement(UNREADABLE, note, warning=True), series=True)


async def _announce(
    context: Context, about: Resource, announcement: Announcement, *, series: bool = False, logged: bool = False
) -> None:
    """Tell it, beside the passes where that can be. `series`: the same again is counted on the Event that is there;
    `logged`: the log says it in words of its own (`reconcile.decisions`)."""
    _log(about, announcement, log.debug if logged else log.warning if announcement.warning else log.info)
    create = partial(_create_event, context, about, announcement, context.clock(), series=series)
    if context.beside is None:
        await create()
    else:
        context.beside(create)


def _log(about: Resource, announcement: Announcement, write: Callable[..., None]) -> None:
    write(
        announcement.reason,
        about=f"{about.kind_name}/{about.metadata.name}",
        namespace=about.metadata.namespace,
        note=announcement.note,
    )


async def _create_event(
    context: Context, about: Resource, announcement: Announcement, at: datetime, *, series: bool = False
) -> bool:
    """Whether it was told."""
    try:
        await context.kube.create_event(
            about,
            reason=announcement.reason,
            note=announcement.note,
            warning=announcement.warning,
            instance=context.settings.holder,
            at=at,
            series=series,
        )
    except KubeError as error:
        EVENTS_FAILED.inc()
        log.warning("event not created", about=about.metadata.name, reason=announcement.reason, error=str(error))
        return False
    return True
