"""Finds kustomize-controller, or builds it once from `programs/go.mod`, and its CustomResourceDefinitions."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.controlplane.programs import GoModule, ProgramsError, cache_folder, find_go

KUSTOMIZE_CONTROLLER = GoModule(
    Path(__file__).with_name("programs"),
    "gitops",
    {"kustomize-controller": "github.com/fluxcd/kustomize-controller"},
    4,
    "Then run `python -m tests.gitops` again: what was compiled is kept.",
)
"""The Go module that pins it."""

_MODULES_WITH_CRDS = ("github.com/fluxcd/kustomize-controller", "github.com/fluxcd/source-controller")
"""kustomize-controller watches all kinds of sources, and does not start where one of them is missing."""


def find_crds(env: Mapping[str, str] = os.environ) -> list[Path]:
    """The folders with the CustomResourceDefinitions of Flux's Kustomizations and sources, from the pinned modules.

    Raises:
        ProgramsError: a module can't be fetched, or is not what go.sum says.
    """
    go = find_go(cache_folder(env), env, KUSTOMIZE_CONTROLLER.folder)
    fetched = subprocess.run(
        [go, "-C", KUSTOMIZE_CONTROLLER.folder, "mod", "download", "-json", *_MODULES_WITH_CRDS],
        env={**env, "GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": "-mod=readonly"},
        capture_output=True,
        text=True,
        check=False,
    )
    if fetched.returncode != 0:
        raise ProgramsError(f"go mod download ended with {fetched.returncode}:\n{fetched.stdout}{fetched.stderr}")
    # One JSON object after the other.
    modules = json.loads(f"[{fetched.stdout.strip().replace(f'}}{os.linesep}{{', '},{')}]")
    return [Path(module["Dir"]) / "config/crd/bases" for module in modules]
