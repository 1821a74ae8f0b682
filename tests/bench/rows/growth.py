"""What piles up: memory, rest, restart and speed with thousands of incidents that are over, in the same namespace."""

import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from tests.bench.bench_world import PATIENCE, BenchWorld, open_bench_world
from tests.bench.canned_aws import service_name
from tests.bench.figure import Aim, Figure
from tests.bench.processes import cpu_seconds, resident_mib
from tests.bench.recoveries import open_auto_namespace, recover_one_by_one
from tests.bench.row import Effort
from tests.bench.yardsticks.go_controller import go_controller
from tests.upgrade.releases import load_objects
from tests.world.world import wait_for

SIZES = (100, 1_000, 10_000)
REST = 60.0
"""Seconds of rest that are measured: a minute, in which every service is looked at once."""
SETTLE = 10.0
SCRAPE = 0.5
"""Seconds between two scrapes while a restart is measured: each costs the operator something, too."""
OURS, AUTO = "ours", "auto-0"


def measure(effort: Effort) -> list[Figure]:
    """The figures at each size; rest and restart at the largest usual one, with 1,000 services."""
    sizes = (20, 50) if effort.quick else (*SIZES, 50_000) if effort.full else SIZES
    watched, burst, alone = effort.size(1000, 20), effort.size(100, 10), effort.size(15, 3)
    names = [service_name(number) for number in range(watched + (burst + alone) * len(sizes))]
    fresh = iter(names[watched:])
    figures = []
    with open_bench_world(effort.tell, services=len(names), surge=True) as bench:
        # What is over was not opened lately.
        bench.open_namespace(OURS, storm={"threshold": 10_000, "window": "1s", "cooldown": "1s"})
        bench.protect(OURS, names[:watched])
        autos = [[next(fresh) for _ in range(alone)] for _ in sizes]
        open_auto_namespace(bench, AUTO, [name for group in autos for name in group])
        past = _Past(bench, names[:watched])
        for size, auto in zip(sizes, autos, strict=True):
            effort.tell(f"{size} incidents that are over, and their plans")
            past.grow(size)
            fresh_names = [next(fresh) for _ in range(burst)]
            bench.protect(OURS, fresh_names)
            bench.describe(OURS, AUTO)
            started = bench.start_operator({"BOKGU_AUTO_NAMESPACES": AUTO})
            resumed = _wait_resumed(bench, started)
            bench.settle()
            if size == min(10_000, sizes[-1]):
                figures += [
                    Figure(
                        f"restart with {size:,} of each, until every plan was resumed", "s", (resumed,), Aim("≤", 10)
                    )
                ]
                figures += [_measure_rest(bench, effort)]
            figures += _measure_size(bench, size, fresh_names, auto, effort)
            bench.world.stop_operator()
    return figures


def _measure_size(
    bench: BenchWorld, size: int, names: Sequence[str], auto: Sequence[str], effort: Effort
) -> list[Figure]:
    pid = bench.world.operator_pid
    memory = resident_mib(pid)
    effort.tell(f"{len(names)} incidents at once, then {len(auto)} one after the other")
    before = cpu_seconds(pid)
    took = bench.burst(OURS, bench.incidents(OURS, names))
    cpu = cpu_seconds(pid) - before
    alone = recover_one_by_one(bench, AUTO, auto)
    with go_controller(bench) as process:
        time.sleep(SETTLE)
        go = resident_mib(process.pid)
    objects = f"with {size:,} incidents and plans that are over"
    return [
        Figure(f"resident memory {objects}", "MiB", (memory,), Aim("≤", 0.6, of="Go"), (("Go", (go,)),)),
        Figure(f"incidents a second, {objects}", "1/s", (len(names) / took,)),
        Figure(f"CPU an incident, {objects}", "ms", (1000 * cpu / len(names),)),
        Figure(f"incident filed to UpdateService, idle, {objects}", "ms", tuple(1000 * one.seconds for one in alone)),
    ]


def _measure_rest(bench: BenchWorld, effort: Effort) -> Figure:
    effort.tell(f"rest, {REST:g} s")
    time.sleep(SETTLE)
    before = cpu_seconds(bench.world.operator_pid)
    time.sleep(REST)
    share = (cpu_seconds(bench.world.operator_pid) - before) / REST
    # The recoveries of the smaller sizes are being verified meanwhile.
    return Figure("CPU with those, 1,000 services and 30 plans at work, of a core", "%", (100 * share,), Aim("≤", 1))


def _wait_resumed(bench: BenchWorld, started: float) -> float:
    """Seconds from the start of the operator, which took `started`, until all plans have had their first pass."""
    begun = time.monotonic()

    def idle() -> bool:
        time.sleep(SCRAPE)
        found = bench.world.scrape()
        return found['bokgu_queue_depth{resource="recoveryplans"}'] == 0

    wait_for(idle, PATIENCE, lambda: "plans are still in the queue")
    return started + time.monotonic() - begun


class _Past:
    """Incidents that are over, with their plans, as the operator would have left them. They are put into etcd: through
    the API server that would take minutes."""

    def __init__(self, bench: BenchWorld, services: Sequence[str]) -> None:
        self._bench, self._services, self._made = bench, services, 0
        self._pattern: tuple[dict[str, Any], dict[str, Any]] | None = None

    def grow(self, size: int) -> None:
        """Until there are so many."""
        incident, plan = self._pattern = self._pattern or self._learn()
        for number in range(self._made, size):
            service = self._services[number % len(self._services)]
            uids = {incident["metadata"]["uid"]: str(uuid4()), plan["metadata"]["uid"]: str(uuid4())}
            load_objects(
                self._bench.world.control_plane,
                [_copy(body, f"past-{number:05d}", service, uids) for body in (incident, plan)],
            )
        self._made = size

    def _learn(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the operator writes about an incident, and what it would say of it at the end."""
        bench, name = self._bench, self._services[0]
        bench.describe(OURS)
        bench.start_operator()
        bench.burst(OURS, bench.incidents(OURS, [name]))
        bench.world.stop_operator()
        incident = bench.world.get("incidents", f"inc-{name}", OURS)
        assert incident is not None
        plan = bench.world.get("recoveryplans", incident["status"]["plans"][-1]["name"], OURS)
        assert plan is not None
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        over = {"type": "Resolved", "status": "True", "reason": "Recovered", "message": "", "lastTransitionTime": now}
        resolved = {**over, "observedGeneration": 1}
        stored = {**resolved, "type": "Recorded", "reason": "Stored"}
        conditions = [c for c in incident["status"]["conditions"] if c["type"] not in {"Resolved", "Recorded"}]
        incident["status"] |= {"phase": "Resolved", "resolvedAt": now, "conditions": [*conditions, resolved, stored]}
        incident["status"]["plans"][-1]["outcome"] = "Completed"
        plan["status"] |= {"phase": "Completed", "startedAt": now, "finishedAt": now}
        return incident, plan


def _copy(body: dict[str, Any], name: str, service: str, uids: Mapping[str, str]) -> dict[str, Any]:
    """The object under another name, of another service; with its plan, or its incident, in the same way."""
    text = json.dumps(body)
    for old, new in uids.items():
        text = text.replace(old, new)
    copy: dict[str, Any] = json.loads(text)
    copy["metadata"]["name"] = name
    del copy["metadata"]["resourceVersion"]
    copy["spec"]["serviceRef"]["name"] = service
    if "incidentRef" in copy["spec"]:
        copy["spec"]["incidentRef"]["name"] = copy["metadata"]["ownerReferences"][0]["name"] = name
    else:
        copy["status"]["plans"][-1]["name"] = name
    return copy
