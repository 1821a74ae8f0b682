"""Whether the operator lives: told from what it writes, since it has no address that people share."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bokgu.api.fields import format_duration, format_timestamp
from bokgu.core.doctor.outcome import Outcome, fail, warn, well

OPERATOR = "operator"

PATIENCE = timedelta(minutes=2)
"""How long a change may wait to be seen: a pass takes seconds, a start half a minute."""

HINT = "is `bokgu run` running in this cluster, and what does its log say? Its /readyz says what it waits for"


@dataclass(frozen=True)
class Sighting:
    """An object as it was listed: which generation the operator has acted on, when somebody else changed the object
    last, and when the operator wrote its status last."""

    name: str
    generation: int
    observed: int | None
    changed_at: datetime | None
    written_at: datetime | None


def read_sighting(kind: str, raw: Mapping[str, Any], manager: str) -> Sighting:
    """What an object shows of the operator, by `managedFields` (Kubernetes, "Server-Side Apply"); `manager` is its
    name there."""
    metadata = raw["metadata"]
    entries = [e for e in metadata.get("managedFields", ()) if e.get("time")]
    mine = [_moment(e["time"]) for e in entries if e.get("manager") == manager and e.get("subresource") == "status"]
    others = [_moment(e["time"]) for e in entries if e.get("subresource") != "status"]
    created = metadata.get("creationTimestamp")
    return Sighting(
        name=f"{kind} {metadata.get('namespace')}/{metadata['name']}",
        generation=metadata.get("generation", 0),
        observed=(raw.get("status") or {}).get("observedGeneration"),
        changed_at=max(others, default=_moment(created) if created else None),
        written_at=max(mine, default=None),
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def check_life(sightings: Iterable[Sighting], now: datetime) -> Outcome:
    """It has acted on the last change of each object, or the change is younger than two minutes."""
    seen = list(sightings)
    if not seen:
        hint = "create a ProtectedService: its conditions then show whether somebody looks at it"
        return warn(OPERATOR, "life", "not known: there is no object on which it would show", hint)
    wrote = max((s.written_at for s in seen if s.written_at), default=None)
    last = f"it wrote a status last at {format_timestamp(wrote)}" if wrote else "it has never written a status"
    late = [s for s in seen if s.observed != s.generation and (s.changed_at is None or now - s.changed_at > PATIENCE)]
    if late:
        oldest = min(late, key=lambda s: s.changed_at or now)
        waited = f" for {format_duration(now - oldest.changed_at)}" if oldest.changed_at else ""
        more = f", and {len(late) - 1} more" if len(late) > 1 else ""
        return fail(OPERATOR, "life", f"a change of {oldest.name} waits{waited}{more}; {last}", HINT)
    young = [s for s in seen if s.observed != s.generation]
    if young:
        return warn(
            OPERATOR, "life", f"a change of {young[0].name} is being looked at; {last}", "look again in a minute"
        )
    return well(OPERATOR, "life", f"it has acted on the last change of {_count(len(seen), 'object')}; {last}")


def _count(number: int, what: str) -> str:
    return f"all {number} {what}s" if number > 1 else f"the one {what}"
