"""Tells of the spans that a status that was just stored has ended: after the write, so that each is told once."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from bokgu.api.incident import Incident, IncidentStatus
from bokgu.api.recovery_plan import RecoveryPlan, RecoveryPlanStatus
from bokgu.api.span import Span
from bokgu.core.traces import trace_incident, trace_plan

TOLD_AGAIN = timedelta(minutes=5)
"""What ended so shortly before this process began is told again: the one before may have died before it could. It is
the same span each time."""


class SpanSender(Protocol):
    """Takes spans, never waits, and never raises."""

    def send(self, spans: Iterable[Span]) -> None:
        """Hand spans over."""


@dataclass
class Tracing:
    """Where spans go, and the keys of the objects that this process has met."""

    sender: SpanSender
    begun: datetime
    met: set[tuple[str, str, str]] = field(default_factory=set)

    def tell_incident(self, incident: Incident, new: IncidentStatus | None, plan: RecoveryPlan | None) -> None:
        """The incident as it was read has that status now; None: it has what was read."""
        before = tuple(trace_incident(incident, plan)) if incident.status != IncidentStatus() else ()
        now = incident if new is None else incident.model_copy(update={"status": new})
        self._tell(incident.key, before, trace_incident(now, plan))

    def tell_plan(self, plan: RecoveryPlan, new: RecoveryPlanStatus | None, incident: Incident | None) -> None:
        """As `tell_incident`; `incident` is that of the plan, None where it is gone."""
        before = tuple(trace_plan(plan, incident)) if plan.status != RecoveryPlanStatus() else ()
        now = plan if new is None else plan.model_copy(update={"status": new})
        self._tell(plan.key, before, trace_plan(now, incident))

    def forget(self, key: tuple[str, str, str]) -> None:
        """The object is gone."""
        self.met.discard(key)

    def _tell(self, key: tuple[str, str, str], before: tuple[Span, ...], now: Iterable[Span]) -> None:
        known = {span.id: span for span in before}
        fresh = {span.id: span for span in now if span.id not in known}
        if key not in self.met:
            self.met.add(key)
            fresh |= {span.id: span for span in before if span.ended >= self.begun - TOLD_AGAIN}
        if fresh:
            self.sender.send(fresh.values())
