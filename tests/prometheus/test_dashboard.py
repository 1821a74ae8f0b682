"""The dashboard of the chart, and the alerts: what they ask for is there."""

import json
import re
from itertools import combinations
from pathlib import Path

import pytest
import yaml

from tests import metrics_page
from tests.prometheus import run_promtool
from tests.prometheus.dashboard import PANELS, VARIABLES, as_prometheus_sees, list_expressions
from tests.prometheus.expressions import exported, find_problems
from tests.prometheus.rules import list_alerts, read_groups

ALL = [*list_expressions(), *((alert["alert"], alert["expr"]) for alert in list_alerts(read_groups()))]


@pytest.mark.parametrize("expression", [e for _, e in ALL], ids=[name for name, _ in ALL])
def test_all_that_is_named_is_exported(expression: str) -> None:
    assert list(find_problems(expression)) == []


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("sum(bokgu_incidents_total)", "bokgu_incidents_total is not exported"),
        ('bokgu_budget_left{service="api"}', "bokgu_budget_left has no label service"),
        ("sum by (gate) (bokgu_plans)", "nothing in it has a label gate"),
        ("rate(bokgu_plans_finished[5m])", "bokgu_plans_finished is not exported"),
    ],
)
def test_what_is_not_exported_is_found(expression: str, problem: str) -> None:
    assert list(find_problems(expression)) == [problem]


def test_one_incident_is_of_one_service_and_type_as_far_as_there_are_labels() -> None:
    """Stages and plans have fewer labels, and their panels say so."""
    chosen = {v["name"]: v["multi"] for v in VARIABLES if v["type"] == "query"}
    assert (chosen["service"], chosen["type"]) == (False, False)
    rows = [n for n, panel in enumerate(PANELS) if panel["type"] == "row"]
    labels = {metric.name: metric.labels for metric in metrics_page.list_all()}
    for panel in PANELS[rows[1] + 1 : rows[2]]:
        for expression in (target["expr"] for target in panel["targets"]):
            for name in re.findall(r"bokgu_\w+", expression):
                known = labels.get(name) or labels[re.sub(r"_(sum|count|bucket)$", "", name)]
                for label in {"namespace", "service", "type"} & set(known):
                    assert f'{label}=~"${label}"' in expression, (panel["title"], label)
                if "service" not in known:
                    assert "all services" in panel["title"]


def test_promtool_can_read_every_expression(tmp_path: Path) -> None:
    rules = [{"record": f"e:{n}", "expr": as_prometheus_sees(e)} for n, (_, e) in enumerate(ALL)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
    checked = run_promtool("check", "rules", tmp_path / "rules.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_dashboard_uses_its_variables_and_no_others() -> None:
    text = json.dumps(PANELS)
    used = {name for name in re.findall(r"\$\{?([a-z]\w*)", text) if not name.startswith("__")}
    assert used == {variable["name"] for variable in VARIABLES}


def test_every_metric_is_shown_somewhere() -> None:
    """What nobody looks at need not be measured; these are for queries of one's own."""
    shown = " ".join(expression for _, expression in ALL)
    unseen = {name for name in exported() if name.startswith("bokgu_") and name not in shown}
    seen = {name.rpartition("_")[0] for name in exported() if name in shown}
    unseen = {name for name in unseen if name.rpartition("_")[0] not in seen}
    assert unseen == {
        "bokgu_auto_approvals_total",
        "bokgu_emergency_overrides_total",
        "bokgu_incidents_recorded_total",
        "bokgu_incidents_retired_total",
        "bokgu_plans_blocked_total",
        "bokgu_plans_created_total",
    }


def test_panels_stand_beside_each_other() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    places = [panel["gridPos"] for panel in PANELS]
    assert all(p["x"] >= 0 and p["x"] + p["w"] <= 24 for p in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)


def test_it_shows_the_fleet_one_incident_and_the_operator() -> None:
    rows = [panel["title"] for panel in PANELS if panel["type"] == "row"]
    assert rows == ["The fleet", "One incident: $namespace / $service / $type", "The operator"]
    assert all(panel["description"] for panel in PANELS if panel["type"] != "row")
