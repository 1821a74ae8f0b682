"""A plan that a log proves and a person confirms, on the real API server and against the simulated AWS."""

from collections.abc import Callable
from typing import Any

import boto3
import yaml

from tests.integration.attacks.tools import wait_judged
from tests.integration.test_runbooks import runbook
from tests.world.approving import run_approve
from tests.world.manifests import NAMESPACE, REGION, protected_service
from tests.world.scene import Scene

LOOK = {"name": "look", "action": "manual", "description": "Orders of {service} are whole.", "timeout": "2m"}
MORE = {
    "name": "more",
    "action": "scale_out",
    "validation": {"type": "log", "pattern": "checksum mismatch", "criteria": "no_corruption", "for": "5s"},
}


def test_a_log_proves_a_step_and_a_person_confirms_the_next(new_scene: Callable[..., Scene]) -> None:
    scene = new_scene()
    world, group = scene.world, f"/shop/{scene.service}"
    keys = {"aws_access_key_id": "person", "aws_secret_access_key": "x", "region_name": REGION}
    boto3.client("logs", endpoint_url=world.aws_url, **keys).create_log_group(logGroupName=group)
    detection = {"relapseWatch": "2s", "period": "1s", "settle": "1s"}
    world.apply(
        protected_service(scene.service, logGroup=group, runbooks=["look-twice"], detection=detection),
        runbook("look-twice", steps=[MORE, LOOK], onlyByName=True),
    )
    try:
        plan = scene.surge()
        assert plan["spec"]["runbookRef"]["name"] == "look-twice"
        validation = plan["spec"]["steps"][0]["validation"]
        assert (validation["expression"], validation["pattern"]) == ("log_matches <= 0", "checksum mismatch")
        assert validation["logGroup"] == group
        early = run_approve(world, world.bob, plan, "--step", "look", "--role", "service_owner", "--yes", "--apply")
        assert "does not wait for" in early.stderr
        scene.approve(plan)
        scene.wait("a person is asked", lambda: scene.plan()["status"].get("reason") == "AwaitingConfirmation", 60)
        more, look = scene.plan()["status"]["steps"]
        assert (more["phase"], more["verdict"]) == ("Completed", "Passed")
        assert "log_matches is 0 and held" in more["output"]
        assert f"Orders of {scene.service} are whole." in look["output"]
        request: dict[str, Any] = yaml.safe_load(scene.plan()["status"]["approvalRequest"])
        assert request["spec"]["step"] == "look"
        told = world.control_plane.kubectl("describe", "recoveryplan", plan["metadata"]["name"], "-n", NAMESPACE)
        assert "ConfirmationNeeded" in told.stdout

        # What was signed of the plan is no confirmation, whatever the object says.
        forged = world.bob.approve(plan, "service_owner")
        forged["spec"]["step"] = "look"
        forged["metadata"]["name"] += "-forged"
        world.apply(forged, user=world.gitops)
        assert wait_judged(scene, forged["metadata"]["name"]) == "InvalidSignature"
        assert scene.plan()["status"]["reason"] == "AwaitingConfirmation"

        options = ("--step", "look", "--role", "service_owner", "--sign", str(world.bob.key), "--yes", "--apply")
        done = run_approve(world, world.bob, plan, *options)
        assert done.returncode == 0, done.stderr
        scene.wait("completed", lambda: scene.plan_is("Completed"), 30)
        kept = scene.plan()["status"]["steps"][1]["confirmation"]
        assert (kept["approver"], kept["role"], kept["proof"]) == (world.bob.name, "service_owner", "Signed")
        assert scene.plan()["status"]["approvalCount"] == "2/2"
        assert len(scene.updates()) == 1
    finally:
        world.control_plane.kubectl("delete", "runbook", "look-twice", "-n", NAMESPACE)
