"""Replay: what today's rules would have decided on an incident of the past, as far as what was kept of it tells.

It is about the first plan. The service as it stood then is not kept, so nothing that must be asked of it is answered;
`unknown` says what that leaves open.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from bokgu.api.fields import format_timestamp
from bokgu.api.history import IncidentRecord, PlanRecord
from bokgu.api.incident import Classification, Incident, IncidentSpec
from bokgu.api.meta import NameReference, ObjectMeta
from bokgu.api.observed import EcsService
from bokgu.api.protected_service import EcsReference, ProtectedService, ProtectedServiceSpec
from bokgu.api.recovery_policy import RecoveryPolicy
from bokgu.api.runbook import Runbook
from bokgu.api.vocabulary import Action, Confidence, IncidentType, Mode, RootCause
from bokgu.core.approval.requirement import Stakes, required_roles
from bokgu.core.building.table import ONLY_WHERE_IT_HELPS
from bokgu.core.classification import CATEGORIES
from bokgu.core.diagnosis import Diagnosis, diagnose
from bokgu.core.dry_run import find_dry_run
from bokgu.core.evidence import Evidence
from bokgu.core.hindsight import Label, Verdict, cause_then, first_plan, judge_by_label, judge_by_outcome
from bokgu.core.next_rung import Tried
from bokgu.core.planning import GaveWay, not_sure, passes_over
from bokgu.core.planning_facts import NoPlan
from bokgu.core.runbooks import consider_runbooks, find_rungs, first_write
from bokgu.core.support import find_unsupported
from bokgu.core.track_record import MEMORY, TrackRecord, last_begun, track_records
from bokgu.core.windows import judge_windows

NOT_KEPT = (
    "the service as it stood: whether it was deploying, its limits, who else set it, and what the plan's numbers would"
    " have been",
    "what else went on: other recoveries, budgets, breakers, storms, pauses, and locks",
)
"""What no record of an incident has, whatever it came from."""


@dataclass(frozen=True)
class Past:
    """An incident of the past. `origin` says where it was read. `told` is its classification, while the object is in
    the cluster: a record has only the cause. `evidence` is what it can be diagnosed from anew, `label` what an expert
    says; case files have them."""

    record: IncidentRecord
    origin: str
    told: Classification | None = None
    evidence: Evidence | None = None
    label: Label | None = None
    decided: bool = True
    """Whether it is known what was decided then."""


@dataclass(frozen=True)
class Rules:
    """The rules of today. `runbooks` are the built-in ones and the namespace's own; `services` the ProtectedServices by
    name, None where nobody was asked for them; `policy` the namespace's RecoveryPolicy."""

    runbooks: tuple[Runbook, ...]
    services: Mapping[str, ProtectedService] | None = None
    policy: RecoveryPolicy | None = None


@dataclass(frozen=True)
class Held:
    """What would hold the plan when the trouble was seen: a gate, and why."""

    gate: str
    message: str


@dataclass(frozen=True)
class Replay:
    """What was decided then, and what would be now. `cause` is that of now, None where it was not diagnosed anew;
    `runbook` the one that would be planned from first, None: `no_plan` says why none. `approvals` are the roles that
    would be asked."""

    past: Past
    cause: RootCause | None
    runbook: str | None
    actions: tuple[Action, ...]
    no_plan: NoPlan | None
    gave_way: tuple[GaveWay, ...]
    held: tuple[Held, ...]
    approvals: tuple[str, ...]
    unknown: tuple[str, ...]
    verdict: Verdict
    because: str

    @property
    def cause_then(self) -> str | None:
        """The cause that the first plan of then was made against."""
        return cause_then(self.past.record)

    @property
    def first_plan(self) -> PlanRecord | None:
        """The first plan of then."""
        return first_plan(self.past.record)


@dataclass(frozen=True)
class _Facts:
    """What is asked before a rung is tried (core.planning_facts.RungFacts)."""

    incident: Incident
    classification: Classification
    protected_service: ProtectedService
    now: datetime
    runbooks: tuple[Runbook, ...]
    track_records: Mapping[str, TrackRecord]
    last_begun: Mapping[str, datetime]
    asked: tuple[ProtectedService | None, EcsService | None]
    """The ProtectedService, and the service itself, where they are known."""
    tried: tuple[Tried, ...] = ()


@dataclass(frozen=True)
class _Choice:
    """What would be planned from, or why nothing is."""

    runbook: Runbook | None
    no_plan: NoPlan | None = None
    gave_way: tuple[GaveWay, ...] = field(default=())


def replay_all(pasts: Iterable[Past], rules: Rules) -> tuple[Replay, ...]:
    """All of them, the newest first. Each sees of the others what was over when it began."""
    known = sorted(pasts, key=lambda past: (past.record.detected_at, past.record.id), reverse=True)
    records = tuple(past.record for past in known)
    return tuple(replay(past, rules, records) for past in known)


