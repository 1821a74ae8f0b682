"""Approvals on the real API server that count, and a world that has changed since (S4). Attacks are in `attacks`."""

import json
from collections.abc import Callable

import yaml

from tests.integration.attacks.tools import unsigned, wait_judged
from tests.world.manifests import CLUSTER, NAMESPACE
from tests.world.scene import Scene


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


def test_s4_plan_whose_service_was_changed_since_is_cancelled(new_scene: Callable[..., Scene]) -> None:
    scene = new_scene()
    plan = scene.surge()
    scene.world.ecs.update_service(cluster=CLUSTER, service=scene.service, desiredCount=4)
    scene.world.wait_steady(scene.service)
    scene.approve(plan)
    scene.wait("cancelled", lambda: scene.plan_is("Cancelled"), 20)
    assert scene.plan()["status"]["reason"] == "PreconditionChanged"
    assert scene.updates() == []


def test_a_plan_that_waits_asks_with_the_manifest_to_commit(new_scene: Callable[..., Scene]) -> None:
    scene = new_scene()
    plan = scene.surge()
    name, digest = plan["metadata"]["name"], plan["status"]["digest"]
    request = yaml.safe_load(plan["status"]["approvalRequest"])
    assert request["metadata"]["name"].startswith(f"{name}-{digest[7:19]}")
    assert (request["spec"]["planDigest"], request["spec"]["role"]) == (digest, "system_admin")
    told = scene.world.control_plane.kubectl("describe", "recoveryplan", name, "-n", NAMESPACE)
    assert "ApprovalNeeded" in told.stdout
    # It waits for a name and a signature: as it is, it counts for nothing.
    scene.world.apply(request, user=scene.world.gitops)
    assert wait_judged(scene, request["metadata"]["name"]) == "InvalidSignature"
    assert scene.updates() == []
