"""`bokgu` as people run it: a process of its own, which sees nothing of this one's environment."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.world.people import Person
from tests.world.world import ROOT, World

Answer = subprocess.CompletedProcess[str]


def person_environment(world: World, user: Path | None = None, person: Person | None = None) -> dict[str, str]:
    """Environment variables of somebody at a terminal. They have the kubeconfig `user`; without one, that of `person`,
    who has Git settings of their own too; without these, the administrator's."""
    control_plane, own = world.control_plane, {}
    if person is not None:
        user = user or control_plane.kubeconfig_for_user(person.name)
        own = {"GIT_CONFIG_GLOBAL": str(person.git_config), "GIT_CONFIG_SYSTEM": os.devnull}
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(world.directory),
        "PYTHONPATH": str(ROOT / "operator"),
        "KUBECONFIG": str(user or control_plane.admin_kubeconfig),
        "TERM": "xterm",
        **own,
    }


def bokgu_command(*words: str | Path) -> list[str]:
    """The command line of it."""
    return [sys.executable, "-m", "bokgu", *map(str, words)]


def run_bokgu(
    world: World,
    *words: str | Path,
    user: Path | None = None,
    person: Person | None = None,
    stdin: str = "",
    folder: Path | None = None,
    settings: Mapping[str, str] | None = None,
) -> Answer:
    """Run it in `folder` to its end, within two minutes. `settings` are more environment variables."""
    return subprocess.run(
        bokgu_command(*words),
        env={**person_environment(world, user, person), **(settings or {})},
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
