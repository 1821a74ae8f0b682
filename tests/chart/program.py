"""Finds Helm, or builds it once from `programs/go.mod`, and runs it."""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.controlplane.programs import GoModule

_MODULE = Path(__file__).with_name("programs")


def _link() -> Iterator[tuple[str, str]]:
    """Helm's own version, and the Kubernetes it takes charts to be for without a cluster, as its Makefile sets them."""
    go_mod = (_MODULE / "go.mod").read_text()
    (helm,) = re.findall(r"^\thelm\.sh/helm/v3 (v\S+)", go_mod, re.MULTILINE)
    (minor,) = re.findall(r"^\tk8s\.io/client-go v0\.(\d+)\S* // indirect", go_mod, re.MULTILINE)
    yield "helm.sh/helm/v3/internal/version.version", helm
    for package in ("chartutil", "lint/rules"):
        yield f"helm.sh/helm/v3/pkg/{package}.k8sVersionMajor", "1"
        yield f"helm.sh/helm/v3/pkg/{package}.k8sVersionMinor", minor


HELM = GoModule(
    _MODULE,
    "helm",
    {"helm": "helm.sh/helm/v3/cmd/helm"},
    2,
    "Then run `python -m tests.chart build` again: what was compiled is kept.",
    tuple(_link()),
)
"""The Go module that pins it. Most of it is compiled for kubectl, too."""


class HelmError(RuntimeError):
    """Helm refused; the message is what it said."""


def run_helm(*arguments: str | Path, values: Mapping[str, Any] | None = None, kubeconfig: Path | None = None) -> str:
    """What Helm writes to standard output. `values` are given with --values. Raises HelmError, ProgramsError."""
    with tempfile.TemporaryDirectory() as home:
        given: list[str | Path] = []
        if values is not None:
            file = Path(home) / "values.yaml"
            file.write_text(yaml.safe_dump(dict(values)))
            given = ["--values", file]
        ran = subprocess.run(
            [HELM.find_or_build() / "helm", *arguments, *given],
            # Nothing of the person who runs it: no repositories, plugins or clusters.
            env={"PATH": os.environ.get("PATH", os.defpath), "HOME": home, "KUBECONFIG": str(kubeconfig or os.devnull)},
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
    if ran.returncode != 0:
        raise HelmError(f"{ran.stderr}{ran.stdout}")
    return ran.stdout
