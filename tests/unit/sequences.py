"""The line about generated sequences of events at the end of a test run."""

from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many sequences of events were generated and played. A pytest hook; the tests record the property."""
    reports = [r for found in terminalreporter.stats.values() for r in found if getattr(r, "when", "") == "call"]
    numbers = [int(value) for r in reports for name, value in r.user_properties if name == "sequences"]
    if numbers:
        terminalreporter.write_line(f"sequences of events: {sum(numbers)} generated, by {len(numbers)} state machines")
