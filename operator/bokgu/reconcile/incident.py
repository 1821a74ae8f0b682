"""A pass over an Incident: gather evidence once, classify, create the plan, follow it to its end."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bokgu.api.detector import Detection
from bokgu.api.fields import parse_duration
from bokgu.api.incident import Classification, Incident, IncidentPlan, IncidentSource, IncidentStatus
from bokgu.api.observed import AwsError, EcsService, ServiceDeployment
from bokgu.api.phases import has_ended
from bokgu.api.protected_service import ProtectedService, Reversal
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.vocabulary import IncidentPhase, Mode, SourceKind
from bokgu.aws.ecs import fetch_service
from bokgu.core.classification import classify_incident, is_outdated, tell_again_at
from bokgu.core.copies import is_restored_incident
from bokgu.core.correlation import Suppression, find_leader, map_dependencies
from bokgu.core.diagnosis import diagnose
from bokgu.core.lifecycle import Standing, build_status, calm_since, cleared, is_over, note_outcome
from bokgu.core.next_rung import awaits_next_rung, told_before
from bokgu.core.planning import Decision, plan_manifest, rename_plan
from bokgu.core.recovery_policy import list_pauses
from bokgu.core.service_state import STATE_CONDITIONS
from bokgu.core.stop import find_stop
from bokgu.core.storm import Storm
from bokgu.core.voices import Voice, merge_voices
from bokgu.kube.client import KubeError, Raw
from bokgu.metrics.plans import PLANS_CREATED
from bokgu.reconcile.alerting import outbox_stored, settle_outbox, tell_of_incident, tell_of_unseen
from bokgu.reconcile.announcing import announce_storm, announce_timeline
from bokgu.reconcile.approvals import know_policies
from bokgu.reconcile.context import Context, Key
from bokgu.reconcile.counting import count_incident
from bokgu.reconcile.decisions import log_incident
from bokgu.reconcile.evidence import gather_evidence
from bokgu.reconcile.history import fetch_similar, history_key
from bokgu.reconcile.planning import fetch_plan, plan_incident
from bokgu.reconcile.runbook import find_runbooks
from bokgu.reconcile.scope import scope_key
from bokgu.reconcile.sharding import inherit_labels
from bokgu.reconcile.surroundings import look_around_plan
from bokgu.reconcile.watches import Measured, find_measured

SOONEST = timedelta(seconds=1)
"""When to look again at what is due and has not come."""

RETRY = timedelta(seconds=10)
"""How soon an incident is looked at again that could not be classified or planned."""


@dataclass(frozen=True)
class Around:
    """What stands around an incident: its service, the other open incidents, and who speaks about it."""

    protected: ProtectedService | None
    measured: Measured | None
    detection: Detection | None
    suppression: Suppression | None
    relapse_watch: timedelta


@dataclass(frozen=True)
class Prospect:
    """What is planned against an incident now, or what comes before that: `problem` (reason, message) keeps it from
    being classified, `suppression` folds it into another one. `service` is what ECS said,
    `storm` what blows meanwhile."""

    classification: Classification | None
    problem: tuple[str, str] | None = None
    suppression: Suppression | None = None
    decision: Decision | None = None
    service: EcsService | None = None
    storm: Storm | None = None


async def reconcile(context: Context, key: Key) -> timedelta | None:
    """Take the incident one pass further."""
    raw = context.objects.get(key)
    if raw is None:
        return None
    incident = context.parse(Incident, raw)
    if is_over(incident):
        last_plan = _known_plan(context, incident)
        noted = note_outcome(incident.status, last_plan) or incident.status
        if noted.observed_generation is not None:
            noted = noted.model_copy(update={"observed_generation": incident.metadata.generation})
        if noted != incident.status:
            await context.write_status(Incident, raw, noted)
            return timedelta()
        if context.tracing is not None:
            context.tracing.tell_incident(incident, None, last_plan)
        context.enqueue(history_key(key))
        await settle_outbox(context, raw, incident)
        return None
    if is_restored_incident(incident):  # What is so now is found out anew, and its plans are none of this one's.
        incident = incident.model_copy(update={"status": IncidentStatus()})
    try:
        standing = await _look(context, incident)
    except Exception:
        await tell_of_unseen(context, raw, incident)  # Whatever keeps it from being looked at, people must know of it.
        raise
    status = tell_of_incident(context, incident, build_status(incident, standing), standing.plan)
    written = await context.write_status(Incident, raw, status)
    outbox_stored(context, incident, status.outbox)
    if written:
        count_incident(context, incident, status, standing.plan)
        log_incident(incident, status)
        await announce_timeline(context, incident, status)
    if context.tracing is not None:
        context.tracing.tell_incident(incident, status, standing.plan)
    if status.phase is IncidentPhase.ESCALATED:
        context.enqueue(history_key(key))  # Corrupted data is recorded while it is open.
    known, plan, said = incident.model_copy(update={"status": status}), standing.plan, standing.detection
    if awaits_next_rung(known, plan, said) and not awaits_next_rung(incident, plan, said):
        return timedelta()  # What did not help is written down: now the next rung.
    waits = (_next_pass(incident, status.phase, standing), _next_telling(context, known, standing))
    wait = min((wait for wait in waits if wait is not None), default=None)
    # A pass that has changed nothing would find the same at once, for ever, and let nobody else in.
    return wait if written or wait is None else max(wait, SOONEST)


def _next_pass(incident: Incident, phase: IncidentPhase, standing: Standing) -> timedelta | None:
    """When to look again though nothing says so: what blocks may have gone, the relapse watch ends."""
    if phase is IncidentPhase.RESOLVED:
        return timedelta()  # Its history is stored next.
    calm = calm_since(incident, standing)
    if phase is IncidentPhase.VERIFYING and calm is not None:
        ends = [calm + wait - standing.now for wait in (standing.patience, standing.relapse_watch)]
        return min((end for end in ends if end > timedelta()), default=timedelta())
    waiting = standing.problem or (standing.no_plan and standing.no_plan.wait) or standing.suppression
    return RETRY if waiting else None


def _next_telling(context: Context, incident: Incident, standing: Standing) -> timedelta | None:
    """When there will be more to know about the cause."""
    protected = context.find(ProtectedService, incident.metadata.namespace, incident.spec.service_ref.name)
    if standing.no_plan is None or incident.status.classification is None or protected is None:
        return None
    stops, minute = protected.status.recent_stops, context.settings.minute
    due = tell_again_at(incident.status.classification, incident, stops, minute)
    if due is None:
        return None
    return due - standing.now if due > standing.now else RETRY  # It is due, and something keeps it from being told.


async def _look(context: Context, incident: Incident) -> Standing:
    """Find out where the incident stands, and take the next step if it is ours: classify, plan."""
    now, around, plan = context.clock(), look_around(context, incident), await _current_plan(context, incident)
    standing = Standing(
        now=now,
        detection=around.detection,
        classification=incident.status.classification,
        problem=None,
        plan=plan,
        entry=None,
        no_plan=None,
        suppression=around.suppression,
        relapse_watch=around.relapse_watch,
        clears_within=_clears_within(around.measured),
        reversal=_reversal(around.protected, plan),
    )
    at_work = incident.status.plans and not awaits_next_rung(incident, plan, around.detection)
    if at_work or cleared(incident, around.detection, plan) or around.suppression:
        return standing
    prospect = await foresee(context, incident, around, now)
    if prospect.storm:
        await announce_storm(context, incident.metadata.namespace, prospect.storm)
    standing = replace(
        standing,
        classification=prospect.classification,
        problem=prospect.problem,
        suppression=prospect.suppression,
    )
    outcome = prospect.decision.outcome if prospect.decision else None
    if isinstance(outcome, RecoveryPlan):
        return replace(standing, entry=await _create_plan(context, outcome))
    return replace(standing, no_plan=outcome)


def _reversal(protected: ProtectedService | None, plan: RecoveryPlan | None) -> Reversal | None:
    """What the last look at the service showed to be set back of the plan."""
    found = protected.status.reversal if protected else None
    return found if found and plan and found.plan.uid == plan.metadata.uid else None


async def foresee(context: Context, incident: Incident, around: Around, now: datetime) -> Prospect:
    """Classify the incident if it is not, or if that must be done anew; then decide on a plan. Nothing is written."""
    protected, known = around.protected, incident.status.classification
    if protected is None:
        name = incident.spec.service_ref.name
        missing = ("NotProtected", f"there is no ProtectedService {name} in {incident.metadata.namespace}: create it")
        return Prospect(known, problem=missing)
    # What stops everything is known without AWS: hundreds of incidents that wait must not ask it all the time.
    policies = know_policies(context, incident.metadata.namespace)
    surroundings = look_around_plan(context, incident.metadata.namespace, protected, policies.own.found)
    stop = find_stop(surroundings, list_pauses(policies), incident)
    if stop and known and protected.spec.mode is not Mode.OBSERVE:
        return Prospect(known, decision=Decision(stop, ()), storm=surroundings.storm)
    try:
        service = await fetch_service(context.aws, protected.spec.target, now)
    except AwsError as error:
        return Prospect(known, problem=(error.code, str(error)), storm=surroundings.storm)
    classification = known
    if classification is None or await _must_tell_anew(context, incident, classification, protected, service):
        classification = await _classify(context, incident, protected, service, around.measured)
    classified = incident.model_copy(
        update={"status": incident.status.model_copy(update={"classification": classification})}
    )
    suppression = _find_suppression(context, classified)
    if suppression:
        return Prospect(classification, suppression=suppression, storm=surroundings.storm)
    decision = await plan_incident(
        context,
        incident,
        classification=classification,
        protected=protected,
        service=service,
        measured=around.measured,
        deployments=_known_deployments(context, protected),
        patience=_clears_within(around.measured) or timedelta(),
        now=now,
    )
    return Prospect(classification, decision=decision, service=service, storm=surroundings.storm)


async def _must_tell_anew(
    context: Context, incident: Incident, known: Classification, protected: ProtectedService, service: EcsService
) -> bool:
    """Whether the cause was told of another deployment, before the last plan proved not to help, or there is more to
    know by now."""
    if is_outdated(known, service) and not service.deploying:
        return True
    if told_before(known, incident, await _current_plan(context, incident)):
        return True
    due = tell_again_at(known, incident, protected.status.recent_stops, context.settings.minute)
    return due is not None and context.clock() >= due


def _known_deployments(context: Context, protected: ProtectedService) -> tuple[ServiceDeployment, ...]:
    """The service deployments that the last look saw, newest first."""
    memory = context.scopes.get(scope_key(protected))
    return memory.histories.get(protected.key, (None, ()))[1] if memory else ()


def look_around(context: Context, incident: Incident) -> Around:
    """What the store knows of all that stands around the incident."""
    namespace, name = incident.metadata.namespace, incident.spec.service_ref.name
    protected = context.find(ProtectedService, namespace, name)
    measured = [m for m in find_measured(context, namespace, name) if m.condition.type is incident.spec.type]
    voices = [Voice(m.watch.source(m.condition.name), m.detection) for m in measured if m.detection]
    if protected is not None:
        voices += _state_voices(protected, incident)
    watch = protected.spec.detection.relapse_watch if protected else "0s"
    return Around(
        protected=protected,
        measured=_choose_measure(incident, measured),
        detection=merge_voices(incident, voices),
        suppression=_find_suppression(context, incident),
        relapse_watch=parse_duration(watch),
    )


def _clears_within(measured: Measured | None) -> timedelta | None:
    """How long after the trouble has gone its detection says so, with twice the time for stragglers."""
    if measured is None:
        return None
    watch, condition = measured.watch, measured.condition
    return 2 * (parse_duration(condition.clear_after) + watch.settle + watch.interval + 2 * watch.period(condition))


def _state_voices(protected: ProtectedService, incident: Incident) -> list[Voice]:
    """What the state presets say about trouble of the incident's type."""
    names = {c.name for c in STATE_CONDITIONS.values() if c.type is incident.spec.type}
    return [
        Voice(IncidentSource(kind=SourceKind.PRESET, name=protected.metadata.name, condition=d.condition), d)
        for d in protected.status.detections
        if d.condition in names
    ]


