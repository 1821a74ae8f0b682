"""Tells of the spans that a status that was just stored has ended: after the write, so that each is told once."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from bokgu.api.incident import Incident, IncidentStatus
from bokgu.api.recovery_plan import RecoveryPlan, RecoveryPlanStatus
from bokgu.api.span import Span
from bokgu.core.traces import trace_incident, trace_plan

TOLD_AGAIN = timedelta(minutes=5)
"""What ended so shortly before this process began is told again: the one before may have died before it could. It is
the same span each time."""


Key = tuple[str, str, str]
"""(plural, namespace, name)"""

log = structlog.get_logger()


class SpanSender(Protocol):
    """Takes spans, never waits, and never raises."""

    def send(self, spans: Iterable[Span]) -> None:
        """Hand spans over."""


@dataclass
class Tracing:
    """Where spans go, and the keys of the objects that this process has met."""

    sender: SpanSender
    begun: datetime
    met: set[Key] = field(default_factory=set)

    def tell_incident(self, incident: Incident, new: IncidentStatus | None, plan: RecoveryPlan | None) -> None:
        """The incident as it was read has that status now; None: it has what was read."""
        now = incident if new is None else incident.model_copy(update={"status": new})
        fresh = incident.status == IncidentStatus()
        self._tell(
            incident.key, lambda: () if fresh else trace_incident(incident, plan), lambda: trace_incident(now, plan)
        )

    def tell_plan(self, plan: RecoveryPlan, new: RecoveryPlanStatus | None, incident: Incident | None) -> None:
        """As `tell_incident`; `incident` is that of the plan, None where it is gone."""
        now = plan if new is None else plan.model_copy(update={"status": new})
        fresh = plan.status == RecoveryPlanStatus()
        self._tell(plan.key, lambda: () if fresh else trace_plan(plan, incident), lambda: trace_plan(now, incident))

    def forget(self, key: Key) -> None:
        """The object is gone."""
        self.met.discard(key)

    def _tell(self, key: Key, before: Callable[[], Iterable[Span]], now: Callable[[], Iterable[Span]]) -> None:
        try:
            known = {span.id: span for span in before()}
            fresh = {span.id: span for span in now() if span.id not in known}
            if key not in self.met:
                self.met.add(key)
                fresh |= {id_: span for id_, span in known.items() if span.ended >= self.begun - TOLD_AGAIN}
            if fresh:
                self.sender.send(fresh.values())
        except Exception:  # A trace is good to have; a defect in it must not stop a recovery.
            log.exception("trace not told")
