"""Detection at scale: AWS calls and CPU of one cycle over many services, against canned answers."""

import math
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.canned_aws import service_name
from tests.controlplane.process import Process
from tests.world.manifests import protected_service
from tests.world.world import ROOT, World, wait_for

PRESETS = ("alb-target-5xx", "alb-no-target", "ecs-running", "ecs-cpu")
METRICS = 4
"""Metrics of these presets a service: requests, errors, healthy hosts, CPU."""
INTERVAL = 20
"""Seconds between two cycles."""
CYCLES = 3
"""Cycles measured, after the first ones, in which everything is new."""


@dataclass(frozen=True)
class DetectionResult:
    """Figures of one cycle; CPU in seconds of one core."""

    services: int
    metric_calls: float
    describe_calls: float
    other_calls: float
    cpu: float
    writes: float

    @property
    def metric_floor(self) -> int:
        """GetMetricData calls that the API allows at best: 500 queries each."""
        return math.ceil(self.services * METRICS / 500)

    @property
    def describe_floor(self) -> int:
        """DescribeServices calls at best: ten services each."""
        return math.ceil(self.services / 10)


def measure_detection(world: World, services: int) -> DetectionResult:
    """Watch that many services with four presets each, and measure the operator's process over some cycles."""
    port_file = world.directory / "canned.port"
    argv = [sys.executable, "-m", "tests.bench.canned_aws", "--services", str(services), "--port-file", str(port_file)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    canned = Process.start(argv, log_path=world.directory / "canned.log", env=environment)
    try:
        wait_for(port_file.exists, 10, lambda: "the canned endpoint does not start")
        endpoint = f"http://127.0.0.1:{port_file.read_text()}"
        _create(world, services)
        world.start_operator({"BOKGU_AWS_ENDPOINT_URL": endpoint, "BOKGU_RESYNC": "10m"})
        wait_for(lambda: _looked(world, services), 240, lambda: "not every service has been looked at")
        _wait_for_cycle()
        before, cpu_before = world.scrape(), _cpu_seconds(world.operator_pid)
        for _ in range(CYCLES):
            time.sleep(2)
            _wait_for_cycle()
        after, cpu_after = world.scrape(), _cpu_seconds(world.operator_pid)
    finally:
        canned.stop()
    grown = {name: (value - before.get(name, 0)) / CYCLES for name, value in after.items()}
    calls = {name: value for name, value in grown.items() if name.startswith("bokgu_aws_requests_total")}
    metric_calls = sum(value for name, value in calls.items() if '"GetMetricData"' in name)
    describe_calls = sum(value for name, value in calls.items() if '"DescribeServices"' in name)
    return DetectionResult(
        services=services,
        metric_calls=metric_calls,
        describe_calls=describe_calls,
        other_calls=sum(calls.values()) - metric_calls - describe_calls,
        cpu=(cpu_after - cpu_before) / CYCLES,
        writes=sum(value for name, value in grown.items() if name.startswith("bokgu_status_writes_total")),
    )


def _create(world: World, services: int) -> None:
    detection = {"presets": list(PRESETS), "interval": f"{INTERVAL}s"}
    names = [service_name(number) for number in range(services)]
    for begin in range(0, services, 200):
        manifests: list[dict[str, Any]] = [
            protected_service(name, mode="Observe", detection=detection, ecs={"cluster": "bench", "service": name})
            for name in names[begin : begin + 200]
        ]
        world.apply(*manifests)


def _looked(world: World, services: int) -> bool:
    """Whether every service has had its presets judged, and its good revision found."""
    found = world.all("protectedservices")
    done = [p for p in found if p.get("status", {}).get("detections") and "lastKnownGood" in p["status"]]
    return len(done) == services


def _wait_for_cycle() -> None:
    """Sleep until shortly before a cycle, when the one before is over: they begin at multiples of the interval."""
    time.sleep((INTERVAL - 1 - time.time()) % INTERVAL)


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process so far (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
