"""Finds a Chromium, or unpacks Debian's chromium-headless-shell with the libraries that are missing here.

Nothing is installed, no rights are needed: apt-get only says which packages would be, and downloads them.
"""

import os
import platform
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.controlplane.programs import cache_folder, filling, locked
from tests.debian_package import PackageError, run_apt

PACKAGE = "chromium-headless-shell"
FONTS = "fonts-dejavu-core"
INSTALLED = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome", "chrome")
PROGRAM = f"usr/lib/chromium/{PACKAGE}"
_FONTS_CONF = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>/usr/share/fonts</dir><dir>{0}/usr/share/fonts</dir><cachedir>{0}/fonts-cache</cachedir></fontconfig>
"""
_REMEDY = f"Install chromium or {PACKAGE} yourself (Debian, Ubuntu: apt-get install {PACKAGE}), or skip its tests."


@dataclass(frozen=True)
class Program:
    """The program, and what its environment must have."""

    path: Path
    environment: Mapping[str, str] = field(default_factory=dict)


def find_or_download(env: Mapping[str, str] = os.environ) -> Program:
    """A Chromium: on PATH, else in the cache folder, else downloaded with apt-get (100 MB).

    Raises:
        PackageError: there is no apt-get, or it cannot get the packages.
    """
    for name in INSTALLED:
        if (installed := shutil.which(name, path=env.get("PATH"))) is not None:
            return Program(Path(installed))
    release = platform.freedesktop_os_release().get("VERSION_CODENAME", "debian")
    folder = cache_folder(env) / f"chromium-{release}-{platform.machine()}"
    with locked(folder):
        if not (folder / PROGRAM).exists():
            with filling(folder) as staging:
                _unpack(staging, env)
    if not (folder / PROGRAM).exists():
        raise PackageError(f"there is no {PROGRAM} in {folder}: remove that folder and try again. {_REMEDY}")
    fonts = folder / "fonts.conf"
    fonts.write_text(_FONTS_CONF.format(folder))
    libraries = sorted(str(path) for path in (folder / "usr/lib").glob("*-linux-gnu*"))
    libraries += [f"{path}/pulseaudio" for path in libraries]
    return Program(folder / PROGRAM, {"LD_LIBRARY_PATH": ":".join(libraries), "FONTCONFIG_FILE": str(fonts)})


def _unpack(folder: Path, env: Mapping[str, str]) -> None:
    """Unpack the packages that apt-get would install. Package lists that are missing go into our own folder."""
    if shutil.which("apt-get", path=env.get("PATH")) is None:
        raise PackageError(f"no Chromium and no apt-get on PATH. {_REMEDY}")
    print(f"Downloading Debian's package {PACKAGE} and what it needs (100 MB), once.", file=sys.stderr, flush=True)
    lists = folder / "apt"
    for part in ("lists/partial", "archives/partial"):
        (lists / part).mkdir(parents=True)
    where = (f"Dir::State={lists}", f"Dir::Cache={lists}", "Dir::State::status=/var/lib/dpkg/status")
    own = tuple(part for setting in where for part in ("-o", setting))
    wanted = ("--simulate", "--no-install-recommends", "install", PACKAGE, FONTS)
    options: tuple[str, ...] = ()
    listed = run_apt(("apt-get", *wanted), folder, env)
    if listed.returncode != 0:
        options = own
        run_apt(("apt-get", *own, "update"), folder, env)
        listed = run_apt(("apt-get", *own, *wanted), folder, env)
    names = [line.split()[1] for line in listed.stdout.splitlines() if line.startswith("Inst ")]
    got = run_apt(("apt-get", *options, "download", *names), folder, env)
    if listed.returncode != 0 or got.returncode != 0:
        raise PackageError(f"apt-get cannot get {PACKAGE}:\n{listed.stderr}{got.stderr}\n{_REMEDY}")
    for package in folder.glob("*.deb"):
        result = run_apt(("dpkg-deb", "-x", str(package), str(folder)), folder, env)
        if result.returncode != 0:
            raise PackageError(f"{package} cannot be unpacked: {result.stderr}")
        package.unlink()
    shutil.rmtree(lists)