def _choose_measure(incident: Incident, measured: list[Measured]) -> Measured | None:
    """The condition that measures the trouble best: the one that opened the incident, else one that has fired about
    it, else the first."""
    opener = incident.spec.source

    def distance(one: Measured) -> tuple[bool, bool]:
        source, said = one.watch.source(one.condition.name), one.detection
        owns = said is not None and said.incident is not None and said.incident.uid == incident.metadata.uid
        return (source != opener, not owns)

    return min(measured, key=distance, default=None)


def _find_suppression(context: Context, incident: Incident) -> Suppression | None:
    """The incident of the same service or cause that this one is folded into."""
    namespace, service = incident.metadata.namespace, incident.spec.service_ref.name
    dependencies = context.derive(ProtectedService, namespace, map_dependencies)
    if dependencies.get(service):
        others = context.find_open(Incident, namespace)
    else:  # Nothing but its own can explain it.
        others = context.find_open_related(Incident, namespace, service)
    return find_leader(incident, others, dependencies)


def _known_plan(context: Context, incident: Incident) -> RecoveryPlan | None:
    """The last plan of the incident, as far as the store has it."""
    if not incident.status.plans:
        return None
    current = incident.status.plans[-1]
    raw = context.objects.get((RecoveryPlan.plural, incident.metadata.namespace, current.name))
    plans = context.readable(RecoveryPlan, [raw] if raw else [])
    return next((plan for plan in plans if plan.metadata.uid == current.uid), None)


