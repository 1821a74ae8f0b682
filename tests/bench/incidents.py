"""Incidents: how fast a burst of them becomes plans that await approval, beside a bare client doing the same writes."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kubernetes.aio import client, config

from bokgu.kube.client import KubeClient
from tests.world.manifests import CLUSTER, NAMESPACE, SURGE_LOAD, detector, incident, protected_service
from tests.world.world import World, wait_for

CONCURRENCY = 8
"""Requests under way at once, in the yardstick as in the operator (BOKGU_WORKERS)."""


@dataclass(frozen=True)
class BurstResult:
    """Incidents a second, of a burst of `count`, and calls an incident."""

    count: int
    rate: float
    yardstick: float
    writes: float
    aws_calls: float


def measure_burst(world: World, count: int, tell: Callable[[str], None]) -> BurstResult:
    """File that many incidents at once; the operator must not run yet."""
    tell(f"yardstick: a bare client makes the same three writes for {count} objects")
    yardstick = asyncio.run(_measure_yardstick(world, count))
    tell(f"{count} services, protected and in a surge")
    _prepare(world, count)
    world.start_operator({"BOKGU_SERVICE_POLL": "10m"})
    tell(f"{count} incidents at once")
    rate, counters = _measure_operator(world, count)
    writes = sum(v for n, v in counters.items() if n.startswith("bokgu_status_writes_total") and 'result="OK"' in n)
    created = sum(v for n, v in counters.items() if n.startswith("bokgu_plans_created_total"))
    aws = sum(v for n, v in counters.items() if n.startswith("bokgu_aws_requests_total"))
    return BurstResult(count, rate, yardstick, (writes + created) / count, aws / count)


async def _measure_yardstick(world: World, count: int) -> float:
    """Objects a second of a client that does nothing but write: POST plan, PUT its status, PUT an incident's status."""
    account = world.control_plane.kubeconfig_for_service_account("bokgu-system", "bokgu")
    settings = client.Configuration()
    await config.load_kube_config(str(account), client_configuration=settings)  # type: ignore[no-untyped-call]
    kube = KubeClient(client.ApiClient(settings))
    slots = asyncio.Semaphore(CONCURRENCY)
    incidents = [await kube.create("incidents", incident(f"yard-{index}", "nobody")) for index in range(count)]

    async def write(body: dict[str, Any]) -> None:
        async with slots:
            plan = await kube.create("recoveryplans", _plan(body))
            await kube.replace_status("recoveryplans", plan, {"phase": "AwaitingApproval"})
            await kube.replace_status("incidents", body, {"phase": "AwaitingApproval"})

    begun = time.monotonic()
    await asyncio.gather(*(write(body) for body in incidents))
    took = time.monotonic() - begun
    await kube.close()
    for kind in ("recoveryplans", "incidents"):
        world.control_plane.kubectl("delete", kind, "--all", "-n", NAMESPACE, "--timeout=60s")
    return count / took


def _plan(owner: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "bokgu.dev/v1alpha1",
        "kind": "RecoveryPlan",
        "metadata": {"name": owner["metadata"]["name"], "namespace": NAMESPACE},
        "spec": {
            "incidentRef": {"name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]},
            "serviceRef": {"name": "nobody"},
            "preconditions": {"desiredCount": 3, "rootCause": "TrafficSurge"},
            "steps": [{"name": "look", "action": "health_check", "timeout": "1m", "onFailure": "Stop"}],
            "expiresAt": "2099-01-01T00:00:00Z",
        },
    }


def _prepare(world: World, count: int) -> None:
    """Services in a surge that began after a quiet while, their detectors silent so that only the burst is measured."""
    names = [f"bench-{index}" for index in range(count)]
    for name in names:
        world.create_service(name)
    time.sleep(5)
    for name in names:
        world.simulator.set_load(CLUSTER, name, SURGE_LOAD)
    for name in names:
        world.apply(protected_service(name), detector(name, suspend=True))
    time.sleep(4)


def _measure_operator(world: World, count: int) -> tuple[float, dict[str, float]]:
    """Incidents a second from created to a plan that awaits approval, and what the operator counted meanwhile."""

    def described() -> bool:
        found = world.all("protectedservices")
        return all("lastKnownGood" in p.get("status", {}) for p in found) and len(found) == count

    wait_for(described, 60, lambda: "not all services are described")
    before = world.scrape()
    manifests = [incident(f"burst-{index}", f"bench-{index}", severity="critical") for index in range(count)]
    begun = time.monotonic()
    world.apply(*manifests)
    wait_for(lambda: _awaiting(world) == count, 120, lambda: f"{_awaiting(world)} of {count} plans")
    took = time.monotonic() - begun
    after = world.scrape()
    return count / took, {name: value - before.get(name, 0) for name, value in after.items()}


def _awaiting(world: World) -> int:
    plans = world.all("recoveryplans")
    incidents = world.all("incidents")
    waiting = [o for o in (*plans, *incidents) if o.get("status", {}).get("phase") == "AwaitingApproval"]
    return len(waiting) // 2