def replay(past: Past, rules: Rules, records: Iterable[IncidentRecord] = ()) -> Replay:
    """One incident under the rules of today; `records` are the other incidents that are known."""
    record, unknown = past.record, list[str]()
    told, cause = _tell(past, rules.runbooks, unknown)
    known = (rules.services or {}).get(record.service)
    protected = known or _stand_in(record, rules, unknown)
    if told is None:
        foreign = f"the cause is told as {cause_then(record) or 'nothing'}, which is none that the operator tells"
        choice = _Choice(None, NoPlan("CauseNotKnown", foreign, wait=False))
    else:
        choice = _choose(_gather(past, told, protected, rules, records))
    runbook = choice.runbook
    actions = tuple(step.action for step in runbook.spec.steps if step.action.writes) if runbook else ()
    held = _find_held(record, known, rules) if runbook else ()
    impact = record.classification.impact_level if record.classification else record.severity
    stakes = Stakes(max(record.severity, impact, key=lambda s: s.rank), protected.spec.environment, frozenset(actions))
    if past.decided:
        verdict, because = judge_by_outcome(record, cause, runbook)
    else:
        verdict, because = judge_by_label(past.label, cause, runbook)
    if runbook and first_write(runbook) in ONLY_WHERE_IT_HELPS and verdict is not Verdict.AGREED:
        verdict = Verdict.UNCLEAR
        because = f"{runbook.metadata.name} would be planned only if its tasks had been so as {actions[0]} needs them"
    return Replay(
        past=past,
        cause=cause,
        runbook=runbook.metadata.name if runbook else None,
        actions=actions,
        no_plan=choice.no_plan,
        gave_way=choice.gave_way,
        held=held,
        approvals=required_roles(stakes, rules.policy) if runbook else (),
        unknown=(*unknown, *NOT_KEPT),
        verdict=verdict,
        because=because,
    )


def _tell(
    past: Past, runbooks: tuple[Runbook, ...], unknown: list[str]
) -> tuple[Classification | None, RootCause | None]:
    """(what it is told to be, the cause where that was diagnosed anew)."""
    record, told = past.record, cause_then(past.record)
    if past.evidence is not None:
        found = diagnose(past.evidence)
        return _classify(record, found), found.root_cause
    unknown.append("the cause as it would be told now: the evidence is not kept, so that of then is taken")
    if past.told is not None and past.told.root_cause == told:
        return past.told, None
    if told not in set(RootCause):
        return None, None
    made_from = _find_made_from(record, runbooks)
    traits = made_from.spec.traits if made_from else ()
    shown = f"taken to show {', '.join(traits)}, as its plan needed" if traits else "taken to show nothing special"
    unknown.append(f"how sure the cause was, and its traits: taken as sure, and {shown}")
    at_fault = record.new_revision_at_fault
    if at_fault is None and made_from is not None:
        at_fault = made_from.spec.new_revision_at_fault
    found = Diagnosis(RootCause(told), at_fault, Confidence.HIGH, evidence=(), traits=traits)
    return _classify(record, found), None


def _find_made_from(record: IncidentRecord, runbooks: tuple[Runbook, ...]) -> Runbook | None:
    """The runbook of the first plan: what it needs, the evidence must have shown."""
    plan = first_plan(record)
    return next((r for r in runbooks if plan and r.metadata.name == plan.runbook), None)


def _classify(record: IncidentRecord, found: Diagnosis) -> Classification:
    known = record.classification
    return Classification(
        category=CATEGORIES[found.root_cause],
        root_cause=found.root_cause,
        new_revision_at_fault=found.new_revision_at_fault,
        confidence=found.confidence,
        traits=found.traits,
        evidence=found.evidence,
        impact_level=known.impact_level if known else record.severity,
        priority=known.priority if known and 1 <= known.priority <= 5 else 3,
        estimated_resolution_time="1h",
    )


def _stand_in(record: IncidentRecord, rules: Rules, unknown: list[str]) -> ProtectedService:
    """What stands in for a ProtectedService that is not known."""
    if rules.services is None:
        unknown.append("the ProtectedService (labels, mode, what it allows): it was not asked for, or may not be read")
    else:
        unknown.append(f"there is no ProtectedService {record.service} any more: no labels, mode or allowed actions")
    return ProtectedService(
        kind=ProtectedService.kind_name,
        metadata=ObjectMeta(name="replayed", namespace="replayed"),
        spec=ProtectedServiceSpec(
            region="xx-unknown-0",
            environment=record.environment,
            ecs=EcsReference(cluster="unknown", service="unknown"),
            mode=Mode.APPROVE,
        ),
    )


