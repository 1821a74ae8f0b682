"""What a shell needs to play with a world: its kubectl, `bokgu`, and a file to source."""

import os
import shlex
import sys
from pathlib import Path

from tests.world.manifests import NAMESPACE
from tests.world.world import ROOT, World

_PROGRAM = """#!/bin/sh
PYTHONPATH={operator} exec {python} -m bokgu "$@"
"""


def write_environment(world: World) -> Path:
    """Write the file that a shell sources, and return its path."""
    programs = world.directory / "bin"
    programs.mkdir(exist_ok=True)
    for name in ("bokgu", "kubectl-bokgu"):
        program = programs / name
        program.write_text(_PROGRAM.format(operator=shlex.quote(str(ROOT / "operator")), python=sys.executable))
        program.chmod(0o755)
    control_plane = world.control_plane
    settings = {
        "KUBECONFIG": control_plane.admin_kubeconfig,
        "BOKGU_AWS_ENDPOINT_URL": world.aws_url,
        "AWS_ACCESS_KEY_ID": "person",
        "AWS_SECRET_ACCESS_KEY": "simulated",
        "METRICS_URL": world.metrics_url,
    }
    lines = [f"export {name}={shlex.quote(str(value))}" for name, value in settings.items()]
    path = os.pathsep.join(shlex.quote(str(folder)) for folder in (programs, control_plane.programs.kubectl.parent))
    file = world.directory / "env"
    file.write_text("\n".join([*lines, f'export PATH={path}:"$PATH"', ""]))
    control_plane.kubectl("config", "set-context", "--current", "--namespace", NAMESPACE)
    return file
