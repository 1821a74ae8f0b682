"""What an approver decides on: a plan, and what the cluster says now of its incident and its service."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import ValidationError

from bokgu.api.incident import Incident
from bokgu.api.meta import Resource
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.kube.client import KubeClient, KubeError, Raw

R = TypeVar("R", bound=Resource)

FORBIDDEN = 403


@dataclass(frozen=True)
class Review:
    """A plan as GET returned it (`raw`), and what surrounds it now, by the API server's clock.

    `incident` is None where it is gone or may not be read: `notes` say which. `recorded_at` is when the operator last
    wrote the status of `protected`. `cluster_id` is the cluster's own word, None for those who may not ask.
    """

    raw: Raw
    plan: RecoveryPlan
    incident: Incident | None
    protected: ProtectedService | None
    recorded_at: datetime | None
    cluster_id: str | None
    now: datetime
    notes: tuple[str, ...] = ()

    @property
    def begun(self) -> bool:
        """Whether the plan runs: what it was made for may be different by its own doing."""
        return self.plan.status.started_at is not None


async def fetch_review(kube: KubeClient, namespace: str, name: str) -> Review | None:
    """Read the plan and what surrounds it; None where there is no such plan.

    What may not be read is a note, for the plan itself KubeError. Raises ValidationError for a plan that this version
    cannot read.
    """
    raw = await kube.get(RecoveryPlan.plural, namespace, name)
    if raw is None:
        return None
    plan = RecoveryPlan.model_validate(raw)
    notes: list[str] = []
    incident, _ = await read_object(kube, Incident, namespace, plan.spec.incident_ref.name, notes)
    if incident and incident.metadata.uid != plan.spec.incident_ref.uid:
        notes.append(f"Incident {incident.metadata.name} is another one of the same name: the plan's own is gone")
        incident = None
    protected, body = await read_object(kube, ProtectedService, namespace, plan.spec.service_ref.name, notes)
    return Review(
        raw=raw,
        plan=plan,
        incident=incident,
        protected=protected,
        recorded_at=find_status_write(body) if body else None,
        cluster_id=await _cluster_id(kube),
        now=datetime.now(UTC).replace(microsecond=0) + kube.clock_ahead,
        notes=tuple(notes),
    )


def find_status_write(body: Mapping[str, Any]) -> datetime | None:
    """When the status of an object was last written with a change, by `managedFields`."""
    entries = [e for e in body["metadata"].get("managedFields") or () if e.get("subresource") == "status"]
    return max((datetime.fromisoformat(e["time"]) for e in entries if "time" in e), default=None)


async def read_object(
    kube: KubeClient, kind: type[R], namespace: str, name: str, notes: list[str]
) -> tuple[R | None, Raw | None]:
    """(the object, as the API server has it); None and a note where it is gone, or may not or cannot be read. Raises
    KubeError for anything else."""
    try:
        body = await kube.get(kind.plural, namespace, name)
        if body is not None:
            return kind.model_validate(body), body
        notes.append(f"there is no {kind.kind_name} {name} any more")
    except KubeError as error:
        if error.status != FORBIDDEN:
            raise
        notes.append(f"{kind.kind_name} {name} may not be read by this account: {error}")
    except ValidationError:
        notes.append(f"{kind.kind_name} {name} cannot be read by this version of bokgu")
    return None, None


async def _cluster_id(kube: KubeClient) -> str | None:
    try:
        return await kube.cluster_id()
    except KubeError as error:
        if error.status != FORBIDDEN:
            raise
        return None
