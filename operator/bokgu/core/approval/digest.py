"""The digest of a plan: exactly what people approve."""

import hashlib
from collections.abc import Mapping
from typing import Any

import rfc8785
from pydantic import ValidationError

from bokgu.api.recovery_plan import RecoveryPlanSpec
from bokgu.core.unread import drop_unread, find_unread


def plan_digest(cluster_id: str, plan: Mapping[str, Any]) -> str:
    """Digest of a plan as a GET returns it: sha256 over RFC 8785 canonical JSON.

    It binds the cluster (uid of the kube-system namespace), the namespace, the names and the whole spec but `suspend`.
    Where a later CRD has put fields with defaults into a stored plan, which this version does not know, the digest is
    still the one that was published before: that of all the rest, which is all that will be done.
    """
    digest, published = _digest(cluster_id, plan, plan["spec"]), (plan.get("status") or {}).get("digest")
    if published in {None, digest}:
        return digest
    try:
        known = RecoveryPlanSpec.model_validate(plan["spec"]).to_dict()
    except ValidationError:
        return digest
    return published if _digest(cluster_id, plan, drop_unread(plan["spec"], known)) == published else digest


def find_unknown(cluster_id: str, plan: Mapping[str, Any], read: RecoveryPlanSpec) -> list[str]:
    """Paths of what the digest of the plan covers and this version does not know. `read` is what it knows."""
    known = read.to_dict()
    unread = find_unread(plan["spec"], known)
    rest = _digest(cluster_id, plan, drop_unread(plan["spec"], known)) if unread else None
    return [] if rest == plan_digest(cluster_id, plan) else unread


def _digest(cluster_id: str, plan: Mapping[str, Any], spec: Mapping[str, Any]) -> str:
    spec = {key: value for key, value in spec.items() if key != "suspend"}
    document = {
        "clusterID": cluster_id,
        "namespace": plan["metadata"]["namespace"],
        "name": plan["metadata"]["name"],
        "incidentRef": {"uid": spec["incidentRef"]["uid"]},
        "spec": spec,
    }
    return "sha256:" + hashlib.sha256(rfc8785.dumps(document)).hexdigest()
