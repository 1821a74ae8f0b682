"""How copies are recognised: plans and incidents that were restored from a backup, or created anew under their names.

A plan runs once. What was said to it, and what it did, was said and done under its uid, in its cluster.
"""

from collections.abc import Iterator, Mapping

from bokgu.api.incident import Incident
from bokgu.api.recovery_plan import OperationStatus, RecoveryPlan

INCIDENT_GONE, ALREADY_EXECUTED, RECREATED, RESTORED = "IncidentGone", "AlreadyExecuted", "Recreated", "Restored"
"""Reasons of plans that are `Cancelled` because they are copies, or have lost their incident."""

NEXT: Mapping[str, str] = {
    INCIDENT_GONE: "the incident that it was made for is gone; one of the same name that was restored is planned for"
    " anew. Delete this plan",
    ALREADY_EXECUTED: "a plan that said the same has begun for this incident. See what became of it; delete this plan",
    RECREATED: "what people approved was another plan of the same words. If the incident is still open, file a plan"
    " under another name",
    RESTORED: "its status is of a plan that is gone, which nobody follows any more. Look at the service: what that plan"
    " had sent may be there, and nothing of it is undone. An incident that is still open is planned for anew",
}
"""What people do next, by reason."""


def is_restored_plan(plan: RecoveryPlan, cluster_id: str) -> bool:
    """Whether the plan's status is that of another plan: it was restored with its status. What that one had begun is
    not gone on with, since it may be under way elsewhere."""
    status, uid = plan.status, plan.metadata.uid
    intents = (operation.intent for operation in _operations(plan) if operation.intent)
    return (
        status.uid not in {None, uid}
        or status.cluster_id not in {None, cluster_id}
        or any(intent.plan_uid != uid for intent in intents)
    )


def is_restored_incident(incident: Incident) -> bool:
    """Whether the incident's status is that of another one: it was restored with its status."""
    return incident.status.uid not in {None, incident.metadata.uid}


def find_original(plan: RecoveryPlan, incident: Incident, digest: str) -> str | None:
    """The reason where the incident knows another plan of that digest: this one is a copy of it."""
    same = [e for e in incident.status.plans if e.digest == digest and e.uid != plan.metadata.uid]
    if not same:
        return None
    return ALREADY_EXECUTED if any(entry.started_at for entry in same) else RECREATED


def _operations(plan: RecoveryPlan) -> Iterator[OperationStatus]:
    for step in plan.status.steps:
        yield step
        if step.rollback:
            yield step.rollback
