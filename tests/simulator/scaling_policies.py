"""How much a scaling policy of Application Auto Scaling wants: pure arithmetic."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

SCALE_IN_MARGIN = 0.9
"""The AlarmLow of a target tracking policy alarms below 90 % of the target. AWS documents no figure; this one is what
the alarms it makes for ECS services show."""
DEFAULT_COOLDOWN_SECONDS = 300.0
"""StepScalingPolicyConfiguration, Cooldown; and of target tracking policies on ECS services (Application Auto Scaling
user guide, "Define cooldown periods")."""


def compute_tracked_capacity(capacity: int, value: float, target: float) -> int:
    """The capacity that brings a metric from `value` to `target`, as it falls in proportion to capacity.

    Service Auto Scaling is conservative in rounding (developer guide, "Use a target metric to scale Amazon ECS
    services"): here up, so that nothing needed is missing. From nothing it goes to one.
    """
    return max(1, math.ceil(round(capacity * value / target, 6))) if capacity else 1


def compute_step_capacity(
    capacity: int, breach: float, configuration: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]
) -> int | None:
    """The capacity that step scaling asks for when the metric is `breach` above the alarm's threshold (or below: < 0).

    None when no step covers the breach. A step's lower bound is inclusive and its upper one exclusive above the
    threshold, the other way round below (API type StepAdjustment).
    """
    step = next((step for step in steps if _covers(step, breach)), None)
    if step is None:
        return None
    adjustment = int(step["ScalingAdjustment"])
    kind = configuration["AdjustmentType"]
    if kind == "ExactCapacity":
        return adjustment
    if kind == "ChangeInCapacity":
        return max(0, capacity + adjustment)
    change = _round_percentage(capacity * adjustment / 100)
    least = int(configuration.get("MinAdjustmentMagnitude", 0))
    if abs(change) < least:
        change = least if adjustment > 0 else -least
    return max(0, capacity + change)


def _covers(step: Mapping[str, Any], breach: float) -> bool:
    lower = step.get("MetricIntervalLowerBound", -math.inf)
    upper = step.get("MetricIntervalUpperBound", math.inf)
    return bool(lower <= breach < upper if breach >= 0 else lower < breach <= upper)


def _round_percentage(change: float) -> int:
    """User guide, "Step scaling policies": away from zero below one, towards zero above."""
    if 0 < abs(change) < 1:
        return 1 if change > 0 else -1
    return math.trunc(change)
