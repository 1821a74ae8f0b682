"""`python -m tests.bench`: how fast, how large, and with how few calls, beside yardsticks measured in the same run.

Figures are printed, never asserted: the exit code is 1 only where a row could not be measured.
"""

import argparse
import sys
import time
import traceback

from tests.bench.figure import Figure, merge_runs
from tests.bench.machine import describe_machine, list_versions
from tests.bench.row import Effort, Row
from tests.bench.rows import burst, detection, door, growth, latency, life, shards
from tests.bench.table import print_json, print_table

ROWS = (
    Row("burst", burst.measure, 2),
    Row("latency", latency.measure, 2),
    Row("growth", growth.measure, 1),
    Row("detection", detection.measure, 1),
    Row("door", door.measure, 1),
    Row("shards", shards.measure, 1),
    Row("life", life.measure, 1),
)


def main() -> int:
    """Measure row after row, and print one table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=[row.name for row in ROWS], metavar="ROW", help="%(choices)s")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="small, one run: to see that the rows work")
    size.add_argument("--full", action="store_true", help="also with 50,000 objects")
    parser.add_argument("--runs", type=int, metavar="N", help="runs of each row")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="default: %(default)s")
    options = parser.parse_args()
    begun, machine = time.monotonic(), describe_machine()
    found: dict[str, list[Figure] | str] = {}
    for row in ROWS:
        if options.only is None or row.name in options.only:
            runs = options.runs or (1 if options.quick else row.runs)
            found[row.name] = measure_row(row, runs, Effort(quick=options.quick, full=options.full, tell=_tell))
    took = {"took": f"{(time.monotonic() - begun) / 60:.1f} minutes"}
    write = print_json if options.output == "json" else print_table
    write(found, {"machine": machine, "versions": list_versions(), "run": took}, sys.stdout)
    return int(any(isinstance(figures, str) for figures in found.values()))


def measure_row(row: Row, runs: int, effort: Effort) -> list[Figure] | str:
    """The row's figures, or what went wrong: the other rows go on."""
    done = []
    for run in range(1, runs + 1):
        _tell(f"== {row.name}, run {run} of {runs}")
        begun = time.monotonic()
        try:
            done.append(row.measure(effort))
        except Exception as error:
            traceback.print_exc()
            return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        _tell(f"== {row.name}: {time.monotonic() - begun:.0f} s")
    return merge_runs(done)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
