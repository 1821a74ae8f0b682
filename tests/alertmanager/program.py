"""Finds the Alertmanager, or unpacks Debian's package of it once into the cache folder. Nothing is installed, and no
rights are needed."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.controlplane.programs import cache_folder, filling, locked

PACKAGE = "prometheus-alertmanager"
NAMES = ("prometheus-alertmanager", "alertmanager")
"""What Debian calls the program, and everybody else."""
_SECONDS = 120
_PROGRAM = Path("usr/bin/prometheus-alertmanager")

# Debian's build reads its templates from a folder that only an installed package has. Without its first slash the path
# is one below the working folder; a second slash at its end keeps its length.
_TEMPLATES = b"/usr/share/prometheus/alertmanager"
_OWN_TEMPLATES = b"usr/share/prometheus/alertmanager/"


class AlertmanagerError(RuntimeError):
    """There is no Alertmanager to be had; the message says what to do."""


def find_or_download(env: Mapping[str, str] = os.environ) -> tuple[Path, Path]:
    """The program and the folder to run it in: on PATH, else in the cache folder, else downloaded with apt-get.

    Raises:
        AlertmanagerError: no apt-get, or it cannot get the package.
    """
    for name in NAMES:
        installed = shutil.which(name, path=env.get("PATH"))
        if installed is not None and _runs(Path(installed)):
            return Path(installed), Path("/")
    release = platform.freedesktop_os_release().get("VERSION_CODENAME", "debian")
    folder = cache_folder(env) / f"alertmanager-{release}-{platform.machine()}"
    with locked(folder):
        if not _runs(folder / _PROGRAM):
            with filling(folder) as staging:
                _unpack(_download(staging, env), staging)
    if not _runs(folder / _PROGRAM):
        raise AlertmanagerError(f"the Alertmanager in {folder} does not run: remove that folder and try again")
    return folder / _PROGRAM, folder


def _download(folder: Path, env: Mapping[str, str]) -> Path:
    """The package's file. Package lists that are missing or old are fetched into a folder of our own."""
    if shutil.which("apt-get", path=env.get("PATH")) is None:
        raise AlertmanagerError("no alertmanager and no apt-get on PATH: install Prometheus's Alertmanager")
    print(f"Downloading Debian's package {PACKAGE} (10 MB), once.", file=sys.stderr, flush=True)
    lists = folder / "apt"
    own = ("-o", f"Dir::State={lists}", "-o", f"Dir::Cache={lists}", "-o", "Dir::State::status=/var/lib/dpkg/status")
    first = _run(("apt-get", "download", PACKAGE), folder, env)
    if first.returncode != 0:
        for part in ("lists/partial", "archives/partial"):
            (lists / part).mkdir(parents=True)
        for command in (("apt-get", *own, "update"), ("apt-get", *own, "download", PACKAGE)):
            result = _run(command, folder, env)
        if result.returncode != 0:
            raise AlertmanagerError(
                f"apt-get cannot get {PACKAGE}:\n{first.stderr}{result.stderr}\n"
                "Install the package yourself, or put another build of Alertmanager on PATH."
            )
        shutil.rmtree(lists)
    return next(folder.glob(f"{PACKAGE}_*.deb"))


def _unpack(package: Path, folder: Path) -> None:
    result = _run(("dpkg-deb", "-x", str(package), str(folder)), folder, os.environ)
    if result.returncode != 0:
        raise AlertmanagerError(f"{package} cannot be unpacked: {result.stderr}")
    package.unlink()
    program = folder / _PROGRAM
    program.write_bytes(program.read_bytes().replace(_TEMPLATES, _OWN_TEMPLATES))


def _run(command: tuple[str, ...], folder: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env=dict(env), capture_output=True, text=True, check=False, timeout=_SECONDS
    )


def _runs(program: Path) -> bool:
    """Whether it is an Alertmanager that starts here."""
    if not os.access(program, os.X_OK):
        return False
    result = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    # Old ones write it to standard error.
    return result.returncode == 0 and "alertmanager, version" in result.stdout + result.stderr
