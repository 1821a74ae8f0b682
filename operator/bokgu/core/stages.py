"""The stages of an incident, and how long each took: told once, by the status that ends it.

seen → Detect → opened → Classify → cause known → Plan → plan made → Approve → approved → Start → begun
each step: begun → Act → ECS runs what was meant → Verify → verdict;  trouble gone → Resolve → resolved
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from bokgu.api.incident import Incident, IncidentStatus
from bokgu.api.meta import TimelineEntry, find_condition, is_true
from bokgu.api.recovery_plan import RecoveryPlan, RecoveryPlanStatus
from bokgu.api.vocabulary import Action, IncidentPhase, PlanPhase
from bokgu.core.announcement import APPROVED
from bokgu.core.history import detected_at


class Stage(StrEnum):
    """What an incident goes through."""

    DETECT = "detect"
    """From when the trouble began, as far as whoever saw it can tell, to its Incident."""

    CLASSIFY = "classify"
    """From the Incident to its first cause."""

    PLAN = "plan"
    """From the cause to a plan against it."""

    APPROVE = "approve"
    """From a plan that began later to all of its approvals."""

    START = "start"
    """From the approvals to the plan's begin: what the gates held it for."""

    ACT = "act"
    """From the begin of a step that changes something to when ECS ran what was meant."""

    VERIFY = "verify"
    """From there to the end of the step."""

    RESOLVE = "resolve"
    """From when the trouble was gone to the end of the incident: the relapse watch."""


@dataclass(frozen=True)
class Passage:
    """A stage that is over, and how long it took."""

    stage: Stage
    took: timedelta


def measure_detection(begun: datetime, now: datetime) -> Passage:
    """The stage before there is an Incident."""
    return _pass(Stage.DETECT, begun, now)


def measure_incident(
    incident: Incident, new: IncidentStatus, plan: RecoveryPlan | None, now: datetime
) -> Iterator[Passage]:
    """The stages that the new status of the incident ends; `plan` is its current one."""
    old, told = incident.status, new.classification
    if told and not old.classification:
        yield _pass(Stage.CLASSIFY, incident.metadata.creation_timestamp or detected_at(incident), told.told_at or now)
    known = {plan.uid for plan in old.plans}
    if told and any(plan.uid not in known for plan in new.plans):
        yield _pass(Stage.PLAN, _known_since(old.timeline) or told.told_at or now, now)
    if _resolves(old, new) and (gone := gone_at(new, plan)):
        yield _pass(Stage.RESOLVE, gone, new.resolved_at or now)


def measure_whole(incident: Incident, new: IncidentStatus) -> timedelta | None:
    """How long the incident took from when its trouble was seen, if the new status resolves it."""
    if not _resolves(incident.status, new) or new.resolved_at is None:
        return None
    return max(timedelta(), new.resolved_at - detected_at(incident))


def measure_plan(plan: RecoveryPlan, new: RecoveryPlanStatus) -> Iterator[Passage]:
    """The stages that the new status of the plan ends. Undoing is none of them."""
    old, made = plan.status, plan.metadata.creation_timestamp
    said = find_condition(new.conditions, APPROVED)
    if new.started_at and not old.started_at and said and is_true(new.conditions, APPROVED) and made:
        yield _pass(Stage.APPROVE, made, said.last_transition_time)
        yield _pass(Stage.START, max(made, said.last_transition_time), new.started_at)
    if len(old.steps) != len(new.steps):
        return  # It was just given them.
    for spec, was, now in zip(plan.spec.steps, old.steps, new.steps, strict=False):
        # Only at its end: what was effective may turn out not to last, and then it is waited for again.
        ended = now.finished_at if not was.finished_at else None
        if ended is None or now.effective_at is None or now.started_at is None or spec.action is Action.WAIT:
            continue
        if spec.action.writes:
            yield _pass(Stage.ACT, now.started_at, now.effective_at)
        yield _pass(Stage.VERIFY, now.effective_at, ended)


def _pass(stage: Stage, since: datetime, until: datetime) -> Passage:
    """Two clocks may have set them: none took less than nothing."""
    return Passage(stage, max(timedelta(), until - since))


def _known_since(timeline: tuple[TimelineEntry, ...]) -> datetime | None:
    """Since when the cause is known that no plan was made against yet."""
    planned = max((entry.at for entry in timeline if entry.event == "Planned"), default=None)
    told = (entry.at for entry in timeline if entry.event == "Classified")
    return next((at for at in told if planned is None or at > planned), None)


def _resolves(old: IncidentStatus, new: IncidentStatus) -> bool:
    return new.phase is IncidentPhase.RESOLVED and old.phase is not IncidentPhase.RESOLVED


def gone_at(status: IncidentStatus, plan: RecoveryPlan | None) -> datetime | None:
    """Since when the trouble is gone: not before a plan that completed was over."""
    completed = plan is not None and plan.status.phase is PlanPhase.COMPLETED
    ends = (plan.status.finished_at if plan and completed else None, status.mitigated_at)
    return max((at for at in ends if at is not None), default=None)
