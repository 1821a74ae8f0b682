"""Budgets, storm and breaker on the real control plane."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from bokgu.api.fields import format_timestamp
from tests.world.command import run_bokgu
from tests.world.manifests import CLUSTER, NAMESPACE, NORMAL_LOAD, SURGE_LOAD
from tests.world.scene import Scene
from tests.world.world import Raw, World, wait_for

OVER = {"Completed", "Failed", "Cancelled", "Expired", "RolledBack"}


def policy_status(world: World) -> Raw:
    return world.status("recoverypolicies", "default")


def refuse_updates(scene: Scene) -> None:
    """AWS lets nobody update the service: its plans fail."""
    scene.world.simulator.deny("UpdateService", resource=f'"service": "{scene.service}"', count=1000)


def surge(scene: Scene) -> None:
    scene.world.simulator.set_load(CLUSTER, scene.service, SURGE_LOAD)


def calm(scene: Scene) -> None:
    scene.world.simulator.set_load(CLUSTER, scene.service, NORMAL_LOAD)


def test_s7_of_two_approved_plans_one_begins_and_the_other_waits_for_its_end(
    world: World, new_scene: Callable[..., Scene], put_policy: Callable[..., None]
) -> None:
    first, second = new_scene(), new_scene()
    put_policy(budget={"maxConcurrent": 1, "maxUnavailablePercent": 100})
    plans = [first.surge(), second.surge()]
    for scene, plan in zip((first, second), plans, strict=True):
        scene.approve(plan)
    reasons: set[str] = set()

    def over() -> bool:
        reasons.update(scene.plan()["status"].get("reason", "") for scene in (first, second))
        return all(scene.plan()["status"]["phase"] in OVER for scene in (first, second))

    wait_for(over, 90, lambda: f"{first.plan()['status']}\n{second.plan()['status']}")
    ends = sorted((s.plan()["status"]["startedAt"], s.plan()["status"]["finishedAt"]) for s in (first, second))
    assert ends[0][1] <= ends[1][0], "the second began before the first was over"
    assert "BudgetUsedUp" in reasons
    assert [len(scene.updates()) for scene in (first, second)] == [1, 1]
    wait_for(lambda: policy_status(world).get("budgetLeft") == 1, 10, lambda: str(policy_status(world)))


def test_s7_a_failed_recovery_opens_the_breaker_until_a_person_resets_it_across_a_restart(
    world: World, new_scene: Callable[..., Scene], put_policy: Callable[..., None]
) -> None:
    scene = new_scene()
    put_policy(breaker={"failures": 1, "namespaceFailures": 32, "within": "1h"})
    refuse_updates(scene)
    scene.approve(scene.surge())
    scene.wait("the plan failed", lambda: scene.plan_is("Failed"), 40)

    def protected() -> Raw:
        return world.status("protectedservices", scene.service)

    scene.wait("the breaker is open", lambda: "breaker" in protected(), 10)
    assert protected()["breaker"]["plans"] == [scene.plan()["metadata"]["name"]]
    calm(scene)
    scene.wait("the trouble is over", lambda: scene.incident_is("Resolved"), 60)
    world.stop_operator()
    world.start_operator()

    before = len(scene.incidents())
    surge(scene)
    scene.wait("a new incident is a person's", lambda: len(scene.incidents()) > before, 40)
    scene.wait("it is a person's", lambda: _reason(scene) == "BreakerOpen", 20)
    assert scene.incident()["status"]["phase"] == "Escalated"
    assert not scene.incident()["status"].get("plans")

    words = ("reset", scene.service, "-n", NAMESPACE)
    asked = run_bokgu(world, *words)
    assert (asked.returncode, "add --yes" in asked.stderr) == (1, True)
    done = run_bokgu(world, *words, "--yes")
    assert done.returncode == 0, done.stderr
    scene.wait("the breaker is closed", lambda: "breaker" not in protected(), 10)
    scene.wait("what waited is not replayed", lambda: _reason(scene) == "MadeBeforeReset", 20)
    assert not scene.incident()["status"].get("plans")
    again = run_bokgu(world, *words, "--yes")
    assert "is closed: nothing to do" in again.stdout


def test_s7_the_breaker_of_a_namespace_is_reset_by_a_person_or_by_what_is_to_be_committed(
    world: World, new_scene: Callable[..., Scene], put_policy: Callable[..., None]
) -> None:
    # Failures of other tests do not count.
    _patch_policy(world, json.dumps({"spec": {"resetBreakerAt": format_timestamp(datetime.now(UTC))}}))
    put_policy(breaker={"failures": 32, "namespaceFailures": 1, "within": "1h"})
    words = ("reset", "-n", NAMESPACE)

    def fail() -> None:
        scene = new_scene()
        refuse_updates(scene)
        scene.approve(scene.surge())
        scene.wait("the plan failed", lambda: scene.plan_is("Failed"), 40)
        scene.wait("the breaker is open", lambda: "breaker" in policy_status(world), 10)
        assert policy_status(world)["breaker"]["plans"] == [scene.plan()["metadata"]["name"]]
        calm(scene)

    fail()
    asked = run_bokgu(world, *words)
    assert (asked.returncode, "add --yes" in asked.stderr) == (1, True)
    opened = policy_status(world)["breaker"]
    done = run_bokgu(world, *words, "--yes", "-o", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["kind"], told["name"], told["changed"], told["breaker"]) == ("RecoveryPolicy", "default", True, opened)
    wait_for(lambda: "breaker" not in policy_status(world), 10, lambda: str(policy_status(world)))
    again = json.loads(run_bokgu(world, *words, "--yes", "-o", "json").stdout)
    assert again["changed"] is False

    fail()
    printed = run_bokgu(world, *words, "--print")
    assert printed.stdout.startswith(f"# RecoveryPolicy {NAMESPACE}/default\nspec:\n  resetBreakerAt: ")
    assert "breaker" in policy_status(world), "nothing is written"
    _patch_policy(world, printed.stdout)
    wait_for(lambda: "breaker" not in policy_status(world), 10, lambda: str(policy_status(world)))


def test_s7_a_storm_is_told_once_and_stops_what_is_new(
    world: World, new_scene: Callable[..., Scene], put_policy: Callable[..., None]
) -> None:
    scenes = [new_scene(), new_scene(), new_scene()]
    wait_for(lambda: not opened_since(world, timedelta(seconds=25)), 40, lambda: "incidents of other tests are new")
    put_policy(storm={"threshold": 2, "window": "20s", "cooldown": "1s"})
    before = told_storms(world)
    for scene in scenes:
        surge(scene)
    for scene in scenes:
        scene.wait("it waits for the storm", lambda scene=scene: _reason(scene) == "Storm" or _has_plan(scene), 40)
    assert sum(_has_plan(scene) for scene in scenes) <= 1, "only what came before the storm has a plan"
    held = [scene for scene in scenes if not _has_plan(scene)]
    world.stop_operator()
    world.start_operator()
    for scene in held:
        scene.wait("after the storm it gets its plan", lambda scene=scene: _has_plan(scene), 60)
    assert len(told_storms(world) - before) == 1
    for scene in scenes:
        calm(scene)


def _patch_policy(world: World, patch: str) -> None:
    world.control_plane.kubectl("patch", "recoverypolicy", "default", "-n", NAMESPACE, "--type=merge", "-p", patch)


def told_storms(world: World) -> set[str]:
    """Names of the Events that tell of storms."""
    path = "jsonpath={range .items[?(@.reason=='StormBegan')]}{.metadata.name} {end}"
    return set(world.control_plane.kubectl("get", "events.events.k8s.io", "-n", NAMESPACE, "-o", path).stdout.split())


def opened_since(world: World, age: timedelta) -> list[Raw]:
    """The incidents that are younger than that."""
    since = (datetime.now(UTC) - age).strftime("%Y-%m-%dT%H:%M:%SZ")
    return [i for i in world.all("incidents") if i["metadata"]["creationTimestamp"] > since]


def _reason(scene: Scene) -> str | None:
    reason: str | None = scene.incident().get("status", {}).get("reason")
    return reason


def _has_plan(scene: Scene) -> bool:
    return bool(scene.incident().get("status", {}).get("plans"))
