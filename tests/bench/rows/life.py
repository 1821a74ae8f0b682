"""Whole lives of incidents: found by a Detector, planned, approved by two people, carried out, verified, resolved;
against the AWS simulator, in compressed time."""

import asyncio
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.bench.bench_world import PATIENCE, BenchWorld
from tests.bench.figure import Aim, Figure
from tests.bench.row import Effort
from tests.world.manifests import (
    CLUSTER,
    NAMESPACE,
    NORMAL_LOAD,
    SURGE_LOAD,
    TARGET_GROUP_ARN,
    TASK_CAPACITY,
    detector,
    protected_service,
)
from tests.world.world import World, wait_for

SPEED = 6.0
"""Simulated seconds a second, so that a minute is one of the periods that CloudWatch has: 10 s. The simulator counts by
minutes: periods of another length would have holes, and what has holes proves nothing."""
MINUTE = 60 / SPEED
QUIET_MINUTES = 8
"""Of usual traffic, which a surge is told from."""
SETTINGS = {
    "BOKGU_MINUTE": f"{MINUTE:g}s",
    "BOKGU_SERVICE_POLL": f"{5 * MINUTE:g}s",
    "BOKGU_STEP_POLL": f"{MINUTE:g}s",
    "BOKGU_CONSISTENCY_DELAY": f"{5 * MINUTE:g}s",
    "BOKGU_AWS_QUOTAS": f"ecs={20 * SPEED:g},UpdateService={SPEED:g},GetMetricData={50 * SPEED:g},elbv2={10 * SPEED:g}",
}
"""The defaults at the simulator's pace, and AWS's quotas with them."""
FLOOR = {
    "DescribeServices": 4,  # to classify, before and after the write, to verify
    "ListTasks": 1,
    "ListServiceDeployments": 1,
    "DescribeTaskDefinition": 1,
    "GetMetricData": 2,  # evidence, and to verify
    "DescribeScalableTargets": 2,  # to plan, and before the write
    "UpdateService": 1,
}
"""Calls that one incident needs at least where none is shared with others."""
OVER = "Resolved"


def measure(effort: Effort) -> list[Figure]:
    """How long it takes until all are resolved, how many are not, and AWS calls an incident."""
    count = effort.size(1000, 10)
    names = [f"life-{number:04d}" for number in range(count)]
    with (
        tempfile.TemporaryDirectory(prefix="bokgu-bench-") as folder,
        World(Path(folder), operator=False, speed=SPEED, tell=effort.tell) as world,
    ):
        bench = BenchWorld(world)
        effort.tell(f"{count} services in the simulator, and {QUIET_MINUTES} minutes of a quiet day")
        _create_services(world, names)
        quiet_until = time.monotonic() + QUIET_MINUTES * MINUTE
        _protect(bench, names)
        bench.describe(NAMESPACE, settings=SETTINGS)
        bench.start_operator(SETTINGS)
        time.sleep(max(0.0, quiet_until - time.monotonic()))
        effort.tell("twice the traffic on all of them")
        before, begun = world.scrape(), time.time()
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda name: world.simulator.set_load(CLUSTER, name, SURGE_LOAD), names))
        _approve_all(bench, count, effort)
        wait_for(lambda: len(_over(bench)) >= count, PATIENCE, lambda: bench.tell_left(NAMESPACE))
        took = time.time() - begun
        after, found, plans = world.scrape(), world.all("incidents"), world.all("recoveryplans")
        lost = set(names) - {incident["spec"]["serviceRef"]["name"] for incident in found if _is_over(incident)}
        failed = [plan for plan in plans if plan["status"]["phase"] != "Completed"]
        updates = [call for call in world.simulator.calls("UpdateService") if call.access_key_id == "operator"]
    calls = _count_calls(before, after)
    return [
        Figure(f"full lives of {count:,} incidents, detected to resolved", "s", (took,)),
        Figure("services whose incident is not resolved", "", (len(lost),), Aim("≤", 0)),
        Figure("plans that did not complete", "", (len(failed),), Aim("≤", 0)),
        Figure("UpdateService that came to ECS, an incident", "", (len(updates) / count,), Aim("≤", 1)),
        *(
            Figure(f"{name} an incident", "", (calls.get(name, 0) / count,), None, (("floor", (floor,)),))
            for name, floor in FLOOR.items()
        ),
        Figure("other AWS calls an incident", "", (sum(v for n, v in calls.items() if n not in FLOOR) / count,)),
    ]


