"""The line about faults at the end of a test run: what was tried, and how much of it."""

import re
from collections import Counter
from collections.abc import Generator
from typing import Any

import pytest

POINTS, FAULTS, SEQUENCES = "crash points", "faults", "generated sequences"
"""Properties of tests that are counted, by what a person calls them."""

_SEQUENCES = re.compile(r"- (\d+) passing,")
_HISTORIES = "histories"
"""In the name of modules whose Hypothesis tests order events against the state machine."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Note how many sequences a property test has made. A pytest hook."""
    report = yield
    statistics = getattr(item, "hypothesis_statistics", "")
    if report.when == "call" and statistics and _HISTORIES in item.nodeid:
        number = sum(int(found) for found in _SEQUENCES.findall(statistics))
        report.user_properties.append((SEQUENCES, number))
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many points, faults and sequences were tried. A pytest hook."""
    stats: dict[str, list[Any]] = terminalreporter.stats
    counts: Counter[str] = Counter()
    for report in (*stats.get("passed", ()), *stats.get("failed", ())):
        for name, number in getattr(report, "user_properties", ()):
            if name in {POINTS, FAULTS, SEQUENCES}:
                counts[name] += number
    if counts:
        terminalreporter.write_line(", ".join(f"{counts[name]} {name}" for name in (POINTS, FAULTS, SEQUENCES)))
