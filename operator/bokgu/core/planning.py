"""Planning: a classified incident to a concrete recovery plan, or the reason why there is none.

Deterministic: the same facts give the same steps, risks and approvals.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from bokgu.api.fields import bounded, format_duration, format_timestamp, parse_duration
from bokgu.api.incident import Incident
from bokgu.api.meta import API_VERSION, NameReference, ObjectMeta, UidReference
from bokgu.api.recovery_plan import (
    FINALIZER,
    MOST_ROLES,
    MOST_STEPS,
    ClassificationSnapshot,
    Preconditions,
    RecoveryPlan,
    RecoveryPlanSpec,
    Step,
)
from bokgu.api.redaction import redact_quote
from bokgu.api.runbook import Runbook, RunbookParameters
from bokgu.api.vocabulary import Action, Confidence, IncidentType, Mode, RootCause, Trait
from bokgu.core.approval.requirement import Stakes, required_roles
from bokgu.core.building.step import template_values
from bokgu.core.building.table import build_step
from bokgu.core.classification import is_outdated
from bokgu.core.next_rung import find_writes
from bokgu.core.planning_facts import NoPlan, PlanningFacts, RungFacts
from bokgu.core.recoveries import find_cooldown
from bokgu.core.risks import build_risks
from bokgu.core.runbooks import Consideration, consider_runbooks, find_mismatch, find_rungs, first_write
from bokgu.core.stop import find_stop
from bokgu.core.support import find_unsupported
from bokgu.core.templates import fill_template
from bokgu.core.track_record import TrackRecord
from bokgu.core.windows import judge_windows
from bokgu.core.writes.write import record_range

PLAN_LIFETIME = timedelta(minutes=60)
"""A plan that nobody approved within this time is made for a world that is gone [our choice]."""

MOST_AHEAD = timedelta(hours=24)
"""A plan that may not begin yet lives longer, by at most this."""

MIN_TRIES = 3
"""Tries below which a track record says nothing."""

GAP = "Evidence"
"""Source of a line of evidence that says what could not be asked (core.diagnosis)."""

MIN_HELPED = 3
"""A runbook that helped less than once in so many tries gives way to the next rung."""


@dataclass(frozen=True)
class GaveWay:
    """A runbook that fits and was passed over, and why."""

    runbook: str
    because: NoPlan


@dataclass(frozen=True)
class Decision:
    """The plan or why there is none, and how it came to that: all runbooks in the order of preference, and those that
    gave way to the next rung."""

    outcome: RecoveryPlan | NoPlan
    considered: tuple[Consideration, ...]
    gave_way: tuple[GaveWay, ...] = ()


def build_plan(facts: PlanningFacts) -> RecoveryPlan | NoPlan:
    """The plan to create for the incident."""
    return decide_plan(facts).outcome


def decide_plan(facts: PlanningFacts) -> Decision:
    """The plan to create for the incident, with the reasons."""
    facts = _see_rollback(facts)
    classification, protected = facts.classification, facts.protected_service
    considered = consider_runbooks(
        facts.runbooks,
        incident_type=facts.incident.spec.type,
        root_cause=classification.root_cause,
        new_revision_at_fault=classification.new_revision_at_fault,
        traits=classification.traits,
        labels=protected.metadata.labels,
        environment=protected.spec.environment,
        named=protected.spec.runbooks,
    )
    if protected.spec.mode is Mode.OBSERVE:
        no_plan = NoPlan("ObserveOnly", "the ProtectedService is in mode Observe: nothing is planned", wait=True)
        return Decision(no_plan, considered)
    if (stopped := find_stop(facts.around, facts.paused_by, facts.incident)) is not None:
        return Decision(stopped, considered)
    if (rolled_back := _wait_for_rollback(facts)) is not None:
        return Decision(rolled_back, considered)
    if is_outdated(classification, facts.service):
        return Decision(_told_before(facts), considered)
    chosen = next((c.runbook for c in considered if c.reason is None), None)
    if chosen is None:
        return Decision(NoPlan("NoSafeAction", _nothing_helps(facts), wait=False), considered)
    if (cannot := _cannot_act(chosen, facts)) is not None:
        return Decision(cannot, considered)
    outcome, gave_way = _climb(chosen, facts)
    return Decision(outcome, considered, gave_way)


def _cannot_act(chosen: Runbook, facts: PlanningFacts) -> NoPlan | None:
    """What keeps every runbook from acting, and where there is only advice."""
    writes = [write for rung in find_rungs(chosen, facts.runbooks) if (write := first_write(rung))]
    cannot = _blocks_all(chosen, writes[0], facts) if writes else None
    if not writes or (cannot and first_write(chosen) is None):
        return NoPlan("NoSafeAction", _advice(chosen, facts) or _nothing_helps(facts), wait=False)
    return cannot


def _blocks_all(chosen: Runbook, write: Action, facts: PlanningFacts) -> NoPlan | None:
    if facts.incident.spec.type is IncidentType.DATA_CORRUPTION and facts.classification.confidence is Confidence.LOW:
        frozen = "corrupted data freezes the service while its cause is not sure: what is changed now may destroy more"
        return NoPlan("NoSafeAction", f"{frozen}. A person must look", wait=False)
    if (unsure := not_sure(chosen, facts)) is not None:
        return unsure
    opted_in = facts.protected_service.spec.rollback.code_deploy is not None
    if (unsupported := find_unsupported(facts.service, write, opted_in=opted_in)) is not None:
        return NoPlan("ServiceUnsupported", f"{unsupported.message}. {_advice(chosen, facts)}".rstrip(), wait=False)
    if facts.frozen_by is not None:
        frozen = f"{facts.frozen_by} reports corrupted data: a person must look before anything is changed"
        return NoPlan("DataCorruption", frozen, wait=True)
    if facts.watch is None or facts.condition is None:
        return NoPlan(
            "NotMeasured", "no Detector or preset measures this, so that nothing could be verified", wait=False
        )
    return None


def not_sure(runbook: Runbook, facts: RungFacts) -> NoPlan | None:
    """A runbook against a cause changes nothing while the cause is a guess. One that names services acts whatever the
    cause, or where it is not known: somebody wants it so."""
    found = facts.classification
    guessed = found.root_cause in runbook.spec.root_causes and found.root_cause is not RootCause.UNKNOWN
    if found.confidence is not Confidence.LOW or not guessed or first_write(runbook) is None:
        return None
    gaps = [item.fact for item in found.evidence if item.source == GAP]
    why = "; ".join(gaps) or "the evidence fits other causes too"
    message = (
        f"{found.root_cause} is told with low confidence, and nothing is changed on a guess: {why}. Look, and decide"
    )
    return NoPlan("NotSure", message, wait=False)


def _climb(chosen: Runbook, facts: PlanningFacts) -> tuple[RecoveryPlan | NoPlan, tuple[GaveWay, ...]]:
    """The first rung that can be done, and has not proven useless here, makes the plan. One with advice alone is the
    last."""
    gave_way: list[GaveWay] = []
    advice = ""
    rungs = find_rungs(chosen, facts.runbooks)
    for number, rung in enumerate(rungs):
        because = passes_over(rung, rungs[:number], facts)
        if because is None or because.reason != MISMATCH:
            advice = _advice(rung, facts) or advice
        if because is None:
            outcome = _try_rung(rung, tuple(gave_way), facts)
            if isinstance(outcome, RecoveryPlan) or outcome.wait:
                return outcome, tuple(gave_way)
            because = outcome
        gave_way.append(GaveWay(rung.metadata.name, because))
    first, *others = [g.because for g in gave_way if g.because.reason != MISMATCH]
    message = ". ".join(filter(None, (first.message, *(o.message for o in others), advice)))
    return NoPlan(first.reason, message, wait=False), tuple(gave_way)


MISMATCH = "NotForThis"
"""Reason of a rung that is against other trouble."""

TRIED = "Tried"
"""Reason of a rung that a plan of this very incident has taken already, or that would ask the same of AWS."""


def passes_over(rung: Runbook, below: tuple[Runbook, ...], facts: RungFacts) -> NoPlan | None:
    """Why the rung is not even tried: it is against other trouble, was tried against this one, did not help here
    before, or has just begun. `below` are those that it follows."""
    name, classification = rung.metadata.name, facts.classification
    if below and (
        mismatch := find_mismatch(
            rung,
            incident_type=facts.incident.spec.type,
            root_cause=classification.root_cause,
            new_revision_at_fault=classification.new_revision_at_fault,
            traits=classification.traits,
            labels=facts.protected_service.metadata.labels,
            environment=facts.protected_service.spec.environment,
        )
    ):
        return NoPlan(MISMATCH, mismatch, wait=False)
    same = (b.metadata.name for b in below if _writes(b) and _writes(b) == _writes(rung))
    helped = {t.runbook for t in facts.tried if t.helped}
    if useless := [other for other in same if other not in helped]:
        message = f"it does the same as {useless[0]}, and is for trouble that comes back after that has helped"
        return NoPlan(MISMATCH, message, wait=False)
    if (unsure := not_sure(rung, facts)) is not None:
        return unsure
    if (tried := next((t for t in facts.tried if t.runbook == name), None)) is not None:
        return NoPlan(TRIED, f"plan {tried.plan} of {name} {tried.ended}", wait=False)
    record, begun = facts.track_records.get(name), facts.last_begun.get(name)
    if record and has_failed_here(record):
        return NoPlan("DidNotHelpHere", f"{name} {record.text}", wait=False)
    if rung.spec.cooldown and begun and facts.now < begun + parse_duration(rung.spec.cooldown):
        message = f"{name} began at {format_timestamp(begun)}: at most once in {rung.spec.cooldown}"
        return NoPlan("TooSoon", message, wait=False)
    return None


def _writes(runbook: Runbook) -> list[tuple[Action, RunbookParameters | None]]:
    return [(step.action, step.parameters) for step in runbook.spec.steps if step.action.writes]


def has_failed_here(record: TrackRecord) -> bool:
    """Whether a runbook was tried often enough to say that it does not help."""
    return record.tried >= MIN_TRIES and record.helped * MIN_HELPED < record.tried


def _try_rung(rung: Runbook, gave_way: tuple[GaveWay, ...], facts: PlanningFacts) -> RecoveryPlan | NoPlan:
    if first_write(rung) is None:
        return NoPlan("NoSafeAction", "" if rung.spec.advice else _nothing_helps(facts), wait=False)
    steps: list[Step] = []
    for step in rung.spec.steps:
        built = build_step(step, facts)
        if isinstance(built, NoPlan):
            return built
        steps.extend(built)
    no_plan = _find_clash(steps) or _asked_before(tuple(steps), facts)
    return no_plan or _assemble(rung, tuple(steps), gave_way, facts)


def _asked_before(steps: tuple[Step, ...], facts: PlanningFacts) -> NoPlan | None:
    """What a plan of this incident has asked of AWS already, and what did not help, is not asked again."""
    wanted = find_writes(steps)
    for tried in facts.tried:
        if tried.writes is None:
            message = f"plan {tried.plan} is gone, and what it did is not known: look at the service"
            return NoPlan("PlanGone", message, wait=False)
        if all(write in tried.writes for write in wanted):
            return NoPlan(TRIED, f"plan {tried.plan} did the same, and {tried.ended}", wait=False)
    return None


def _find_clash(steps: list[Step]) -> NoPlan | None:
    """Why the steps that were added to the runbook's own do not fit beside them, or None."""
    names = [step.name for step in steps]
    if len(names) > MOST_STEPS:
        added = f"the runbook and what gives back the minimum of Application Auto Scaling have {len(names)} steps"
        return NoPlan("TooManySteps", f"{added}, and a plan at most {MOST_STEPS}", wait=False)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        return NoPlan("StepNameTaken", f"the plan adds a step {twice}: give the runbook's own another name", wait=False)
    return None


