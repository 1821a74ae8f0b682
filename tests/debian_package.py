"""Programs of Debian's packages, unpacked once into the cache folder. Nothing is installed, no rights are needed."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.controlplane.programs import cache_folder, filling, locked

_SECONDS = 180


class PackageError(RuntimeError):
    """The program is not to be had; the message says what to do."""


@dataclass(frozen=True)
class DebianPackage:
    """A package with a program in it, which says `<title in small letters>, version` when asked for its version."""

    name: str
    title: str
    """What people call the program."""
    program: str
    """Its path in the package."""
    names: tuple[str, ...]
    """What it is called on PATH."""
    megabytes: int
    """How large the package is."""
    mend: Callable[[Path], None] = lambda _: None
    """What to do to the unpacked program, so that it runs from where it is."""

    def find_or_download(self, env: Mapping[str, str] = os.environ) -> tuple[Path, Path]:
        """The program and the folder to run it in: on PATH, else in the cache folder, else downloaded with apt-get.

        Raises:
            PackageError: no apt-get, or it cannot get the package.
        """
        for name in self.names:
            installed = shutil.which(name, path=env.get("PATH"))
            if installed is not None and self._runs(Path(installed)):
                return Path(installed), Path("/")
        release = platform.freedesktop_os_release().get("VERSION_CODENAME", "debian")
        folder = cache_folder(env) / f"{self.title.lower()}-{release}-{platform.machine()}"
        with locked(folder):
            if not self._runs(folder / self.program):
                with filling(folder) as staging:
                    self._unpack(self._download(staging, env), staging)
        if not self._runs(folder / self.program):
            raise PackageError(f"the {self.title} in {folder} does not run: remove that folder and try again")
        return folder / self.program, folder

    def _download(self, folder: Path, env: Mapping[str, str]) -> Path:
        """The package's file. Package lists that are missing or old are fetched into a folder of our own."""
        if shutil.which("apt-get", path=env.get("PATH")) is None:
            raise PackageError(
                f"no {self.names[-1]} and no apt-get on PATH: install {self.title} (prometheus.io), such as from your"
                " distribution's packages"
            )
        print(f"Downloading Debian's package {self.name} ({self.megabytes} MB), once.", file=sys.stderr, flush=True)
        lists = folder / "apt"
        where = (f"Dir::State={lists}", f"Dir::Cache={lists}", "Dir::State::status=/var/lib/dpkg/status")
        own = tuple(part for setting in where for part in ("-o", setting))
        first = run_apt(("apt-get", "download", self.name), folder, env)
        if first.returncode != 0:
            for part in ("lists/partial", "archives/partial"):
                (lists / part).mkdir(parents=True)
            for command in (("apt-get", *own, "update"), ("apt-get", *own, "download", self.name)):
                result = run_apt(command, folder, env)
            if result.returncode != 0:
                raise PackageError(
                    f"apt-get cannot get {self.name}:\n{first.stderr}{result.stderr}\n"
                    f"Install the package yourself, or put another build of {self.title} on PATH."
                )
            shutil.rmtree(lists)
        return next(folder.glob(f"{self.name}_*.deb"))

    def _unpack(self, package: Path, folder: Path) -> None:
        result = run_apt(("dpkg-deb", "-x", str(package), str(folder)), folder, os.environ)
        if result.returncode != 0:
            raise PackageError(f"{package} cannot be unpacked: {result.stderr}")
        package.unlink()
        self.mend(folder / self.program)

    def _runs(self, program: Path) -> bool:
        """Whether it is such a program that starts here."""
        if not os.access(program, os.X_OK):
            return False
        result = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
        # Old ones write it to standard error.
        said = result.stdout + result.stderr
        return result.returncode == 0 and f"{self.title.lower()}, version" in said


def run_apt(command: tuple[str, ...], folder: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run apt-get or dpkg-deb in a folder; whoever calls looks at the exit code."""
    return subprocess.run(
        command, cwd=folder, env=dict(env), capture_output=True, text=True, check=False, timeout=_SECONDS
    )
