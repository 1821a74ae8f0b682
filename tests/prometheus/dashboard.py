"""The dashboard of the chart, as Prometheus meets it."""

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.world.world import ROOT

Raw = dict[str, Any]

DASHBOARD: Raw = json.loads((ROOT / "charts/bokgu/files/dashboard.json").read_text())
PANELS: list[Raw] = DASHBOARD["panels"]
VARIABLES: list[Raw] = DASHBOARD["templating"]["list"]


def list_expressions() -> Iterator[tuple[str, str]]:
    """Every expression of the dashboard, with where it stands."""
    for panel in PANELS:
        for target in panel.get("targets", ()):
            yield f"{panel['title']}/{target['refId']}", target["expr"]
    for variable in VARIABLES:
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"])
            assert found
            yield f"${variable['name']}", f"count by ({found[2]}) ({found[1]})"


def as_prometheus_sees(expression: str, **chosen: str) -> str:
    """With Grafana's variables replaced: by what is `chosen`, else by all."""
    whole = expression.replace("$__rate_interval", "5m").replace("$__range", "6h")
    return re.sub(r"\$(\w+)", lambda found: chosen.get(found[1], ".*"), whole)