def _nothing_helps(facts: PlanningFacts) -> str:
    return f"no action can safely help against {facts.classification.root_cause}: a person must look"


def _advice(runbook: Runbook, facts: PlanningFacts) -> str:
    """What a person should do, in the words of the runbook."""
    return fill_template(runbook.spec.advice or "", template_values(facts))


def _see_rollback(facts: PlanningFacts) -> PlanningFacts:
    """The facts with the trait RolledBackByEcs where the service deployments show it: ECS may have rolled back after
    the cause was told."""
    found = facts.classification
    latest = facts.deployments[0] if facts.deployments else None
    if latest is None or latest.status != "ROLLBACK_SUCCESSFUL" or Trait.ROLLED_BACK_BY_ECS in found.traits:
        return facts
    traits = (*found.traits, Trait.ROLLED_BACK_BY_ECS)
    return replace(facts, classification=found.model_copy(update={"traits": traits}))


def _told_before(facts: PlanningFacts) -> NoPlan:
    """The cause was told of another deployment."""
    anew = "ECS has begun another deployment since the cause was told: it is told anew when that has ended"
    return NoPlan("DeploymentInProgress" if facts.service.deploying else "ToldBefore", anew, wait=True)


def _wait_for_rollback(facts: PlanningFacts) -> NoPlan | None:
    """ECS has rolled back by itself: whether that helps is seen before anything else is done."""
    latest = facts.deployments[0] if facts.deployments else None
    if latest is None:
        return None
    if latest.status in {"ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS"}:
        return NoPlan(
            "EcsRollsBack", "ECS is rolling back by itself: what to do is decided when that has ended", wait=True
        )
    ended = latest.status == "ROLLBACK_SUCCESSFUL" and latest.finished_at
    if ended and facts.now < ended + facts.patience:
        return NoPlan(
            "EcsRolledBack", "ECS has just rolled back by itself: it is watched whether that helps", wait=True
        )
    return None


