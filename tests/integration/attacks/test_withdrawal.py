"""Approvals that go, expire or are outvoted while a plan waits, runs, or is over (S1, S8)."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from tests.integration.attacks.tools import by_hand, create, delete, gate, patch, wait_plan
from tests.world.manifests import NAMESPACE
from tests.world.scene import Scene
from tests.world.world import wait_for

Raw = dict[str, Any]


def approve(scene: Scene, plan: Raw, valid_for: timedelta = timedelta(hours=1)) -> list[str]:
    """Have both people approve a plan; the names of their approvals."""
    world = scene.world
    both = [
        world.alice.approve(plan, "system_admin", valid_for=valid_for),
        world.bob.approve(plan, "service_owner", valid_for=valid_for),
    ]
    for approval in both:
        create(world, approval, world.gitops)
    return [approval["metadata"]["name"] for approval in both]


def suspend(scene: Scene, name: str, on: bool) -> None:
    patch(scene.world, "recoveryplan", name, {"spec": {"suspend": on}})


def two_writes(scene: Scene) -> Raw:
    """A plan by hand that returns to the good revision, then scales out; what fails is undone."""
    scene.world.deploy(scene.service, ERROR_RATIO=0.6)
    scene.wait("a plan awaits approval", lambda: scene.plan_is("AwaitingApproval"), 30)
    made = scene.plan()
    back = {k: v for k, v in made["spec"]["steps"][-1].items() if k != "validation"}
    assert back["action"] == "rollback_to_previous_version"
    out = {
        "name": "out",
        "action": "scale_out",
        "parameters": {"desiredCount": 5},
        "timeout": "2m",
        "onFailure": "RollBack",
    }
    name = f"{scene.service}-two"
    scene.world.apply(by_hand(name, made, steps=[back, out]))
    return wait_plan(scene, name)


def first_step_done(scene: Scene, name: str) -> bool:
    steps = scene.world.status("recoveryplans", name).get("steps", [{}])
    return bool(steps[0].get("phase") == "Completed")


def assert_stopped_and_undone(scene: Scene, name: str, bad: str) -> None:
    """The second step was never tried, and the first one taken back: what approvals were there had authorised that."""
    over = wait_plan(scene, name, "RolledBack", seconds=60)
    first, second = over["status"]["steps"]
    assert (over["status"]["reason"], second["reason"]) == ("ApprovalWithdrawn", "ApprovalWithdrawn")
    assert "intent" not in second
    assert first["rollback"]["phase"] == "Completed"
    assert [a["role"] for a in first["rollback"]["intent"]["approvals"]] == ["system_admin", "service_owner"]
    assert scene.world.describe(scene.service)["taskDefinition"] == bad
    assert ["desiredCount" in update for update in scene.updates()] == [False, False]


def test_s1_approval_pruned_before_the_start_starts_nothing(besieged: Scene) -> None:
    world, plan = besieged.world, besieged.plan()
    name = plan["metadata"]["name"]
    suspend(besieged, name, True)
    names = approve(besieged, plan)
    found = wait_plan(besieged, name, "Approved")
    assert (found["status"]["approvalCount"], found["status"]["reason"]) == ("2/2", "Suspended")
    delete(world, "planapprovals", names[0])
    suspend(besieged, name, False)
    found = wait_plan(besieged, name, "AwaitingApproval")
    wait_for(lambda: besieged.plan()["status"]["approvalCount"] == "1/2", 10, lambda: "not 1/2")
    assert gate(besieged.plan(), "Approved")["message"] == "waits for system_admin"
    assert besieged.updates() == []
    delete(world, "planapprovals", names[1])
    wait_for(lambda: besieged.plan()["status"]["approvalCount"] == "0/2", 10, lambda: "not 0/2")


def test_s1_approvals_pruned_between_two_steps_stop_the_second_and_block_no_undo(
    new_scene: Callable[..., Scene],
) -> None:
    scene = new_scene()
    plan = two_writes(scene)
    name, bad = plan["metadata"]["name"], scene.world.describe(scene.service)["taskDefinition"]
    names = approve(scene, plan)
    wait_for(scene.updates, 20, lambda: "the first step was not sent")
    suspend(scene, name, True)
    delete(scene.world, "planapprovals", *names)
    scene.wait("the first step is done", lambda: first_step_done(scene, name), 40)
    suspend(scene, name, False)
    assert_stopped_and_undone(scene, name, bad)


def test_s1_approvals_that_expire_between_two_steps_stop_the_second_and_block_no_undo(
    new_scene: Callable[..., Scene],
) -> None:
    scene = new_scene()
    plan = two_writes(scene)
    name, bad = plan["metadata"]["name"], scene.world.describe(scene.service)["taskDefinition"]
    names = approve(scene, plan, timedelta(seconds=12))
    wait_for(scene.updates, 11, lambda: "the first step was not sent")
    suspend(scene, name, True)
    scene.wait("the first step is done", lambda: first_step_done(scene, name), 40)

    def expired() -> bool:
        reasons = {scene.world.condition("planapprovals", n, "Accepted").get("reason") for n in names}
        return reasons == {"Expired"}

    scene.wait("both have expired", expired, 20)
    suspend(scene, name, False)
    assert_stopped_and_undone(scene, name, bad)


def test_s1_approvals_that_go_after_the_end_change_nothing_and_the_plan_never_runs_again(
    new_scene: Callable[..., Scene],
) -> None:
    """Exported, deleted and restored, with its approvals."""
    scene = new_scene()
    world = scene.world
    plan = scene.surge()
    names = approve(scene, plan)
    scene.wait("completed", lambda: scene.plan_is("Completed"), 40)
    exported = scene.plan()
    approvals = [world.get("planapprovals", name) or {} for name in names]
    delete(world, "planapprovals", *names)
    create(world, scene.world.alice.approve(plan, "system_admin"))
    assert scene.plan()["status"] == exported["status"]
    name = exported["metadata"]["name"]
    delete(world, "recoveryplans", name)
    for body in (exported, *approvals):
        kept = {
            k: v for k, v in body["metadata"].items() if k in {"name", "namespace", "ownerReferences", "finalizers"}
        }
        world.apply({**{k: body[k] for k in ("apiVersion", "kind", "spec")}, "metadata": kept})
    restored = wait_plan(scene, name, "Cancelled")
    assert restored["status"]["reason"] == "AlreadyExecuted"
    assert restored["metadata"]["uid"] != exported["metadata"]["uid"]
    assert len(scene.updates()) == 1


def test_s1_plan_made_anew_word_for_word_before_it_ran_never_starts(new_scene: Callable[..., Scene]) -> None:
    """Its approvals were given to the plan that is gone."""
    scene = new_scene()
    world, plan = scene.world, scene.surge()
    suspend(scene, plan["metadata"]["name"], True)
    approve(scene, plan)
    wait_plan(scene, plan["metadata"]["name"], "Approved")
    delete(world, "recoveryplans", plan["metadata"]["name"])
    metadata = {"name": plan["metadata"]["name"], "namespace": NAMESPACE}
    world.apply({**{k: plan[k] for k in ("apiVersion", "kind", "spec")}, "metadata": metadata})
    again = wait_plan(scene, plan["metadata"]["name"], "Cancelled")
    assert (again["status"]["reason"], again["status"]["digest"]) == ("Recreated", plan["status"]["digest"])
    assert scene.updates() == []
