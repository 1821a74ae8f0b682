"""What can be wrong with CloudWatch as such: late points, gaps, and reads that are cut short or denied."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from .aws_protocol import Json
from .clock import Clock
from .cloudwatch import MetricName

STATUS_CODES = ("PartialData", "InternalError", "Forbidden")
"""What GetMetricData can say of a query that is not Complete (API type MetricDataResult.StatusCode)."""


@dataclass(frozen=True)
class MetricCondition:
    """Something wrong with the metrics it fits: those of `namespace`, `metric_name` and `dimension` where given.

    dimension: the value of any one of the metric's dimensions. delivery_delay: simulated seconds by which points come
    later than they were published. gap: points published while it is in force are lost. status_code: what
    GetMetricData answers instead of Complete; `PartialData` leaves out the second half of the points, the others all.
    seconds: simulated seconds it is in force; None: until it is cleared. Two of a kind: the newer counts.
    """

    id: int = 0
    namespace: str | None = None
    metric_name: str | None = None
    dimension: str | None = None
    delivery_delay: float | None = None
    gap: bool = False
    status_code: str | None = None
    seconds: float | None = None
    ends_at: float | None = None
    """Wall time; set when it is put in force."""

    def fits(self, metric: MetricName, now: float) -> bool:
        """Whether it applies to `metric` at `now`."""
        return (
            (self.ends_at is None or now < self.ends_at)
            and self.namespace in (None, metric.namespace)
            and self.metric_name in (None, metric.name)
            and (self.dimension is None or any(value == self.dimension for _, value in metric.dimensions))
        )

    def to_json(self) -> Json:
        """As the control API shows it."""
        return asdict(self)


class MetricConditions:
    """The conditions in force in one account and region. The owner holds a lock around every use."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._conditions: list[MetricCondition] = []
        self._next = 1

    def add(self, **members: Any) -> MetricCondition:
        """Put a condition in force, given the members of MetricCondition but `id` and `ends_at`.

        TypeError for unknown members, ValueError for wrong values.
        """
        condition = MetricCondition(**members)
        if condition.status_code is not None and condition.status_code not in STATUS_CODES:
            raise ValueError(f"status_code must be one of {', '.join(STATUS_CODES)}")
        if condition.delivery_delay is None and not condition.gap and condition.status_code is None:
            raise ValueError("a condition needs delivery_delay, gap or status_code")
        if (condition.delivery_delay or 0) < 0 or (condition.seconds or 0) < 0:
            raise ValueError("durations cannot be negative")
        ends_at = None
        if condition.seconds is not None:
            ends_at = self._clock.now() + self._clock.wall(condition.seconds)
        condition = replace(condition, id=self._next, ends_at=ends_at)
        self._next += 1
        self._conditions.append(condition)
        return condition

    def find(self) -> list[MetricCondition]:
        """The conditions in force, oldest first."""
        now = self._clock.now()
        self._conditions = [c for c in self._conditions if c.ends_at is None or now < c.ends_at]
        return list(self._conditions)

    def clear(self) -> None:
        """End all conditions. Points already late still come late."""
        self._conditions.clear()

    def delay(self, metric: MetricName) -> float:
        """Wall seconds by which a point of `metric` published now comes late."""
        for condition in self._newest(metric):
            if condition.delivery_delay is not None:
                return self._clock.wall(condition.delivery_delay)
        return 0.0

    def loses(self, metric: MetricName) -> bool:
        """Whether a point of `metric` published now is lost."""
        return any(condition.gap for condition in self._newest(metric))

    def status(self, metric: MetricName) -> str | None:
        """The status code of a read of `metric` now; None: it goes well."""
        return next((c.status_code for c in self._newest(metric) if c.status_code is not None), None)

    def _newest(self, metric: MetricName) -> list[MetricCondition]:
        if not self._conditions:
            return []
        now = self._clock.now()
        return [condition for condition in reversed(self._conditions) if condition.fits(metric, now)]