def plan_name(incident: Incident) -> str:
    """Name of the incident's next plan. Racing passes compute the same name, so that one plan is created."""
    return f"{incident.metadata.name[:240].rstrip('-.')}-{len(incident.status.plans) + 1}"


def rename_plan(plan: RecoveryPlan) -> RecoveryPlan:
    """The plan under the name that it gets where a plan of another incident, or one that is over, has its own.
    Racing passes compute the same; of a plan that has such a name it is the same plan."""
    mark = f"-{plan.spec.incident_ref.uid[:8]}"
    name = f"{plan.metadata.name.removesuffix(mark)[:240].rstrip('-.')}{mark}"
    return plan.model_copy(update={"metadata": plan.metadata.model_copy(update={"name": name})})


def plan_manifest(plan: RecoveryPlan) -> dict[str, Any]:
    """The object to POST: owned by its incident, with the finalizer that lets a deletion be undone first."""
    return {
        "apiVersion": API_VERSION,
        "kind": RecoveryPlan.kind_name,
        "metadata": {
            "name": plan.metadata.name,
            "namespace": plan.metadata.namespace,
            "finalizers": [FINALIZER],
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": Incident.kind_name,
                    "name": plan.spec.incident_ref.name,
                    "uid": plan.spec.incident_ref.uid,
                    "controller": True,
                }
            ],
        },
        "spec": plan.spec.to_dict(),
    }