def _create_services(world: World, names: Sequence[str]) -> None:
    """As `World.create_service` does, all side by side."""
    ecs, definition = world.ecs, world.register("life", CAPACITY_RPS=TASK_CAPACITY)
    ecs.create_cluster(clusterName=CLUSTER)

    def create(name: str) -> None:
        world.simulator.set_load(CLUSTER, name, NORMAL_LOAD)
        group = TARGET_GROUP_ARN.replace("/api/", f"/{name}/")
        ecs.create_service(
            cluster=CLUSTER,
            serviceName=name,
            taskDefinition=definition,
            desiredCount=3,
            launchType="FARGATE",
            loadBalancers=[{"targetGroupArn": group, "containerName": "app", "containerPort": 8080}],
        )

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(create, names))
    for begin in range(0, len(names), 10):
        pack = names[begin : begin + 10]
        wait_for(lambda pack=pack: _steady(ecs, pack), PATIENCE, lambda pack=pack: f"{pack} are not steady")  # type: ignore[misc]  # bound by default


def _steady(ecs: Any, names: Sequence[str]) -> bool:
    found = ecs.describe_services(cluster=CLUSTER, services=list(names))["services"]
    return all([d["rolloutState"] for d in s["deployments"]] == ["COMPLETED"] and s["runningCount"] == 3 for s in found)


def _protect(bench: BenchWorld, names: Sequence[str]) -> None:
    detection = {"relapseWatch": f"{2 * MINUTE:g}s", "period": f"{MINUTE:g}s"}
    pace = {"interval": f"{MINUTE:g}s", "settle": f"{MINUTE:g}s"}
    detectors = [detector(name, **pace) for name in names]
    for body in detectors:
        body["spec"]["conditions"][0]["clearAfter"] = f"{2 * MINUTE:g}s"
        for query in body["spec"]["queries"]:
            query["period"] = f"{MINUTE:g}s"
    bench.create("protectedservices", [protected_service(name, detection=detection) for name in names])
    bench.create("detectors", detectors)


def _approve_all(bench: BenchWorld, count: int, effort: Effort) -> None:
    """Two people sign each plan as soon as it awaits them."""
    done: set[str] = set()
    deadline = time.monotonic() + PATIENCE
    while len(done) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(done)} of {count} plans were there to approve; {bench.tell_left(NAMESPACE)}")
        plans = [p for p in bench.world.all("recoveryplans") if p["metadata"]["name"] not in done and _waits(p)]
        asyncio.run(_approve(bench, plans))
        done |= {plan["metadata"]["name"] for plan in plans}
        if plans:
            effort.tell(f"approved {len(done)} plans")
        time.sleep(1)


async def _approve(bench: BenchWorld, plans: Sequence[dict[str, Any]]) -> None:
    people = ((bench.world.alice, "system_admin"), (bench.world.bob, "service_owner"))
    signed = [person.approve(plan, role) for plan in plans for person, role in people]
    await bench.create_all("planapprovals", signed)


def _waits(plan: dict[str, Any]) -> bool:
    return bool(plan.get("status", {}).get("phase") == "AwaitingApproval")


def _is_over(incident: dict[str, Any]) -> bool:
    return bool(incident.get("status", {}).get("phase") == OVER)


def _over(bench: BenchWorld) -> list[dict[str, Any]]:
    time.sleep(1)
    return [incident for incident in bench.world.all("incidents") if _is_over(incident)]


def _count_calls(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Calls by operation."""
    found: dict[str, float] = {}
    for name, value in after.items():
        if name.startswith("bokgu_aws_requests_total"):
            operation = name.partition('operation="')[2].partition('"')[0]
            found[operation] = found.get(operation, 0) + value - before.get(name, 0)
    return found
