"""The alerts of the chart: promtool reads them, each fires when it should, and each says what to do."""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.prometheus import run_promtool
from tests.prometheus.rules import MANIFEST, Raw, hurry, list_alerts, read_groups
from tests.world.world import ROOT

TESTS = Path(__file__).with_name("rules.test.yaml")
ALERTS = list_alerts(read_groups())


def check(folder: Path, groups: Raw) -> tuple[int, str]:
    """Runs the tests of the rules on these rules."""
    (folder / "rules.yml").write_text(yaml.safe_dump(groups))
    (folder / TESTS.name).write_text(TESTS.read_text())
    ran = run_promtool("test", "rules", folder / TESTS.name)
    return ran.returncode, ran.stdout + ran.stderr


def test_each_alert_fires_when_it_should_and_says_what_it_should(tmp_path: Path) -> None:
    code, said = check(tmp_path, read_groups())
    assert code == 0, said


def test_an_alert_that_fires_at_its_limit_already_fails_its_tests(tmp_path: Path) -> None:
    """`>` is `>=`, and what must last may last a minute less."""
    eager = [
        alert
        | {"expr": alert["expr"].replace(" > ", " >= ")}
        | ({"for": f"{int(alert['for'][:-1]) - 1}m"} if wait else {})
        for alert in ALERTS
        for wait in [alert.get("for")]
    ]
    code, said = check(tmp_path, {"groups": [{"name": "bokgu", "rules": eager}]})
    assert code != 0
    assert set(re.findall(r"alertname: (\w+)", said)) == {alert["alert"] for alert in ALERTS}


def test_each_alert_is_tested_firing_and_quiet() -> None:
    seen: dict[str, set[bool]] = defaultdict(set)
    for case in yaml.safe_load(TESTS.read_text())["tests"]:
        for moment in case["alert_rule_test"]:
            seen[moment["alertname"]].add(bool(moment["exp_alerts"]))
    assert seen == {alert["alert"]: {True, False} for alert in ALERTS}


def test_promtool_finds_nothing_wrong(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(read_groups()))
    checked = run_promtool("check", "rules", "--lint=all", "--lint-fatal", tmp_path / "rules.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"SUCCESS: {len(ALERTS)} rules found" in checked.stdout


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_says_what_is_wrong_and_where_it_says_what_to_do(alert: dict[str, Any]) -> None:
    said = alert["annotations"]
    assert set(said) == {"summary", "description", "runbook_url"}
    assert alert["labels"]["severity"] in {"critical", "warning"}
    page, _, anchor = said["runbook_url"].partition("#")
    headings = re.findall(r"^#+ (.*)$", (ROOT / page).read_text(), flags=re.MULTILINE)
    assert anchor in {heading.lower().replace(" ", "-") for heading in headings}


def test_it_is_a_manifest_of_the_prometheus_operator() -> None:
    manifest = yaml.safe_load(MANIFEST.read_text())
    assert (manifest["apiVersion"], manifest["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert set(manifest["spec"]) == {"groups"}


def test_in_a_hurry_minutes_are_seconds_and_nothing_else_changes() -> None:
    rule = {"alert": "A", "expr": "time() - x > 15 * 60 and increase(y_5m[1h]) > 3 or z[10m]", "for": "5m"}
    (fast,) = list_alerts(hurry({"groups": [{"name": "g", "rules": [rule]}]}))
    assert fast == {"alert": "A", "expr": "time() - x > 15 * 1 and increase(y_5m[60s]) > 3 or z[10s]", "for": "5s"}
