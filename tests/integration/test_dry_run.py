"""A dry run on the real control plane: all of a recovery, and no write to AWS."""

import json
from collections.abc import Callable
from typing import Any

from tests.world.manifests import CLUSTER
from tests.world.scene import Scene

READS = ("Describe", "Get", "List", "Filter", "Lookup")


def writes(scene: Scene) -> list[str]:
    """What the operator asked of AWS that is no read and names the service, whether it had an effect or not."""
    calls = [c for c in scene.world.simulator.calls() if c.access_key_id == "operator"]
    assert any(c.operation == "DescribeServices" for c in calls)
    named = [c for c in calls if scene.service in json.dumps(c.parameters)]
    return [c.operation for c in named if not c.operation.startswith(READS)]


def condition(plan: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(c for c in plan["status"]["conditions"] if c["type"] == name)
    return found


def test_s1_a_whole_plan_in_a_dry_run_sends_nothing_and_says_what_it_would_have(
    new_scene: Callable[..., Scene],
) -> None:
    scene = new_scene(dryRun=True)
    plan = scene.surge()
    assert condition(plan, "DryRun")["reason"] == "Asked"
    assert plan["status"]["approvalRequest"]
    scene.approve(plan)
    scene.wait("cancelled", lambda: scene.plan_is("Cancelled"), 30)
    scene.wait("a person is called", lambda: scene.incident_is("Escalated"), 10)

    status = scene.plan()["status"]
    assert status["reason"] == "DryRun"
    assert [(s["phase"], s.get("reason")) for s in status["steps"]] == [("Completed", None), ("Skipped", "DryRun")]
    assert "intent" not in status["steps"][1]
    said, _, arguments = status["steps"][1]["output"].partition(": {")
    assert said == "dry run: would have sent ecs UpdateService as the operator itself"
    assert json.loads("{" + arguments) == {"cluster": CLUSTER, "service": scene.service, "desiredCount": 5}
    assert (condition(scene.plan(), "DryRun")["reason"], condition(scene.plan(), "Executed")["status"]) == (
        "NotSent",
        "False",
    )
    assert all(gate["passed"] for gate in status["gates"])

    incident = scene.incident()["status"]
    assert incident["reason"] == "DryRun"
    told = next(entry["message"] for entry in incident["timeline"] if entry["event"] == "Escalated")
    assert "was a dry run, nothing was done. dry run: would have sent ecs UpdateService" in told
    assert len(incident["plans"]) == 1

    assert writes(scene) == []
    assert scene.world.describe(scene.service)["desiredCount"] == 3
    scene.wait("the lock is free", lambda: "activePlan" not in _status(scene), 10)
    assert not _status(scene).get("begunRecoveries")


def _status(scene: Scene) -> dict[str, Any]:
    return scene.world.status("protectedservices", scene.service)
