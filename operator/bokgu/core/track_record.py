"""The track record: how often a runbook has helped against a root cause on a service."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bokgu.api.history import IncidentRecord, Outcome, PlanRecord
from bokgu.api.vocabulary import Action, PlanPhase, RootCause

_DID_NOT_HELP = frozenset({Outcome.CLEARED, Outcome.RELAPSED, Outcome.ESCALATED})
"""Outcomes of an incident that say that no plan has ended it."""
_ROOT_CAUSES = frozenset(RootCause)


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


def track_records(records: Iterable[IncidentRecord]) -> Mapping[tuple[str, RootCause, str], TrackRecord]:
    """The track record of each (runbook, root cause, service) that was tried."""
    found: dict[tuple[str, RootCause, str], TrackRecord] = {}
    for record in records:
        for plan in record.plans:
            cause = plan.root_cause or record.root_cause
            if plan.runbook is None or cause not in _ROOT_CAUSES or not was_tried(plan):
                continue
            key = (plan.runbook, RootCause(cause), record.service)
            known = found.get(key, TrackRecord(0, 0))
            found[key] = TrackRecord(known.helped + has_helped(record, plan), known.tried + 1)
    return found


def was_tried(plan: PlanRecord) -> bool:
    """Whether the plan is over and got as far as doing something: reading the service helps nobody."""
    begun = [s for s in plan.steps if s.started_at and s.action != Action.HEALTH_CHECK]
    return plan.started_at is not None and plan.outcome.terminal and (bool(begun) or not plan.steps)


def has_helped(record: IncidentRecord, plan: PlanRecord) -> bool:
    """Whether the plan ended its incident: it completed, no other one had to follow, the trouble stayed away."""
    completed = plan.outcome is PlanPhase.COMPLETED and plan is record.plans[-1]
    return was_tried(plan) and completed and record.outcome not in _DID_NOT_HELP
