"""Builds the Dockerfile with buildah, on a base made of Debian's packages: no image is pulled, no daemon runs."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bokgu import __version__
from tests.image.archive import Image
from tests.world.world import ROOT

SUITE = "bookworm"
"""The Debian that the base is made of: its Python is the one of the Dockerfile's own base."""
PACKAGES = "python3,python3-pip,ca-certificates"
BASE = "localhost/bokgu-base"
NEEDED = ("buildah", "mmdebstrap")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
"""Whom this machine trusts: where packages come through a proxy, that is needed to get them."""


class BuildError(RuntimeError):
    """The image cannot be built; the message says why."""


def find_obstacle() -> str | None:
    """Why nothing can be built here, and what to do; None where it can."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        return f"no {' and no '.join(missing)} on PATH: apt-get install {' '.join(missing)}, or use docker build ."
    return None if os.geteuid() == 0 else "buildah and mmdebstrap are run as root here; docker build . needs no root"


def build_image(archive: Path) -> Image:
    """Build the image into an OCI archive and leave nothing else. Takes minutes, and says so as it goes.

    Raises:
        BuildError: something that is needed is missing, or a step failed.
    """
    if obstacle := find_obstacle():
        raise BuildError(obstacle)
    archive.parent.mkdir(parents=True, exist_ok=True)
    archive.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="bokgu-image-") as folder:
        build = _Build(Path(folder))
        with build.step("1/3 a base of Debian's packages"):
            build.make_base()
        with build.step("2/3 the image"):
            build.make_image()
        with build.step("3/3 the archive"):
            build.buildah("push", "--quiet", "localhost/bokgu", f"oci-archive:{archive}:bokgu:{__version__}")
    return Image(archive)


@dataclass(frozen=True)
class _Build:
    folder: Path
    """For the storage of buildah, and what is on its way there."""
    begun: float = field(default_factory=time.monotonic)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Say what is done and how long it took."""
        began = time.monotonic()
        print(f"{title} …", file=sys.stderr, flush=True)
        yield
        print(f"{title}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)

    def make_base(self) -> None:
        """What stands in for the Dockerfile's own base."""
        packed = self.folder / "base.tar"
        self._run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", SUITE, packed)
        container = self.buildah("from", "scratch")
        self.buildah("add", "--quiet", container, packed, "/")
        packed.unlink()
        self.buildah("commit", "--quiet", "--rm", container, BASE)

    def make_image(self) -> None:
        """The image as `docker build .` makes it, on that base."""
        epoch = os.environ.get("SOURCE_DATE_EPOCH") or self._ask_git("log", "-1", "--format=%ct")
        arguments = {
            "BASE": BASE,
            "SOURCE_DATE_EPOCH": epoch,
            "VERSION": __version__,
            "REVISION": self._ask_git("rev-parse", "HEAD"),
        }
        given = [part for name, value in arguments.items() for part in ("--build-arg", f"{name}={value}")]
        if CERTIFICATES.exists():
            given += ["--secret", f"id=certificates,src={CERTIFICATES}"]
        how = ("--isolation", "chroot", "--pull-never", "--timestamp", epoch, "--tag", "localhost/bokgu")
        self.buildah("build", *how, *given, ROOT)

    def buildah(self, command: str, *arguments: str | Path) -> str:
        """Run buildah in a storage of its own; what it prints to standard output."""
        storage = ("--storage-driver", "vfs", "--root", self.folder / "root", "--runroot", self.folder / "run")
        return self._run("buildah", *storage, command, *arguments).strip()

    def _run(self, *command: str | Path) -> str:
        # What it says to standard error goes to whoever waits.
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise BuildError(f"{command[0]} failed, as it says above: {' '.join(map(str, command))}")
        return done.stdout

    def _ask_git(self, *arguments: str) -> str:
        return self._run("git", "-C", ROOT, *arguments).strip()
