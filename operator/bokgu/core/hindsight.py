"""Hindsight: whether what is decided today is better or worse than what was then, by what came of that."""

from dataclasses import dataclass
from enum import StrEnum

from bokgu.api.history import IncidentRecord, Outcome, PlanRecord
from bokgu.api.runbook import Runbook
from bokgu.api.vocabulary import PlanPhase, RootCause
from bokgu.core.runbooks import first_write
from bokgu.core.track_record import has_helped, is_undecided, was_tried


class Verdict(StrEnum):
    """How today's decision is to that of then."""

    AGREED = "Agreed"
    """The same cause and the same first plan."""

    BETTER = "Better"
    """Another one, and what happened then speaks for it."""

    WORSE = "Worse"
    """Another one, and what happened then speaks against it."""

    UNCLEAR = "Unclear"
    """Another one, and what happened then does not tell."""


@dataclass(frozen=True)
class Label:
    """What an expert says of an incident: the causes that are right, and the only action that is safe, or `none`."""

    causes: tuple[str, ...]
    safe: str


def first_plan(record: IncidentRecord) -> PlanRecord | None:
    """The first plan of an incident, None where there was none."""
    return record.plans[0] if record.plans else None


def cause_then(record: IncidentRecord) -> str | None:
    """The cause that the first plan was made against, else the one that was told last."""
    plan = first_plan(record)
    return (plan.root_cause if plan else None) or record.root_cause


def judge_by_outcome(record: IncidentRecord, cause: RootCause | None, now: Runbook | None) -> tuple[Verdict, str]:
    """How planning from `now`, None: not at all, is to what was decided then, by what came of that, and why. `cause` is
    that of now, None where it was not diagnosed anew."""
    name, plan = now.metadata.name if now else None, first_plan(record)
    planned = name or "nothing"
    if now is not None and plan is not None and plan.runbook is None:
        return _judge_peoples(record, plan, now)
    if (plan.runbook if plan else None) == name and (plan is None) == (now is None):
        if cause in {None, cause_then(record)}:
            return Verdict.AGREED, "the same"
        return Verdict.UNCLEAR, f"{planned} is planned as then, for another cause"
    helped = next((p for p in record.plans if has_helped(record, p)), None)
    if helped is not None:
        if helped.runbook is not None and helped.runbook == name:
            return Verdict.BETTER, f"{name}, which helped in the end, would be planned first"
        return Verdict.WORSE, f"{helped.runbook or 'a plan written by people'} helped, and {planned} would be planned"
    if plan is not None and plan.outcome is PlanPhase.REJECTED:
        return Verdict.BETTER, f"people rejected {plan.runbook}, which would not be planned"
    if plan is not None and was_tried(plan) and not is_undecided(record, plan):
        return Verdict.BETTER, f"{plan.runbook} was tried and did not help; {planned} would be planned"
    if record.outcome == Outcome.CLEARED:
        return Verdict.UNCLEAR, f"the trouble went away without a plan that helped; {planned} would be planned"
    return Verdict.UNCLEAR, f"whether {planned} would have helped is not known"


def _judge_peoples(record: IncidentRecord, plan: PlanRecord, now: Runbook) -> tuple[Verdict, str]:
    """The first plan was written by people: whether a runbook would do the same now."""
    did = {step.action for step in plan.steps}
    name, write = now.metadata.name, first_write(now)
    if not has_helped(record, plan):
        return Verdict.UNCLEAR, f"people wrote a plan that did not help, or nobody knows; {name} would be planned"
    if write in did:
        return Verdict.BETTER, f"{name} would do what people wrote a plan for, {write}, and that helped"
    return Verdict.WORSE, f"people wrote a plan that helped, without {write}, which {name} does"


def judge_by_label(label: Label | None, cause: RootCause | None, now: Runbook | None) -> tuple[Verdict, str]:
    """The same by what an expert says, where it is not known what was decided then."""
    if label is None:
        return Verdict.UNCLEAR, "what was decided then is not known"
    action = str((first_write(now) if now else None) or "none")
    if action not in {"none", label.safe}:
        return Verdict.WORSE, f"{action} would be planned; an expert calls {label.safe} safe"
    if cause not in label.causes:
        return Verdict.UNCLEAR, f"an expert tells {label.causes[0]}"
    if action != label.safe:
        return Verdict.UNCLEAR, f"an expert calls {label.safe} safe, and nothing would be planned"
    return Verdict.AGREED, "as an expert says"
