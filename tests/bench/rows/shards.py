"""Shards: how many writes a second one, two and three operator processes make on this machine, beside what the API
server takes from a client that does nothing else."""

from tests.bench.bench_world import BenchWorld, open_bench_world
from tests.bench.canned_aws import service_name
from tests.bench.figure import Figure
from tests.bench.row import Effort
from tests.bench.yardsticks.bare_client import measure_writes

MOST = 3
LABEL = "bokgu.dev/shard"


def measure(effort: Effort) -> list[Figure]:
    """Writes a second in a burst that all shards share evenly."""
    count = effort.size(400, 30)
    figures = []
    with open_bench_world(effort.tell, services=MOST * count, surge=True) as bench:
        bench.open_namespace("bare")
        limit = measure_writes(bench, "bare", effort.size(2000, 100))
        for shards in range(1, MOST + 1):
            effort.tell(f"{count} incidents at once, {shards} shards")
            names = [service_name(count * (shards - 1) + number) for number in range(count)]
            writes = _measure_shards(bench, shards, names)
            figures.append(
                Figure(f"writes a second, shards: {shards}", "1/s", (writes,), None, (("bare client", (limit,)),))
            )
    return figures


def _measure_shards(bench: BenchWorld, shards: int, names: list[str]) -> float:
    namespace = f"shards-{shards}"
    bench.open_namespace(namespace)
    of_shard = {f"{namespace}-{number}": names[number::shards] for number in range(shards)}
    for shard, group in of_shard.items():
        bench.protect(namespace, group, labels={LABEL: shard})
    bench.describe(namespace, shards=tuple(of_shard))
    for shard in of_shard:
        bench.start_operator({"BOKGU_SHARD": shard, "BOKGU_WEBHOOK_PORT": "0"}, shard)
    for shard in of_shard:
        bench.settle(shard)
    before = {shard: bench.world.scrape_of(shard) for shard in of_shard}
    filed = [
        bench.place(body, namespace, labels={LABEL: shard})
        for shard, group in of_shard.items()
        for body in bench.incidents(namespace, group)
    ]
    took = bench.burst(namespace, filed)
    writes = sum(bench.count_writes(before[shard], bench.world.scrape_of(shard)) for shard in of_shard)
    for shard in of_shard:
        bench.world.kill_operator(shard)
    return writes / took
