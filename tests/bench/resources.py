"""`python -m tests.bench.resources`: memory and CPU of a leader and of a standby at the pace of a real cluster, against
canned answers of AWS. What docs/operations.md and the chart's `resources` say comes from it."""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from rich.console import Console
from rich.table import Table

from tests.bench.canned_aws import service_name
from tests.controlplane.process import Process
from tests.upgrade.releases import FOLDER, load_objects, read_release
from tests.world.manifests import NAMESPACE, protected_service
from tests.world.world import ROOT, Raw, World, wait_for

PRESETS = ("alb-target-5xx", "alb-no-target", "ecs-running", "ecs-cpu")
LEADER, STANDBY = "leader", "standby"
REAL_PACE = {
    "BOKGU_LEASE_NAME": "resources",
    "BOKGU_MINUTE": "1m",
    "BOKGU_SERVICE_POLL": "1m",
    "BOKGU_STEP_POLL": "5s",
    "BOKGU_CONSISTENCY_DELAY": "5m",
    "BOKGU_RESYNC": "5m",
    "BOKGU_POLICY_SETTLE": "1m",
    "BOKGU_RETENTION": "never",
    "BOKGU_EVENT_QUEUES": "",
    "BOKGU_WEBHOOK_TOKEN_FILE": "",
}
"""What holds when nothing is set; events and alerts are not measured."""


@dataclass(frozen=True)
class Usage:
    """Of one process: MiB that it holds, and held at the most; millicores over the time that was measured."""

    resident: float
    peak: float
    millicores: float


def main() -> int:
    """Measure step by step, and print one table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.resources", description=__doc__)
    parser.add_argument("--services", type=int, nargs="+", default=[0, 100, 1000], metavar="N")
    parser.add_argument(
        "--incidents", type=int, default=2000, metavar="N", help="resolved ones, each with its plan (%(default)s)"
    )
    parser.add_argument("--seconds", type=int, default=180, help="measured at each step (%(default)s)")
    options = parser.parse_args()
    table = Table(title=f"memory and CPU: Python {platform.python_version()}, {platform.machine()}, one run")
    for column in ("objects", "process", "MiB", "MiB at most", "millicores"):
        table.add_column(column, justify="left" if column in {"objects", "process"} else "right")
    with _world(max(options.services)) as (world, endpoint):
        for name in (LEADER, STANDBY):
            world.start_operator({**REAL_PACE, "BOKGU_AWS_ENDPOINT_URL": endpoint}, name)
        there = 0
        for count in sorted(options.services):
            _protect(world, there, count)
            there = count
            _measure(world, options.seconds, f"{count} services", table)
        _load_incidents(world, options.incidents)
        _measure(world, options.seconds, f"{there} services, {options.incidents} incidents and plans", table)
    Console(width=120).print(table)
    return 0


@contextmanager
def _world(services: int) -> Iterator[tuple[World, str]]:
    with (
        tempfile.TemporaryDirectory(prefix="bokgu-resources-") as folder,
        World(Path(folder), tell=_tell, operator=False) as world,
    ):
        port_file = world.directory / "canned.port"
        words = ("--services", str(services), "--port-file", str(port_file))
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        argv = [sys.executable, "-m", "tests.bench.canned_aws", *words]
        with Process.start(argv, log_path=world.directory / "canned.log", env=environment):
            wait_for(port_file.exists, 10, lambda: "the canned endpoint does not start")
            yield world, f"http://127.0.0.1:{port_file.read_text()}"


def _protect(world: World, there: int, count: int) -> None:
    """Watch so many services, a minute apart as usual."""
    names = [service_name(number) for number in range(there, count)]
    for begin in range(0, len(names), 200):
        spec = {"mode": "Observe", "detection": {"presets": list(PRESETS)}}
        world.apply(
            *(
                protected_service(name, ecs={"cluster": "bench", "service": name}, **spec)
                for name in names[begin : begin + 200]
            )
        )

    def looked() -> bool:
        return sum("detections" in p.get("status", {}) for p in world.all("protectedservices")) >= count

    wait_for(looked, 400, lambda: "not every service has been looked at")


def _load_incidents(world: World, count: int) -> None:
    """Copies of an incident that is over, and of its plan, each under another name and uid."""
    release = read_release(max(FOLDER.glob("*.yaml")))
    wanted = {("Incident", "done"), ("RecoveryPlan", "done")}
    incident, plan = sorted(
        (o for o in release.objects if (o["kind"], o["metadata"]["name"]) in wanted), key=lambda o: str(o["kind"])
    )
    copies: list[Raw] = []
    for number in range(count):
        uids = {body["metadata"]["uid"]: str(uuid4()) for body in (incident, plan)}
        for body in (incident, plan):
            text = json.dumps(body)
            for old, new in uids.items():
                text = text.replace(old, new)
            copy = json.loads(text)
            copy["metadata"] |= {"name": f"done-{number}", "namespace": NAMESPACE}
            copies.append(copy)
    load_objects(world.control_plane, copies)
    _tell(f"{count} incidents and plans are stored")
    wait_for(lambda: len(world.all("incidents")) == count, 60, lambda: "they are not there")


def _measure(world: World, seconds: int, objects: str, table: Table) -> None:
    _tell(f"{objects}: {seconds} s")
    time.sleep(30)  # What is new settles.
    before = {name: _cpu_seconds(world.process(name).pid) for name in (LEADER, STANDBY)}
    time.sleep(seconds)
    for name in (LEADER, STANDBY):
        pid = world.process(name).pid
        used = (_cpu_seconds(pid) - before[name]) / seconds * 1000
        resident, peak = (_memory(pid, field) for field in ("VmRSS", "VmHWM"))
        table.add_row(objects, name, f"{resident:.0f}", f"{peak:.0f}", f"{used:.0f}")


def _memory(pid: int, field: str) -> float:
    """MiB (proc_pid_status(5))."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process so far (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
