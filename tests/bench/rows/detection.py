"""Detection at scale: AWS calls and CPU of one cycle over many services, against canned answers."""

import math
import time

from tests.bench.bench_world import PATIENCE, BenchWorld, open_bench_world
from tests.bench.canned_aws import CLUSTER, service_name
from tests.bench.figure import Aim, Figure
from tests.bench.processes import cpu_seconds
from tests.bench.row import Effort
from tests.world.manifests import protected_service
from tests.world.world import wait_for

PRESETS = ("alb-target-5xx", "alb-no-target", "ecs-running", "ecs-cpu")
METRICS = 4
"""Metrics of these presets a service: requests, errors, healthy hosts, CPU."""
INTERVAL = 20
"""Seconds between two cycles."""
CYCLES = 3
"""Cycles measured, after the first ones, in which everything is new."""
QUERIES_A_CALL, SERVICES_A_CALL = 500, 10
"""API_GetMetricData and API_DescribeServices."""
USD_PER_THOUSAND_METRICS = 0.01
"""GetMetricData, us-east-1 (Amazon CloudWatch pricing)."""
NAMESPACE = "watched"


def measure(effort: Effort) -> list[Figure]:
    """AWS calls, writes and CPU of each of some calm cycles, idle time between them included."""
    services = effort.size(1000, 50)
    with open_bench_world(effort.tell, services=services) as bench:
        _protect(bench, services)
        bench.start_operator({"BOKGU_RESYNC": "10m", "BOKGU_SERVICE_POLL": "10m"})
        effort.tell(f"{services} services with four presets each: their first looks, then {CYCLES} cycles")
        wait_for(lambda: _looked(bench, services), PATIENCE, lambda: "not every service has been looked at")
        _wait_for_cycle()
        cycles = [_measure_cycle(bench) for _ in range(CYCLES)]
    metrics = services * METRICS
    by_name = {name: tuple(cycle[name] for cycle in cycles) for name in cycles[0]}
    return [
        Figure(
            f"GetMetricData calls a cycle, {metrics:,} metrics",
            "",
            by_name["GetMetricData"],
            Aim("≤", 1, of="floor"),
            (("floor", (math.ceil(metrics / QUERIES_A_CALL),)),),
        ),
        Figure(
            f"DescribeServices calls a cycle, {services:,} services",
            "",
            by_name["DescribeServices"],
            Aim("≤", 1, of="floor"),
            (("floor", (math.ceil(services / SERVICES_A_CALL),)),),
        ),
        Figure("other AWS calls a cycle", "", by_name["others"], Aim("≤", 0)),
        Figure("writes to the API server a calm cycle", "", by_name["writes"], Aim("≤", 0)),
        Figure(f"CPU of a cycle of {services:,} services × {len(PRESETS)} presets", "s", by_name["cpu"], Aim("≤", 1)),
        Figure(
            "what CloudWatch bills for that each minute, a month",
            "USD",
            (metrics * 60 * 24 * 30 / 1000 * USD_PER_THOUSAND_METRICS,),
        ),
    ]


def _protect(bench: BenchWorld, services: int) -> None:
    bench.open_namespace(NAMESPACE)
    detection = {"presets": list(PRESETS), "interval": f"{INTERVAL}s"}
    names = [service_name(number) for number in range(services)]
    bodies = [
        protected_service(name, mode="Observe", detection=detection, ecs={"cluster": CLUSTER, "service": name})
        for name in names
    ]
    bench.create("protectedservices", [bench.place(body, NAMESPACE) for body in bodies])


def _measure_cycle(bench: BenchWorld) -> dict[str, float]:
    pid = bench.world.operator_pid
    before, cpu_before = bench.world.scrape(), cpu_seconds(pid)
    time.sleep(2)
    _wait_for_cycle()
    after, cpu_after = bench.world.scrape(), cpu_seconds(pid)
    grown = {name: value - before.get(name, 0) for name, value in after.items()}
    calls = {name: value for name, value in grown.items() if name.startswith("bokgu_aws_requests_total")}
    found = {
        operation: sum(value for name, value in calls.items() if f'"{operation}"' in name)
        for operation in ("GetMetricData", "DescribeServices")
    }
    others = sum(calls.values()) - sum(found.values())
    return found | {"others": others, "cpu": cpu_after - cpu_before, "writes": bench.count_writes(before, after)}


def _looked(bench: BenchWorld, services: int) -> bool:
    """Whether every service has had its presets judged, and its good revision found."""
    found = bench.world.all("protectedservices", NAMESPACE)
    done = [p for p in found if p.get("status", {}).get("detections") and "lastKnownGood" in p["status"]]
    return len(done) == services


def _wait_for_cycle() -> None:
    """Sleep until shortly before a cycle, when the one before is over: they begin at multiples of the interval."""
    time.sleep((INTERVAL - 1 - time.time()) % INTERVAL)