def _gather(
    past: Past,
    told: Classification,
    protected: ProtectedService,
    rules: Rules,
    records: Iterable[IncidentRecord],
) -> _Facts:
    record, now = past.record, past.record.detected_at
    earlier = [r for r in records if r.id != record.id and r.resolved_at is not None and r.resolved_at <= now]
    tries = track_records(earlier, now - MEMORY)
    mine = {
        book: one for (book, cause, name), one in tries.items() if (cause, name) == (told.root_cause, record.service)
    }
    incident = Incident(
        kind=Incident.kind_name,
        metadata=ObjectMeta(name="replayed", namespace="replayed"),
        spec=IncidentSpec(
            type=record.type, severity=record.severity, service_ref=NameReference(name="replayed"), detected_at=now
        ),
    )
    return _Facts(
        incident=incident,
        classification=told,
        protected_service=protected,
        now=now,
        runbooks=rules.runbooks,
        track_records=mine,
        last_begun=last_begun(earlier, record.service),
        asked=((rules.services or {}).get(record.service), past.evidence.service if past.evidence else None),
    )


def _choose(facts: _Facts) -> _Choice:
    """The first rung that would be tried. As `core.planning.decide_plan`, without what asks the service."""
    told, spec = facts.classification, facts.protected_service.spec
    if spec.mode is Mode.OBSERVE:
        return _Choice(None, NoPlan("ObserveOnly", "the ProtectedService is in mode Observe now", wait=True))
    considered = consider_runbooks(
        facts.runbooks,
        incident_type=facts.incident.spec.type,
        root_cause=told.root_cause,
        new_revision_at_fault=told.new_revision_at_fault,
        traits=told.traits,
        labels=facts.protected_service.metadata.labels,
        environment=spec.environment,
        named=spec.runbooks,
    )
    chosen = next((c.runbook for c in considered if c.reason is None), None)
    rungs = find_rungs(chosen, facts.runbooks) if chosen else ()
    if chosen is None or not any(first_write(rung) for rung in rungs):
        nothing = f"no action can safely help against {told.root_cause}: a person must look"
        return _Choice(None, NoPlan("NoSafeAction", nothing, wait=False))
    if facts.incident.spec.type is IncidentType.DATA_CORRUPTION and told.confidence is Confidence.LOW:
        return _Choice(None, NoPlan("NoSafeAction", "corrupted data of which the cause is not sure", wait=False))
    if (unsure := not_sure(chosen, facts)) is not None:
        return _Choice(None, unsure)
    gave_way: list[GaveWay] = []
    for number, rung in enumerate(rungs):
        because = passes_over(rung, rungs[:number], facts)
        if because is None and first_write(rung) is not None:
            refused = _refuse(rung, facts)
            return _Choice(None if refused else rung, refused, tuple(gave_way))
        advice = NoPlan("NoSafeAction", f"{rung.metadata.name} only has advice", wait=False)
        gave_way.append(GaveWay(rung.metadata.name, because or advice))
    return _Choice(None, gave_way[0].because, tuple(gave_way))


def _refuse(rung: Runbook, facts: _Facts) -> NoPlan | None:
    """Why no plan is made of the rung, as far as ProtectedService and service are known."""
    protected, service = facts.asked
    for action in (step.action for step in rung.spec.steps if step.action.writes):
        opted_in = protected is not None and protected.spec.rollback.code_deploy is not None
        if service is not None and (unsupported := find_unsupported(service, action, opted_in=opted_in)) is not None:
            return NoPlan("ServiceUnsupported", unsupported.message, wait=False)
        if protected is not None and protected.spec.mode.runs and action not in protected.spec.allowed_actions:
            message = f"{action} would help: spec.allowedActions of the ProtectedService does not have it now"
            return NoPlan("ActionNotAllowed", message, wait=True)
    return None


def _find_held(record: IncidentRecord, protected: ProtectedService | None, rules: Rules) -> tuple[Held, ...]:
    """The gates that would be closed by what is known. `protected` is None where it is not known."""
    found: list[Held] = []
    if protected is not None and not protected.spec.mode.runs:
        found.append(Held("Mode", f"the mode is {protected.spec.mode}: plans run only in the modes Approve and Auto"))
    windows = judge_windows(rules.policy.spec.windows if rules.policy else (), record.detected_at)
    if not windows.open:
        until = f"until {format_timestamp(windows.until)}" if windows.until else "with no opening in sight"
        found.append(Held("WindowOpen", windows.problem or f"outside of the change windows of today, {until}"))
    if (asked := find_dry_run(protected, rules.policy)) is not None:
        found.append(Held("DryRun", f"{asked}: it would be carried out without a write"))
    return tuple(found)


def worst_first(replays: Iterable[Replay]) -> tuple[Replay, ...]:
    """What is worse comes first, and what agrees last; else in their order."""
    order = (Verdict.WORSE, Verdict.UNCLEAR, Verdict.BETTER, Verdict.AGREED)
    return tuple(sorted(replays, key=lambda one: order.index(one.verdict)))
