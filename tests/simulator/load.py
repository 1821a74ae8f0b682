"""How traffic and the running tasks of a service become its health.

A load balancer spreads `rps` evenly, so each of n tasks gets rps/n and its utilisation is u = rps / (n * capacity):

- CPU is 70 % at u = 1 and rises in proportion: min(100, 70 u). Memory is 30 % idle and 50 % at u = 1.
- Up to u = 1 no request fails for want of capacity. Above, the excess share 1 - 1/u fails.
- Above u = 1.2 a task also loses useful work to queues, time-outs and retries: its capacity shrinks by the factor
  1 + (u - 1.2)/2, so 1 - 1/(u (1 + (u - 1.2)/2)) fail.
- Revision errors and dependency errors hit the remaining requests independently.

Example: three tasks sized for 1.4 times the normal load. At 2 times normal u = 1.43 and 37 % of requests fail; 50 %
more tasks (five) bring u to 0.86 and cure it. At 3 times normal u = 2.14 and 68 % fail; six tasks leave 6.7 %
failing (u = 1.07), seven cure it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from .behaviour import TaskBehaviour

DEFAULT_RPS = 100.0
CPU_AT_FULL_USE = 70.0
HARD_SATURATION = 1.2
LOST_CAPACITY_RATE = 0.5
IDLE_LATENCY_SECONDS = 0.05


@dataclass(frozen=True)
class Demand:
    """What is asked of a service: requests a second, and the share of them a broken dependency fails (0 to 1)."""

    rps: float = DEFAULT_RPS
    dependency_error_ratio: float = 0.0


@dataclass(frozen=True)
class Health:
    """A service at one instant: mean CPU and memory in percent, the share of requests failed, seconds of latency."""

    cpu_percent: float
    memory_percent: float
    error_ratio: float
    latency_seconds: float


def compute_overload(utilisation: float) -> float:
    """The share of requests (0 to 1) that a task at `utilisation` (1 is full use) fails for want of capacity."""
    if utilisation <= 1:
        return 0.0
    lost_work = 1 + LOST_CAPACITY_RATE * max(0.0, utilisation - HARD_SATURATION)
    return 1 - 1 / (utilisation * lost_work)


def evaluate_health(demand: Demand, running: Sequence[TaskBehaviour]) -> Health | None:
    """The health of a service whose `running` tasks share `demand`; None when nothing runs."""
    if not running:
        return None
    share = demand.rps / len(running)
    utilisations = [share / task.capacity_rps for task in running]
    served = sum(
        (1 - compute_overload(use)) * (1 - task.error_ratio) for use, task in zip(utilisations, running, strict=True)
    ) / len(running)
    mean = sum(utilisations) / len(running)
    queueing = 2 * max(0.0, mean - 1)
    return Health(
        cpu_percent=sum(min(100.0, CPU_AT_FULL_USE * use) for use in utilisations) / len(running),
        memory_percent=min(100.0, 30 + 20 * mean),
        error_ratio=1 - served * (1 - demand.dependency_error_ratio),
        latency_seconds=min(30.0, IDLE_LATENCY_SECONDS / (1 - 0.7 * min(1.0, mean)) + queueing),
    )