async def _current_plan(context: Context, incident: Incident) -> RecoveryPlan | None:
    """The last plan of the incident."""
    plans = incident.status.plans
    return await fetch_plan(context, incident, plans[-1]) if plans else None


async def _create_plan(context: Context, plan: RecoveryPlan) -> IncidentPlan:
    """POST the plan. One that is there already was made by a pass that died before it could say so: it is taken over.

    A stranger's plan under that name would be taken over too; that is harmless, since people approve its digest. It is
    not `madeByOperator`, unless it says just what is planned now: nothing else may start without people. One that is
    bound to another incident, such as one that was restored, keeps its name for itself, and so does one that is over:
    nobody was told of it.
    """
    made_by_operator = True
    try:
        body = plan_manifest(plan)
        body["metadata"] |= inherit_labels(context, plan.metadata.namespace, plan.spec.service_ref.name)
        raw = await context.kube.create(RecoveryPlan.plural, body)
        PLANS_CREATED.labels(plan.spec.preconditions.root_cause).inc()
    except KubeError as error:
        if not error.exists:
            raise
        found = await context.kube.get(RecoveryPlan.plural, plan.metadata.namespace, plan.metadata.name)
        if found is None:
            raise
        renamed = rename_plan(plan)
        ours = found["spec"]["incidentRef"]["uid"] == plan.spec.incident_ref.uid
        if renamed != plan and (not ours or has_ended(RecoveryPlan.plural, found)):
            return await _create_plan(context, renamed)
        raw, made_by_operator = found, _says_the_same(found, plan)
    # It gets its pass with the incident's status, which says that the plan is the operator's.
    context.objects.put(RecoveryPlan.plural, raw)
    return IncidentPlan(
        name=raw["metadata"]["name"],
        uid=raw["metadata"]["uid"],
        digest=context.digest_of(raw),
        runbook=plan.spec.runbook_ref.name if plan.spec.runbook_ref else None,
        made_by_operator=made_by_operator,
    )


