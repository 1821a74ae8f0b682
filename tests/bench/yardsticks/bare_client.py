"""A client that does nothing but write: what the API server can do, and how long one write takes."""

import asyncio
import time

from tests.bench.bench_world import BenchWorld
from tests.world.manifests import incident

CONCURRENCY = 8
"""Writes under way at once, as many as the operator has workers (BOKGU_WORKERS)."""
OF_NOBODY = {"bokgu.dev/shard": "nobody"}
"""No operator acts for what it writes."""


def measure_writes(bench: BenchWorld, namespace: str, count: int) -> float:
    """Status PUTs a second, side by side, on objects of their own."""
    return asyncio.run(_measure(bench, namespace, count, CONCURRENCY))


def measure_round_trip(bench: BenchWorld, namespace: str, count: int) -> float:
    """Seconds of one status PUT while there is no other, on average."""
    return 1 / asyncio.run(_measure(bench, namespace, count, 1))


async def _measure(bench: BenchWorld, namespace: str, count: int, concurrency: int) -> float:
    async with bench.client(operator=True) as kube:
        made = [incident(f"bare-{concurrency}-{number}", "nobody") for number in range(count)]
        placed = [bench.place(body, namespace, OF_NOBODY) for body in made]
        bodies = iter(await bench.create_all("incidents", placed))
        begun = time.monotonic()

        async def write() -> None:
            for body in bodies:
                await kube.replace_status("incidents", body, {"phase": "AwaitingApproval"})

        await asyncio.gather(*(write() for _ in range(concurrency)))
        return count / (time.monotonic() - begun)
