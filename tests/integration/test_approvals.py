"""Approvals on the real API server: what counts, and what never does (S1, S8)."""

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from bokgu.api.vocabulary import Decision
from bokgu.core.approval.statement import build_approval
from tests.world.manifests import CLUSTER, NAMESPACE
from tests.world.scene import Scene
from tests.world.world import ROOT, World


@pytest.fixture(scope="module")
def waiting(world: World) -> Scene:
    """A service in a surge, whose plan awaits approval. Tests that use it must leave it so."""
    scene = Scene(world, "waiting")
    scene.begin()
    scene.surge()
    return scene


def unsigned(plan: dict[str, Any], role: str, approver: str) -> dict[str, Any]:
    return build_approval(
        plan=plan["metadata"]["name"],
        namespace=NAMESPACE,
        digest=plan["status"]["digest"],
        role=role,
        decision=Decision.APPROVE,
        approver=approver,
        valid_until=datetime.now(UTC) + timedelta(hours=1),
    )


def reason_of(scene: Scene, manifest: dict[str, Any]) -> str:
    """Apply an approval as the GitOps account and return what the operator says to it."""
    scene.world.apply(manifest, user=scene.world.gitops)
    name = manifest["metadata"]["name"]

    def conditions() -> list[dict[str, str]]:
        found = scene.world.get("planapprovals", name) or {}
        return list(found.get("status", {}).get("conditions", []))

    scene.wait("judged", conditions, 15)
    assert scene.plan_is("AwaitingApproval")
    return conditions()[0]["reason"]


def test_s8_signature_of_another_key_does_not_count(waiting: Scene) -> None:
    forged = waiting.world.mallory.approve(waiting.plan(), "system_admin", approver="alice@example.com")
    assert reason_of(waiting, forged) == "InvalidSignature"


def test_s8_signature_over_another_role_does_not_count(waiting: Scene) -> None:
    moved = waiting.world.alice.approve(waiting.plan(), "service_owner")
    moved["spec"]["role"] = "system_admin"
    moved["metadata"]["name"] += "-moved"
    assert reason_of(waiting, moved) == "InvalidSignature"


def test_s8_role_that_is_not_held_does_not_count(waiting: Scene) -> None:
    assert reason_of(waiting, waiting.world.alice.approve(waiting.plan(), "service_owner")) == "RoleNotHeld"


def test_s8_expired_approval_does_not_count(waiting: Scene) -> None:
    late = waiting.world.alice.approve(waiting.plan(), "system_admin", valid_for=timedelta(seconds=-5))
    assert reason_of(waiting, late) == "Expired"


def test_s8_digest_of_another_plan_does_not_count(waiting: Scene) -> None:
    other = copy.deepcopy(waiting.plan())
    other["status"]["digest"] = "sha256:" + "0" * 64
    assert reason_of(waiting, waiting.world.alice.approve(other, "system_admin")) == "DigestMismatch"


def test_s8_revoked_key_does_not_count(waiting: Scene) -> None:
    world = waiting.world
    patch = {"data": {"revoked": world.alice.public_key + "\n"}}
    _patch_signers(world, patch)
    assert reason_of(waiting, world.alice.approve(waiting.plan(), "system_admin")) == "InvalidSignature"
    _patch_signers(world, {"data": {"revoked": ""}})


@pytest.mark.parametrize(
    ("who", "role", "approver", "message"),
    [
        ("gitops", "system_admin", "system:serviceaccount:shop:gitops", "must come from a person"),
        ("alice", "system_admin", "bob@example.com", "spec.approver must be alice@example.com"),
        ("alice", "service_owner", "alice@example.com", "may not approve as service_owner"),
    ],
)
def test_s8_unsigned_approval_is_refused_at_admission(
    waiting: Scene, who: str, role: str, approver: str, message: str
) -> None:
    world = waiting.world
    user = world.gitops if who == "gitops" else world.control_plane.kubeconfig_for_user("alice@example.com")
    manifest = json.dumps(unsigned(waiting.plan(), role, approver))
    refused = world.control_plane.kubectl("create", "-f", "-", user=user, input=manifest, check=False)
    assert refused.returncode != 0
    assert message in refused.stderr


def test_unsigned_approvals_of_people_with_kubectl_count(new_scene: Callable[..., Scene]) -> None:
    scene = new_scene()
    plan = scene.surge()
    for person, role in (("alice@example.com", "system_admin"), ("bob@example.com", "service_owner")):
        user = scene.world.control_plane.kubeconfig_for_user(person)
        scene.world.control_plane.kubectl(
            "create", "-f", "-", user=user, input=json.dumps(unsigned(plan, role, person))
        )
    scene.wait("completed", lambda: scene.plan_is("Completed"), 40)
    approvals = scene.plan()["status"]["approvals"]
    assert {a["verifiedBy"] for a in approvals} == {"Cluster"}
    assert len(scene.updates()) == 1


