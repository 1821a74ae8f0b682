"""What is open in a namespace or in all of them, and what it waits for: read from the cluster, without a write."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import ValidationError

from bokgu.api.fields import format_timestamp, parse_duration
from bokgu.api.incident import Incident
from bokgu.api.meta import Resource
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.recovery_policy import RecoveryPolicy
from bokgu.api.vocabulary import IncidentPhase, PlanPhase
from bokgu.core.alerts.outbox import Undelivered, find_undelivered
from bokgu.core.awaiting import Wait, find_wait
from bokgu.core.holds import Hold, find_holds
from bokgu.kube.client import BAD_REQUEST, KubeClient, KubeError

R = TypeVar("R", bound=Resource)

FORBIDDEN = 403

_PHASE = "status.phase"
_OVER: Mapping[type[Resource], tuple[str, ...]] = {
    Incident: (IncidentPhase.RESOLVED,),
    RecoveryPlan: tuple(phase for phase in PlanPhase if phase.terminal),
}
"""Phases that are not asked for: whatever is over stays for weeks."""


@dataclass(frozen=True)
class Entry:
    """An open incident, its current plan while that is not over, and what it waits for."""

    incident: Incident
    plan: RecoveryPlan | None
    wait: Wait

    @property
    def begun_at(self) -> datetime | None:
        """When the trouble began."""
        return self.incident.spec.detected_at or self.incident.metadata.creation_timestamp


@dataclass(frozen=True)
class Configuration:
    """What stands around incidents, and seldom changes. `notes` say what could not be read."""

    policies: tuple[RecoveryPolicy, ...]
    services: tuple[ProtectedService, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Overview:
    """What is open, the worst and oldest first, what is held, and who is told of these in vain, by the API server's
    clock. `notes` say what could not be read."""

    entries: tuple[Entry, ...]
    holds: tuple[Hold, ...]
    now: datetime
    undelivered: tuple[Undelivered, ...] = ()
    notes: tuple[str, ...] = ()


async def fetch_configuration(kube: KubeClient, namespace: str | None) -> Configuration:
    """Read it; what may not be read is a note. Raises KubeError."""
    notes: list[str] = []
    policies = await _list_readable(kube, RecoveryPolicy, namespace, notes)
    services = await _list_readable(kube, ProtectedService, namespace, notes)
    return Configuration(policies, services, tuple(notes))


async def fetch_overview(kube: KubeClient, namespace: str | None, around: Configuration) -> Overview:
    """Read what is open in the namespace, None for all of them. Raises KubeError."""
    notes: list[str] = []
    incidents = await _list_open(kube, Incident, namespace, notes)
    plans = await _list_open(kube, RecoveryPlan, namespace, notes)
    now = datetime.now(UTC).replace(microsecond=0) + kube.clock_ahead
    return build_overview(incidents, plans, around, now, tuple(notes))


def build_overview(
    incidents: Iterable[Incident],
    plans: Iterable[RecoveryPlan],
    around: Configuration,
    now: datetime,
    notes: tuple[str, ...] = (),
) -> Overview:
    """Put together what was read."""
    by_uid = {plan.metadata.uid: plan for plan in plans}
    watches = {
        (s.metadata.namespace, s.metadata.name): parse_duration(s.spec.detection.relapse_watch) for s in around.services
    }
    entries = []
    for incident in incidents:
        current = incident.status.plans[-1] if incident.status.plans else None
        plan = by_uid.get(current.uid) if current else None
        watch = watches.get((incident.metadata.namespace, incident.spec.service_ref.name))
        entries.append(Entry(incident, plan, find_wait(incident, plan, watch)))
    entries.sort(key=lambda e: (-e.incident.spec.severity.rank, e.begun_at or now, e.incident.metadata.name))
    told = [entry.incident.status.outbox for entry in entries] + [policy.status.outbox for policy in around.policies]
    return Overview(
        entries=tuple(entries),
        holds=find_holds(around.policies, around.services),
        now=now,
        undelivered=find_undelivered(outbox for outbox in told if outbox),
        notes=(*around.notes, *notes),
    )


def describe_overview(overview: Overview) -> dict[str, Any]:
    """The overview as plain data: now, incidents, holds, undelivered, notes."""
    return {
        "now": format_timestamp(overview.now),
        "incidents": [describe_entry(entry) for entry in overview.entries],
        "holds": [{name: value for name, value in vars(hold).items() if value} for hold in overview.holds],
        "undelivered": [{**vars(one), "since": format_timestamp(one.since)} for one in overview.undelivered],
        "notes": list(overview.notes),
    }


def describe_entry(entry: Entry) -> dict[str, Any]:
    """An open incident as plain data."""
    spec, status = entry.incident.spec, entry.incident.status
    found: dict[str, Any] = {
        "namespace": entry.incident.metadata.namespace,
        "name": entry.incident.metadata.name,
        "service": spec.service_ref.name,
        "type": str(spec.type),
        "severity": str(spec.severity),
        "phase": str(status.phase),
        "reason": status.reason,
        "rootCause": str(status.classification.root_cause) if status.classification else None,
        "since": format_timestamp(entry.begun_at) if entry.begun_at else None,
        "plan": status.plans[-1].name if status.plans else None,
        "progress": entry.plan.status.progress if entry.plan else None,
        "waitsFor": describe_wait(entry.wait),
    }
    return {name: value for name, value in found.items() if value is not None}


def describe_wait(wait: Wait) -> dict[str, Any]:
    """What is waited for, as plain data."""
    return {
        "what": wait.what,
        "whom": list(wait.whom),
        "oneOf": wait.one_of,
        **({"until": format_timestamp(wait.until)} if wait.until else {}),
        "then": wait.then,
        "advice": list(wait.advice),
    }


async def _list_open(kube: KubeClient, kind: type[R], namespace: str | None, notes: list[str]) -> tuple[R, ...]:
    """The objects that are not over. Where the CRD is older than this program all of them are read."""
    over = _OVER[kind]
    try:
        unless = [(_PHASE, phase) for phase in over]
        bodies = [body async for body in kube.list(kind.plural, namespace, unless=unless)]
    except KubeError as error:
        if error.status != BAD_REQUEST:
            raise
        bodies = [body async for body in kube.list(kind.plural, namespace)]
    found = [body for body in bodies if (body.get("status") or {}).get("phase") not in over]
    return _read_all(kind, found, notes)


async def _list_readable(kube: KubeClient, kind: type[R], namespace: str | None, notes: list[str]) -> tuple[R, ...]:
    try:
        bodies = [body async for body in kube.list(kind.plural, namespace)]
    except KubeError as error:
        if error.status != FORBIDDEN:
            raise
        notes.append(f"what {kind.kind_name} objects hold up is not known: {error}")
        return ()
    return _read_all(kind, bodies, notes)


def _read_all(kind: type[R], bodies: Iterable[Mapping[str, Any]], notes: list[str]) -> tuple[R, ...]:
    found = []
    for body in bodies:
        try:
            found.append(kind.model_validate(body))
        except ValidationError:
            name = f"{body['metadata']['namespace']}/{body['metadata']['name']}"
            notes.append(f"{kind.kind_name} {name} cannot be read by this version of bokgu")
    return tuple(found)
