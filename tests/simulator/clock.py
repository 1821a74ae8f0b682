"""The relation between simulated durations and wall time."""

import time

METRIC_PERIOD_SECONDS = 60.0
"""ECS and load balancers publish one point a minute, in simulated seconds (AWS: "CloudWatch metrics for ALB").

At speed 60 that is a point a second. Choose speeds that make it a period CloudWatch knows: 60 (1 s), 12 (5 s), 6, 3, 2
or 1; above 60 a period of one second holds several points, and their Sum adds up.
"""


class Clock:
    """Wall clock whose simulated durations pass `speed` times faster; timestamps are never altered."""

    def __init__(self, speed: float = 1.0) -> None:
        """`speed` is simulated seconds per wall second; ValueError unless it is above zero."""
        if speed <= 0:
            raise ValueError(f"speed must be above 0, not {speed}")
        self.speed = speed

    def now(self) -> float:
        """Wall time in seconds since the epoch."""
        return time.time()

    def wall(self, simulated_seconds: float) -> float:
        """How many wall seconds `simulated_seconds` take."""
        return simulated_seconds / self.speed

    @property
    def metric_period(self) -> float:
        """Wall seconds between two published points of a metric."""
        return self.wall(METRIC_PERIOD_SECONDS)
