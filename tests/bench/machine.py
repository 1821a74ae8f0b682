"""What the figures were measured on, and with."""

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

from tests.bench.yardsticks.go_controller import GO_CONTROLLER
from tests.controlplane.programs import MODULE

_PACKAGES = ("kopf", "kubernetes", "aiohttp", "boto3", "pydantic")


def describe_machine() -> dict[str, str]:
    """The machine, and how busy it is."""
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    model = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    return {
        "cores": str(os.cpu_count()),
        "cpu": model[1] if model else platform.machine(),
        "memory": f"{int(memory[1]) / 2**20:.0f} GiB" if memory else "?",
        "kernel": platform.release(),
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def list_versions() -> dict[str, str]:
    """Of all that has a part in the figures."""
    found = {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}
    found["kube-apiserver"] = _pinned(MODULE, "k8s.io/kubernetes")
    found["controller-runtime"] = _pinned(GO_CONTROLLER.folder, "sigs.k8s.io/controller-runtime")
    return found


def _pinned(module: Path, name: str) -> str:
    line = re.search(rf"^\s*{re.escape(name)} v(\S+)", (module / "go.mod").read_text(), re.MULTILINE)
    return line[1] if line else "?"
