"""The line about fuzzing at the end of a test run: what was tried, and how much of it was refused."""

from collections import Counter
from typing import Any

OBJECTS, REFUSED = "generated objects", "of them refused"
CHANGES, REFUSED_CHANGES = "changes of a field", "of these refused"
REQUESTS, MESSAGES = "generated requests", "generated messages"
NAMES = (OBJECTS, REFUSED, CHANGES, REFUSED_CHANGES, REQUESTS, MESSAGES)
"""Properties of tests that are counted, by what a person calls them."""


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how much was tried. A pytest hook."""
    stats: dict[str, list[Any]] = terminalreporter.stats
    counts: Counter[str] = Counter()
    for report in (*stats.get("passed", ()), *stats.get("failed", ())):
        for name, number in getattr(report, "user_properties", ()) if report.when == "call" else ():
            if name in NAMES:
                counts[name] += number
    if counts:
        terminalreporter.write_line(", ".join(f"{counts[name]} {name}" for name in NAMES if name in counts))
