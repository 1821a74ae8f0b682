"""A pass over a Detector: judge its conditions by the last look of its scope, open incidents."""

from datetime import timedelta

from bokgu.api.detector import Detection, Detector
from bokgu.api.meta import set_condition
from bokgu.api.protected_service import ProtectedService
from bokgu.api.vocabulary import DetectionState
from bokgu.kube.client import Raw
from bokgu.reconcile.context import Context, Key
from bokgu.reconcile.detections import judge_metrics

Problem = tuple[str, str]


async def reconcile(context: Context, key: Key) -> timedelta | None:
    """Judge what was seen since the last pass, if anything was."""
    raw = context.objects.get(key)
    if raw is None:
        return None
    detector = context.parse(Detector, raw)
    protected = context.find(ProtectedService, detector.metadata.namespace, detector.spec.service_ref.name)
    look = context.looks.get(key)
    if detector.spec.suspend:
        await _write(context, raw, detector, detector.status.detections, ("Suspended", "spec.suspend is set"))
    elif protected is None:
        name = detector.spec.service_ref.name
        await _write(context, raw, detector, (), ("NotProtected", f"there is no ProtectedService {name}: create it"))
    elif look is not None and look.follows(detector.metadata):
        resource = protected.spec.ecs.service
        detections = await judge_metrics(context, key, look, detector.status.detections, resource=resource)
        error = next(iter(look.errors.values()), None)
        await _write(context, raw, detector, detections, (error.code, str(error)) if error else None)
    context.used(key, look)
    return None


async def _write(
    context: Context, raw: Raw, detector: Detector, detections: tuple[Detection, ...], problem: Problem | None
) -> None:
    reason, message = problem or ("Looking", "")
    firing = [d for d in detections if d.state is DetectionState.FIRING]
    worst = max((d.severity for d in firing if d.severity), key=lambda s: s.rank, default=None)
    unknown = bool(problem) or any(d.state is DetectionState.UNKNOWN for d in detections)
    status = detector.status.model_copy(
        update={
            "observed_generation": detector.metadata.generation,
            "detections": detections,
            "summary": f"Firing ({worst})" if firing else "Unknown" if unknown else "Clear",
            "conditions": set_condition(
                detector.status.conditions,
                "Ready",
                problem is None,
                reason,
                message,
                now=context.clock(),
                generation=detector.metadata.generation,
            ),
        }
    )
    await context.write_status(Detector, raw, status)
