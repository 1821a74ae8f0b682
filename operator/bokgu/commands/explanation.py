"""What there is to tell of one incident: the incident, its current plan, and what it waits for."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bokgu.api.fields import format_timestamp, parse_duration
from bokgu.api.incident import Incident, IncidentPlan
from bokgu.api.meta import Gate
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import RecoveryPlan, StepStatus
from bokgu.commands.overview import Entry, describe_entry
from bokgu.commands.review import read_object
from bokgu.core.awaiting import find_reason, find_wait
from bokgu.core.guards.people import closed_gates
from bokgu.kube.client import KubeClient


@dataclass(frozen=True)
class Explanation:
    """One incident by the API server's clock. The plan of `entry` is the last one, also where it is over; `notes` say
    what could not be read."""

    entry: Entry
    now: datetime
    notes: tuple[str, ...] = ()

    @property
    def gates(self) -> tuple[Gate, ...]:
        """The closed gates that hold its plan, but for approvals."""
        plan = self.entry.plan
        over = plan is not None and plan.status.phase.terminal
        return () if over else closed_gates(plan.status.gates if plan else self.entry.incident.status.gates)

    @property
    def why_no_plan(self) -> tuple[str, str] | None:
        """(reason, message) of why there is no plan at work; None where one is."""
        incident, plan = self.entry.incident, self.entry.plan
        if plan is not None and not plan.status.phase.terminal:
            return None
        return find_reason(incident)


async def fetch_explanation(kube: KubeClient, namespace: str, name: str) -> Explanation | None:
    """Read the incident and what surrounds it; None where there is no such incident. What may not be read is a note,
    for the incident itself KubeError. Raises ValidationError for one that this version cannot read."""
    body = await kube.get(Incident.plural, namespace, name)
    if body is None:
        return None
    incident, notes = Incident.model_validate(body), list[str]()
    protected, _ = await read_object(kube, ProtectedService, namespace, incident.spec.service_ref.name, notes)
    current = incident.status.plans[-1] if incident.status.plans else None
    plan = await read_plan(kube, namespace, current, notes) if current else None
    now = datetime.now(UTC).replace(microsecond=0) + kube.clock_ahead
    watch = parse_duration(protected.spec.detection.relapse_watch) if protected else None
    return Explanation(Entry(incident, plan, find_wait(incident, plan, watch)), now, tuple(notes))


async def read_plan(kube: KubeClient, namespace: str, entry: IncidentPlan, notes: list[str]) -> RecoveryPlan | None:
    """The plan that an incident names; None and a note where it is gone, or may not or cannot be read."""
    plan, _ = await read_object(kube, RecoveryPlan, namespace, entry.name, notes)
    if plan is not None and plan.metadata.uid != entry.uid:
        notes.append(f"RecoveryPlan {entry.name} is another one of the same name: the incident's own is gone")
        return None
    return plan


def step_statuses(plan: RecoveryPlan) -> tuple[StepStatus, ...]:
    """One for each step of the plan, also before the operator has written any."""
    known = {status.name: status for status in plan.status.steps}
    return tuple(known.get(step.name, StepStatus(name=step.name)) for step in plan.spec.steps)


def describe_explanation(told: Explanation) -> dict[str, Any]:
    """The explanation as plain data: the incident as `bokgu status` has it, with metrics, classification, plan, plans,
    whyNoPlan, gates and notes."""
    incident, plan = told.entry.incident, told.entry.plan
    known = incident.status.classification
    found: dict[str, Any] = {
        "now": format_timestamp(told.now),
        **describe_entry(told.entry),
        "metrics": [metric.to_dict() for metric in incident.spec.metrics],
        "classification": known.to_dict() if known else None,
        "plan": _describe_plan(plan) if plan else None,
        "plans": [one.to_dict() for one in incident.status.plans],
        "whyNoPlan": _reason(told),
        "gates": [gate.to_dict() for gate in told.gates],
        "notes": list(told.notes),
    }
    return {name: value for name, value in found.items() if value is not None}


def _reason(told: Explanation) -> dict[str, str] | None:
    if told.why_no_plan is None:
        return None
    reason, message = told.why_no_plan
    return {"reason": reason, "message": message}


def _describe_plan(plan: RecoveryPlan) -> dict[str, Any]:
    spec, status = plan.spec, plan.status
    steps = [
        {
            "name": step.name,
            "action": str(step.action),
            "description": step.description,
            "phase": str(done.phase),
            "output": done.output,
        }
        for step, done in zip(spec.steps, step_statuses(plan), strict=True)
    ]
    found: dict[str, Any] = {
        "name": plan.metadata.name,
        "phase": str(status.phase),
        "reason": status.reason,
        "runbook": spec.runbook_ref.name if spec.runbook_ref else None,
        "because": spec.chosen_because,
        "trackRecord": spec.track_record,
        "approvals": status.approval_count,
        "progress": status.progress,
        "expiresAt": format_timestamp(spec.expires_at),
        "ifNothingIsDone": spec.if_nothing_is_done,
        "steps": [{name: value for name, value in step.items() if value is not None} for step in steps],
    }
    return {name: value for name, value in found.items() if value is not None}
