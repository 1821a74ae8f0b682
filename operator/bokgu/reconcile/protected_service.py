"""A pass over a ProtectedService: judge its presets by the last look of its scope, remember the last good revision,
free the lock."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from bokgu.api.detector import Detection
from bokgu.api.fields import parse_duration
from bokgu.api.incident import Incident
from bokgu.api.meta import Conditions, set_condition
from bokgu.api.observed import AwsError, EcsService
from bokgu.api.phases import has_ended
from bokgu.api.protected_service import (
    BegunRecovery,
    KnownRevision,
    ObservedService,
    Proposal,
    ProtectedService,
    ProtectedServiceStatus,
    Reversal,
    TaintedRevision,
    TargetGroup,
)
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.recovery_policy import POLICY_NAME, RecoveryPolicy, RecoveryPolicySpec
from bokgu.api.vocabulary import DetectionState, Mode, Preset, SourceKind
from bokgu.aws.ecs import fetch_service_revisions
from bokgu.core.drift import find_watched, watch_reversal
from bokgu.core.dry_run import began_writing
from bokgu.core.last_known_good import Trouble, find_last_known_good, taint_revisions
from bokgu.core.load import TARGET_ALREADY_PROTECTED
from bokgu.core.look import Look
from bokgu.core.presets import find_inapplicable
from bokgu.core.proposals import find_deed, judge_proposal, keep_proposals, score_proposals
from bokgu.core.recent_stops import find_stops, keep_stops
from bokgu.core.recoveries import list_recoveries
from bokgu.core.service_state import STATE_CONDITIONS, ServiceLook
from bokgu.reconcile.announcing import announce_reversal
from bokgu.reconcile.approvals import know_policy
from bokgu.reconcile.context import Context, Key
from bokgu.reconcile.detections import judge_metrics, judge_states
from bokgu.reconcile.surroundings import find_service_breaker, find_service_reset
from bokgu.reconcile.targets import find_elder

MAX_BEGUN = 16
"""Runbooks whose last beginning a status remembers."""

AFTER_START = 15
"""Minutes: longer than anything must last to be trouble (core.service_state.LASTING)."""


@dataclass(frozen=True)
class _Related:
    """The plans and incidents of the service: there may be hundreds of each, so that they are looked up once a pass."""

    plans: Sequence[RecoveryPlan]
    incidents: Sequence[Incident]


async def reconcile(context: Context, key: Key) -> timedelta | None:
    """Free the lock if its plan is over; take in what was seen since the last pass."""
    raw = context.objects.get(key)
    if raw is None:
        return None
    protected = context.parse(ProtectedService, raw)
    status = await _free_lock(context, protected)
    policy = know_policy(context, protected.metadata.namespace)
    related = _Related(context.find_related(RecoveryPlan, *key[1:]), context.find_related(Incident, *key[1:]))
    recoveries = list_recoveries(protected.status.recoveries, related.plans, related.incidents)
    status = status.model_copy(update={"begun_recoveries": _begun(protected, related), "recoveries": recoveries})
    if policy.problem is None:  # Else nothing begins anyway, and by what it would be judged is not known.
        limits = policy.found.spec if policy.found else RecoveryPolicySpec()
        breaker = find_service_breaker(context, protected, recoveries, limits)
        changes = {"breaker": breaker, "breaker_reset_at": find_service_reset(context, protected)}
        status = status.model_copy(update=changes)
    look = context.looks.get(key)
    if look is not None and look.follows(protected.metadata):
        status = await _take_in(context, protected, status, look, related)
    if status.reversal and status.reversal != protected.status.reversal:  # Told first: nothing is lost in between.
        await announce_reversal(context, protected.metadata.namespace, status.reversal)
    await context.write_status(ProtectedService, raw, status)
    context.used(key, look)
    if status.active_plan != protected.status.active_plan:
        context.enqueue((RecoveryPolicy.plural, protected.metadata.namespace, POLICY_NAME))  # Its budget has changed.
    return None


async def _free_lock(context: Context, protected: ProtectedService) -> ProtectedServiceStatus:
    """The lock goes when its plan is over or gone, never by time (S5)."""
    active = protected.status.active_plan
    if active is None:
        return protected.status
    # Whether it can be read is its own matter: what is seen of the service is taken in all the same (S12).
    namespace, plural = protected.metadata.namespace, RecoveryPlan.plural
    plan = context.objects.get((plural, namespace, active.name))
    if plan is None or plan["metadata"]["uid"] != active.uid:
        plan = await context.fetch_body(plural, namespace, active.name)
    if plan is not None and plan["metadata"]["uid"] == active.uid and not has_ended(plural, plan):
        return protected.status
    return protected.status.model_copy(update={"active_plan": None})


async def _take_in(
    context: Context, protected: ProtectedService, status: ProtectedServiceStatus, look: Look, related: _Related
) -> ProtectedServiceStatus:
    """What ECS and CloudWatch say now; a failure leaves what was known and says why in `Ready`."""
    changes: dict[str, object] = {"observed_generation": protected.metadata.generation}
    problem = look.problem
    if look.state is not None:
        service = look.state.service
        changes["service"] = _observed(service, look.target_groups)
        changes["summary"] = f"{service.running_count}/{service.desired_count}"
        stops = find_stops(look.state.stopped_tasks or ())
        changes["recent_stops"] = keep_stops(status.recent_stops, stops, context.clock(), context.settings.minute)
        changes["reversal"] = _watch_reversal(context, protected, service, related)
        proposals = keep_proposals(status.proposals, _judge_proposals(context, protected, look.state, related))
        changes |= {"proposals": proposals, "proposal_scores": score_proposals(proposals)}
        tainted = _tainted(context, protected, look.state, related)
        changes["tainted_revisions"] = tainted
        try:
            changes["last_known_good"] = await _last_known_good(context, protected, look.state, tainted)
        except AwsError as error:
            problem = error
    changes["detections"] = await _judge(context, protected, look)
    changes["conditions"] = _conditions(context, protected, look, problem)
    return status.model_copy(update=changes)


def _judge_proposals(
    context: Context, protected: ProtectedService, seen: ServiceLook, related: _Related
) -> Iterator[Proposal]:
    """What became of incidents whose plans were not to run."""
    if protected.spec.mode is not Mode.PROPOSE or not seen.deployments:
        return
    known = protected.status
    judged, good = {p.incident_uid for p in known.proposals}, known.last_known_good
    incidents = {i.metadata.uid: i for i in related.incidents if i.status.resolved_at}
    for plan in related.plans:
        incident = incidents.get(plan.spec.incident_ref.uid)
        if incident is None or incident.metadata.uid in judged:
            continue
        deed = find_deed(plan, seen.service, seen.deployments, good.task_definition if good else None)
        now, minute = context.clock(), context.settings.minute
        if proposal := judge_proposal(plan, incident, deed, now=now, minute=minute):
            yield proposal


def _watch_reversal(
    context: Context, protected: ProtectedService, service: EcsService, related: _Related
) -> Reversal | None:
    """What is set back of the last plan that completed."""
    watched = find_watched(related.plans, related.incidents)
    return watch_reversal(protected.status.reversal, watched, service, context.settings.consistency_delay)


async def _judge(context: Context, protected: ProtectedService, look: Look) -> tuple[Detection, ...]:
    """What the presets say, and the state presets that an ECS event made fire: until they are clear again, and while an
    incident is open that must hear so.

    For a while after a start all state presets are asked where events come in: what an event had begun to tell before
    is known to nobody else (S10). Of two ProtectedServices of one ECS service the younger one detects nothing.
    """
    old, presets = protected.status.detections, protected.spec.detection.presets
    if find_elder(context, protected):
        return ()
    resource = look.state.service.arn if look.state else protected.spec.ecs.service
    state_names = {c.name for c in STATE_CONDITIONS.values()}
    metrics = tuple(d for d in old if d.condition not in state_names)
    if look.measured:
        metrics = await judge_metrics(context, protected.key, look, old, resource=resource)
    incidents = context.find_open_related(Incident, protected.metadata.namespace, protected.metadata.name)
    waiting = {incident.metadata.uid for incident in incidents}

    def matters(detection: Detection) -> bool:
        told = detection.incident is not None and detection.incident.uid in waiting
        return detection.state is DetectionState.FIRING or told

    known = {d.condition for d in old if matters(d)}
    settings = context.settings
    anew = bool(settings.event_queues) and look.at < context.started_at + AFTER_START * settings.minute
    unlisted = [p for p, c in STATE_CONDITIONS.items() if p not in presets and (anew or c.name in known)]
    if look.state is None:
        asked = {STATE_CONDITIONS[p].name for p in (*presets, *unlisted) if p in STATE_CONDITIONS}
        return (*(d for d in old if d.condition in asked), *metrics)
    states = await judge_states(context, protected.key, look, presets, old, kind=SourceKind.PRESET)
    others = await judge_states(context, protected.key, look, unlisted, old, kind=SourceKind.ECS_EVENT)
    return (*states, *(d for d in others if matters(d)), *metrics)


def _conditions(context: Context, protected: ProtectedService, look: Look, problem: AwsError | None) -> Conditions:
    ready, reason, message = True, "Described", ""
    elder = find_elder(context, protected)
    if elder:
        ready, reason = False, TARGET_ALREADY_PROTECTED
        message = f"{elder.metadata.namespace}/{elder.metadata.name} protects the same ECS service: remove one of them"
    elif problem:
        ready, reason, message = False, problem.code, str(problem)
    now, generation = context.clock(), protected.metadata.generation
    conditions = set_condition(
        protected.status.conditions, "Ready", ready, reason, message, now=now, generation=generation
    )
    if not look.measured:
        return conditions
    detecting, reason, message = _detecting(protected.spec.detection.presets, look)
    return set_condition(conditions, "Detecting", detecting, reason, message, now=now, generation=generation)


def _detecting(presets: tuple[Preset, ...], look: Look) -> tuple[bool, str, str]:
    """Whether every preset sees what it needs, as (status, reason, message)."""
    if not presets:
        return False, "NoPresets", "spec.detection.presets is empty: incidents come from Detectors, alarms and people"
    if error := next(iter(look.errors.values()), None):
        return False, error.code, str(error)
    if look.problem:
        return False, look.problem.code, str(look.problem)
    blind = find_inapplicable(presets, look.target_groups)
    if blind:
        return False, "PresetNotApplicable", "; ".join(f"{preset}: {why}" for preset, why in blind.items())
    return True, "Looking", ""


def _observed(service: EcsService, target_groups: tuple[TargetGroup, ...]) -> ObservedService:
    return ObservedService(
        desired_count=service.desired_count,
        running_count=service.running_count,
        pending_count=service.pending_count,
        task_definition=service.task_definition,
        service_revision_arn=service.service_revision_arn,
        rollout_state=service.primary.rollout_state if service.primary else None,
        target_groups=target_groups,
    )


def _tainted(
    context: Context, protected: ProtectedService, seen: ServiceLook, related: _Related
) -> tuple[TaintedRevision, ...]:
    """When the service revisions that could be returned to were in trouble."""
    if not seen.deployments:
        return protected.status.tainted_revisions
    at_fault: dict[str, set[str]] = {}
    for plan in related.plans:
        arn, found = plan.spec.preconditions.service_revision_arn, plan.spec.classification
        if arn and found and found.new_revision_at_fault:
            at_fault.setdefault(plan.spec.incident_ref.uid, set()).add(arn)
    troubles = [
        Trouble(
            incident.metadata.uid,
            begin,
            incident.status.resolved_at,
            frozenset(at_fault.get(incident.metadata.uid, ())),
        )
        for incident in related.incidents
        if (begin := incident.spec.detected_at or incident.metadata.creation_timestamp)
    ]
    return taint_revisions(protected.status.tainted_revisions, seen.deployments, troubles, now=context.clock())


def _begun(protected: ProtectedService, related: _Related) -> tuple[BegunRecovery, ...]:
    """When each runbook last began to change the service."""
    found = {known.runbook: known.at for known in protected.status.begun_recoveries}
    for plan in related.plans:
        runbook, at = plan.spec.runbook_ref, began_writing(plan.status)
        if runbook and at:
            found[runbook.name] = max(at, found.get(runbook.name, at))
    latest = sorted(found.items(), key=lambda entry: (entry[1], entry[0]), reverse=True)[:MAX_BEGUN]
    return tuple(BegunRecovery(runbook=runbook, at=at) for runbook, at in latest)


async def _last_known_good(
    context: Context, protected: ProtectedService, seen: ServiceLook, tainted: tuple[TaintedRevision, ...]
) -> KnownRevision | None:
    """The revision to return to. The service deployments come with the look; a new revision is described once."""
    if not seen.deployments:
        return protected.status.last_known_good
    min_served = parse_duration(protected.spec.rollback.min_served)
    found = find_last_known_good(seen.deployments, tainted, min_served=min_served, now=context.clock())
    if found is None:
        return None
    old = protected.status.last_known_good
    if old and old.service_revision_arn == found.service_revision_arn:
        task_definition: str | None = old.task_definition
    else:
        arns = (found.service_revision_arn,)
        revisions = await fetch_service_revisions(context.aws, protected.spec.target, arns, bulk=True)
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
