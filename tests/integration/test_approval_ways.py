"""What docs/approvals.md says that operator configuration can allow: delegates, an emergency role, automatic starts."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from tests.integration.test_docs import blocks, manifests
from tests.world.approving import approve_through_git, run_approve
from tests.world.manifests import CLUSTER, NAMESPACE, SURGE_LOAD
from tests.world.scene import Scene
from tests.world.world import ROOT, World

PAGE = ROOT / "docs/approvals.md"
(POLICY,) = [m for m in manifests(PAGE) if m["kind"] == "RecoveryPolicy"]
DELEGATE = f"{NAMESPACE}:gitops"
ALLOWED = {
    "BOKGU_DELEGATES": DELEGATE,
    "BOKGU_AUTO_NAMESPACES": NAMESPACE,
    "BOKGU_EMERGENCY_ROLE": "incident_commander",
}


@pytest.fixture
def trusting(world: World) -> Iterator[World]:
    """The world, whose operator's configuration allows it all."""
    world.stop_operator()
    world.start_operator(ALLOWED)
    yield world
    world.stop_operator()
    world.start_operator()


def judged(scene: Scene, name: str) -> dict[str, str]:
    """What the operator says to an approval: reason and message."""

    def condition() -> dict[str, str]:
        found: dict[str, str] = scene.world.condition("planapprovals", name, "Accepted")
        return found

    scene.wait("judged", condition, 15)
    return condition()


def printed(scene: Scene, person: Any, *options: str) -> dict[str, Any]:
    """The manifest that `bokgu approve` prints."""
    done = run_approve(scene.world, person, scene.plan(), "--yes", *options)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = yaml.safe_load(done.stdout)
    return found


@pytest.mark.usefixtures("trusting")
def test_a_named_account_carries_what_was_reviewed_in_git(new_scene: Callable[..., Scene]) -> None:
    scene = new_scene()
    world = scene.world
    scene.surge()
    carried = printed(scene, world.bob, "--role", "service_owner", "--carried-by", DELEGATE)
    name = carried["metadata"]["name"]
    # Nobody else can say that the account carries it.
    user = world.control_plane.kubeconfig_for_user(world.alice.name)
    refused = world.control_plane.kubectl("create", "-f", "-", user=user, input=yaml.safe_dump(carried), check=False)
    assert "spec.carriedBy must be alice@example.com" in refused.stderr
    world.commit("bob", carried)
    said = judged(scene, name)
    assert (said["reason"], world.status("planapprovals", name)["proof"]) == ("Accepted", "Delegated")
    assert "whose Git review alone vouches for the name" in said["message"]
    # The right is still the approver's own.
    lacks = printed(scene, world.alice, "--role", "service_owner", "--carried-by", DELEGATE)
    world.commit("alice", lacks)
    assert judged(scene, lacks["metadata"]["name"])["reason"] == "RoleNotHeld"


def test_s8_an_account_that_is_not_named_carries_nothing(new_scene: Callable[..., Scene]) -> None:
    scene = new_scene()
    scene.surge()
    carried = printed(scene, scene.world.bob, "--role", "service_owner", "--carried-by", DELEGATE)
    scene.world.commit("bob", carried)
    assert judged(scene, carried["metadata"]["name"])["reason"] == "NotDelegated"


@pytest.mark.usefixtures("trusting")
def test_an_emergency_is_declared_by_one_person_who_says_why(new_scene: Callable[..., Scene]) -> None:
    (role,) = [b for b in blocks(PAGE, "yaml") if "kind: ClusterRole" in b]
    scene = new_scene()
    world = scene.world
    world.control_plane.apply(role)
    binding = ("create", "rolebinding", "commander", "--clusterrole=incident-commander")
    world.control_plane.kubectl(*binding, "--user=alice@example.com", "-n", NAMESPACE)
    plan = scene.surge()
    options = ("--role", "incident_commander", "--apply", "--yes")
    silent = run_approve(world, world.alice, plan, *options)
    assert silent.returncode == 0, silent.stderr
    assert "incident_commander is not among the roles that the plan needs" in silent.stdout
    scene.wait("judged", lambda: scene.approval_reasons() == ["ReasonMissing"], 15)
    assert scene.plan_is("AwaitingApproval")
    done = run_approve(world, world.alice, plan, *options, "--reason", "nobody of the shop team answers")
    assert done.returncode == 0, done.stderr
    scene.wait("completed", lambda: scene.plan_is("Completed"), 40)
    assert scene.plan()["status"]["approvalCount"] == "override"
    told = world.control_plane.kubectl("get", "events", "-n", NAMESPACE).stdout
    assert "EmergencyOverride" in told
    assert "nobody of the shop team answers" in told


