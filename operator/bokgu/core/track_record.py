"""The track record: how often a runbook has helped against a root cause on a service."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from bokgu.api.history import IncidentRecord, Outcome, PlanRecord
from bokgu.api.vocabulary import Action, PlanPhase, RootCause, Verdict

_HELPED = frozenset({Outcome.RECOVERED.casefold(), "fixed", "resolved", "succeeded", "success", "successful"})
"""Outcomes of an incident that say that its last plan has ended it, in other systems' words too. Any other word does
not."""
MEMORY = timedelta(days=90)
"""Tries that began longer ago count no more: the service is another one by now, and the runbook gets another chance."""

_ROOT_CAUSES = frozenset(RootCause)
_READING = frozenset(action for action in Action if not action.writes)


@dataclass(frozen=True)
class TrackRecord:
    """How often a runbook was carried out, and how often that ended the incident."""

    helped: int
    tried: int

    @property
    def text(self) -> str:
        """For people, such as `helped 1 of 6 times here`."""
        if not self.tried:
            return "not tried here before"
        return f"helped {self.helped} of {self.tried} {'time' if self.tried == 1 else 'times'} here"


def track_records(
    records: Iterable[IncidentRecord], since: datetime | None = None
) -> Mapping[tuple[str, RootCause, str], TrackRecord]:
    """The track record of each (runbook, root cause, service) that was tried, of tries that began then or later."""
    found: dict[tuple[str, RootCause, str], TrackRecord] = {}
    for record in records:
        for plan in record.plans:
            cause = plan.root_cause or record.root_cause
            if plan.runbook is None or cause not in _ROOT_CAUSES or not was_tried(plan):
                continue
            if is_undecided(record, plan) or (since and plan.started_at and plan.started_at < since):
                continue
            key = (plan.runbook, RootCause(cause), record.service)
            known = found.get(key, TrackRecord(0, 0))
            found[key] = TrackRecord(known.helped + has_helped(record, plan), known.tried + 1)
    return found


def last_begun(records: Iterable[IncidentRecord], service: str) -> dict[str, datetime]:
    """When each runbook last began to change the service, by its name."""
    found: dict[str, datetime] = {}
    for plan in (plan for record in records if record.service == service for plan in record.plans):
        if plan.runbook and plan.started_at and _has_acted(plan):
            found[plan.runbook] = max(plan.started_at, found.get(plan.runbook, plan.started_at))
    return found


def was_tried(plan: PlanRecord) -> bool:
    """Whether the plan is over and got as far as doing something: reading the service helps nobody."""
    return plan.started_at is not None and plan.outcome.terminal and _has_acted(plan)


def _has_acted(plan: PlanRecord) -> bool:
    """Whether a write of the plan began; of one whose steps are not known that is assumed."""
    return not plan.steps or any(s.started_at and s.action not in _READING for s in plan.steps)


def has_helped(record: IncidentRecord, plan: PlanRecord) -> bool:
    """Whether the plan ended its incident: it completed, no other one had to follow, the trouble stayed away."""
    completed = plan.outcome is PlanPhase.COMPLETED and plan is record.plans[-1]
    return was_tried(plan) and completed and record.outcome.casefold() in _HELPED


def is_undecided(record: IncidentRecord, plan: PlanRecord) -> bool:
    """Whether nobody knows whether the plan helped: it ended with no verdict, or an inconclusive one, since it was
    refused, rejected, or overtaken by a foreign change (S9); or it completed, and was recorded while the incident was
    open, or without a word on how that ended."""
    completed = plan.outcome is PlanPhase.COMPLETED
    if plan.verdict is not Verdict.FAILED and (not completed or plan.verdict is Verdict.INCONCLUSIVE):
        return True
    last = completed and plan is record.plans[-1]
    still_open = record.outcome.casefold() == Outcome.ESCALATED.casefold() and record.resolved_at is None
    return last and (still_open or not record.outcome)
