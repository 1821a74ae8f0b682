"""Which task definition a service had before the present one."""

from collections.abc import Sequence

from bokgu.api.observed import EcsService, ServiceDeployment
from bokgu.api.protected_service import KnownRevision


def find_previous_definition(service: EcsService) -> str | None:
    """The task definition of another deployment that is still there: the latest that differs from the primary's."""
    primary = _present(service)
    others = [d for d in service.deployments if d.status != "PRIMARY" and d.task_definition != primary]
    return max(others, key=lambda d: d.created_at).task_definition if others else None


def name_revisions(deployments: Sequence[ServiceDeployment]) -> tuple[str, ...]:
    """The present service revision and the one that was deployed before it, a successful one if there is any.

    The present one is the target of the latest service deployment, also after a rollback: then both are the same
    service deployment (API_ServiceDeployment), and the one before is what it went back to.
    """
    if not deployments:
        return ()
    latest, *earlier = sorted(deployments, key=lambda d: d.created_at, reverse=True)
    others = [d for d in earlier if d.target_service_revision_arn != latest.target_service_revision_arn]
    best = next((d for d in others if d.status == "SUCCESSFUL"), others[0] if others else None)
    return tuple(d.target_service_revision_arn for d in (latest, best) if d)


def guess_previous_definition(service: EcsService, good: KnownRevision | None) -> str | None:
    """What was probably there before where ECS does not tell: the last known good one, else the family's revision
    before."""
    present = _present(service)
    if good is not None and good.task_definition != present:
        return good.task_definition
    family, _, revision = present.rpartition(":")
    return f"{family}:{int(revision) - 1}" if revision.isdecimal() and int(revision) > 1 else None


def _present(service: EcsService) -> str:
    return service.primary.task_definition if service.primary else service.task_definition
