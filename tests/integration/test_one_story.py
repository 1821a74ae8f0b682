"""One incident, followed in kubectl, the dashboard, Slack and the report: four places, one story."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from tests.integration.test_alerts import route, secret
from tests.prometheus import Prometheus
from tests.prometheus.dashboard import PANELS, as_prometheus_sees
from tests.prometheus.rules import read_groups
from tests.unit.test_report_formats import Page
from tests.world.approving import approve_through_git
from tests.world.command import run_bokgu
from tests.world.manifests import NAMESPACE, roomy_policy
from tests.world.scene import Scene
from tests.world.slack import RECEIVER, Slack
from tests.world.world import World, wait_for

pytestmark = pytest.mark.timeout(300)

TITLES = [
    "High error rate detected: told",
    "Approval needed: {plan} for told",
    "Recovery started: told",
    "Recovery plan completed: told",
    "Incident resolved: told",
]
"""What Slack is told of a recovery, in order."""


@pytest.fixture
def slack(tmp_path: Path) -> Iterator[Slack]:
    with Slack(tmp_path) as listening:
        yield listening


@pytest.fixture
def scene(tmp_path: Path, slack: Slack) -> Iterator[Scene]:
    """A service in a world of its own, whose operator finds Slack through the proxy of its network."""
    with World(tmp_path / "world", operator=False) as world:
        world.apply(secret(slack=RECEIVER), roomy_policy(alerts=[route("all", "slack")]))
        world.start_operator(slack.settings)
        scene = Scene(world, "told")
        scene.begin()
        yield scene


@pytest.fixture
def prometheus(scene: Scene, tmp_path: Path) -> Iterator[Prometheus]:
    with Prometheus(tmp_path / "prometheus", [urlsplit(scene.world.metrics_url).netloc], read_groups()) as running:
        yield running


def list_rows(scene: Scene) -> list[list[str]]:
    """Cells of what `kubectl get incidents,recoveryplans` prints, without headings."""
    found = scene.world.control_plane.kubectl("get", "incidents,recoveryplans", "-n", NAMESPACE, "--no-headers").stdout
    return [line.split() for line in found.splitlines() if line]


def ask_panel(prometheus: Prometheus, title: str, service: str) -> set[str]:
    """The words that a panel shows of the service now, where it shows anything."""
    (panel,) = (p for p in PANELS if p["title"] == title and "$service" in p.get("targets", [{}])[0].get("expr", ""))
    found: set[str] = set()
    for target in panel["targets"]:
        expression = as_prometheus_sees(target["expr"], namespace=NAMESPACE, service=service)
        found |= {label for labels, value in prometheus.query(expression).items() if value for label in labels}
    return found


def test_kubectl_dashboard_slack_and_report_tell_the_same(
    scene: Scene, slack: Slack, prometheus: Prometheus, tmp_path: Path
) -> None:
    world = scene.world

    def explain() -> str:
        return f"{slack.messages}\n{scene.incident()}\n{scene.plan()['status']}\n{world.operator_log_tail()}"

    # It waits for people.
    plan = scene.surge()
    incident = scene.incident()
    name, digest, cause = incident["metadata"]["name"], plan["status"]["digest"], "TrafficSurge"
    wait_for(lambda: len(slack.messages) == 2, 20, explain)
    wait_for(lambda: "AwaitingApproval" in ask_panel(prometheus, "Incident", "told"), 20, explain)
    asked = slack.messages[1]
    (manifest,) = yaml.safe_load_all(asked[asked.index("apiVersion:") : asked.index("\nIncident: ")])
    assert manifest["spec"]["planRef"] | {"digest": digest} == {"name": plan["metadata"]["name"], "digest": digest}
    assert digest in asked
    severity, type_ = scene.incident()["spec"]["severity"], incident["spec"]["type"]
    (shown, planned) = list_rows(scene)
    assert shown[1:7] == [severity, type_, "told", "AwaitingApproval", cause, plan["metadata"]["name"]]
    assert planned[1:5] == [name, "0/2", "0/2", "AwaitingApproval"]
    assert ask_panel(prometheus, "Incident", "told") == {type_, severity, "AwaitingApproval"}
    assert "approval" in ask_panel(prometheus, "Plan", "told")
    assert f"[{severity.upper()}]" in asked
    assert cause in asked

    # It is approved, recovered, and watched for a relapse.
    approve_through_git(world, plan, {world.alice: "system_admin", world.bob: "service_owner"})
    seen: list[set[str]] = []

    def over() -> bool:
        seen.append(ask_panel(prometheus, "Incident", "told"))
        return scene.incident_is("Resolved")

    wait_for(over, 90, explain)
    wait_for(lambda: len(slack.messages) == len(TITLES), 20, explain)
    wait_for(lambda: not ask_panel(prometheus, "Incident", "told"), 20, explain)
    ended = prometheus.query("sum by (phase) (bokgu_incidents_ended_total)")
    assert ended == {("Resolved",): 1}

    # Everybody has heard the same.
    titles = [message.splitlines()[0] for message in slack.messages]
    assert titles == [f"[{severity.upper()}] {title.format(plan=plan['metadata']['name'])}" for title in TITLES]
    assert all(f"Incident: {NAMESPACE}/{name}" in message for message in slack.messages)
    assert {"Executing", "Verifying"} & set().union(*seen), seen
    (shown, planned) = list_rows(scene)
    assert shown[4:6] == ["Resolved", cause]
    assert planned[1:5] == [name, "2/2", "2/2", "Completed"]
    told = run_bokgu(world, "report", "-n", NAMESPACE, name, "--no-metrics")
    assert told.returncode == 0, told.stderr
    page = Page(told.stdout).words
    described = world.control_plane.kubectl("describe", "incident", name, "-n", NAMESPACE).stdout
    for entry in scene.incident()["status"]["timeline"]:
        message = " ".join(entry["message"].split())
        assert message in page
        assert message in " ".join(described.split())
    for fact in (f"{NAMESPACE}/{name}", "Resolved (Recovered)", cause, plan["metadata"]["name"], digest, severity):
        assert fact in page, fact
    for person in (world.alice, world.bob):
        assert person.name in page
    started = slack.messages[2]
    for step in plan["spec"]["steps"]:
        assert step["name"] in started
        assert step["name"] in page
    assert re.search(r"Reason:\s+Recovered", described)
