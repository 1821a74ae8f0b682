"""`state.json` in a control plane's folder, by which another Python process finds the control plane again."""

import json
from pathlib import Path
from typing import TypedDict

_NAME = "state.json"


class Running(TypedDict):
    """A running process: its pid, and the `Process.start_mark` by which a recycled pid is told apart."""

    pid: int
    start_mark: str


class State(TypedDict):
    """How a control plane was started, and what of it runs; ports and running processes are keyed by server."""

    kubeconfig: str
    programs: dict[str, str]
    audit: bool
    detached: bool
    ports: dict[str, int]
    running: dict[str, Running]


def read_state(directory: Path) -> State | None:
    """The state of the control plane in a folder, or None when none was started there."""
    path = directory / _NAME
    if not path.exists():
        return None
    state: State = json.loads(path.read_text())
    return state


def write_state(directory: Path, state: State) -> None:
    """Replace the state; a reader finds the old one or the new one, never half of one."""
    partial = directory / f"{_NAME}.partial"
    partial.write_text(json.dumps(state, indent=2))
    partial.rename(directory / _NAME)
