"""All that measures one service: its Detectors, and the presets of its ProtectedService."""

from dataclasses import dataclass

from bokgu.api.detector import Detection, Detector, DetectorCondition
from bokgu.api.protected_service import ProtectedService
from bokgu.core.presets import build_watch, empty_watch
from bokgu.core.watch import Watch, watch_of
from bokgu.reconcile.context import Context


@dataclass(frozen=True)
class Measured:
    """One condition of a watch, and what it said last."""

    watch: Watch
    condition: DetectorCondition
    detection: Detection | None


def find_measured(context: Context, namespace: str, service: str) -> list[Measured]:
    """Every condition that is measured about the service, Detectors first."""
    found: list[tuple[Watch, tuple[Detection, ...]]] = [
        (watch_of(detector), detector.status.detections)
        for detector in context.find_related(Detector, namespace, service)
    ]
    protected = context.find(ProtectedService, namespace, service)
    if protected is not None and protected.spec.detection.presets:
        groups = protected.status.service.target_groups if protected.status.service else ()
        try:
            watch = build_watch(protected, groups)
        except ValueError:  # Its condition `Ready` says so; incidents and plans of the service go on (S12).
            watch = empty_watch(protected)
        found.append((watch, protected.status.detections))
    return [
        Measured(watch, condition, next((d for d in detections if d.condition == condition.name), None))
        for watch, detections in found
        for condition in watch.conditions
    ]