@pytest.mark.usefixtures("trusting")
def test_an_emergency_opens_a_closed_change_window(
    new_scene: Callable[..., Scene], put_policy: Callable[..., None]
) -> None:
    put_policy(windows=[{"name": "freeze", "kind": "Deny", "schedule": "* * * * *", "duration": "168h"}])
    scene = new_scene()
    world = scene.world
    rule = {"apiGroups": ["bokgu.dev"], "resources": ["approvalroles"], "verbs": ["approve"]}
    role = {"rules": [rule | {"resourceNames": ["incident_commander"]}], "kind": "Role"}
    named = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "emergency", "namespace": NAMESPACE}}
    world.apply(role | named)
    bind = ("create", "rolebinding", "emergency", "--role=emergency", "--user=alice@example.com")
    world.control_plane.kubectl(*bind, "-n", NAMESPACE)
    plan = scene.surge()
    scene.approve(plan)
    scene.wait("the window is closed", lambda: scene.plan()["status"].get("reason") == "WindowClosed", 20)
    options = ("--role", "incident_commander", "--apply", "--yes", "--reason", "the shop is down")
    done = run_approve(world, world.alice, plan, *options)
    assert done.returncode == 0, done.stderr
    scene.wait("completed", lambda: scene.plan_is("Completed"), 40)
    status = scene.plan()["status"]
    (gate,) = [g for g in status["gates"] if g["name"] == "WindowOpen"]
    assert gate["value"] == "Deny window freeze, overridden by alice@example.com as incident_commander"
    assert status["approvalCount"] == "2/2"
    (intent,) = [step["intent"] for step in status["steps"] if "intent" in step]
    assert "incident_commander" in {approval["role"] for approval in intent["approvals"]}


def test_the_rules_that_are_shown_hold(new_scene: Callable[..., Scene], put_policy: Callable[..., None]) -> None:
    put_policy(**POLICY["spec"])
    scene = new_scene()
    world = scene.world
    plan = scene.surge()
    scene.wait("critical", lambda: scene.incident()["spec"]["severity"] == "critical", 10)
    done = run_approve(world, world.bob, plan, "--role", "service_owner", "--apply", "--yes")
    assert done.returncode == 0, done.stderr
    scene.wait("judged", lambda: scene.approval_reasons() == ["ProofNotAllowed"], 15)
    approve_through_git(world, plan, {world.bob: "service_owner"})
    scene.wait("one of two", lambda: scene.plan()["status"]["approvalCount"] == "1/2", 15)
    assert world.condition("recoverypolicies", "default", "Ready")["reason"] == "AutoNotEnabled"


@pytest.mark.usefixtures("trusting")
def test_a_plan_that_the_policy_names_needs_nobody(
    new_scene: Callable[..., Scene], put_policy: Callable[..., None]
) -> None:
    scene = new_scene(mode="Auto")
    named = {"service": scene.service, "action": "scale_out", "rootCause": "TrafficSurge"}
    put_policy(auto=[named], maxAutoPerHour=2)
    scene.world.simulator.set_load(CLUSTER, scene.service, SURGE_LOAD)
    scene.wait("completed", lambda: scene.plan_is("Completed"), 60)
    status = scene.plan()["status"]
    assert (status["approvalCount"], status.get("approvals", [])) == ("auto", [])
    approved = next(c for c in status["conditions"] if c["type"] == "Approved")
    assert approved["message"] == "RecoveryPolicy/default lets it start without approvals"
