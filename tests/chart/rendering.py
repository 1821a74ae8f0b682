"""What Helm renders of the chart, and `deploy/`: the same for kubectl."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.chart.program import run_helm
from tests.world.world import ROOT

CHART = ROOT / "charts/bokgu"
DEPLOY = ROOT / "deploy"
CASES = Path(__file__).with_name("cases")
SNAPSHOTS = Path(__file__).with_name("snapshots")
HOME = "bokgu-system"

HEAD = "# Written by `make deploy` from charts/bokgu, with its defaults.\n"
NAMESPACE = f"""\
# The operator's own namespace. Its trust roots are here, never on the same Git path as approvals.
apiVersion: v1
kind: Namespace
metadata:
  name: {HOME}
  labels:
    pod-security.kubernetes.io/enforce: restricted
---
"""

Raw = dict[str, Any]


def render(values: Mapping[str, Any] | None = None, *, namespace: str = HOME) -> list[Raw]:
    """The objects of a release with these values, in Helm's order. Raises HelmError."""
    text = run_helm("template", "bokgu", CHART, "--namespace", namespace, values=values or {})
    return [document for document in yaml.safe_load_all(text) if document]


def find(objects: list[Raw], kind: str, name: str | None = None) -> Raw:
    """The one object of that kind, or of that kind and name."""
    (found,) = (o for o in objects if o["kind"] == kind and name in (None, o["metadata"]["name"]))
    return found


def write_deploy() -> dict[str, str]:
    """What is in `deploy/`, by file: the chart with its defaults, without the kinds, which are in `crds/`."""
    with tempfile.TemporaryDirectory() as folder:
        without = {"crds": {"install": False}}
        run_helm("template", "bokgu", CHART, "--namespace", HOME, "--output-dir", folder, values=without)
        rendered = Path(folder) / "bokgu/templates"
        return {file.name: _write(file) for file in sorted(rendered.iterdir())}


def _write(file: Path) -> str:
    lines = (line.rstrip() for line in file.read_text().splitlines() if not line.startswith("# Source: "))
    text = "\n".join(line for line in lines if line).removeprefix("---\n") + "\n"
    # kubectl applies a folder in the order of its names: the first one brings the namespace.
    return HEAD + (NAMESPACE if file.name == "account.yaml" else "") + text


def read_case(name: str) -> Raw:
    """The values of `cases/<name>.yaml`."""
    values: Raw = yaml.safe_load((CASES / f"{name}.yaml").read_text())
    return values


def list_cases() -> list[str]:
    """Names of all cases."""
    return sorted(path.stem for path in CASES.glob("*.yaml"))


def write_snapshot(case: str) -> str:
    """What a case renders, without what is taken from files, which other tests compare: kinds, dashboard, alerts."""
    objects = [o for o in render(read_case(case)) if o["kind"] != "CustomResourceDefinition"]
    for one in objects:
        if one["kind"] == "PrometheusRule":
            one["spec"] = "…"
        if one["metadata"]["name"] == "bokgu-dashboard":
            one["data"] = "…"
    return yaml.safe_dump_all(objects, sort_keys=False, allow_unicode=True, width=120)
