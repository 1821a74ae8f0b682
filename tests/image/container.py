"""Runs an image as Kubernetes runs the chart's pod: read-only, without rights, as the image's own user."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.controlplane import Process
from tests.image.archive import Image

FILES = "/run/bokgu"
"""Where the container finds the files that its settings name."""
FILE_SETTINGS = ("KUBECONFIG", "BOKGU_WEBHOOK_TOKEN_FILE")
SETTINGS = ("AWS_", "BOKGU_")
"""What of a process's environment the operator is configured by."""
HYBRID = Path("/sys/fs/cgroup/unified")
WITHOUT_HYBRID = ("unshare", "--mount", "sh", "-c", f'umount {HYBRID} && exec "$@"', "sh") if HYBRID.is_mount() else ()
"""crun refuses to start where version 2 of cgroups is mounted beside version 1: it gets to see version 1 alone."""

Raw = dict[str, Any]


class Container:
    """An image unpacked into a folder, run once by crun. It shares this machine's network, to reach its loopback."""

    def __init__(self, image: Image, folder: Path) -> None:
        """`folder` must be empty or missing."""
        self._image, self._folder = image, folder
        self.root = folder / "rootfs"
        self._name = f"bokgu-{os.getpid()}"
        image.unpack(self.root)

    def start(
        self,
        argv: Sequence[str | Path],
        *,
        log_path: Path,
        env: Mapping[str, str] | None = None,
        detached: bool = False,
    ) -> Process:
        """Start programs as Process.start does, but the operator in the container: a World is told to start it so."""
        if list(argv[1:]) != ["-m", "bokgu", "run"]:
            return Process.start(argv, log_path=log_path, env=env, detached=detached)
        (self._folder / "config.json").write_text(json.dumps(self._configure(env or {})))
        command = [*WITHOUT_HYBRID, *self._crun, "run", "--bundle", self._folder, self._name]
        return Process.start(command, log_path=log_path)

    def delete(self) -> None:
        """End it, however it is, and remove what crun knows of it."""
        subprocess.run([*self._crun, "delete", "--force", self._name], check=True, capture_output=True)

    @property
    def _crun(self) -> list[str | Path]:
        return ["crun", "--cgroup-manager=disabled", "--root", self._folder / "state"]

    def _configure(self, environment: Mapping[str, str]) -> Raw:
        """What crun is told (OCI Runtime Specification)."""
        config = self._image.config
        user, group = map(int, config["User"].split(":"))
        settings = {name: value for name, value in environment.items() if name.startswith(SETTINGS)}
        files = self._folder / "files"
        files.mkdir()
        for name in FILE_SETTINGS:
            copied = Path(shutil.copy(environment[name], files / name.lower()))
            copied.chmod(0o400)
            os.chown(copied, user, group)
            settings[name] = f"{FILES}/{copied.name}"
        fixed = ["ro", "nosuid", "nodev"]
        return {
            "ociVersion": "1.0.2",
            "process": {
                "user": {"uid": user, "gid": group},
                "args": [*config["Entrypoint"], *config["Cmd"]],
                "env": [*config["Env"], *(f"{name}={value}" for name, value in settings.items())],
                "cwd": config.get("WorkingDir") or "/",
                "capabilities": {},
                "noNewPrivileges": True,
            },
            "root": {"path": "rootfs", "readonly": True},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
                {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "size=64m"]},
                {"destination": FILES, "type": "bind", "source": str(files), "options": ["bind", *fixed]},
            ],
            "linux": {"namespaces": [{"type": name} for name in ("pid", "mount", "ipc", "uts")]},
        }
