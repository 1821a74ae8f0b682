"""The line about the operator's rights at the end of a test run, whichever process its worlds ran in."""

from typing import Any

import pytest

from tests.world.rights import Right, describe

_KEY = "operator_rights"
_seen: list[tuple[set[Right], set[Right]]] = []


def keep(config: pytest.Config, allowed: set[Right], forbidden: set[Right]) -> None:
    """Remember what the operator of one world did; a worker of xdist hands it to the process that sums up."""
    output = getattr(config, "workeroutput", None)
    if output is None:
        _seen.append((allowed, forbidden))
    else:
        output.setdefault(_KEY, []).append([sorted(map(list, allowed)), sorted(map(list, forbidden))])


def pytest_testnodedown(node: Any) -> None:
    """Take in what a worker has kept. A hook of xdist."""
    for world in getattr(node, "workeroutput", {}).get(_KEY, ()):
        allowed, forbidden = ({Right(*right) for right in part} for part in world)
        _seen.append((allowed, forbidden))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say which rights were used. A pytest hook."""
    if _seen:
        allowed, forbidden = (set().union(*part) for part in zip(*_seen, strict=True))
        terminalreporter.write_line(describe(allowed, forbidden))
