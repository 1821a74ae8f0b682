"""The alerts of the chart, as promtool and Prometheus read them."""

import re
from pathlib import Path
from typing import Any

import yaml

from tests.world.world import ROOT

MANIFEST = ROOT / "charts/bokgu/files/prometheus-rule.yaml"

Raw = dict[str, Any]


def read_groups(manifest: Path = MANIFEST) -> Raw:
    """What a rule file holds: the spec of the PrometheusRule."""
    spec: Raw = yaml.safe_load(manifest.read_text())["spec"]
    return spec


def list_alerts(groups: Raw) -> list[Raw]:
    """All alerts, in order."""
    return [rule for group in groups["groups"] for rule in group["rules"]]


def hurry(groups: Raw) -> Raw:
    """The same rules where minutes are seconds: `for`, ranges and `N * 60` are a sixtieth of what they were."""

    def shorten(text: str) -> str:
        seconds = re.sub(r"\b(\d+)m\b", r"\1s", re.sub(r"\b(\d+)h\b", lambda h: f"{60 * int(h[1])}s", text))
        return re.sub(r"\* 60\b", "* 1", seconds)

    fast = [
        {
            **group,
            "rules": [
                rule | {key: shorten(rule[key]) for key in ("expr", "for") if key in rule} for rule in group["rules"]
            ],
        }
        for group in groups["groups"]
    ]
    return {"groups": fast}
