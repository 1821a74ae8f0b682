"""Voices: all that say whether the trouble of an incident is still there, and what they say together."""

from collections.abc import Iterable
from dataclasses import dataclass

from bokgu.api.detector import Detection
from bokgu.api.incident import Incident, IncidentSource
from bokgu.api.vocabulary import DetectionState, SourceKind


@dataclass(frozen=True)
class Voice:
    """One who measures trouble of the incident's type, and what it says now."""

    source: IncidentSource
    detection: Detection


def concerned_voices(incident: Incident, voices: Iterable[Voice]) -> list[Voice]:
    """Those who opened the incident or have fired about it; all, where nobody has: incidents are filed by hand, and
    detectors renamed."""
    listed = list(voices)
    mine = [v for v in listed if _opened(incident, v) or _owns(incident, v)]
    return mine or ([] if _reported(incident) else listed)


def merge_voices(incident: Incident, voices: Iterable[Voice]) -> Detection | None:
    """What they say together: Firing if one fires, else Unknown if one does not know, Clear only if all are clear.

    None where nobody says anything about this incident: a Clear from before it began says nothing.
    """
    concerned = concerned_voices(incident, voices)
    spoken = [v.detection for v in concerned if _speaks_of(v.detection, incident)]
    reports = [Detection(condition=name_source(r.source), state=r.state, since=r.at) for r in incident.status.reports]
    if concerned:  # An alarm that has no data any more leaves it to those who measure.
        reports = [r for r in reports if r.state is not DetectionState.UNKNOWN]
    spoken += [r for r in reports if _speaks_of(r, incident)]
    by_state = {state: [d for d in spoken if d.state is state] for state in DetectionState}
    if firing := by_state[DetectionState.FIRING]:
        return max(firing, key=lambda d: d.since)
    clear = by_state[DetectionState.CLEAR]
    unknown = by_state[DetectionState.UNKNOWN]
    if unknown and not (clear and _is_borrowed(incident, concerned)):
        return unknown[0]
    if len(spoken) < len(concerned) + len(reports):
        return None  # Somebody has not spoken since the incident began.
    return max(clear, key=lambda d: d.since, default=None)


def _is_borrowed(incident: Incident, concerned: list[Voice]) -> bool:
    """Whether none of them has ever spoken about this incident: then one that knows nothing need not be waited for."""
    return not any(_opened(incident, v) or _owns(incident, v) for v in concerned)


def name_source(source: IncidentSource) -> str:
    """A word for the source of a report."""
    return (source.condition or source.name or source.kind)[:63]


def _opened(incident: Incident, voice: Voice) -> bool:
    opener, source = incident.spec.source, voice.source
    same_kind = opener.kind is source.kind or {opener.kind, source.kind} == {SourceKind.PRESET, SourceKind.ECS_EVENT}
    return same_kind and (opener.name, opener.condition) == (source.name, source.condition)


def _owns(incident: Incident, voice: Voice) -> bool:
    owned = voice.detection.incident
    return owned is not None and owned.uid == incident.metadata.uid


def _reported(incident: Incident) -> bool:
    return incident.spec.source.kind in {SourceKind.ALARM, SourceKind.ALERTMANAGER}


def _speaks_of(detection: Detection, incident: Incident) -> bool:
    begun = incident.spec.detected_at or incident.metadata.creation_timestamp
    return detection.state is not DetectionState.CLEAR or begun is None or detection.since > begun
