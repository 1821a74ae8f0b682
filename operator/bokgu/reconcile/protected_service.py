"""A pass over a ProtectedService: describe the service, remember the last good revision, free the lock."""

from datetime import timedelta

from bokgu.api.fields import parse_duration
from bokgu.api.incident import Incident
from bokgu.api.meta import set_condition
from bokgu.api.observed import AwsError, EcsService
from bokgu.api.protected_service import KnownRevision, ObservedService, ProtectedService, ProtectedServiceStatus
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.aws.ecs import fetch_service, fetch_service_deployments, fetch_service_revisions
from bokgu.core.guards import TARGET_ALREADY_PROTECTED
from bokgu.core.last_known_good import find_last_known_good
from bokgu.reconcile.context import Context, Key
from bokgu.reconcile.targets import find_elder


async def reconcile(context: Context, key: Key) -> timedelta | None:
    """Free the lock if its plan is over; describe the service if it is time to."""
    raw = context.objects.get(key)
    if raw is None:
        return None
    protected = ProtectedService.model_validate(raw)
    status = await _free_lock(context, protected)
    wait = context.due_in(key, protected.metadata.generation, context.settings.service_poll)
    if not wait:
        context.looked(key, protected.metadata.generation)
        status = await _describe(context, protected, status)
        wait = context.settings.service_poll
    await context.write_status(ProtectedService, raw, status)
    return wait


async def _free_lock(context: Context, protected: ProtectedService) -> ProtectedServiceStatus:
    """The lock goes when its plan is over or gone, never by time (S5)."""
    active = protected.status.active_plan
    if active is None:
        return protected.status
    plan = context.find(RecoveryPlan, protected.metadata.namespace, active.name)
    if plan is None or plan.metadata.uid != active.uid:
        plan = await context.fetch(RecoveryPlan, protected.metadata.namespace, active.name)
    if plan is not None and plan.metadata.uid == active.uid and not plan.status.phase.terminal:
        return protected.status
    return protected.status.model_copy(update={"active_plan": None})


async def _describe(
    context: Context, protected: ProtectedService, status: ProtectedServiceStatus
) -> ProtectedServiceStatus:
    """What ECS says now; a failure leaves what was known and says why in `Ready`."""
    now = context.clock()
    ready, reason, message = True, "Described", ""
    elder = find_elder(context, protected)
    if elder:
        ready, reason = False, TARGET_ALREADY_PROTECTED
        message = f"{elder.metadata.namespace}/{elder.metadata.name} protects the same ECS service: remove one of them"
    try:
        service = await fetch_service(context.aws, protected.spec.target, now)
        status = status.model_copy(
            update={
                "service": _observed(service),
                "summary": f"{service.running_count}/{service.desired_count}",
                "last_known_good": await _last_known_good(context, protected, service),
            }
        )
    except AwsError as error:
        if elder is None:
            ready, reason, message = False, error.code, str(error)
    conditions = set_condition(
        status.conditions, "Ready", ready, reason, message, now=now, generation=protected.metadata.generation
    )
    return status.model_copy(update={"observed_generation": protected.metadata.generation, "conditions": conditions})


def _observed(service: EcsService) -> ObservedService:
    return ObservedService(
        desired_count=service.desired_count,
        running_count=service.running_count,
        pending_count=service.pending_count,
        task_definition=service.task_definition,
        service_revision_arn=service.service_revision_arn,
        rollout_state=service.primary.rollout_state if service.primary else None,
    )


async def _last_known_good(context: Context, protected: ProtectedService, service: EcsService) -> KnownRevision | None:
    """The revision to return to; asked anew only when the service's deployments or incidents have moved on."""
    incidents = context.find_related(Incident, protected.metadata.namespace, protected.metadata.name)
    troubled = [
        (begin, incident.status.resolved_at)
        for incident in incidents
        if (begin := incident.spec.detected_at or incident.metadata.creation_timestamp)
    ]
    found = find_last_known_good(
        await fetch_service_deployments(context.aws, protected.spec.target),
        troubled,
        min_served=parse_duration(protected.spec.rollback.min_served),
        now=context.clock(),
    )
    if found is None:
        return None
    old = protected.status.last_known_good
    if old and old.service_revision_arn == found.service_revision_arn:
        task_definition: str | None = old.task_definition
    else:
        revisions = await fetch_service_revisions(context.aws, protected.spec.target, (found.service_revision_arn,))
        revision = revisions.get(found.service_revision_arn)
        task_definition = revision.task_definition if revision else None
    if task_definition is None:
        return None
    return KnownRevision(
        service_revision_arn=found.service_revision_arn,
        task_definition=task_definition,
        served_from=found.served_from,
        served_until=found.served_until,
    )
