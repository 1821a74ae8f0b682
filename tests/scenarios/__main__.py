"""`make scenario NAME=...`: play one scenario and show it; without a name, list them all."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tests.controlplane import ProgramsError, StartError
from tests.scenarios.ensemble import Ensemble, play_one
from tests.scenarios.play import Report
from tests.scenarios.scenario_files import CatalogueError, Entry, find_entry, read_catalogue

STYLES = {
    "step": "bold",
    "people": "cyan",
    "incident": "red",
    "plan": "magenta",
    "write": "bold yellow",
    "detection": "dim",
    "world": "dim",
}


def main() -> int:
    """0 when what was played came as it must."""
    parser = argparse.ArgumentParser(prog="python -m tests.scenarios", description=__doc__)
    parser.add_argument("name", nargs="*", help="number or name, such as 15 or pause-hook; several play at once")
    parser.add_argument("--all", action="store_true", help="play all, and say how each came out")
    options = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    try:
        if options.all:
            return _play_many(console, list(read_catalogue()))
        entries = [find_entry(name) for name in options.name]
        if not entries:
            return _list(console)
        return _play_live(console, entries[0]) if len(entries) == 1 else _play_many(console, entries)
    except KeyboardInterrupt:
        console.print("stopped")
        return 130
    except (CatalogueError, ProgramsError, StartError, FileNotFoundError, TimeoutError) as error:
        console.print(Text(f"{error}", style="red"))
        return 1


def _list(console: Console) -> int:
    for entry in read_catalogue():
        scenario = entry.scenario
        name = Text(f"{scenario.number:>4}  {entry.name.partition('-')[2]:<32}", style="bold")
        console.print(name + Text(scenario.title))
        if scenario.waiting:
            console.print(
                Text(f"{'':38}waits for issue {scenario.waiting.issue}: {scenario.waiting.reason}", style="dim")
            )
    console.print("\nPlay one with: make scenario NAME=15   or   make scenario NAME=pause-hook")
    return 0


def _play_live(console: Console, entry: Entry) -> int:
    begun = time.monotonic()
    scenario = entry.scenario
    console.print(Text(f"{entry.name}: {scenario.title}", style="bold"))
    console.print(Text(scenario.why.strip(), style="italic"))
    console.print("A simulated minute takes a second.\n")

    def tell(kind: str, text: str) -> None:
        line = Text(f"{time.monotonic() - begun:6.1f} s  {kind:<9} {text}", style=STYLES.get(kind, ""))
        console.print(line)

    with tempfile.TemporaryDirectory(prefix="bokgu-scenario-") as folder:
        report = play_one(entry, Path(folder), tell)
    console.print()
    _show_checks(console, report)
    return _conclude(console, report)


def _show_checks(console: Console, report: Report) -> None:
    for check in report.checks:
        found = f": {check.found}" if check.found and not check.holds else ""
        mark, style = ("✓", "green") if check.holds else ("✗", "red")
        console.print(Text(f"{mark} {check.text}{found}", style=style))
    if report.problem is not None:
        console.print(Text(f"✗ {report.problem}", style="red"))


def _conclude(console: Console, report: Report) -> int:
    waiting = report.entry.scenario.waiting
    if report.passed and waiting is None:
        console.print(Text("It came as it must.", style="bold green"))
        return 0
    if report.passed:
        console.print(Text("It came as it must: it waits for nothing any more, take the mark away.", style="bold red"))
        return 1
    if waiting is not None and report.played:
        console.print(Text(f"As expected for now: it waits for issue {waiting.issue}: {waiting.reason}.", style="bold"))
        return 0
    console.print(Text("It did not come as it must.", style="bold red"))
    return 1


def _play_many(console: Console, entries: list[Entry]) -> int:
    begun, code = time.monotonic(), 0
    with Ensemble(entries) as ensemble:
        for entry in entries:
            report = ensemble.report(entry.name)
            waiting = entry.scenario.waiting
            good = report.played and report.passed == (waiting is None)
            word = "pass" if report.passed else f"waits for issue {waiting.issue}" if waiting else "FAIL"
            style = "green" if good and report.passed else "dim" if good else "red"
            console.print(Text(f"{entry.name:<34} {report.seconds:5.0f} s  {word}", style=style))
            if not good:
                code = 1
                console.print(Text(report.explain()))
    if ensemble.unclaimed:
        code = 1
        console.print(Text(f"writes that no scenario answers for: {ensemble.unclaimed}", style="red"))
    console.print(f"{len(entries)} scenarios in {time.monotonic() - begun:.0f} s")
    return code


if __name__ == "__main__":
    sys.exit(main())
