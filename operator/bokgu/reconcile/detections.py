"""What the conditions of a watch say of a look, with the incidents that they belong to while they fire."""

from collections.abc import Iterable

from bokgu.api.detector import Detection
from bokgu.api.incident import Incident
from bokgu.api.meta import UidReference
from bokgu.api.vocabulary import DetectionState, Preset, SourceKind
from bokgu.core.detection import describe_breach, is_overtaken, update_detection
from bokgu.core.finding import Finding
from bokgu.core.look import Look, read_metrics
from bokgu.core.service_state import STATE_CONDITIONS, evaluate_states
from bokgu.reconcile.context import Context, Key
from bokgu.reconcile.opening import open_incident

QUIET = "quiet"
"""Name of what is remembered of looks at which tasks were not meant to run."""


async def judge_metrics(
    context: Context, key: Key, look: Look, old: Iterable[Detection], *, resource: str
) -> tuple[Detection, ...]:
    """What the watch's conditions say, opening incidents for those that fire. Raises KubeError."""
    before = {d.condition: d for d in old}
    firing = frozenset(name for name, d in before.items() if _fires(d))
    memories = context.remember(key, look.state.service.arn) if look.state else {}
    readings, memories[QUIET] = read_metrics(look, firing, memories.get(QUIET, {}))
    found = []
    for condition in look.watch.conditions:
        name, reading = condition.name, readings[condition.name]
        finding = None
        if reading.severity is not None and not is_overtaken(before.get(name), look.at):
            finding = describe_breach(look.watch, condition, reading, resource=resource, now=look.at)
        found.append(await _own(context, look, update_detection(before.get(name), name, reading, look.at), finding))
    return tuple(found)


async def judge_states(
    context: Context, key: Key, look: Look, presets: Iterable[Preset], old: Iterable[Detection], *, kind: SourceKind
) -> tuple[Detection, ...]:
    """What the state presets say, opening incidents for those that fire. Raises KubeError."""
    if look.state is None:
        return ()
    before = {d.condition: d for d in old}
    firing = frozenset(name for name, d in before.items() if _fires(d))
    memories = context.remember(key, look.state.service.arn)
    found = []
    asked = [preset for preset in presets if preset in STATE_CONDITIONS]
    for name, judgement in evaluate_states(asked, look.state, memories, firing).items():
        memories[name] = judgement.memory
        reading = judgement.reading
        finding = None
        if reading.severity is not None and not is_overtaken(before.get(name), look.at):
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
                begun=reading.begun,
            )
        found.append(await _own(context, look, update_detection(before.get(name), name, reading, look.at), finding))
    return tuple(found)


async def _own(context: Context, look: Look, detection: Detection, finding: Finding | None) -> Detection:
    """The detection with the incident that it belongs to: the one that is open, or a new one."""
    if finding is None:
        unheard = detection.state is DetectionState.CLEAR and _is_unheard(context, look, detection)
        return detection.model_copy(update={"since": look.at}) if unheard else detection
    incident = await open_incident(context, finding)
    reference = UidReference(name=incident.metadata.name, uid=incident.metadata.uid)
    return detection if detection.incident == reference else detection.model_copy(update={"incident": reference})


def _is_unheard(context: Context, look: Look, detection: Detection) -> bool:
    """Whether an open incident that this condition opened begins after the Clear, which then says nothing about it: the
    operator died, or the API server went away, before it was stored here that the condition fires."""
    mine = look.watch.source(detection.condition)
    return any(
        incident.spec.source in {mine, mine.model_copy(update={"kind": SourceKind.ECS_EVENT})}
        and detection.since <= (incident.spec.detected_at or look.at) < look.at
        for incident in context.find_open_related(Incident, look.watch.namespace, look.watch.service)
    )


def _fires(detection: Detection | None) -> bool:
    return detection is not None and detection.state is DetectionState.FIRING
