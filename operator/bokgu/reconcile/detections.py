"""What the conditions of a watch say of a look, with the incidents that they belong to while they fire."""

from collections.abc import Iterable

from bokgu.api.detector import Detection
from bokgu.api.meta import UidReference
from bokgu.api.vocabulary import DetectionState, IncidentType, Preset, SourceKind
from bokgu.core.detection import Reading, describe_breach, evaluate_watch, update_detection
from bokgu.core.finding import Finding
from bokgu.core.look import Look
from bokgu.core.service_state import STATE_CONDITIONS, evaluate_states, find_excuse, in_grace
from bokgu.reconcile.context import Context, Key
from bokgu.reconcile.opening import open_incident


async def judge_metrics(
    context: Context, look: Look, old: Iterable[Detection], *, resource: str
) -> tuple[Detection, ...]:
    """What the watch's conditions say, opening incidents for those that fire. Raises KubeError."""
    before = {d.condition: d for d in old}
    found = []
    firing = frozenset(name for name, d in before.items() if _fires(d))
    readings = evaluate_watch(look.watch, look.series, firing=firing, errors=look.errors, now=look.at)
    for condition in look.watch.conditions:
        was, reading = before.get(condition.name), readings[condition.name]
        if condition.type is IncidentType.SERVICE_DOWN and look.watch.kind is SourceKind.PRESET:
            reading = _excused(look, reading, was_firing=_fires(was))
        finding = None
        if reading.severity is not None:
            finding = describe_breach(look.watch, condition, reading, resource=resource, now=look.at)
        found.append(await _own(context, update_detection(was, condition.name, reading, look.at), finding))
    return tuple(found)


def _excused(look: Look, reading: Reading, *, was_firing: bool) -> Reading:
    """No trouble where nothing is meant to run, none yet while a deployment is young: an empty target group then proves
    nothing."""
    if look.state is None or reading.state is not DetectionState.FIRING:
        return reading
    if excuse := find_excuse(look.state.service):
        return Reading(DetectionState.CLEAR, None, reading.value, excuse)
    if in_grace(look.state) and not was_firing:
        return Reading(DetectionState.CLEAR, None, reading.value, "a deployment is in its grace period")
    return reading


async def judge_states(
    context: Context, key: Key, look: Look, presets: Iterable[Preset], old: Iterable[Detection], *, kind: SourceKind
) -> tuple[Detection, ...]:
    """What the state presets say, opening incidents for those that fire. Raises KubeError."""
    if look.state is None:
        return ()
    before = {d.condition: d for d in old}
    firing = frozenset(name for name, d in before.items() if _fires(d))
    memories = context.memories.setdefault(key, {})
    found = []
    asked = [preset for preset in presets if preset in STATE_CONDITIONS]
    for name, judgement in evaluate_states(asked, look.state, memories, firing).items():
        memories[name] = judgement.memory
        reading = judgement.reading
        finding = None
        if reading.severity is not None:
            condition = next(c for c in STATE_CONDITIONS.values() if c.name == name)
            finding = Finding(
                namespace=look.watch.namespace,
                service=look.watch.service,
                type=condition.type,
                severity=reading.severity,
                source=look.watch.source(name).model_copy(update={"kind": kind}),
                description=reading.message,
                at=look.at,
                resources=(look.state.service.arn,),
            )
        found.append(await _own(context, update_detection(before.get(name), name, reading, look.at), finding))
    return tuple(found)


async def _own(context: Context, detection: Detection, finding: Finding | None) -> Detection:
    """The detection with the incident that it belongs to: the one that is open, or a new one."""
    if finding is None:
        return detection
    incident = await open_incident(context, finding)
    reference = UidReference(name=incident.metadata.name, uid=incident.metadata.uid)
    return detection if detection.incident == reference else detection.model_copy(update={"incident": reference})


def _fires(detection: Detection | None) -> bool:
    return detection is not None and detection.state is DetectionState.FIRING
