"""What a report is made from: an incident with its plans and approvals, or what the history has kept of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from bokgu.api.detector import Detector
from bokgu.api.fields import parse_duration
from bokgu.api.history import IncidentRecord
from bokgu.api.incident import Incident
from bokgu.api.plan_approval import PlanApproval
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.vocabulary import SourceKind
from bokgu.commands.explanation import read_plan
from bokgu.commands.overview import FORBIDDEN
from bokgu.commands.review import read_object
from bokgu.core.announcement import BLOCKED, UNBLOCKED
from bokgu.kube.client import KubeClient, KubeError, Raw


@dataclass(frozen=True)
class Hold:
    """An Event that told that a gate holds a plan (`held`), or holds it no more: `times` since `at`, until `last`."""

    at: datetime
    plan: str
    held: bool
    note: str
    times: int = 1
    last: datetime | None = None


@dataclass(frozen=True)
class Surroundings:
    """What an incident happened to, where it still is. `notes` say what could not be read."""

    protected: ProtectedService | None
    detector: Detector | None
    now: datetime
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Present:
    """An incident that the cluster still has; of its plans those that it has too, in the order in which they were made.

    `holds` is None where Events may not be read; the API server forgets them anyway, usually within an hour.
    """

    incident: Incident
    plans: tuple[RecoveryPlan, ...]
    approvals: tuple[PlanApproval, ...]
    holds: tuple[Hold, ...] | None
    around: Surroundings

    @property
    def relapse_watch(self) -> timedelta | None:
        """That of its service."""
        protected = self.around.protected
        return parse_duration(protected.spec.detection.relapse_watch) if protected else None


@dataclass(frozen=True)
class Past:
    """An incident that only the history knows."""

    record: IncidentRecord
    around: Surroundings


async def fetch_present(kube: KubeClient, namespace: str, name: str) -> Present | None:
    """Read the incident and what belongs to it; None where there is no such incident. What may not be read is a note,
    for the incident itself KubeError. Raises ValidationError for one that this version cannot read."""
    body = await kube.get(Incident.plural, namespace, name)
    if body is None:
        return None
    incident, notes = Incident.model_validate(body), list[str]()
    read = [await read_plan(kube, namespace, entry, notes) for entry in incident.status.plans]
    plans = tuple(plan for plan in read if plan is not None)
    approvals = await _list_approvals(kube, plans, notes)
    source, detector = incident.spec.source, None
    if source.kind is SourceKind.DETECTOR and source.name:
        detector, _ = await read_object(kube, Detector, namespace, source.name, notes)
    around = await _look_around(kube, namespace, incident.spec.service_ref.name, detector, notes)
    return Present(incident, plans, approvals, await _list_holds(kube, plans), around)


async def fetch_around(kube: KubeClient, namespace: str, record: IncidentRecord) -> Past:
    """Read what surrounds an incident that is gone; what is gone too, or may not be read, is a note. A record that does
    not say where it was is of this namespace."""
    record = record if record.namespace else record.model_copy(update={"namespace": namespace})
    return Past(record, await _look_around(kube, namespace, record.service, None, []))


async def _look_around(
    kube: KubeClient, namespace: str, service: str, detector: Detector | None, notes: list[str]
) -> Surroundings:
    protected, _ = await read_object(kube, ProtectedService, namespace, service, notes)
    now = datetime.now(UTC).replace(microsecond=0) + kube.clock_ahead
    return Surroundings(protected, detector, now, tuple(notes))


async def _list_approvals(
    kube: KubeClient, plans: Iterable[RecoveryPlan], notes: list[str]
) -> tuple[PlanApproval, ...]:
    """What was said of the plans. The status of a plan tells the most of it: the objects add why."""
    found: list[PlanApproval] = []
    for plan in plans:
        where = {"spec.planRef.name": plan.metadata.name}
        try:
            bodies = [body async for body in kube.list(PlanApproval.plural, plan.metadata.namespace, where=where)]
            found += [PlanApproval.model_validate(body) for body in bodies]
        except ValidationError:
            notes.append(f"a PlanApproval of {plan.metadata.name} cannot be read by this version of bokgu")
        except KubeError as error:
            if error.status != FORBIDDEN:
                raise
            notes.append(f"PlanApprovals may not be read by this account: {error}")
            break
    return tuple(found)


async def _list_holds(kube: KubeClient, plans: Iterable[RecoveryPlan]) -> tuple[Hold, ...] | None:
    found: list[Hold] = []
    for plan in plans:
        try:
            events = await kube.list_events(plan)
        except KubeError as error:
            if error.status != FORBIDDEN:
                raise
            return None
        found += [hold for event in events if (hold := read_hold(plan.metadata.name, event)) is not None]
    return tuple(sorted(found, key=lambda hold: hold.at))


def read_hold(plan: str, event: Raw) -> Hold | None:
    """What an Event (events.k8s.io/v1) says of gates; None where it says something else."""
    reason, series = event.get("reason"), event.get("series") or {}
    at = _read_moment(event.get("eventTime"))
    if reason not in {BLOCKED, UNBLOCKED} or at is None:
        return None
    times, last = int(series.get("count") or 1), _read_moment(series.get("lastObservedTime"))
    return Hold(at, plan, reason == BLOCKED, str(event.get("note") or ""), times, last)


def _read_moment(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text)).replace(microsecond=0) if text else None
    except ValueError:
        return None
