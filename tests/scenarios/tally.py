"""The line about scenarios at the end of a test run."""

import re
from collections import Counter
from typing import Any

_MODULE = "tests/scenarios/test_catalogue.py::test_scenario["
_WAITS = re.compile(r"waits for issue (\d+)")


def waiting_reason(issue: int, reason: str) -> str:
    """Why a scenario is expected to fail, as the tally reads it."""
    return f"waits for issue {issue}: {reason}"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many scenarios came as they must, and how many wait for later issues. A pytest hook."""
    stats: dict[str, list[Any]] = terminalreporter.stats

    def reports(outcome: str) -> list[Any]:
        return [r for r in stats.get(outcome, ()) if getattr(r, "nodeid", "").startswith(_MODULE)]

    # Expected failures are what waits for later issues: their marks come from `waiting` in the scenario's file.
    passed, failed, waiting = reports("passed"), reports("failed") + reports("error"), reports("xfailed")
    if not (passed or failed or waiting):
        return
    issues = Counter(int(found[1]) for r in waiting if (found := _WAITS.search(getattr(r, "wasxfail", ""))))
    by_issue = ", ".join(f"{issue}: {number}" for issue, number in sorted(issues.items()))
    line = f"scenarios: {len(passed)} pass, {len(waiting)} wait for later issues ({by_issue or 'none'})"
    terminalreporter.write_line(line + (f", {len(failed)} FAIL" if failed else ""))
