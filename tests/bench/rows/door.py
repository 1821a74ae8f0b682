"""The door for events: how long an alarm's message lies in its queue until the incident is stored."""

import tempfile
import threading
import time
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from kubernetes import client, config, watch

from tests.bench.figure import Aim, Figure, percentile
from tests.bench.row import Effort
from tests.world import events
from tests.world.manifests import NAMESPACE, protected_service
from tests.world.world import World, wait_for

TYPES = ("service_down", "high_error_rate", "resource_exhaustion", "data_corruption")
"""One incident each a service: a burst needs a quarter as many services as messages."""


RATE = 20
"""Messages a second."""


def measure(effort: Effort) -> list[Figure]:
    """Send that many alarms of different services and types at an even pace, and watch incidents come.

    The clock starts before SendMessage and stops when a watcher is told of the incident, so both calls are in the
    figure. The services are not there in ECS: what the operator does with an incident afterwards is little.
    """
    messages = effort.size(200, 40)
    with tempfile.TemporaryDirectory(prefix="bokgu-bench-") as folder, World(Path(folder), tell=effort.tell) as world:
        effort.tell(f"{messages} alarms, {RATE} a second")
        latencies, lost = _measure(world, messages)
    return [
        Figure(
            f"SQS alarm to stored Incident, {messages} at {RATE} a second: p50",
            "ms",
            (1000 * percentile(latencies, 0.5),),
            Aim("≤", 50),
        ),
        Figure("the same, p99", "ms", (1000 * percentile(latencies, 0.99),), Aim("≤", 250)),
        Figure("messages lost", "", (lost,), Aim("≤", 0)),
    ]


def _measure(world: World, messages: int) -> tuple[list[float], int]:
    """Seconds of each message that became an incident, and how many did not."""
    names = [f"door-{number}" for number in range(-(-messages // len(TYPES)))]
    alarms = [{"name": f"door-{type_}", "type": type_} for type_ in TYPES]
    for begin in range(0, len(names), 200):
        # A name of its own for each service: an alarm that several services name is about all of them.
        world.apply(*(_protected(name, alarms) for name in names[begin : begin + 200]))
    world.kill_operator()
    world.start_operator({"BOKGU_SERVICE_POLL": "10m"})
    wait_for(lambda: _known(world, names), 60, lambda: "not every service is known")
    # The simulator gives the first message to the poll of the operator that was killed.
    world.events.send(events.stopped_task("nobody"))
    wait_for(lambda: world.events.left() == 0, 30, lambda: "the first event stays in the queue")
    arrived: SimpleQueue[tuple[str, str, float]] = SimpleQueue()
    watcher = threading.Thread(target=_watch, args=(world, arrived, messages // RATE + 8), daemon=True)
    watcher.start()
    time.sleep(1)
    sent = _send(world, names, messages)
    watcher.join()
    seen: dict[tuple[str, str], float] = {}
    while not arrived.empty():
        service, type_, at = arrived.get()
        seen.setdefault((service, type_), at)
    latencies = [seen[key] - at for key, at in sent.items() if key in seen]
    return latencies, len(sent) - len(latencies)


def _protected(name: str, alarms: list[dict[str, str]]) -> dict[str, Any]:
    mine = [{"name": f"{name}-{alarm['name']}", "type": alarm["type"]} for alarm in alarms]
    return protected_service(name, mode="Observe", detection={"alarms": mine})


def _known(world: World, names: list[str]) -> bool:
    found = {p["metadata"]["name"] for p in world.all("protectedservices") if p.get("status")}
    return found >= set(names)


def _send(world: World, names: list[str], messages: int) -> dict[tuple[str, str], float]:
    """Send at an even pace; when each was sent (monotonic)."""
    sent: dict[tuple[str, str], float] = {}
    begun = time.monotonic()
    for number in range(messages):
        service, type_ = names[number // len(TYPES)], TYPES[number % len(TYPES)]
        body = events.alarm(f"{service}-door-{type_}")
        time.sleep(max(0.0, begun + number / RATE - time.monotonic()))
        sent[service, type_] = time.monotonic()
        world.events.send(body)
    return sent


def _watch(world: World, arrived: "SimpleQueue[tuple[str, str, float]]", seconds: int) -> None:
    """Note when each incident is there; for as long as the API server keeps the watch."""
    kubeconfig = str(world.control_plane.admin_kubeconfig)
    objects = client.CustomObjectsApi(config.new_client_from_config(kubeconfig))  # type: ignore[no-untyped-call]
    stream = watch.Watch()  # type: ignore[no-untyped-call]  # generated without types
    where = {"group": "bokgu.dev", "version": "v1alpha1", "namespace": NAMESPACE, "plural": "incidents"}
    listing = objects.list_namespaced_custom_object
    for event in stream.stream(listing, **where, timeout_seconds=seconds):  # type: ignore[no-untyped-call]  # as above
        if event["type"] == "ADDED":
            spec = event["object"]["spec"]
            arrived.put((spec["serviceRef"]["name"], spec["type"], time.monotonic()))
