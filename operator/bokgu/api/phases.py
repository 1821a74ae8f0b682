"""Which objects are over, told from what the API server has, also where that cannot be read as a model."""

from collections.abc import Mapping
from typing import Any

from bokgu.api.incident import Incident
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.unchecked import text_at, value_at
from bokgu.api.vocabulary import IncidentPhase, PlanPhase

_TERMINAL: Mapping[str, frozenset[str]] = {
    Incident.plural: frozenset({IncidentPhase.RESOLVED}),
    RecoveryPlan.plural: frozenset(phase for phase in PlanPhase if phase.terminal),
}


_END: Mapping[str, str] = {Incident.plural: "resolvedAt", RecoveryPlan.plural: "finishedAt"}

_UNTOLD = "~"
"""When something ended that does not say so: later than all else, so that nobody overlooks it."""


def has_ended(plural: str, body: Mapping[str, Any]) -> bool:
    """Whether nothing will change about the object any more. Of other kinds nothing ever ends."""
    return text_at(body, "status", "phase") in _TERMINAL.get(plural, ())


def ended_at(plural: str, body: Mapping[str, Any]) -> str:
    """When an object ended that has, as its status says it: the later, the greater."""
    return text_at(body, "status", _END[plural]) or _UNTOLD


def is_settled(plural: str, body: Mapping[str, Any]) -> bool:
    """Whether it has ended, and nobody deletes it or has changed its spec since: nothing is left to do about it."""
    metadata, seen = body["metadata"], value_at(body, "status", "observedGeneration")
    return (
        has_ended(plural, body) and "deletionTimestamp" not in metadata and seen in (None, metadata.get("generation"))
    )
