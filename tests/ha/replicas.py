"""A lane whose operator has a replica that stands by, or one for another shard."""

import signal
import time
from collections.abc import Mapping

from tests.controlplane import Process
from tests.faults.lane import Lane
from tests.world.world import World, wait_for

DEFAULT_LEASE = {"BOKGU_LEASE_DURATION": "15s", "BOKGU_LEASE_RENEW_DEADLINE": "10s", "BOKGU_LEASE_RETRY": "2s"}
"""What it is when nothing is set."""
SHORT_LEASE = {"BOKGU_LEASE_DURATION": "6s", "BOKGU_LEASE_RENEW_DEADLINE": "4s", "BOKGU_LEASE_RETRY": "1s"}
"""For tests that wait for its end again and again."""

LEADS, STANDS_BY = "ok\n", "ok: standby"
SOON = 60.0
"""Seconds in which what takes a few must have happened on a machine that is busy."""


class Replicas(Lane):
    """Two operators of one namespace behind the same proxies, with a Lease of their own.

    Without shards one of them leads and the other stands by. `shards` are those of the first and of the second.
    """

    def __init__(
        self, world: World, name: str, lease: Mapping[str, str], shards: tuple[str, str] = ("default", "default")
    ) -> None:
        super().__init__(world, name, {"BOKGU_LEASE_NAME": name, **lease})
        self.names = (self.operator, f"{self.operator}-second")
        self._shards = dict(zip(self.names, shards, strict=True))

    def __exit__(self, *_: object) -> None:
        for name in self.names:
            if self.world.runs(name):
                self.world.signal_operator(name, signal.SIGCONT)
                self.world.kill_operator(name)
        super().__exit__()

    @property
    def runs(self) -> bool:
        """Whether both run."""
        return all(self.world.runs(name) for name in self.names)

    def start(self) -> None:
        """Start those that do not run, and wait until they are ready."""
        for name in self.names:
            if not self.world.runs(name):
                self._start(name, {"BOKGU_SHARD": self._shards[name]})

    def launch(self, name: str) -> Process:
        """Start one, and wait for nothing."""
        self._start(name, {"BOKGU_SHARD": self._shards[name]}, ready=False)
        return self.process(name)

    def leader(self) -> str | None:
        """The replica that says it leads."""
        return next((name for name in self.names if self.world.readiness(name) == LEADS), None)

    def other(self, name: str) -> str:
        """The other replica."""
        return self.names[1 - self.names.index(name)]

    def wait_until_leads(self, name: str, seconds: float = SOON) -> float:
        """Wait until that replica leads; for how many seconds."""
        begun = time.monotonic()
        wait_for(lambda: self.world.readiness(name) == LEADS, seconds, lambda: self.explain(name))
        return time.monotonic() - begun

    def wait_for_leader(self) -> str:
        """Wait until one leads and the other stands by; which."""

        def settled() -> str | None:
            leader = self.leader()
            stands_by = leader and self.world.readiness(self.other(leader)).startswith(STANDS_BY)
            return leader if stands_by else None

        return str(wait_for(settled, SOON, lambda: "".join(map(self.explain, self.names))))

    def process(self, name: str) -> Process:
        """The process of a replica."""
        return self.world.process(name)

    def explain(self, name: str) -> str:
        """What a replica says and has logged."""
        said = self.world.readiness(name) if self.world.runs(name) else "does not run"
        return f"\n{name}: {said}\n{self.world.operator_log_tail(name=name)}"
