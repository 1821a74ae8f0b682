"""Retention: which incidents may go, once they are over and stored."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from bokgu.api.fields import bounded
from bokgu.api.incident import Incident
from bokgu.api.meta import find_condition, is_true
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.vocabulary import IncidentPhase, IncidentType
from bokgu.core.lifecycle import RECORDED, is_over

STORED, STORED_OPEN = "Stored", "StoredOpen"
"""Reasons of the condition Recorded: stored as it ended, and stored as it stood when a person was needed."""

CORRUPTED = "it stays until a person deletes it: data was corrupted"

_LABELS = {
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
    "argocd.argoproj.io/instance": "Argo CD",
    "applyset.kubernetes.io/part-of": "kubectl apply --prune",
}
_ANNOTATIONS = {
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "argocd.argoproj.io/installation-id": "Argo CD",
    "meta.helm.sh/release-name": "Helm",
    "config.kubernetes.io/origin": "Kustomize",
    "kubectl.kubernetes.io/last-applied-configuration": "kubectl apply",
}
"""What those who apply from files leave on an object (documentation of Flux, Argo CD, Helm, kubectl)."""

_BY_HAND = frozenset({"bokgu"} | {f"kubectl-{verb}" for verb in ("annotate", "create", "edit", "label", "patch")})
"""Managers of the fields of what nobody creates again: the operator itself, and people at a terminal."""


def find_applier(metadata: Mapping[str, Any]) -> str | None:
    """Who applies the object from files, and would create it again; None where nobody does.

    `metadata` is as the API server has it. Only what the operator has opened and what people have written by hand is
    known to stay away; any other writer, and any owner, is taken for one that would come again.
    """
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    for key, who in _LABELS.items():
        if key in labels:
            return who
    for key, who in _ANNOTATIONS.items():
        if key in annotations:
            return who
    if labels.get("app.kubernetes.io/managed-by") == "Helm":
        return "Helm"
    for owner in metadata.get("ownerReferences") or ():
        return f"{owner.get('kind')} {owner.get('name')}"
    writers = [e for e in metadata.get("managedFields") or () if e.get("subresource") != "status"]
    for entry in writers:
        manager = entry.get("manager") or "somebody"
        if entry.get("operation") == "Apply" or manager not in _BY_HAND:
            return bounded(str(manager), 100)
    return None if writers else "somebody"


def is_recorded(incident: Incident) -> bool:
    """Whether the history knows how the incident ended."""
    found = find_condition(incident.status.conditions, RECORDED)
    return found is not None and is_true((found,), RECORDED) and found.reason == STORED


def is_closed_by_deletion(incident: Incident) -> bool:
    """Whether the incident is to be recorded while it is open, since a person who closes it deletes it: corrupted data
    does not heal by silence. It is recorded again once there is more to tell."""
    if incident.status.phase is not IncidentPhase.ESCALATED or incident.spec.type is not IncidentType.DATA_CORRUPTION:
        return False
    found = find_condition(incident.status.conditions, RECORDED)
    if found is None or not is_true((found,), RECORDED):
        return True
    return found.reason == STORED_OPEN and found.message != describe_open(incident)


def describe_open(incident: Incident) -> str:
    """What of an open incident was recorded, for people, and to tell whether there is more by now."""
    plans, found = incident.status.plans, incident.status.classification
    cause = f"root cause {found.root_cause}" if found else "no root cause"
    ends = ", ".join(f"{plan.name} {plan.outcome or 'not over'}" for plan in plans[-3:])
    known = f"stored with {cause} and {len(plans)} plans" + (f" ({ends})" if ends else "")
    return bounded(f"{known}; {CORRUPTED}", 1024)


def plans_over(plans: Iterable[RecoveryPlan]) -> bool:
    """Whether nothing of these plans will run or change any more."""
    return all(plan.status.phase.terminal for plan in plans)


def find_keeper(incident: Incident, metadata: Mapping[str, Any]) -> str | None:
    """Why the incident stays however old it gets, for people; None where it may go once its time has come."""
    if incident.spec.type is IncidentType.DATA_CORRUPTION:
        return CORRUPTED
    if (applier := find_applier(metadata)) is not None:
        return f"it stays: {applier} applies it, and would open it again; take it out of the files"
    return None


def goes_at(
    incident: Incident, metadata: Mapping[str, Any], plans: Iterable[RecoveryPlan], retention: timedelta | None
) -> datetime | None:
    """From when on the incident may be deleted; None: not as it is now. `retention` None keeps all."""
    resolved = incident.status.resolved_at
    stored = is_over(incident) and is_recorded(incident)
    if retention is None or resolved is None or not stored or incident.metadata.deletion_timestamp:
        return None
    if find_keeper(incident, metadata) is not None or not plans_over(plans):
        return None
    return resolved + retention
