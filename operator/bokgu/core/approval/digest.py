"""The digest of a plan: exactly what people approve."""

import hashlib
from collections.abc import Mapping
from typing import Any

import rfc8785


def plan_digest(cluster_id: str, plan: Mapping[str, Any]) -> str:
    """Digest of a plan as a GET returns it: sha256 over RFC 8785 canonical JSON.

    It binds the cluster (uid of the kube-system namespace), the namespace, the names and the whole spec but `suspend`.
    """
    spec = {key: value for key, value in plan["spec"].items() if key != "suspend"}
    document = {
        "clusterID": cluster_id,
        "namespace": plan["metadata"]["namespace"],
        "name": plan["metadata"]["name"],
        "incidentRef": {"uid": spec["incidentRef"]["uid"]},
        "spec": spec,
    }
    return "sha256:" + hashlib.sha256(rfc8785.dumps(document)).hexdigest()
