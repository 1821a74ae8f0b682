"""The requests that reach services over time, and the dependencies that services wait for."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from .aws_protocol import Json
from .clock import Clock
from .load import Demand

DEFAULT_RPS = 100.0

ServiceKey = tuple[str, str]
"""Names of cluster and service."""


@dataclass(frozen=True)
class LoadShape:
    """Requests a second over time: each step is a wall time in seconds, and the rate from then on.

    Before the first step it is `before`. In a gap, from one wall time to before another, nothing arrives.
    """

    before: float = DEFAULT_RPS
    steps: tuple[tuple[float, float], ...] = ()
    gaps: tuple[tuple[float, float], ...] = ()

    def rate(self, now: float) -> float:
        """Requests a second at `now` (wall seconds)."""
        if any(start <= now < end for start, end in self.gaps):
            return 0.0
        index = bisect_right(self.steps, (now, float("inf")))
        return self.steps[index - 1][1] if index else self.before


@dataclass
class Dependency:
    """Something that services call, and how it is: at first it is up, with all of these zero.

    It hits every request of its `dependents`: fails the share `error_ratio` (0 to 1), adds `latency_seconds`, and costs
    each of their tasks `cpu_percent` points. A `provider` is a simulated service that is the dependency: then it also
    fails what that service fails, everything when nothing of it serves.
    """

    name: str
    dependents: frozenset[ServiceKey] = frozenset()
    provider: ServiceKey | None = None
    error_ratio: float = 0.0
    latency_seconds: float = 0.0
    cpu_percent: float = 0.0

    def to_json(self) -> Json:
        """As the control API shows it."""
        return {
            "name": self.name,
            "dependents": [_shape_key(key) for key in sorted(self.dependents)],
            "provider": None if self.provider is None else _shape_key(self.provider),
            "errorRatio": self.error_ratio,
            "latencySeconds": self.latency_seconds,
            "cpuPercent": self.cpu_percent,
        }


@dataclass
class Traffic:
    """What is asked of the services of one account and region. The owner holds a lock around every use."""

    clock: Clock
    _shapes: dict[ServiceKey, LoadShape] = field(default_factory=dict)
    _failed_shares: dict[ServiceKey, float] = field(default_factory=dict)
    _dependencies: dict[str, Dependency] = field(default_factory=dict)
    _observed_errors: dict[ServiceKey, float] = field(default_factory=dict)

    def set_load(self, key: ServiceKey, steps: Sequence[tuple[float, float]]) -> None:
        """From now on the service, which need not exist yet, gets these rates: simulated seconds from now, rate.

        Until the first step it keeps the rate of now. ValueError for negative or unordered values.
        """
        if not steps:
            raise ValueError("a load needs at least one step")
        if any(offset < 0 or rate < 0 for offset, rate in steps):
            raise ValueError("requestsPerSecond and the times of steps cannot be negative")
        if list(steps) != sorted(steps, key=lambda step: step[0]):
            raise ValueError("steps must be in order of time")
        now = self.clock.now()
        timed = tuple((now + self.clock.wall(offset), rate) for offset, rate in steps)
        self._shapes[key] = LoadShape(before=self.rate(key, now), steps=timed)

    def add_gap(self, key: ServiceKey, after: float, seconds: float) -> None:
        """Nothing arrives for so many simulated seconds, beginning `after` simulated seconds from now."""
        if after < 0 or seconds <= 0:
            raise ValueError("a gap cannot be in the past, and lasts longer than 0 seconds")
        start = self.clock.now() + self.clock.wall(after)
        shape = self._shapes.get(key, LoadShape())
        gap = (start, start + self.clock.wall(seconds))
        self._shapes[key] = replace(shape, gaps=(*shape.gaps, gap))

    def rate(self, key: ServiceKey, now: float) -> float:
        """Requests a second that reach the service at `now`; 100 where nobody said otherwise."""
        shape = self._shapes.get(key)
        return DEFAULT_RPS if shape is None else shape.rate(now)

    def set_failed_share(self, key: ServiceKey, ratio: float) -> None:
        """Let some dependency of this service alone fail this share (0 to 1) of its requests."""
        _check_ratio(ratio)
        self._failed_shares[key] = ratio

    def failed_share(self, key: ServiceKey) -> float:
        """What `set_failed_share` set."""
        return self._failed_shares.get(key, 0.0)

    def declare_dependency(
        self, name: str, dependents: Iterable[ServiceKey], provider: ServiceKey | None = None
    ) -> None:
        """These services call this dependency; how it is stays as it was."""
        known = self._dependencies.get(name, Dependency(name))
        self._dependencies[name] = replace(known, dependents=frozenset(dependents), provider=provider)

    def change_dependency(
        self, name: str, *, error_ratio: float, latency_seconds: float, cpu_percent: float
    ) -> Dependency:
        """How a dependency is from now on; LookupError when it was not declared, ValueError for bad values."""
        if name not in self._dependencies:
            raise LookupError(f"no dependency {name}")
        _check_ratio(error_ratio)
        if latency_seconds < 0 or not 0 <= cpu_percent <= 100:
            raise ValueError("latencySeconds cannot be negative, cpuPercent must be within 0 and 100")
        changed = replace(
            self._dependencies[name],
            error_ratio=error_ratio,
            latency_seconds=latency_seconds,
            cpu_percent=cpu_percent,
        )
        self._dependencies[name] = changed
        return changed

    def dependencies(self) -> list[Dependency]:
        """All dependencies, sorted by name."""
        return [self._dependencies[name] for name in sorted(self._dependencies)]

    def observe(self, key: ServiceKey, error_ratio: float) -> None:
        """The service now fails this share of its requests, which those who depend on it will feel."""
        self._observed_errors[key] = error_ratio

    def demand(self, key: ServiceKey, now: float) -> Demand:
        """What is asked of a service at `now`, all of its dependencies included."""
        served = 1 - self._failed_shares.get(key, 0.0)
        latency = cpu = 0.0
        for dependency in self._dependencies.values():
            if key in dependency.dependents:
                served *= 1 - dependency.error_ratio
                latency += dependency.latency_seconds
                cpu += dependency.cpu_percent
                if dependency.provider is not None:
                    served *= 1 - self._observed_errors.get(dependency.provider, 0.0)
        return Demand(self.rate(key, now), 1 - served, latency, cpu)


def _check_ratio(ratio: float) -> None:
    if not 0 <= ratio <= 1:
        raise ValueError("ratio must be within 0 and 1")


def _shape_key(key: ServiceKey) -> Json:
    return {"cluster": key[0], "service": key[1]}
