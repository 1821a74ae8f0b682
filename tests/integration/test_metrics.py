"""A real Prometheus scrapes the operator as it works."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bokgu.core.traces import trace_of
from tests.prometheus import Prometheus, run_promtool
from tests.prometheus.dashboard import as_prometheus_sees, list_expressions
from tests.prometheus.rules import hurry, read_groups
from tests.world.manifests import roomy_policy
from tests.world.scene import Scene
from tests.world.world import World, wait_for


@pytest.fixture
def prometheus(world: World, tmp_path: Path) -> Iterator[Prometheus]:
    """It scrapes the operator of the world, whose minutes are seconds, under the alerts of the chart."""
    with Prometheus(tmp_path, [urlsplit(world.metrics_url).netloc], hurry(read_groups())) as running:
        yield running


@pytest.fixture
def strict(world: World) -> Iterator[None]:
    """One failure opens the breaker of a service."""
    world.apply(roomy_policy(breaker={"failures": 1, "namespaceFailures": 32, "within": "1h"}))
    yield
    world.control_plane.kubectl("delete", "recoverypolicy", "default", "-n", "shop", "--ignore-not-found")
    world.apply(roomy_policy())


def fires(prometheus: Prometheus, name: str, **labels: str) -> Callable[[], bool]:
    """Whether that alert fires with these labels."""

    def ask() -> bool:
        wanted = {"alertname": name, **labels}.items()
        return any(alert["labels"].items() >= wanted for alert in prometheus.firing())

    return ask


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("strict")
def test_a_recovery_that_waits_and_fails_is_seen_by_prometheus_and_holds_across_a_restart(
    world: World, new_scene: Callable[..., Scene], prometheus: Prometheus
) -> None:
    scene = new_scene()
    service = scene.service

    def explain() -> str:
        return f"{prometheus.firing()}\n{prometheus.targets()}\n{scene.plan()['status']}\n{world.operator_log_tail()}"

    def values(metric: str) -> dict[tuple[str, ...], float]:
        return prometheus.query(f'{metric}{{service="{service}"}}')

    wait_for(lambda: values("bokgu_service_breaker_open") == {("shop", service): 0}, 20, explain)
    world.simulator.deny("UpdateService", resource=f'"service": "{service}"', count=1000)
    plan = scene.surge()
    # It has waited for fifteen of the world's minutes.
    waiting = {"namespace": "shop", "service": service, "kind": "approval"}
    wait_for(fires(prometheus, "BokguApprovalWaiting", **waiting), 60, explain)
    severity, type_ = scene.incident()["spec"]["severity"], scene.incident()["spec"]["type"]
    open_incident = ("production", "shop", "AwaitingApproval", service, severity, "Detector", type_)
    assert values("bokgu_incidents") == {open_incident: 1}
    assert values("bokgu_plans") == {("shop", "AwaitingApproval", service): 1}
    assert values("bokgu_approvals_waiting") == {("approval", "shop", service): 1}

    world.kill_operator()
    wait_for(fires(prometheus, "BokguGone"), 60, explain)
    assert values("bokgu_incidents") == {}
    world.start_operator()
    wait_for(lambda: values("bokgu_incidents"), 30, explain)
    assert values("bokgu_incidents") == {open_incident: 1}
    assert values("bokgu_approvals_waiting") == {("approval", "shop", service): 1}
    wait_for(lambda: not fires(prometheus, "BokguGone")(), 30, explain)

    scene.approve(plan)
    scene.wait("the plan failed", lambda: scene.plan_is("Failed"), 40)
    wait_for(fires(prometheus, "BokguBreakerOpen", namespace="shop", service=service), 60, explain)
    wait_for(fires(prometheus, "BokguRecoveryFailing", phase="Failed"), 60, explain)
    assert values("bokgu_service_breaker_open") == {("shop", service): 1}
    assert values("bokgu_approvals_waiting") == {}
    incident = scene.incident()["metadata"]
    exemplar = {"incident": f"shop/{incident['name']}", "trace_id": trace_of(incident["uid"])}
    wait_for(lambda: exemplar in prometheus.exemplars("bokgu_plans_finished_total"), 20, explain)


NOT_HERE = {
    "Need a person", "Not watched",
    "What holds everything", "What gates hold", "Gates that hold it", "Passes that failed",
    "Status writes that failed", "AWS calls that failed", "Throttled by AWS", "Held back for quotas",
    "Events, alarms and alerts", "Age of events", "Alerts delivered, and tries that failed",
    "Oldest alert that waits", "Spans of traces", "Heartbeats not sent", "Events not created",
    "Changes of the leader",
}  # fmt: skip
"""Panels that need not have data where a recovery went well and nobody is elected: nothing was held, failed, throttled,
or sent."""


@pytest.mark.timeout(240)
def test_the_dashboard_shows_a_recovery_from_its_begin_to_its_end(
    new_scene: Callable[..., Scene], prometheus: Prometheus
) -> None:
    scene = new_scene()
    begun = time.time()
    plan = scene.surge()
    type_ = scene.incident()["spec"]["type"]
    severity = scene.incident()["spec"]["severity"]
    time.sleep(2)  # Two scrapes see that it waits.
    scene.approve(plan)
    scene.wait("resolved", lambda: scene.incident_is("Resolved"), 60)
    time.sleep(3)
    chosen = {"namespace": "shop", "service": scene.service, "type": type_, "job": "bokgu"}
    # A query that Prometheus refuses raises.
    shown = {
        name: prometheus.query_range(as_prometheus_sees(expression, **chosen), begun, time.time())
        for name, expression in list_expressions()
    }
    panels = {name.rpartition("/")[0] for name in shown if "/" in name}
    full = {name.rpartition("/")[0] for name, series in shown.items() if series}
    assert panels - full - NOT_HERE == set()

    incident = shown["Incident/A"]
    assert {type for _, _, type in incident} == {type_}
    phases = {phase for phase, _, _ in incident}
    assert {"AwaitingApproval", "Verifying"} <= phases, phases
    assert {found for _, found, _ in incident} == {severity}
    assert "Resolved" not in phases, "what is over has no series"
    assert all(set(values) == {1} for values in incident.values()), "one incident"
    plans = {phase for (phase,) in shown["Plan/A"]}
    assert "AwaitingApproval" in plans
    assert plans & {"InProgress", "Verifying"}, plans
    assert shown["Plan/C"].keys() == {("approval",)}
    assert {"detect", "classify", "plan", "approve", "act"} <= {
        stage
        for (stage,) in shown[next(name for name in shown if name.startswith("Stages of") and name.endswith("/A"))]
    }


def test_what_a_recovery_counts_is_scraped(world: World, new_scene: Callable[..., Scene]) -> None:
    scene, before = new_scene(), world.scrape()
    scene.approve(scene.surge())
    scene.wait("resolved", lambda: scene.incident_is("Resolved"), 60)
    type_, cause = scene.incident()["spec"]["type"], scene.plan()["spec"]["preconditions"]["rootCause"]

    def added() -> dict[str, float]:
        return {name: value - before.get(name, 0) for name, value in world.scrape().items()}

    recorded = f'bokgu_incidents_recorded_total{{type="{type_}"}}'
    wait_for(lambda: added().get(recorded, 0) >= 1, 20, lambda: str(world.scrape()))
    found = added()
    assert found[f'bokgu_plans_created_total{{root_cause="{cause}"}}'] >= 1
    assert found['bokgu_status_writes_total{resource="incidents",result="OK"}'] >= 3
    assert found['bokgu_aws_request_duration_seconds_count{operation="UpdateService",service="ecs"}'] >= 1
    assert found['bokgu_aws_request_duration_seconds_sum{operation="UpdateService",service="ecs"}'] > 0


@pytest.mark.timeout(180)
def test_aws_that_throttles_is_told(world: World, scene: Scene, prometheus: Prometheus) -> None:
    def explain() -> str:
        return f"{prometheus.query('bokgu_aws_throttles_total')}\n{scene.service}\n{world.operator_log_tail()}"

    fault = world.simulator.throttle("DescribeServices", count=1000)
    try:
        fired = fires(prometheus, "BokguAwsThrottled", service="ecs", operation="DescribeServices")
        wait_for(fired, 90, explain)
    finally:
        world.simulator.remove_fault(fault)


def test_promtool_finds_nothing_wrong_with_a_scrape_of_the_operator(world: World, scene: Scene) -> None:
    scene.surge()
    checked = run_promtool("check", "metrics", input=world.scrape_text())
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    samples = world.scrape()
    waiting = f'bokgu_approvals_waiting{{kind="approval",namespace="shop",service="{scene.service}"}}'
    assert samples[waiting] == 1
    assert [name for name in samples if name.partition("{")[0].endswith("_created")] == []
    stages = {name: value for name, value in samples.items() if "stage_duration_seconds_count" in name}
    for stage in ("detect", "classify", "plan"):
        assert stages[f'bokgu_incident_stage_duration_seconds_count{{stage="{stage}",type="high_error_rate"}}'] >= 1