def test_s8_unsigned_approval_right_after_a_change_of_the_policy_does_not_count(waiting: Scene) -> None:
    world = waiting.world
    world.control_plane.kubectl("delete", "validatingadmissionpolicy", "bokgu-plan-approvals")
    world.control_plane.apply(ROOT / "charts/bokgu/templates/admission-policies.yaml")
    # API servers enforce a new policy only after a moment: this may be anybody, in alice's name.
    manifest = unsigned(waiting.plan(), "system_admin", "alice@example.com")
    user = world.control_plane.kubeconfig_for_user("alice@example.com")
    world.control_plane.kubectl("create", "-f", "-", user=user, input=json.dumps(manifest))
    name = manifest["metadata"]["name"]

    def conditions() -> list[dict[str, str]]:
        found = world.get("planapprovals", name) or {}
        return list(found.get("status", {}).get("conditions", []))

    waiting.wait("judged", conditions, 15)
    assert conditions()[0]["reason"] == "NoProof"
    assert waiting.plan_is("AwaitingApproval")


def test_s8_one_reject_ends_the_plan(new_scene: Callable[..., Scene]) -> None:
    scene = new_scene()
    plan = scene.surge()
    scene.world.commit("alice", scene.world.alice.approve(plan, "system_admin"))
    scene.world.commit("bob", scene.world.bob.approve(plan, "service_owner", Decision.REJECT))
    scene.wait("rejected", lambda: scene.plan_is("Rejected"), 15)
    scene.wait("escalated", lambda: scene.incident_is("Escalated"), 10)
    scene.world.commit("bob", scene.world.bob.approve(plan, "service_owner"))
    scene.wait("judged", lambda: scene.approval_reasons().count("Accepted") >= 2, 10)
    assert scene.plan_is("Rejected")
    assert scene.updates() == []


def test_s1_plan_that_ran_never_runs_again_after_a_restore(new_scene: Callable[..., Scene]) -> None:
    scene = new_scene()
    world = scene.world
    scene.approve(scene.surge())
    scene.wait("completed", lambda: scene.plan_is("Completed"), 40)
    exported = scene.plan()
    name = exported["metadata"]["name"]
    world.control_plane.kubectl("delete", "recoveryplan", name, "-n", NAMESPACE, "--timeout=20s")
    metadata = {key: exported["metadata"][key] for key in ("name", "namespace", "ownerReferences", "finalizers")}
    world.apply({**{k: exported[k] for k in ("apiVersion", "kind", "spec")}, "metadata": metadata})

    def restored() -> dict[str, Any]:
        found = world.get("recoveryplans", name) or {}
        return dict(found.get("status", {}))

    scene.wait("cancelled", lambda: restored().get("phase") == "Cancelled", 15)
    assert restored()["reason"] == "AlreadyExecuted"
    assert len(scene.updates()) == 1


def test_s4_plan_whose_service_was_changed_since_is_cancelled(new_scene: Callable[..., Scene]) -> None:
    scene = new_scene()
    plan = scene.surge()
    scene.world.ecs.update_service(cluster=CLUSTER, service=scene.service, desiredCount=4)
    scene.world.wait_steady(scene.service)
    scene.approve(plan)
    scene.wait("cancelled", lambda: scene.plan_is("Cancelled"), 20)
    assert scene.plan()["status"]["reason"] == "PreconditionChanged"
    assert scene.updates() == []


def _patch_signers(world: World, patch: dict[str, Any]) -> None:
    world.control_plane.kubectl(
        "patch", "configmap", "bokgu-signers", "-n", "bokgu-system", "--type=merge", "-p", json.dumps(patch)
    )


def test_a_plan_that_waits_asks_with_the_manifest_to_commit(waiting: Scene) -> None:
    plan = waiting.plan()
    request = yaml.safe_load(plan["status"]["approvalRequest"])
    assert request["metadata"]["name"].startswith(f"{plan['metadata']['name']}-{plan['status']['digest'][7:19]}")
    assert request["spec"]["planDigest"] == plan["status"]["digest"]
    assert request["spec"]["role"] in plan["status"]["requiredApprovals"]
    told = waiting.world.control_plane.kubectl("describe", "recoveryplan", plan["metadata"]["name"], "-n", NAMESPACE)
    assert "ApprovalNeeded" in told.stdout
    # It waits for a name and a signature: as it is, it counts for nothing.
    assert reason_of(waiting, request) == "InvalidSignature"
