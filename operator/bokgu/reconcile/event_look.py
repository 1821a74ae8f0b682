"""Looks at a service because an event of ECS gave reason to, and again until it is clear what it meant.

The events themselves are not believed: they come twice, late and in any order. Every state preset is asked, whatever
the ProtectedService lists; one that fires stands in `status.detections` from then on, where the passes over the
ProtectedService go on with it.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from bokgu.api.detector import Detection
from bokgu.api.incident import Incident
from bokgu.api.observed import AwsError
from bokgu.api.protected_service import ProtectedService, RecentStop
from bokgu.api.vocabulary import DetectionState, SourceKind
from bokgu.aws.ecs import fetch_services
from bokgu.core.follow_up import decide_next_look
from bokgu.core.look import Look
from bokgu.core.presets import empty_watch
from bokgu.core.recent_stops import find_stops, keep_stops
from bokgu.core.service_state import STATE_CONDITIONS, ServiceLook
from bokgu.kube.client import KubeError
from bokgu.reconcile.context import Context, Key
from bokgu.reconcile.detections import judge_states
from bokgu.reconcile.looking import see_details
from bokgu.reconcile.reporting import Result
from bokgu.reconcile.role_grants import act_for, is_allowed
from bokgu.reconcile.scope import scope_key
from bokgu.reconcile.scope_memory import ScopeMemory

PLURAL = "eventlooks"
"""What stands for a kind in the key of a look that is due; no such objects exist."""

ATTEMPTS = 8
"""Conflicts with other writers of the status until the look is made again."""


async def look_at(context: Context, key: Key, heard_at: datetime, stops: Iterable[RecentStop] = ()) -> Result:
    """Look at a ProtectedService because of events that were heard at that time, unless a look has begun since.

    Incidents, and the stops of tasks that the events tell of, are stored when this returns. Raises AwsError, KubeError.
    """
    context = act_for(context, key)
    known = context.follow_ups.get(key)
    if known is not None and known.looked_at >= heard_at:
        await _store(context, key, (), stops)
        return Result.IGNORED
    try:
        result = await _look(context, key, heard_at, stops)
    except AwsError:
        await _store(context, key, (), stops)  # ECS forgets them, and the events may be given up before it answers.
        raise
    context.enqueue((PLURAL, key[1], key[2]))
    return result


async def reconcile(context: Context, key: Key) -> timedelta | None:
    """Look again when it is time, until nothing more can come of it."""
    protected_key = (ProtectedService.plural, key[1], key[2])
    known = context.follow_ups.get(protected_key)
    if known is None:
        return None
    if known.next_at is not None and known.next_at <= context.clock():
        await _look(context, protected_key, known.asked_at)
        known = context.follow_ups[protected_key]
    if known.next_at is None:
        del context.follow_ups[protected_key]
        return None
    return known.next_at - context.clock()


async def _look(context: Context, key: Key, asked_at: datetime, stops: Iterable[RecentStop] = ()) -> Result:
    now = context.clock()
    protected = context.find(ProtectedService, key[1], key[2])
    seen = await _see(context, protected, now) if protected else None
    context.follow_ups[key] = decide_next_look(asked_at, seen, now, context.settings.consistency_delay)
    if protected is None or seen is None:
        await _store(context, key, (), stops)
        return Result.IGNORED
    before = {i.metadata.uid for i in context.find_related(Incident, key[1], key[2])}
    look = Look(now, protected.metadata.generation, empty_watch(protected), state=seen)
    old = protected.status.detections
    said = await judge_states(context, key, look, STATE_CONDITIONS, old, kind=SourceKind.ECS_EVENT)
    firing = [d for d in said if d.state is DetectionState.FIRING]
    await _store(context, key, firing, [*find_stops(seen.stopped_tasks or ()), *stops])
    if any(d.incident and d.incident.uid not in before for d in firing):
        return Result.OPENED
    return Result.UPDATED if firing else Result.IGNORED


async def _see(context: Context, protected: ProtectedService, now: datetime) -> ServiceLook | None:
    """The service now, with all that the state presets ask for; None where it is not there, or not to be looked at."""
    spec = protected.spec
    if not is_allowed(context, protected):
        return None
    found = await fetch_services(
        context.aws, spec.ecs.cluster, [spec.ecs.service], now, region=spec.region, role_arn=spec.role_arn
    )
    service = found[spec.ecs.service]
    if isinstance(service, AwsError):
        if service.code == "MISSING":
            return None
        raise service
    memory = context.scopes.setdefault(scope_key(protected), ScopeMemory())
    plan = protected.status.active_plan
    state = ServiceLook(service, now, minute=context.settings.minute, recovered_by=plan.name if plan else None)
    detection = spec.detection.model_copy(update={"presets": tuple(STATE_CONDITIONS)})
    curious = protected.model_copy(update={"spec": spec.model_copy(update={"detection": detection})})
    return await see_details(context, curious, state, memory)


async def _store(context: Context, key: Key, firing: Iterable[Detection], stops: Iterable[RecentStop]) -> None:
    """Put what fires, so that the next passes go on with it, and the stops of tasks into the status.

    Raises KubeError.
    """
    for _ in range(ATTEMPTS):
        raw = context.objects.get(key)
        if raw is None:
            return
        protected = context.parse(ProtectedService, raw)
        by_name = {d.condition: d for d in protected.status.detections}
        new = by_name | {d.condition: d for d in firing}
        kept = keep_stops(protected.status.recent_stops, stops, context.clock(), context.settings.minute)
        if new == by_name and kept == protected.status.recent_stops:
            return
        status = protected.status.model_copy(update={"detections": tuple(new.values()), "recent_stops": kept})
        try:
            await context.write_status(ProtectedService, raw, status)
        except KubeError as error:
            if not error.conflict:
                raise
            continue
        context.enqueue(key)
        return
    raise KubeError(409, "Conflict", f"{key[1]}/{key[2]}: others wrote to the status all the time")
