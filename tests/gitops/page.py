"""What docs/gitops.md shows, for the tests that run it."""

import re
from typing import Any

import yaml

from tests.world.world import ROOT

_PREFIX = "resource.customizations.health.bokgu.dev_"

PAGE = ROOT / "docs/gitops.md"
_BLOCKS = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
_MANIFESTS: list[dict[str, Any]] = [manifest for block in _BLOCKS for manifest in yaml.safe_load_all(block)]

KUSTOMIZATIONS = {m["metadata"]["name"]: m for m in _MANIFESTS if m.get("kind") == "Kustomization"}
"""Flux's Kustomizations by name."""

HEALTH_SCRIPTS: dict[str, str] = {
    key.removeprefix(_PREFIX): script
    for manifest in _MANIFESTS
    if manifest.get("kind") == "ConfigMap"
    for key, script in manifest["data"].items()
}
"""Argo CD's health checks in Lua, by kind."""
