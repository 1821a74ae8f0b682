"""The stages of an incident, and how long each took: told once, by the status that ends it.

seen → Detect → opened → Classify → cause known → Plan → plan made → Approve → approved → Start → begun
each step: begun → Act → ECS runs what was meant → Verify → verdict;  trouble gone → Resolve → resolved
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from bokgu.api.incident import Incident, IncidentStatus
from bokgu.api.meta import TimelineEntry, find_condition, is_true
from bokgu.api.recovery_plan import RecoveryPlan, RecoveryPlanStatus, StepStatus
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
    """A stage that is over. `what` names its plan, and of a step that too."""

    stage: Stage
    since: datetime
    until: datetime
    what: str = ""

    @property
    def took(self) -> timedelta:
        """How long it took. Two clocks may have set the ends: none took less than nothing."""
        return max(timedelta(), self.until - self.since)


def measure_detection(begun: datetime, now: datetime) -> Passage:
    """The stage before there is an Incident."""
    return Passage(Stage.DETECT, begun, now)


def measure_incident(
    incident: Incident, new: IncidentStatus, plan: RecoveryPlan | None, now: datetime
) -> Iterator[Passage]:
    """The stages that the new status of the incident ends; `plan` is its current one."""
    old, told = incident.status, new.classification
    if told and not old.classification:
        yield Passage(
            Stage.CLASSIFY, incident.metadata.creation_timestamp or detected_at(incident), told.told_at or now
        )
    known = {plan.uid for plan in old.plans}
    if told and any(plan.uid not in known for plan in new.plans):
        yield Passage(Stage.PLAN, _known_since(old.timeline) or told.told_at or now, now)
    if _resolves(old, new) and (gone := gone_at(new, plan)):
        yield Passage(Stage.RESOLVE, gone, new.resolved_at or now)


def measure_whole(incident: Incident, new: IncidentStatus) -> timedelta | None:
    """How long the incident took from when its trouble was seen, if the new status resolves it."""
    if not _resolves(incident.status, new) or new.resolved_at is None:
        return None
    return max(timedelta(), new.resolved_at - detected_at(incident))


def measure_plan(plan: RecoveryPlan, new: RecoveryPlanStatus) -> Iterator[Passage]:
    """The stages that the new status of the plan ends. Undoing is none of them."""
    old, made, name = plan.status, plan.metadata.creation_timestamp, plan.metadata.name
    said = find_condition(new.conditions, APPROVED)
    if new.started_at and not old.started_at and said and is_true(new.conditions, APPROVED) and made:
        yield Passage(Stage.APPROVE, made, said.last_transition_time, name)
        yield Passage(Stage.START, max(made, said.last_transition_time), new.started_at, name)
    if len(old.steps) != len(new.steps):
        return  # It was just given them.
    for spec, was, now in zip(plan.spec.steps, old.steps, new.steps, strict=False):
        # Only at its end: what was effective may turn out not to last, and then it is waited for again.
        ended = now.finished_at if not was.finished_at else None
        if ended is None or now.effective_at is None or now.started_at is None or spec.action is Action.WAIT:
            continue
        if spec.action.writes:
            yield Passage(Stage.ACT, now.started_at, now.effective_at, f"{name}, {spec.name}")
        yield Passage(Stage.VERIFY, now.effective_at, ended, f"{name}, {spec.name}")


def look_back(incident: Incident, plans: Sequence[RecoveryPlan], begun: datetime) -> tuple[Passage, ...]:
    """All stages that the incident has been through, in the order in which they ended, told once more from what stands
    on it and on its plans. `begun` is when the trouble began."""
    status, found = incident.status, list[Passage]()
    opened = _opened_at(incident)
    found.append(measure_detection(begun, opened))
    told = [entry.at for entry in status.timeline if entry.event == "Classified"]
    if first := min(told, default=status.classification.told_at if status.classification else None):
        found.append(Passage(Stage.CLASSIFY, opened, first))
    for plan in plans:
        before, made = _until_planned(status.timeline, plan)
        if made and (known := _known_since(before) or first):
            found.append(Passage(Stage.PLAN, known, made, plan.metadata.name))
        unseen = tuple(StepStatus(name=step.name) for step in plan.status.steps)
        untouched = plan.model_copy(update={"status": RecoveryPlanStatus(steps=unseen)})
        found += measure_plan(untouched, plan.status)
    if status.resolved_at and (gone := gone_at(status, plans[-1] if plans else None)):
        found.append(Passage(Stage.RESOLVE, gone, status.resolved_at))
    return tuple(sorted(found, key=lambda passage: passage.until))


def _until_planned(
    timeline: tuple[TimelineEntry, ...], plan: RecoveryPlan
) -> tuple[tuple[TimelineEntry, ...], datetime | None]:
    """What had happened before the plan was made, and when that was."""
    name, made = plan.metadata.name, plan.metadata.creation_timestamp
    for at, entry in enumerate(timeline):
        if entry.event == "Planned" and entry.message.partition(":")[0] == name:
            return timeline[:at], entry.at
    return tuple(entry for entry in timeline if made is None or entry.at <= made), made


def _opened_at(incident: Incident) -> datetime:
    return incident.metadata.creation_timestamp or detected_at(incident)


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
