"""Finds the Alertmanager, or unpacks Debian's package of it."""

import os
from collections.abc import Mapping
from pathlib import Path

from tests.debian_package import DebianPackage, PackageError

# Debian's build reads its templates from a folder that only an installed package has. Without its first slash the path
# is one below the working folder; a second slash at its end keeps its length.
_TEMPLATES = b"/usr/share/prometheus/alertmanager"
_OWN_TEMPLATES = b"usr/share/prometheus/alertmanager/"

AlertmanagerError = PackageError


def _own_templates(program: Path) -> None:
    program.write_bytes(program.read_bytes().replace(_TEMPLATES, _OWN_TEMPLATES))


PACKAGE = DebianPackage(
    name="prometheus-alertmanager",
    title="Alertmanager",
    program="usr/bin/prometheus-alertmanager",
    names=("prometheus-alertmanager", "alertmanager"),
    megabytes=10,
    mend=_own_templates,
)


def find_or_download(env: Mapping[str, str] = os.environ) -> tuple[Path, Path]:
    """The program and the folder to run it in. Raises AlertmanagerError."""
    return PACKAGE.find_or_download(env)