def _says_the_same(raw: Raw, plan: RecoveryPlan) -> bool:
    """Whether a plan does what the one that would be made now does, in the same world, and ends no later. Its prose may
    be of a moment ago."""
    found, wanted = RecoveryPlan.model_validate(raw).spec, plan.spec
    return found.expires_at <= wanted.expires_at and all(
        getattr(found, name) == getattr(wanted, name)
        for name in ("incident_ref", "service_ref", "runbook_ref", "preconditions", "steps")
    )


async def _classify(
    context: Context,
    incident: Incident,
    protected: ProtectedService,
    service: EcsService,
    measured: Measured | None,
) -> Classification:
    """Gather evidence, once a deployment, and conclude from it."""
    evidence = await gather_evidence(context, incident, protected, service, measured)
    diagnosis = diagnose(evidence)
    similar = await fetch_similar(context, incident, diagnosis.root_cause, diagnosis.evidence)
    runbooks = find_runbooks(context, incident.metadata.namespace)
    dependents = _count_dependents(context, protected)
    return classify_incident(
        incident,
        diagnosis,
        protected,
        service,
        similar,
        runbooks=runbooks,
        dependents=dependents,
        told_at=context.clock(),
    )


def _count_dependents(context: Context, protected: ProtectedService) -> int:
    """How many other services of the namespace say that they depend on this one."""
    dependencies = context.derive(ProtectedService, protected.metadata.namespace, map_dependencies)
    return sum(protected.metadata.name in others for others in dependencies.values())
