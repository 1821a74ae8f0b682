"""Finds Prometheus and its promtool, or unpacks Debian's package of both."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.debian_package import DebianPackage

PACKAGE = DebianPackage(
    name="prometheus",
    title="Prometheus",
    program="usr/bin/prometheus",
    names=("prometheus",),
    megabytes=19,
)


def find_or_download(env: Mapping[str, str] = os.environ) -> tuple[Path, Path]:
    """The programs prometheus and promtool. Raises PackageError."""
    program, _ = PACKAGE.find_or_download(env)
    beside = program.with_name("promtool")
    return program, beside if beside.exists() else Path(shutil.which("promtool", path=env.get("PATH")) or beside)
