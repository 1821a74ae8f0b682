"""Recoveries without people: from an incident that is filed to the UpdateService that AWS receives."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.bench.bench_world import PATIENCE, BenchWorld
from tests.world.world import wait_for

MOST = 50
"""Services of a namespace: a RecoveryPolicy lets at most 60 plans start by themselves in an hour."""
PAUSE = 0.3
"""Seconds between two incidents, so that the second meets an idle system."""


def open_auto_namespace(bench: BenchWorld, namespace: str, names: Sequence[str]) -> None:
    """Services that are scaled out without people. The operator's settings must name the namespace."""
    auto = [{"service": name, "action": "scale_out", "rootCause": "TrafficSurge"} for name in names]
    bench.open_namespace(namespace, auto=auto, maxAutoPerHour=60)
    bench.protect(namespace, names, mode="Auto")


@dataclass(frozen=True)
class Recovery:
    """Seconds from just before an incident was sent until UpdateService came, and the operator's writes to the API
    server meanwhile, with what it wrote until that was noticed."""

    seconds: float
    writes: float


def recover_one_by_one(bench: BenchWorld, namespace: str, names: Sequence[str]) -> list[Recovery]:
    """File an incident after the other."""
    return [_recover(bench, namespace, name) for name in names]


def recover_together(bench: BenchWorld, services: Sequence[tuple[str, str]]) -> list[float]:
    """File incidents of services, by (namespace, name), at once; of each the seconds from when the first was sent."""
    begun = time.time()
    names = [name for _, name in services]
    bench.create("incidents", [body for namespace, name in services for body in bench.incidents(namespace, [name])])
    wait_for(lambda: bench.updates().keys() >= set(names), PATIENCE, lambda: _left(bench, services))
    found = bench.updates()
    return [found[name] - begun for name in names]


def _recover(bench: BenchWorld, namespace: str, name: str) -> Recovery:
    (body,) = bench.incidents(namespace, [name])
    where = {"group": "bokgu.dev", "version": "v1alpha1", "namespace": namespace, "plural": "incidents"}
    time.sleep(PAUSE)
    before = bench.world.scrape()
    begun = time.time()
    bench.objects.create_namespaced_custom_object(**where, body=body)
    deadline = begun + PATIENCE
    while (came := bench.updates().get(name)) is None:
        if time.time() > deadline:
            raise TimeoutError(_left(bench, [(namespace, name)]))
        time.sleep(0.01)
    return Recovery(came - begun, bench.count_writes(before, bench.world.scrape()))


def _left(bench: BenchWorld, services: Sequence[tuple[str, str]]) -> str:
    done = bench.updates()
    left: list[Any] = [service for service in services if service[1] not in done]
    return f"{len(left)} of {len(services)} had no UpdateService; in {left[0][0]}: {bench.tell_left(left[0][0])}"
