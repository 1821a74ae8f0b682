"""Approvals applied from a Git checkout with `kubectl apply --server-side --prune --applyset`."""

import copy
from collections.abc import Callable
from typing import Any

import yaml

from tests.world.manifests import APPLY_SET, CLUSTER, NAMESPACE, NORMAL_LOAD
from tests.world.scene import Scene
from tests.world.world import World

MEMBER = "applyset.kubernetes.io/part-of"


def applied(world: World) -> dict[str, dict[str, Any]]:
    """Metadata of the approvals that came from Git, by name: versions, and who wrote which field when."""
    approvals = (a["metadata"] for a in world.all("planapprovals"))
    return {m["name"]: m for m in approvals if MEMBER in m.get("labels", {})}


def reason_of(world: World, manifest: dict[str, Any]) -> str:
    return str(world.condition("planapprovals", manifest["metadata"]["name"], "Accepted").get("reason", ""))


def set_version(world: World) -> str:
    found = world.control_plane.kubectl(
        "get", "configmap", APPLY_SET, "-n", NAMESPACE, "-o", "jsonpath={.metadata.resourceVersion}"
    )
    return found.stdout


def test_applying_the_same_checkout_again_changes_nothing(new_scene: Callable[..., Scene]) -> None:
    scene = new_scene()
    world, plan = scene.world, scene.surge()
    scene.approve(plan)
    scene.wait("completed", lambda: scene.plan_is("Completed"), 40)
    scene.wait("judged", lambda: len(scene.approval_reasons()) == 2, 10)
    before, set_before = applied(world), set_version(world)
    assert {m["generation"] for m in before.values()} == {1}
    world.apply_checkout()
    assert applied(world) == before
    assert set_version(world) == set_before


def test_s1_removal_from_git_before_the_start_withdraws(new_scene: Callable[..., Scene]) -> None:
    scene = new_scene()
    world, plan = scene.world, scene.surge()

    def count() -> str | None:
        return str(scene.plan()["status"].get("approvalCount"))

    mine = world.alice.approve(plan, "system_admin")
    world.commit("alice", mine)
    scene.wait("one of two", lambda: count() == "1/2", 15)
    world.withdraw("alice", mine)
    assert world.get("planapprovals", mine["metadata"]["name"]) is None
    scene.wait("none of two", lambda: count() == "0/2", 15)
    world.commit("bob", world.bob.approve(plan, "service_owner"))
    scene.wait("the other of two", lambda: count() == "1/2", 15)
    assert scene.plan_is("AwaitingApproval")
    assert scene.updates() == []
    world.commit("alice", world.alice.approve(plan, "system_admin"))
    scene.wait("completed", lambda: scene.plan_is("Completed"), 40)
    assert len(scene.updates()) == 1


def test_approvals_of_plans_that_are_gone_stay_and_fail_nothing(new_scene: Callable[..., Scene]) -> None:
    scene = new_scene()
    world, plan = scene.world, scene.surge()
    other = copy.deepcopy(plan)
    other["status"]["digest"] = "sha256:" + "0" * 64
    stale = world.alice.approve(other, "system_admin")
    world.commit("alice", stale)
    scene.wait("judged", lambda: reason_of(world, stale), 15)
    assert reason_of(world, stale) == "DigestMismatch"
    counted = [world.alice.approve(plan, "system_admin"), world.bob.approve(plan, "service_owner")]
    for author, manifest in zip(("alice", "bob"), counted, strict=True):
        world.commit(author, manifest)
    scene.wait("completed", lambda: scene.plan_is("Completed"), 40)
    world.simulator.set_load(CLUSTER, scene.service, NORMAL_LOAD)
    scene.wait("resolved", lambda: scene.incident_is("Resolved"), 40)
    incident, name = scene.incident()["metadata"]["name"], plan["metadata"]["name"]
    world.control_plane.kubectl("delete", "incident", incident, "-n", NAMESPACE, "--timeout=20s")
    scene.wait("the plan is collected", lambda: world.get("recoveryplans", name) is None, 40)
    left = [stale, *counted]
    scene.wait("judged anew", lambda: {reason_of(world, m) for m in left} == {"PlanNotFound"}, 20)
    before = applied(world)
    world.apply_checkout()
    assert applied(world) == before
    assert before.keys() >= {m["metadata"]["name"] for m in left}


def test_the_last_approval_is_pruned_too(new_scene: Callable[..., Scene]) -> None:
    scene = new_scene()
    world = scene.world
    world.commit("alice", world.alice.approve(scene.surge(), "system_admin"))
    by_hand = world.bob.approve(scene.plan(), "service_owner")
    by_hand["metadata"]["name"] += "-by-hand"
    world.apply(by_hand)
    for file in sorted(world.repository.approvals.iterdir()):
        world.withdraw("alice", yaml.safe_load(file.read_text()))
    assert not world.repository.approvals.exists()
    assert applied(world) == {}
    assert world.get("planapprovals", by_hand["metadata"]["name"]), "what Git has not applied is not Git's to prune"
    world.apply_checkout()
    world.commit("alice", world.alice.approve(scene.plan(), "system_admin"))
    assert len(applied(world)) == 1
