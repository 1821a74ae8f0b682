"""The line about faults at the end of a test run: what was tried, and how much of it."""

from collections import Counter
from typing import Any

POINTS, FAULTS, SEQUENCES = "crash points", "faults", "generated sequences"
"""Properties of tests that are counted, by what a person calls them."""


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many points, faults and sequences of events were tried. A pytest hook."""
    stats: dict[str, list[Any]] = terminalreporter.stats
    counts: Counter[str] = Counter()
    for report in (*stats.get("passed", ()), *stats.get("failed", ())):
        for name, number in getattr(report, "user_properties", ()) if report.when == "call" else ():
            if name in {POINTS, FAULTS, SEQUENCES}:
                counts[name] += number
    if counts:
        terminalreporter.write_line(", ".join(f"{counts[name]} {name}" for name in (POINTS, FAULTS, SEQUENCES)))
