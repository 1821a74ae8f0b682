"""How kstatus, which Flux and others wait with, reads an object of a custom kind (kubernetes-sigs/cli-utils,
pkg/kstatus, README.md: "The Ready condition", "Reconciling", "Stalled", "observedGeneration")."""

from collections.abc import Mapping
from typing import Any


def compute_status(body: Mapping[str, Any]) -> str:
    """Terminating, InProgress, Failed or Current."""
    metadata, status = body["metadata"], body.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return "Terminating"
    if status.get("observedGeneration", metadata.get("generation")) != metadata.get("generation"):
        return "InProgress"
    said = {condition["type"]: condition["status"] for condition in status.get("conditions") or ()}
    for type_, status_ in (("Reconciling", "InProgress"), ("Stalled", "Failed")):
        if said.get(type_) == "True":
            return status_
    return "Current" if said.get("Ready", "True") == "True" else "InProgress"
