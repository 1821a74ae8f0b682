"""A controller-runtime (Go) controller: `programs/main.go`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.bench_world import BenchWorld
from tests.controlplane import Process
from tests.controlplane.programs import GoModule
from tests.world.world import wait_for

GO_CONTROLLER = GoModule(
    Path(__file__).parents[1] / "programs",
    "bench",
    {"yardstick": "bokgu.dev/yardstick"},
    2,
    "Then run `make bench` again: what was compiled is kept.",
)
"""The Go module that it is built from, once. Most of it is compiled for kubectl, too."""


@contextmanager
def go_controller(bench: BenchWorld, *options: str) -> Iterator[Process]:
    """It runs, and has everything in its cache. `options` are its own; without any it only holds that."""
    program = GO_CONTROLLER.find_or_build() / "yardstick"
    log = bench.world.directory / "yardstick-go.log"
    log.unlink(missing_ok=True)
    argv: list[str | Path] = [program, "-kubeconfig", bench.world.operator_kubeconfig(), *options]
    with Process.start(argv, log_path=log) as process:
        wait_for(lambda: "ready" in log.read_text().splitlines(), 60, lambda: process.log_tail(5))
        yield process
