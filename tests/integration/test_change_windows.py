"""Change windows and pause, on the real API server and against the simulated AWS."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.test_manual_steps import MORE
from tests.integration.test_runbooks import runbook
from tests.world.manifests import CLUSTER, NAMESPACE, SURGE_LOAD, roomy_policy
from tests.world.scene import Scene
from tests.world.world import World, wait_for

Raw = dict[str, Any]
OPERATORS = "bokgu-system"
CLOSED = {"name": "freeze", "kind": "Deny", "schedule": "* * * * *", "duration": "168h", "timeZone": "Asia/Seoul"}
ALWAYS = {"name": "always", "kind": "Allow", "schedule": "*/5 * * * *", "duration": "1h"}


@pytest.fixture
def put(world: World) -> Iterator[Callable[[Raw], None]]:
    """Applies a RecoveryPolicy; after the test that of the operator goes, and that of the world comes back."""
    yield world.apply
    world.control_plane.kubectl("delete", "recoverypolicy", "default", "-n", OPERATORS, "--ignore-not-found")
    world.apply(roomy_policy())


def test_a_plan_waits_for_its_window_and_starts_when_the_policy_opens_it(
    scene: Scene, put: Callable[[Raw], None]
) -> None:
    put(roomy_policy(windows=[ALWAYS, CLOSED]))
    scene.approve(scene.surge())
    scene.wait("the window is closed", lambda: scene.plan()["status"].get("reason") == "WindowClosed", 20)
    status = scene.plan()["status"]
    (gate,) = [g for g in status["gates"] if g["name"] == "WindowOpen"]
    assert (status["phase"], gate["passed"], gate["value"]) == ("Approved", False, "Deny window freeze")
    assert gate["limit"] == "* * * * * for 168h, Asia/Seoul"
    blocked = scene.world.condition("incidents", scene.incident()["metadata"]["name"], "Blocked")
    assert blocked["reason"] == "WindowClosed"
    assert scene.updates() == []
    put(roomy_policy(windows=[ALWAYS]))
    scene.wait("completed", lambda: scene.plan_is("Completed"), 40)
    assert len(scene.updates()) == 1


def test_a_pause_holds_a_plan_between_two_steps_and_lets_it_go_on(
    new_scene: Callable[..., Scene], put: Callable[[Raw], None]
) -> None:
    scene = new_scene(runbooks=["in-two"])
    world = scene.world
    more = {key: value for key, value in MORE.items() if key != "validation"}
    rest = {"name": "rest", "action": "wait", "parameters": {"duration": "1s"}, "timeout": "1m"}
    world.apply(runbook("in-two", steps=[more, rest], onlyByName=True))
    try:
        plan = scene.surge()
        assert [step["name"] for step in plan["spec"]["steps"]][-2:] == ["more", "rest"]
        scene.approve(plan)
        scene.wait("it is sent", lambda: bool(scene.updates()), 30)
        put(roomy_policy(pause=True))
        scene.wait("it is held", lambda: scene.plan()["status"].get("reason") == "Suspended", 30)
        more, rest = scene.plan()["status"]["steps"][-2:]
        assert (more["phase"], rest.get("startedAt")) == ("Completed", None)
        held = world.condition("recoveryplans", plan["metadata"]["name"], "Suspended")
        assert held["message"] == f"held by spec.pause of RecoveryPolicy {NAMESPACE}/default"
        shown = world.control_plane.kubectl("get", "rpol", "default", "-n", NAMESPACE).stdout
        assert shown.splitlines()[0].split() == ["NAME", "SUMMARY", "PAUSED", "READY", "REASON", "AGE"]
        assert "paused, 0 approval rules" in shown
        assert world.condition("recoverypolicies", "default", "Paused")["status"] == "True"
        put(roomy_policy(pause=False))
        scene.wait("completed", lambda: scene.plan_is("Completed"), 30)
    finally:
        world.control_plane.kubectl("delete", "runbook", "in-two", "-n", NAMESPACE)


def test_the_operators_own_policy_pauses_every_namespace(scene: Scene, put: Callable[[Raw], None]) -> None:
    world = scene.world
    put(roomy_policy())
    put(roomy_policy(OPERATORS, pause=True))
    wait_for(
        lambda: world.condition("recoverypolicies", "default", "Paused").get("status") == "True",
        15,
        lambda: str(world.get("recoverypolicies", "default")),
    )
    assert "everything is paused" in world.condition("recoverypolicies", "default", "Paused")["message"]
    world.simulator.set_load(CLUSTER, scene.service, SURGE_LOAD)
    scene.wait("the incident says so", lambda: scene.incident().get("status", {}).get("reason") == "Paused", 40)
    blocked = world.condition("incidents", scene.incident()["metadata"]["name"], "Blocked")
    assert blocked["reason"] == "Paused"
    assert f"spec.pause of RecoveryPolicy {OPERATORS}/default" in blocked["message"]
    assert scene.incident()["status"].get("plans", []) == []
    world.control_plane.kubectl("delete", "recoverypolicy", "default", "-n", OPERATORS)
    scene.wait("a plan is made", lambda: scene.plan_is("AwaitingApproval"), 20)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schedule": "0 8 * *"}, "the five fields of cron"),
        ({"schedule": "0 0 8 * * 1"}, "the five fields of cron"),
        ({"schedule": "@daily day"}, "the five fields of cron"),
        ({"duration": "0s"}, "longer than 0s, at most 168h"),
        ({"duration": "168h1s"}, "longer than 0s, at most 168h"),
        ({"duration": "1d"}, "duration"),
        ({"kind": "Maybe"}, '"Allow", "Deny"'),
        ({"timeZone": ""}, "timeZone"),
        ({"name": "always"}, "Duplicate value"),
    ],
)
def test_s12_a_window_that_cannot_be_meant_is_refused(world: World, change: Raw, says: str) -> None:
    body = json.dumps(roomy_policy(windows=[ALWAYS, CLOSED | change]))
    refused = world.control_plane.kubectl("create", "--dry-run=server", "-f", "-", input=body, check=False)
    assert refused.returncode != 0
    assert says in refused.stderr


def test_s12_a_window_that_only_the_operator_can_judge_is_named_by_the_roomy_policy(
    world: World, put: Callable[[Raw], None]
) -> None:
    put(roomy_policy(windows=[ALWAYS, CLOSED | {"timeZone": "Mars/Olympus"}]))

    def ready() -> Raw:
        found: Raw = world.condition("recoverypolicies", "default", "Ready")
        return found

    wait_for(lambda: ready().get("reason") == "WindowUnreadable", 15, lambda: str(ready()))
    assert "window freeze cannot be read" in ready()["message"]
    assert "Mars/Olympus" in ready()["message"]
