"""Looks at a world for all who play in it: objects and AWS calls, a few times a second."""

import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Self

from tests.scenarios.kube_admin import KubeAdmin
from tests.scenarios.model import Json
from tests.scenarios.placed_service import PlacedService
from tests.scenarios.writes import OperatorCall, read_call
from tests.world.world import World

PLURALS = ("incidents", "recoveryplans", "protectedservices", "detectors", "planapprovals")
PAUSE = 0.3
"""Seconds between two looks."""


@dataclass(frozen=True)
class Sight:
    """What one look saw. `at` is monotonic; objects are by kind and namespace, oldest first."""

    number: int = 0
    at: float = 0.0
    objects: dict[str, dict[str, list[Json]]] = field(default_factory=dict)

    def of(self, plural: str, namespace: str) -> list[Json]:
        """The objects of a kind in a namespace."""
        return self.objects.get(plural, {}).get(namespace, [])


class Observer:
    """Runs in a thread of its own from `with` to its end. All else is thread-safe."""

    def __init__(self, world: World, kube: KubeAdmin) -> None:
        self._world, self._kube = world, kube
        self._changed = threading.Condition()
        self._sight = Sight()
        self._writes: list[OperatorCall] = []
        self._watched: dict[str, PlacedService] = {}
        self._looks: dict[str, list[float]] = defaultdict(list)
        self._sequence = 0
        self._problem: BaseException | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._thread.join()

    def watch(self, service: PlacedService) -> None:
        """Note from now on when the operator looks at this service."""
        with self._changed:
            self._watched[f"{service.account}/{service.name}"] = service

    def next(self, after: int) -> Sight:
        """The first sight after the one of that number. RuntimeError when there will be none."""
        with self._changed:
            arrived = self._changed.wait_for(lambda: self._sight.number > after or self._problem, timeout=60)
            if self._problem is not None or not arrived:
                raise RuntimeError("the world can no longer be observed") from self._problem
            return self._sight

    def writes(self) -> list[OperatorCall]:
        """The operator's calls that were made to change something, oldest first."""
        with self._changed:
            return list(self._writes)

    def looks(self, service: PlacedService, since: float) -> int:
        """How often the operator has asked AWS about the service since that wall time."""
        with self._changed:
            return sum(1 for at in self._looks[f"{service.account}/{service.name}"] if at >= since)

    def services(self) -> list[PlacedService]:
        """All that are watched."""
        with self._changed:
            return list(self._watched.values())

    def _run(self) -> None:
        while not self._ended:
            try:
                self._look()
            except Exception as error:  # told to those who wait
                with self._changed:
                    self._problem = error
                    self._changed.notify_all()
                return
            time.sleep(PAUSE)

    def _look(self) -> None:
        objects: dict[str, dict[str, list[Json]]] = {}
        for plural in PLURALS:
            by_namespace: dict[str, list[Json]] = defaultdict(list)
            for item in self._kube.list(plural):
                by_namespace[item["metadata"]["namespace"]].append(item)
            objects[plural] = by_namespace
        recorded = self._world.simulator.calls(since=self._sequence)
        calls = [found for call in recorded if (found := read_call(call)) is not None]
        with self._changed:
            if recorded:
                self._sequence = recorded[-1].sequence
            self._take_in(calls)
            self._sight = Sight(self._sight.number + 1, time.monotonic(), objects)
            self._changed.notify_all()

    def _take_in(self, calls: list[OperatorCall]) -> None:
        self._writes += [call for call in calls if call.writes]
        for call in calls:
            if call.writes:
                continue
            for key, service in self._watched.items():
                if service.account == call.account and service.concerns(call.parameters):
                    self._looks[key].append(call.time)
