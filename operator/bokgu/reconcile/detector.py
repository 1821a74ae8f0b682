"""A pass over a Detector: fetch its metrics, judge its conditions, open incidents."""

from datetime import timedelta

from bokgu.api.detector import Detection, Detector, DetectorCondition, DetectorStatus
from bokgu.api.fields import parse_duration
from bokgu.api.incident import Incident
from bokgu.api.meta import UidReference, set_condition
from bokgu.api.observed import AwsError, Series
from bokgu.api.protected_service import ProtectedService
from bokgu.api.vocabulary import DetectionState
from bokgu.aws.cloudwatch import fetch_series
from bokgu.core.detection import Reading, build_incident, evaluate_condition, lookback, update_detection
from bokgu.core.lifecycle import is_over
from bokgu.kube.client import KubeError, Raw
from bokgu.metrics import INCIDENTS_OPENED
from bokgu.reconcile.context import Context, Key

Problem = tuple[str, str]


async def reconcile(context: Context, key: Key) -> timedelta | None:
    """Look if it is time to, and say when to come again."""
    raw = context.objects.get(key)
    if raw is None:
        return None
    detector = Detector.model_validate(raw)
    interval = parse_duration(detector.spec.interval)
    wait = context.due_in(key, detector.metadata.generation, interval)
    if wait:
        return wait
    protected = context.find(ProtectedService, detector.metadata.namespace, detector.spec.service_ref.name)
    if detector.spec.suspend:
        await _write(context, raw, detector, detector.status.detections, ("Suspended", "spec.suspend is set"))
        return None
    if protected is None:
        name = detector.spec.service_ref.name
        await _write(context, raw, detector, (), ("NotProtected", f"there is no ProtectedService {name}: create it"))
        return interval
    context.looked(key, detector.metadata.generation)
    try:
        series = await _measure(context, detector, protected)
    except AwsError as error:
        await _write(context, raw, detector, detector.status.detections, (error.code, str(error)))
        return interval
    detections = [await _judge(context, detector, c, series, protected) for c in detector.spec.conditions]
    await _write(context, raw, detector, tuple(detections), None)
    return interval


async def _measure(context: Context, detector: Detector, protected: ProtectedService) -> dict[str, Series]:
    now = context.clock()
    return await fetch_series(
        context.aws,
        detector.spec.queries,
        region=protected.spec.region,
        role_arn=protected.spec.role_arn,
        start=now - lookback(detector),
        end=now,
    )


async def _judge(
    context: Context,
    detector: Detector,
    condition: DetectorCondition,
    series: dict[str, Series],
    protected: ProtectedService,
) -> Detection:
    """The condition's state now, with the incident that it belongs to while it fires."""
    now = context.clock()
    old = next((d for d in detector.status.detections if d.condition == condition.name), None)
    was_firing = old is not None and old.state is DetectionState.FIRING
    reading = evaluate_condition(detector, condition, series, was_firing=was_firing, now=now)
    detection = update_detection(old, condition, reading, now)
    if reading.severity is None:
        return detection
    incident = await _ensure_incident(context, detector, condition, reading, protected)
    reference = UidReference(name=incident.metadata.name, uid=incident.metadata.uid)
    return detection if detection.incident == reference else detection.model_copy(update={"incident": reference})


async def _ensure_incident(
    context: Context, detector: Detector, condition: DetectorCondition, reading: Reading, protected: ProtectedService
) -> Incident:
    """The open incident of this trouble: the one there is, its severity raised if need be, or a new one."""
    same = [
        incident
        for incident in context.find_related(Incident, detector.metadata.namespace, detector.spec.service_ref.name)
        if incident.spec.type is condition.type
    ]
    same.sort(key=lambda i: (i.metadata.creation_timestamp is not None, i.metadata.creation_timestamp))
    still_open = next((i for i in reversed(same) if not is_over(i)), None)
    if still_open is not None:
        if reading.severity and reading.severity.rank > still_open.spec.severity.rank:
            return await _raise_severity(context, still_open, reading)
        return still_open
    incident = build_incident(
        detector,
        condition,
        reading,
        resource=protected.spec.ecs.service,
        previous_uid=same[-1].metadata.uid if same else "",
        now=context.clock(),
    )
    body = {
        "apiVersion": incident.api_version,
        "kind": incident.kind,
        "metadata": {"name": incident.metadata.name, "namespace": incident.metadata.namespace},
        "spec": incident.spec.to_dict(),
    }
    try:
        created = await context.kube.create(Incident.plural, body)
    except KubeError as error:
        if not error.exists:
            raise
        found = await context.fetch(Incident, incident.metadata.namespace, incident.metadata.name)
        if found is None:
            raise
        return found
    INCIDENTS_OPENED.labels(incident.spec.type, incident.spec.severity).inc()
    context.take_in(Incident.plural, created)
    return Incident.model_validate(created)


async def _raise_severity(context: Context, incident: Incident, reading: Reading) -> Incident:
    raw = context.objects.get(incident.key)
    if raw is None or reading.severity is None:
        return incident
    raised = {**raw, "spec": {**raw["spec"], "severity": str(reading.severity)}}
    return Incident.model_validate(await context.replace(Incident.plural, raised))


async def _write(
    context: Context, raw: Raw, detector: Detector, detections: tuple[Detection, ...], problem: Problem | None
) -> None:
    reason, message = problem or ("Looking", "")
    firing = [d for d in detections if d.state is DetectionState.FIRING]
    worst = max((d.severity for d in firing if d.severity), key=lambda s: s.rank, default=None)
    unknown = bool(problem) or any(d.state is DetectionState.UNKNOWN for d in detections)
    status = DetectorStatus(
        observed_generation=detector.metadata.generation,
        detections=detections,
        summary=f"Firing ({worst})" if firing else "Unknown" if unknown else "Clear",
        conditions=set_condition(
            detector.status.conditions,
            "Ready",
            problem is None,
            reason,
            message,
            now=context.clock(),
            generation=detector.metadata.generation,
        ),
    )
    await context.write_status(Detector, raw, status)