def _assemble(
    runbook: Runbook, steps: tuple[Step, ...], gave_way: tuple[GaveWay, ...], facts: PlanningFacts
) -> RecoveryPlan:
    incident, classification, service = facts.incident, facts.classification, facts.service
    record = facts.track_records.get(runbook.metadata.name)
    spec = RecoveryPlanSpec(
        incident_ref=UidReference(name=incident.metadata.name, uid=incident.metadata.uid),
        service_ref=incident.spec.service_ref,
        runbook_ref=NameReference(name=runbook.metadata.name),
        chosen_because=bounded(_why(runbook, gave_way, facts), 2048),
        track_record=bounded(record.text) if record else None,
        classification=ClassificationSnapshot(
            root_cause=classification.root_cause,
            new_revision_at_fault=classification.new_revision_at_fault,
            confidence=classification.confidence,
            impact_level=classification.impact_level,
            incident_type=incident.spec.type,
        ),
        preconditions=Preconditions(
            target=facts.protected_service.spec.target,
            service_revision_arn=service.service_revision_arn,
            service_deployment_arn=service.current_service_deployment,
            task_definition=service.task_definition,
            desired_count=service.desired_count,
            scalable_target=record_range(facts.scalable_target),
            root_cause=classification.root_cause,
        ),
        steps=steps,
        estimated_total_duration=format_duration(
            sum((parse_duration(s.estimated_duration) for s in steps if s.estimated_duration), timedelta())
        ),
        required_approvals=required_roles(_stakes(steps, facts), facts.policy)[:MOST_ROLES],
        risks=build_risks(runbook, steps, facts),
        if_nothing_is_done=bounded(_if_nothing_is_done(facts), 2048),
        expires_at=_may_begin_at(facts) + PLAN_LIFETIME,
    )
    return RecoveryPlan(
        kind=RecoveryPlan.kind_name,
        metadata=ObjectMeta(name=plan_name(incident), namespace=incident.metadata.namespace),
        spec=spec,
    )


