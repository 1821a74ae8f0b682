"""The line about the operator's rights at the end of a test run, whichever process its worlds ran in."""

from typing import Any

import pytest

from tests.world.rights import NOTED, Right, describe

_KEY = "operator_rights"


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand what was noted to the process that sums up. A hook."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_KEY] = [[sorted(map(list, part)) for part in world] for world in NOTED]


def pytest_testnodedown(node: Any) -> None:
    """Take in what a worker has noted. A hook of xdist."""
    for world in getattr(node, "workeroutput", {}).get(_KEY, ()):
        allowed, forbidden = ({Right(*right) for right in part} for part in world)
        NOTED.append((allowed, forbidden))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say which rights were used. A pytest hook."""
    if NOTED:
        terminalreporter.write_line(describe(NOTED))
