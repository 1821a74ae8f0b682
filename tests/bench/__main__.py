"""`python -m tests.bench`: how fast, and with how few calls. Figures are printed, never asserted."""

import argparse
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.detection import METRICS, measure_detection
from tests.bench.event_door import measure_event_door
from tests.bench.incidents import measure_burst
from tests.world.world import World

PARTS = ("incidents", "detection", "door")
Row = tuple[str, str, str, str]


def main() -> int:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--incidents", type=int, default=100, metavar="N", help="size of the burst (%(default)s)")
    parser.add_argument(
        "--services", type=int, default=1000, metavar="N", help="services that are watched (%(default)s)"
    )
    parser.add_argument("--messages", type=int, default=200, metavar="N", help="alarm messages (%(default)s)")
    parser.add_argument("--only", choices=PARTS, help="measure one part")
    options = parser.parse_args()
    rows: list[Row] = []
    for part in PARTS:
        if options.only in {None, part}:
            with _world() as world:
                rows += _measure(part, world, options)
    table = Table(title=f"bokgu bench: Python {platform.python_version()}, {platform.machine()}, one run")
    for column in ("what", "measured", "yardstick", "ratio"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for row in rows:
        table.add_row(*row)
    Console(width=120).print(table)
    return 0


def _measure(part: str, world: World, options: argparse.Namespace) -> list[Row]:
    match part:
        case "incidents":
            world.kill_operator()
            return _burst_rows(world, options.incidents)
        case "detection":
            world.kill_operator()
            return _detection_rows(world, options.services)
        case _:
            return _door_rows(world, options.messages)


def _burst_rows(world: World, count: int) -> list[Row]:
    found = measure_burst(world, count, _tell)
    return [
        (
            f"incidents a second to a plan that awaits approval, burst of {count}",
            f"{found.rate:.1f}",
            f"{found.yardstick:.1f}",
            f"{found.rate / found.yardstick:.2f}",
        ),
        ("writes to the API server an incident", f"{found.writes:.2f}", "3", ""),
        ("AWS calls an incident", f"{found.aws_calls:.2f}", "3", ""),
    ]


def _detection_rows(world: World, services: int) -> list[Row]:
    _tell(f"{services} services with four presets each, against canned answers: takes minutes")
    found = measure_detection(world, services)
    metrics = services * METRICS
    return [
        (f"GetMetricData calls a cycle, {metrics} metrics", f"{found.metric_calls:.1f}", str(found.metric_floor), ""),
        (
            f"DescribeServices calls a cycle, {services} services",
            f"{found.describe_calls:.1f}",
            str(found.describe_floor),
            "",
        ),
        ("other AWS calls a cycle", f"{found.other_calls:.1f}", "0", ""),
        ("writes to the API server a calm cycle", f"{found.writes:.1f}", "0", ""),
        ("CPU of a cycle, seconds of one core, idle included", f"{found.cpu:.2f}", "1.50", f"{found.cpu / 1.5:.2f}"),
        (
            "what CloudWatch bills for that each minute, USD a month",
            f"{metrics * 60 * 24 * 30 / 1000 * USD_PER_THOUSAND_METRICS:,.0f}",
            "",
            "",
        ),
    ]


USD_PER_THOUSAND_METRICS = 0.01
"""GetMetricData, us-east-1 (Amazon CloudWatch pricing)."""


def _door_rows(world: World, messages: int) -> list[Row]:
    _tell(f"{messages} alarms, 20 a second")
    found = measure_event_door(world, messages=messages)
    return [
        (f"SQS alarm to stored Incident, {messages} at 20 a second: p50, ms", f"{found.percentile(0.5):.0f}", "50", ""),
        ("p99, ms", f"{found.percentile(0.99):.0f}", "250", ""),
        ("messages lost", str(found.lost), "0", ""),
    ]


@contextmanager
def _world() -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="bokgu-bench-") as folder, World(Path(folder), tell=_tell) as world:
        yield world


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
