"""The figures of the high-availability tests, at the end of a test run."""

from typing import Any

TAKEN_OVER, HANDED_OVER = "taken over after seconds", "handed over in seconds"
"""Properties of tests: from the death of a leader, or its stop, to the next one; without a leader at an upgrade."""

ENDED = "ended after SIGTERM in seconds"
"""Another one: until the process was gone."""


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how long there was no leader, and how long an end took, at the longest. A pytest hook."""
    stats: dict[str, list[Any]] = terminalreporter.stats
    found: dict[str, list[float]] = {}
    for report in (*stats.get("passed", ()), *stats.get("failed", ())):
        for name, value in getattr(report, "user_properties", ()) if report.when == "call" else ():
            if isinstance(name, str) and name.startswith((TAKEN_OVER, HANDED_OVER, ENDED)):
                found.setdefault(name, []).append(float(value))
    for name, values in sorted(found.items()):
        terminalreporter.write_line(f"{name}: {max(values):.1f} at the longest, of {len(values)}")
