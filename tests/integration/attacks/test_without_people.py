"""What stands in for people: delegates, the emergency role, automatic starts; and what only pretends to (S1, S7)."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.integration.attacks.tools import (
    altered,
    bind,
    by_hand,
    cluster_admin,
    create,
    create_as,
    gate,
    objects,
    patch,
    policy,
    reason_of,
    said,
    unsigned,
    untouched,
    wait_judged,
    wait_plan,
)
from tests.world.manifests import CLUSTER, NAMESPACE, SURGE_LOAD, incident
from tests.world.scene import Scene
from tests.world.world import World

ALICE, BOB, MALLORY = "alice@example.com", "bob@example.com", "mallory@example.com"
GITOPS = f"system:serviceaccount:{NAMESPACE}:gitops"
EMERGENCY = "incident_commander"
LENIENT = {
    "BOKGU_AUTO_NAMESPACES": NAMESPACE,
    "BOKGU_DELEGATES": f"{NAMESPACE}:gitops",
    "BOKGU_EMERGENCY_ROLE": EMERGENCY,
}

AUTO_SERVICES = ("forged-plan", "auto-one", "auto-two")
Raw = dict[str, Any]


def automatic(most: int = 1) -> Raw:
    named = [{"service": s, "action": "scale_out", "rootCause": "TrafficSurge"} for s in AUTO_SERVICES]
    return policy(auto=named, maxAutoPerHour=most)


@pytest.fixture(scope="module")
def auto_scenes(world: World) -> list[Scene]:
    """Services in mode Auto, that an operator watches which lets nothing start by itself."""
    scenes = [Scene(world, name) for name in AUTO_SERVICES]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda scene: scene.begin(mode="Auto"), scenes))
    return scenes


@pytest.fixture(scope="module")
def lenient(world: World, auto_scenes: list[Scene]) -> Iterator[World]:
    """A world whose operator has all that stands in for people switched on. While it was down, somebody filed an
    incident and wrote the plan that the operator would make next, only bigger."""
    forged = auto_scenes[0]
    world.stop_operator()
    world.simulator.set_load(CLUSTER, forged.service, SURGE_LOAD)
    filed = incident("forged", forged.service, severity="critical")
    world.apply(automatic(), filed)
    uid = (world.get("incidents", "forged") or {})["metadata"]["uid"]
    service = world.describe(forged.service)
    step = {"name": "out", "action": "scale_out", "parameters": {"desiredCount": 10}, "timeout": "5m"}
    plan = by_hand(
        "forged-1",
        {"apiVersion": filed["apiVersion"], "spec": {}},
        incidentRef={"name": "forged", "uid": uid},
        serviceRef={"name": forged.service},
        preconditions={"desiredCount": service["desiredCount"], "rootCause": "TrafficSurge"},
        steps=[{**step, "onFailure": "Stop"}],
        expiresAt="2099-01-01T00:00:00Z",
    )
    world.apply(plan)
    world.start_operator(LENIENT)
    yield world
    world.stop_operator()
    world.apply(policy())
    for scene in auto_scenes:
        detector = f"{scene.service}-errors"
        world.control_plane.kubectl("delete", "detector", detector, "-n", NAMESPACE, "--wait=false")
    world.start_operator()


@pytest.fixture(scope="module")
def waiting(lenient: World) -> Scene:
    """A service in a surge in mode Approve. Tests that use it must leave it waiting."""
    scene = Scene(lenient, "lenient")
    scene.begin()
    scene.surge()
    return scene


# Automatic starts


def why_not_automatic(world: World, plan: str) -> str:
    return str(gate(world.get("recoveryplans", plan) or {"status": {}}, "Approved").get("message", ""))


def test_s1_plan_under_the_operators_next_name_does_not_start_by_itself(
    lenient: World, auto_scenes: list[Scene]
) -> None:
    forged = auto_scenes[0]

    def taken_over() -> bool:
        return bool(lenient.status("incidents", "forged").get("plans"))

    forged.wait("the plan is the incident's", taken_over, 30)
    (entry,) = lenient.status("incidents", "forged")["plans"]
    assert (entry["name"], entry.get("madeByOperator", False)) == ("forged-1", False)
    assert lenient.status("incidents", "forged")["classification"]["rootCause"] == "TrafficSurge"
    # Before it was taken over, every plan is a stranger's: look again.
    patch(lenient, "recoveryplan", "forged-1", {"metadata": {"annotations": {"look": "again"}}})
    time.sleep(3)
    wait_plan(forged, "forged-1")
    assert "not automatic: the operator did not make this plan" in why_not_automatic(lenient, "forged-1")
    assert not lenient.status("recoverypolicies", "default").get("autoStarts")
    assert lenient.updates(forged.service) == []


def test_s7_plans_start_by_themselves_within_the_budget_of_an_hour_across_restarts(
    lenient: World, auto_scenes: list[Scene]
) -> None:
    _, one, two = auto_scenes
    world = lenient
    world.simulator.set_load(CLUSTER, one.service, SURGE_LOAD)
    one.wait("completed without people", lambda: one.plan_is("Completed"), 60)
    status = one.plan()["status"]
    approved = next(c for c in status["conditions"] if c["type"] == "Approved")
    assert (status["approvalCount"], status["approvals"]) == ("auto", [])
    assert (approved["status"], approved["reason"]) == ("True", "AutoApproved")
    assert {c["proof"] for c in status["steps"][-1]["intent"]["approvals"]} == {"Auto"}
    assert one.updates() == [{"cluster": CLUSTER, "service": one.service, "desiredCount": 5}]
    (start,) = world.status("recoverypolicies", "default")["autoStarts"]
    assert (start["plan"], start["uid"]) == (one.plan()["metadata"]["name"], one.plan()["metadata"]["uid"])

    two.surge()
    used_up = "1 plans of at most 1 an hour have started by themselves until"
    two.wait("said so", lambda: used_up in why_not_automatic(world, two.plan()["metadata"]["name"]), 10)
    claimed = by_hand("claims-the-cause", two.plan())
    world.apply(claimed)
    wait_plan(two, "claims-the-cause")
    assert "the operator did not make this plan" in why_not_automatic(world, "claims-the-cause")

    world.kill_operator()
    world.start_operator(LENIENT)
    annotation = {"metadata": {"annotations": {"look": "again"}}}
    patch(world, "recoveryplan", two.plan()["metadata"]["name"], annotation)
    two.wait("looked at again", lambda: used_up in why_not_automatic(world, two.plan()["metadata"]["name"]), 10)
    assert untouched(two)

    world.apply(automatic(most=2))
    two.wait("it starts within the greater budget", two.updates, 20)
    world.control_plane.kubectl("delete", "recoverypolicy", "default", "-n", NAMESPACE)
    two.wait("completed without the policy", lambda: two.plan_is("Completed"), 40)
    world.apply(policy())
    assert len(two.updates()) == 1
    assert wait_plan(two, "claims-the-cause", "Cancelled", "AwaitingApproval")
    assert lenient.updates(auto_scenes[0].service) == []


# Delegates


def carried(plan: Raw, role: str, approver: str, by: str = GITOPS, **more: Any) -> Raw:
    return unsigned(plan, role, approver, carried_by=by, **more)


@pytest.fixture(scope="module")
def flux(world: World) -> Path:
    return cluster_admin(world)


def test_s8_account_that_is_no_delegate_carries_nothing_beside_one_that_is(waiting: Scene, flux: Path) -> None:
    plan, account = waiting.plan(), f"system:serviceaccount:{NAMESPACE}:flux"
    assert reason_of(waiting, carried(plan, "system_admin", ALICE, account), flux) == "NotDelegated"
    as_another = create(waiting.world, carried(plan, "system_admin", ALICE), flux, check=False)
    assert f"spec.carriedBy must be {account}" in as_another.stderr
    as_person = create_as(waiting.world, carried(plan, "system_admin", ALICE), ALICE)
    assert "spec.carriedBy must be alice@example.com" in as_person.stderr
    assert untouched(waiting)


def test_s8_delegate_gives_nobody_a_role(waiting: Scene) -> None:
    plan = waiting.plan()
    assert reason_of(waiting, carried(plan, "system_admin", MALLORY)) == "RoleNotHeld"
    grouped = altered(carried(plan, "system_admin", MALLORY), approverGroups=["system:masters"])
    refused = create(waiting.world, grouped, waiting.world.gitops, check=False)
    assert "leave out approverGroups" in refused.stderr


def test_s8_delegate_fills_two_roles_for_one_name_once(waiting: Scene) -> None:
    both = [carried(waiting.plan(), role, ALICE) for role in ("system_admin", "service_owner")]
    with objects(waiting.world, *bind(ALICE, "service_owner")), said(waiting, *both):
        for approval in both:
            wait_judged(waiting, approval["metadata"]["name"], "Accepted")
        waiting.wait("one counts", lambda: waiting.plan()["status"]["approvalCount"] == "1/2", 10)


def test_s8_policy_that_wants_signatures_takes_nothing_from_delegates(waiting: Scene) -> None:
    with objects(waiting.world, policy(approvals=[{"name": "signed", "proofs": ["Signed"]}])):
        assert reason_of(waiting, carried(waiting.plan(), "system_admin", ALICE)) == "ProofNotAllowed"


# The emergency role


def test_s8_emergency_is_declared_with_a_reason_by_a_person_who_holds_the_role(waiting: Scene) -> None:
    world, plan = waiting.world, waiting.plan()
    fire = "the house is on fire"
    signed = world.alice.approve(plan, EMERGENCY)
    assert reason_of(waiting, altered(signed, reason=fire)) == "RoleNotHeld"
    with objects(world, *bind(ALICE, EMERGENCY)):
        waiting.wait("bound", lambda: reason_of(waiting, signed) != "RoleNotHeld", 10)
        assert reason_of(waiting, signed) == "ReasonMissing"
        assert reason_of(waiting, altered(signed, reason="")) == "ReasonMissing"
        assert reason_of(waiting, carried(plan, EMERGENCY, ALICE, reason=fire)) == "ProofNotAllowed"
        assert reason_of(waiting, altered(signed, approver=BOB, reason=fire)) == "InvalidSignature"
    refused = create_as(world, unsigned(plan, EMERGENCY, BOB, reason=fire), BOB)
    assert "may not approve as incident_commander" in refused.stderr
    assert untouched(waiting)


def test_delegated_approvals_run_the_plan_and_status_says_so(lenient: World) -> None:
    scene = Scene(lenient, "delegated")
    scene.begin()
    plan = scene.surge()
    both = [carried(plan, "system_admin", ALICE), carried(plan, "service_owner", BOB)]
    for approval in both:
        create(lenient, approval, lenient.gitops)
    scene.wait("completed", lambda: scene.plan_is("Completed"), 40)
    assert [a["verifiedBy"] for a in scene.plan()["status"]["approvals"]] == ["Delegated", "Delegated"]
    for approval in both:
        found = lenient.condition("planapprovals", approval["metadata"]["name"], "Accepted")
        assert f"Delegated: carried by {GITOPS}, whose Git review alone vouches for the name" in found["message"]
    assert len(scene.updates()) == 1


def test_emergency_override_runs_the_plan_and_status_says_so(waiting: Scene) -> None:
    """The last one: the service waits no more."""
    world, plan = waiting.world, waiting.plan()
    with objects(world, *bind(ALICE, EMERGENCY)):
        approval = unsigned(plan, EMERGENCY, ALICE, reason="the house is on fire")
        waiting.wait("let in", lambda: create_as(world, approval, ALICE).returncode == 0, 10)
        waiting.wait("completed", lambda: waiting.plan_is("Completed"), 40)
    status = waiting.plan()["status"]
    approved = next(c for c in status["conditions"] if c["type"] == "Approved")
    assert (status["approvalCount"], approved["reason"]) == ("override", "EmergencyOverride")
    assert approved["message"].startswith("alice@example.com overrides system_admin, service_owner as")
    assert "the house is on fire" in approved["message"]
    (counted,) = status["steps"][-1]["intent"]["approvals"]
    assert (counted["role"], counted["approver"]) == (EMERGENCY, ALICE)
    assert len(waiting.updates()) == 1
