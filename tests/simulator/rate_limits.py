"""Token buckets: how many calls of an API an account gets through in a region.

"Amazon ECS uses the token bucket algorithm to implement API throttling": a bucket holds at most `burst` tokens, every
request takes one, and `rate` tokens a second come back (ECS API reference, "Request throttling for the Amazon ECS
API"). All callers of an account share its buckets, so that somebody's pipeline can empty one.
"""

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

from .aws_protocol import Json
from .clock import Clock
from .common_errors import build_throttling

TimeBase = Literal["simulated", "wall"]


@dataclass(frozen=True)
class Quota:
    """`rate` tokens a second, at most `burst` at a time, shared by `operations` of `service` (botocore's name)."""

    service: str
    operations: frozenset[str]
    rate: float
    burst: float


def _quota(service: str, operations: str, rate: float, burst: float) -> Quota:
    return Quota(service, frozenset(operations.split()), rate, burst)


QUOTAS: Mapping[str, Quota] = {
    # ECS, page "Request throttling for the Amazon ECS API": an account's defaults, by type of action.
    "ecs-cluster-read": _quota("ecs", "DescribeClusters ListClusters", 20, 50),
    "ecs-service-read": _quota("ecs", "DescribeServices ListServices DescribeTaskSets", 20, 50),
    "ecs-task-read": _quota("ecs", "DescribeTasks ListTasks", 20, 50),
    "ecs-task-definition-read": _quota("ecs", "DescribeTaskDefinition ListTaskDefinitions", 20, 50),
    "ecs-service-revision-read": _quota("ecs", "DescribeServiceRevisions", 20, 50),
    "ecs-service-deployment": _quota(
        "ecs", "ListServiceDeployments DescribeServiceDeployments StopServiceDeployment", 20, 50
    ),
    "ecs-service-modify": _quota("ecs", "CreateService UpdateService DeleteService", 5, 50),
    "ecs-task-stop": _quota("ecs", "StopTask", 40, 100),
    # CloudWatch user guide, "CloudWatch service quotas".
    "cloudwatch-get-metric-data": _quota("cloudwatch", "GetMetricData", 50, 50),
    "cloudwatch-get-metric-statistics": _quota("cloudwatch", "GetMetricStatistics", 400, 400),
    "cloudwatch-list-metrics": _quota("cloudwatch", "ListMetrics", 25, 25),
    "cloudwatch-describe-alarms": _quota("cloudwatch", "DescribeAlarms", 9, 9),
    "cloudwatch-put-metric-alarm": _quota("cloudwatch", "PutMetricAlarm", 3, 3),
    # CloudWatch Logs user guide, "CloudWatch Logs quotas": FilterLogEvents in the Regions with the lowest figure.
    "logs-filter-log-events": _quota("logs", "FilterLogEvents", 5, 5),
    # CloudTrail user guide, "Quotas in AWS CloudTrail": LookupEvents.
    "cloudtrail-lookup-events": _quota("cloudtrail", "LookupEvents", 2, 2),
}
"""The buckets known here, by name. Operations in none of them are never throttled."""


class TokenBucket:
    """Starts full. Times are seconds of any one clock, the rates per second of the same."""

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate = rate
        self.burst = burst
        self.tokens = burst
        self._filled_at = now
        self._drain = 0.0
        self._drained_until = now

    def drain(self, rate: float, until: float, now: float) -> None:
        """From now to `until` somebody else takes `rate` tokens a second, as far as there are any."""
        self._refill(now)
        self._drain, self._drained_until = rate, until

    def is_drained(self, now: float) -> bool:
        """Whether somebody else is taking tokens."""
        return now < self._drained_until

    def take(self, now: float) -> bool:
        """Take a token; False when there is none."""
        self._refill(now)
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def _refill(self, now: float) -> None:
        if now <= self._filled_at:
            return
        drained = max(0.0, min(now, self._drained_until) - self._filled_at)
        for seconds, rate in ((drained, self.rate - self._drain), (now - self._filled_at - drained, self.rate)):
            self.tokens = max(0.0, min(self.burst, self.tokens + seconds * rate))
        self._filled_at = now