def _may_begin_at(facts: PlanningFacts) -> datetime:
    """When the cooldown of the service is over and the change windows are open, as far as that can be told and is not
    too far ahead; else now."""
    protected, incident = facts.protected_service, facts.incident.metadata.uid
    cooldown = find_cooldown(facts.around.recoveries, protected.spec.limits, incident_uid=incident, now=facts.now)
    at = cooldown[0] if cooldown else facts.now
    opens = judge_windows(facts.policy.spec.windows if facts.policy else (), at)
    at = at if opens.open else opens.until or facts.now
    return at if at <= facts.now + MOST_AHEAD else facts.now


def _stakes(steps: tuple[Step, ...], facts: PlanningFacts) -> Stakes:
    return Stakes(
        worst=max(facts.incident.spec.severity, facts.classification.impact_level, key=lambda s: s.rank),
        environment=facts.protected_service.spec.environment,
        actions=frozenset(step.action for step in steps),
    )


def _why(runbook: Runbook, gave_way: tuple[GaveWay, ...], facts: PlanningFacts) -> str:
    """Why this runbook, in a sentence or two."""
    spec, name = runbook.spec, runbook.metadata.name
    against = facts.classification.root_cause if spec.root_causes else "whatever the cause is"
    revision = {True: " with a new revision at fault", False: " with no new revision at fault"}
    shown = f" and {', '.join(spec.traits)}" if spec.traits else ""
    at_fault = "" if spec.new_revision_at_fault is None else revision[spec.new_revision_at_fault]
    named = " The ProtectedService names it." if name in facts.protected_service.spec.runbooks else ""
    passed = "".join(f" {g.runbook} gave way: {g.because.message or 'it only has advice'}." for g in gave_way)
    return f"{name} is against {against}{at_fault}{shown}.{named}{passed}"


def _if_nothing_is_done(facts: PlanningFacts) -> str:
    """What stays as it is, how bad that is, and how such trouble went before."""
    incident, classification, service = facts.incident, facts.classification, facts.service
    past = classification.similar_incidents
    before = (
        f" Incidents like it took {past.median_resolution} ({past.count} known)."
        if past and past.median_resolution
        else ""
    )
    return (
        f"{incident.spec.service_ref.name} stays as it is: {service.running_count} of {service.desired_count} tasks"
        f" running, {classification.root_cause}, impact {classification.impact_level}.{before}"
        f" {redact_quote(incident.spec.description) or incident.spec.type}"
    )
