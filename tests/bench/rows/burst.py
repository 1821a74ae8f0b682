"""A burst of incidents: how fast each becomes a plan that awaits approval, beside who makes the same writes."""

from collections.abc import Sequence

from tests.bench.bench_world import BenchWorld, open_bench_world
from tests.bench.canned_aws import service_name
from tests.bench.figure import Aim, Figure
from tests.bench.processes import cpu_seconds
from tests.bench.row import Effort
from tests.bench.yardsticks.go_controller import go_controller
from tests.bench.yardsticks.plain_kopf import plain_kopf

WRITES = 3
"""Writes to the API server an incident: its plan, the plan's status, its own status."""


def measure(effort: Effort) -> list[Figure]:
    """Incidents a second, CPU, writes and AWS calls an incident."""
    count = effort.size(1000, 50)
    names = [service_name(number) for number in range(count)]
    with open_bench_world(effort.tell, services=count, surge=True) as bench:
        effort.tell(f"{count} services, protected")
        bench.open_namespace("ours")
        bench.protect("ours", names)
        bench.describe("ours")
        bench.start_operator()
        bench.settle()
        effort.tell(f"{count} incidents at once")
        pid, before = bench.world.operator_pid, bench.world.scrape()
        cpu_before = cpu_seconds(pid)
        took = bench.burst("ours", bench.incidents("ours", names))
        cpu, after = cpu_seconds(pid) - cpu_before, bench.world.scrape()
        pattern = bench.write_pattern("ours", f"inc-{names[0]}")
        bench.world.kill_operator()
        effort.tell("the same writes by a Go controller, then by plain kopf")
        with go_controller(bench, "-like", str(pattern), "-writes", str(WRITES)) as process:
            go, go_cpu = _burst(bench, "go", names, process.pid)
        with plain_kopf(bench, "kopf", pattern) as process:
            kopf, kopf_cpu = _burst(bench, "kopf", names, process.pid)
    services = bench.count_status_writes(before, after, "protectedservices")
    aws = sum(v - before.get(n, 0) for n, v in after.items() if n.startswith("bokgu_aws_requests_total"))
    return [
        Figure(
            f"incidents a second to a plan that awaits approval, burst of {count:,}",
            "1/s",
            (count / took,),
            Aim("≥", 1.0, of="Go"),
            (("Go", (go,)), ("kopf", (kopf,))),
        ),
        Figure(
            "writes to the API server an incident, Events not counted",
            "",
            ((bench.count_writes(before, after) - services) / count,),
            Aim("≤", WRITES),
        ),
        Figure("services whose status the minute's look has written meanwhile, an incident", "", (services / count,)),
        Figure("CPU an incident", "ms", (1000 * cpu / count,), None, (("Go", (go_cpu,)), ("kopf", (kopf_cpu,)))),
        Figure("AWS calls an incident", "", (aws / count,)),
    ]


def _burst(bench: BenchWorld, namespace: str, names: Sequence[str], pid: int) -> tuple[float, float]:
    """Incidents a second, and milliseconds of CPU an incident, of a yardstick that runs already."""
    bench.open_namespace(namespace)
    before = cpu_seconds(pid)
    took = bench.burst(namespace, bench.incidents(namespace, names))
    return len(names) / took, 1000 * (cpu_seconds(pid) - before) / len(names)
