"""How long it takes until something is done: from an incident that is filed to UpdateService, without people.

AWS answers at once here, so that nothing need be taken off for waiting; making its calls is in the figures.
"""

from statistics import median

from tests.bench.bench_world import open_bench_world
from tests.bench.canned_aws import service_name
from tests.bench.figure import Aim, Figure, percentile
from tests.bench.recoveries import MOST, open_auto_namespace, recover_one_by_one, recover_together
from tests.bench.row import Effort
from tests.bench.yardsticks.bare_client import measure_round_trip
from tests.bench.yardsticks.go_controller import go_controller

ROUND_TRIPS = 200


def measure(effort: Effort) -> list[Figure]:
    """Milliseconds idle and in a burst, beside one write's round trip and a Go controller that writes as often."""
    idle, busy = effort.size(MOST, 5), effort.size(200, 20)
    names = [service_name(number) for number in range(idle + busy)]
    together = [names[begin : begin + MOST] for begin in range(idle, len(names), MOST)]
    groups = {f"auto-{number}": group for number, group in enumerate((names[:idle], *together))}
    with open_bench_world(effort.tell, services=len(names), surge=True) as bench:
        effort.tell(f"{len(names)} services that are recovered without people")
        for namespace, group in groups.items():
            open_auto_namespace(bench, namespace, group)
        bench.describe(*groups)
        bench.start_operator({"BOKGU_AUTO_NAMESPACES": ",".join(groups)})
        bench.settle()
        bench.open_namespace("bare")
        trip = 1000 * measure_round_trip(bench, "bare", ROUND_TRIPS)
        effort.tell(f"{idle} incidents, one after the other")
        recovered = recover_one_by_one(bench, "auto-0", groups.pop("auto-0"))
        alone, writes = [1000 * one.seconds for one in recovered], median(one.writes for one in recovered)
        effort.tell(f"{busy} incidents at once")
        services = [(namespace, name) for namespace, group in groups.items() for name in group]
        busy_ones = [1000 * seconds for seconds in recover_together(bench, services)]
        pattern = bench.write_pattern("auto-1", f"inc-{services[0][1]}")
        bench.world.kill_operator()
        effort.tell("the same by a Go controller")
        # Others than the operator's: of each service the first call is noted.
        others = [("go", service_name(len(names) + number)) for number in range(busy)]
        bench.open_namespace("go")
        options = ("-like", str(pattern), "-writes", str(round(writes)), "-notify", bench.world.aws_url)
        with go_controller(bench, *options):
            yardstick = [1000 * seconds for seconds in recover_together(bench, others)]
    trips = (("round trip", (trip,)),)
    return [
        Figure("incident filed to UpdateService, idle, p50", "ms", (percentile(alone, 0.5),), _IDLE, trips),
        Figure("the same, p99", "ms", (percentile(alone, 0.99),), _IDLE, trips),
        Figure("writes to the API server until then", "", (writes,)),
        Figure(
            f"incident filed to UpdateService, {busy} at once on {busy} services, p99",
            "ms",
            (percentile(busy_ones, 0.99),),
            Aim("≤", 1.2, of="Go"),
            (("Go", (percentile(yardstick, 0.99),)),),
        ),
    ]


_IDLE = Aim("≤", 8, of="round trip")