class RateLimits:
    """The buckets of every account and region. Thread-safe; enforces nothing until told to."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._enforced = False
        self._scale = clock.speed
        self._quotas = dict(QUOTAS)
        self._buckets: dict[tuple[str, str, str], TokenBucket] = {}

    def enforce(self, time: TimeBase = "simulated") -> None:
        """Throttle from now on, every bucket full. A quota's second is a simulated one, or one of the wall clock."""
        if time not in get_args(TimeBase):
            raise ValueError(f"time must be one of {', '.join(get_args(TimeBase))}")
        with self._lock:
            self._enforced, self._scale = True, self._clock.speed if time == "simulated" else 1.0
            self._buckets.clear()

    def lift(self) -> None:
        """Throttle no more, and forget who else was calling."""
        with self._lock:
            self._enforced = False
            self._buckets.clear()

    def set_quota(self, name: str, rate: float, burst: float) -> None:
        """Give a bucket another size, as an increased quota does; LookupError for a name that is not in QUOTAS."""
        if not (rate > 0 and burst >= 1):
            raise ValueError("rate must be above 0, burst at least 1")
        with self._lock:
            self._quotas[name] = replace(self._find(name), rate=rate, burst=burst)
            for key in [key for key in self._buckets if key[2] == name]:
                del self._buckets[key]

    def drain(self, operation: str, rate: float, seconds: float, account: str, region: str) -> None:
        """Somebody else makes `rate` calls of `operation` a second for so many simulated seconds.

        The operation's bucket is enforced meanwhile, even where the others are not.
        """
        name = next((name for name, quota in self._quotas.items() if operation in quota.operations), None)
        if name is None:
            raise LookupError(f"no quota for {operation}")
        if rate <= 0 or seconds <= 0:
            raise ValueError("rate and seconds must be above 0")
        now = self._clock.now()
        with self._lock:
            until = now + self._clock.wall(seconds)
            self._open(name, account, region, now).drain(rate, self._time(until), self._time(now))

    def check(self, service: str, operation: str, account: str, region: str) -> None:
        """Count one call; the service's throttling error when its bucket is empty."""
        with self._lock:
            if not (self._enforced or self._buckets):
                return
            now = self._clock.now()
            for name, quota in self._quotas.items():
                if quota.service == service and operation in quota.operations:
                    bucket = self._buckets.get((account, region, name))
                    if not self._enforced and (bucket is None or not bucket.is_drained(self._time(now))):
                        return
                    if not self._open(name, account, region, now).take(self._time(now)):
                        raise build_throttling(service)

    def to_json(self) -> Json:
        """As the control API shows it: whether enforced, the quotas, and the whole tokens in the buckets used."""
        with self._lock:
            return {
                "enforced": self._enforced,
                "quotas": {
                    name: {"operations": sorted(quota.operations), "rate": quota.rate, "burst": quota.burst}
                    for name, quota in self._quotas.items()
                },
                "buckets": [
                    {"account": account, "region": region, "quota": name, "tokens": math.floor(bucket.tokens)}
                    for (account, region, name), bucket in self._buckets.items()
                ],
            }

    def _time(self, wall: float) -> float:
        """The seconds that quotas count in."""
        return wall * self._scale

    def _find(self, name: str) -> Quota:
        if name not in self._quotas:
            raise LookupError(f"no quota {name}; there are {', '.join(self._quotas)}")
        return self._quotas[name]

    def _open(self, name: str, account: str, region: str, now: float) -> TokenBucket:
        key = (account, region, name)
        if key not in self._buckets:
            quota = self._quotas[name]
            self._buckets[key] = TokenBucket(quota.rate, quota.burst, self._time(now))
        return self._buckets[key]
