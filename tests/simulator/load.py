"""How the traffic of a service's tasks becomes their health.

Each of n tasks that take `rps` together gets rps/n, and its utilisation is u = rps / (n * capacity):

- CPU and memory rise with u from idle to full use, in proportion: `cpu_idle_percent` and `memory_idle_percent`, and
  what `cpu_full_percent` and `memory_full_percent` (or `memory_per_rps_percent`) add at u = 1.
- Up to u = 1 no request fails for want of capacity. Above, the excess share 1 - 1/u fails.
- Above u = 1.2 a task also loses useful work to queues, time-outs and retries: its capacity shrinks by the factor
  1 + (u - 1.2)/2, so 1 - 1/(u (1 + (u - 1.2)/2)) fail.
- Revision errors and dependency errors hit the remaining requests independently.
- Latency is 50 ms idle and rises with queueing; what a dependency adds comes on top, and waiting for it (threads held,
  time-outs, retries) costs CPU that more tasks do not win back.

Example: three tasks sized for 1.4 times the normal load. At 2 times normal u = 1.43 and 37 % of requests fail; 50 %
more tasks (five) bring u to 0.86 and cure it. At 3 times normal u = 2.14 and 68 % fail; six tasks leave 6.7 %
failing (u = 1.07), seven cure it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from .behaviour import TaskBehaviour

HARD_SATURATION = 1.2
LOST_CAPACITY_RATE = 0.5
IDLE_LATENCY_SECONDS = 0.05
LONGEST_LATENCY_SECONDS = 30.0


@dataclass(frozen=True)
class Demand:
    """What is asked of tasks, and what their dependencies do to them.

    rps: requests a second. dependency_error_ratio: the share of them (0 to 1) that a dependency fails.
    dependency_latency_seconds: what waiting for dependencies adds to a request. dependency_cpu_percent: CPU points
    that waiting and retrying cost each task.
    """

    rps: float = 0.0
    dependency_error_ratio: float = 0.0
    dependency_latency_seconds: float = 0.0
    dependency_cpu_percent: float = 0.0


@dataclass(frozen=True)
class TaskLoad:
    """One task that takes traffic: its behaviour, how old its container is (simulated seconds), and what else fails.

    extra_error_ratio: the share of its requests (0 to 1) that it fails for reasons of its own, such as a full disk.
    """

    behaviour: TaskBehaviour
    age_seconds: float = 0.0
    extra_error_ratio: float = 0.0


@dataclass(frozen=True)
class Health:
    """Tasks at one instant: CPU and memory of each in percent, the share of requests failed, seconds of latency."""

    cpu: tuple[float, ...]
    memory: tuple[float, ...]
    error_ratio: float
    latency_seconds: float


def compute_overload(utilisation: float) -> float:
    """The share of requests (0 to 1) that a task at `utilisation` (1 is full use) fails for want of capacity."""
    if utilisation <= 1:
        return 0.0
    lost_work = 1 + LOST_CAPACITY_RATE * max(0.0, utilisation - HARD_SATURATION)
    return 1 - 1 / (utilisation * lost_work)


def compute_cpu(behaviour: TaskBehaviour, rps: float) -> float:
    """CPU of one task that gets `rps`, in percent, without what dependencies cost."""
    return min(100.0, behaviour.cpu_idle_percent + behaviour.cpu_full_percent * rps / behaviour.capacity_rps)


def compute_memory(behaviour: TaskBehaviour, rps: float, age_seconds: float = 0.0) -> float:
    """Memory of one task that gets `rps`, its container `age_seconds` (simulated) old, in percent."""
    leaked = behaviour.memory_leak_percent_per_hour * age_seconds / 3600
    if behaviour.memory_per_rps_percent is not None:
        used = behaviour.memory_per_rps_percent * rps
    else:
        used = behaviour.memory_full_percent * rps / behaviour.capacity_rps
    return min(100.0, behaviour.memory_idle_percent + used + leaked)


def evaluate_health(demand: Demand, tasks: Sequence[TaskLoad]) -> Health | None:
    """The health of `tasks` that share `demand` evenly; None when there are none."""
    if not tasks:
        return None
    share = demand.rps / len(tasks)
    cpu, memory = [], []
    served = use = 0.0
    for task in tasks:
        behaviour = task.behaviour
        own_use = share / behaviour.capacity_rps
        use += own_use
        served += (1 - compute_overload(own_use)) * (1 - behaviour.error_ratio) * (1 - task.extra_error_ratio)
        cpu.append(min(100.0, compute_cpu(behaviour, share) + demand.dependency_cpu_percent))
        memory.append(compute_memory(behaviour, share, task.age_seconds))
    mean = use / len(tasks)
    latency = IDLE_LATENCY_SECONDS / (1 - 0.7 * min(1.0, mean)) + 2 * max(0.0, mean - 1)
    return Health(
        cpu=tuple(cpu),
        memory=tuple(memory),
        error_ratio=1 - served / len(tasks) * (1 - demand.dependency_error_ratio),
        latency_seconds=min(LONGEST_LATENCY_SECONDS, latency + demand.dependency_latency_seconds),
    )
