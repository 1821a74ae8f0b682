"""What the conditions of a watch say of a look, with the incidents that they belong to while they fire."""

from collections.abc import Iterable

from bokgu.api.detector import Detection
from bokgu.api.incident import Incident
from bokgu.api.meta import UidReference
from bokgu.api.vocabulary import DetectionState, IncidentType, Preset, SourceKind
from bokgu.core.detection import Reading, describe_breach, evaluate_watch, update_detection
from bokgu.core.finding import Finding
from bokgu.core.lifecycle import is_over
from bokgu.core.look import Look
from bokgu.core.service_state import STATE_CONDITIONS, evaluate_states, find_excuse, remember_quiet
from bokgu.reconcile.context import Context, Key
from bokgu.reconcile.opening import open_incident


async def judge_metrics(
    context: Context, look: Look, old: Iterable[Detection], *, resource: str
) -> tuple[Detection, ...]:
    """What the watch's conditions say, opening incidents for those that fire. Raises KubeError."""
    before = {d.condition: d for d in old}
    firing = frozenset(name for name, d in before.items() if _fires(d))
    found = []
    for name, reading in _read_metrics(context, look, firing).items():
        was, condition = before.get(name), next(c for c in look.watch.conditions if c.name == name)
        finding = None
        if reading.severity is not None:
            finding = describe_breach(look.watch, condition, reading, resource=resource, now=look.at)
        found.append(await _own(context, look, update_detection(was, name, reading, look.at), finding))
    return tuple(found)


def _read_metrics(context: Context, look: Look, firing: frozenset[str]) -> dict[str, Reading]:
    """What every condition says; presets of a service that is down only by datapoints at which tasks were meant to run:
    an empty target group proves nothing before."""
    readings = evaluate_watch(look.watch, look.series, firing=firing, errors=look.errors, now=look.at)
    down = {c.name for c in look.watch.conditions if c.type is IncidentType.SERVICE_DOWN}
    if look.watch.kind is not SourceKind.PRESET or look.state is None or not down:
        return readings
    memories = context.remember(("protectedservices", look.watch.namespace, look.watch.name), look.state.service.arn)
    memories[QUIET] = remember_quiet(look.state, memories.get(QUIET, {}))
    quiet = memories[QUIET].get("quiet")
    if quiet is None or look.at - quiet > look.watch.lookback:
        return readings
    series = {name: one.since(quiet) for name, one in look.series.items()}
    loud = evaluate_watch(look.watch, series, firing=firing, errors=look.errors, now=look.at)
    if excuse := find_excuse(look.state.service):
        rest = Reading(DetectionState.CLEAR, None, None, excuse)
        return readings | dict.fromkeys(down, rest)
    if quiet == look.at:
        rest = Reading(DetectionState.CLEAR, None, None, "tasks are not due yet")
        return readings | {name: loud[name] if name in firing else rest for name in down}
    return readings | {name: loud[name] for name in down}


QUIET = "quiet"
"""Name of what is remembered of looks at which tasks were not meant to run."""


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
        and not is_over(incident)
        for incident in context.find_related(Incident, look.watch.namespace, look.watch.service)
    )


def _fires(detection: Detection | None) -> bool:
    return detection is not None and detection.state is DetectionState.FIRING
