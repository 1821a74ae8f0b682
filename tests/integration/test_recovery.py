"""Whole recoveries, each stage on real parts."""

from typing import Any

from tests.world.manifests import CLUSTER, NAMESPACE, detector
from tests.world.scene import Scene


def test_surge_is_scaled_out_after_two_approvals(scene: Scene) -> None:
    plan = scene.surge()
    incident = scene.incident()
    assert (incident["spec"]["type"], incident["spec"]["severity"]) == ("high_error_rate", "critical")
    assert incident["status"]["classification"]["rootCause"] == "TrafficSurge"
    assert incident["status"]["classification"]["requiredActions"] == ["health_check", "scale_out"]
    assert [s["action"] for s in plan["spec"]["steps"]] == ["health_check", "scale_out"]
    assert plan["spec"]["requiredApprovals"] == ["system_admin", "service_owner"]

    scene.approve(plan)
    scene.wait("resolved", lambda: scene.incident_is("Resolved"), 40)

    done = scene.plan()["status"]
    assert done["phase"] == "Completed"
    assert [(s["phase"], s.get("verdict")) for s in done["steps"]] == [("Completed", None), ("Completed", "Passed")]
    assert all(s["startedAt"] <= s["finishedAt"] and s["output"] for s in done["steps"])
    assert scene.updates() == [{"cluster": CLUSTER, "service": scene.service, "desiredCount": 5}]
    assert scene.world.describe(scene.service)["runningCount"] == 5
    assert float(done["metrics"][0]["before"]) > 0.3
    assert float(done["metrics"][0]["after"]) < 0.05
    events = [entry["event"] for entry in scene.incident()["status"]["timeline"]]
    assert events[0] == "Detected"
    assert events[-1] == "Resolved"
    scene.wait("the lock is free", lambda: "activePlan" not in _service_status(scene), 10)


def test_bad_revision_is_rolled_back(scene: Scene) -> None:
    good = scene.world.describe(scene.service)["taskDefinition"]
    scene.world.deploy(scene.service, ERROR_RATIO=0.6)
    scene.wait("a plan awaits approval", lambda: scene.plan_is("AwaitingApproval"), 30)
    classification = scene.incident()["status"]["classification"]
    assert (classification["rootCause"], classification["newRevisionAtFault"]) == ("BadDeployment", True)

    scene.approve(scene.plan())
    scene.wait("resolved", lambda: scene.incident_is("Resolved"), 60)
    assert scene.world.describe(scene.service)["taskDefinition"] == good
    assert [u["taskDefinition"] for u in scene.updates()] == [good]


def test_rollback_that_fails_its_validation_is_undone(scene: Scene) -> None:
    scene.world.deploy(scene.service, ERROR_RATIO=0.5)
    bad = scene.world.describe(scene.service)["taskDefinition"]
    scene.wait("a plan awaits approval", lambda: scene.plan_is("AwaitingApproval"), 30)
    scene.world.simulator.set_dependency_errors(CLUSTER, scene.service, 0.4)
    scene.approve(scene.plan())
    scene.wait("rolled back", lambda: scene.plan_is("RolledBack"), 90)
    scene.wait("escalated", lambda: scene.incident_is("Escalated"), 10)

    step = scene.plan()["status"]["steps"][1]
    assert (step["phase"], step["reason"], step["verdict"]) == ("Failed", "VerificationFailed", "Failed")
    assert step["rollback"]["phase"] == "Completed"
    assert scene.world.describe(scene.service)["taskDefinition"] == bad
    assert len(scene.updates()) == 2
    scene.world.simulator.set_dependency_errors(CLUSTER, scene.service, 0)


def test_incident_that_goes_away_by_itself_is_resolved_and_its_plan_cancelled(scene: Scene) -> None:
    scene.surge()
    scene.world.simulator.set_load(CLUSTER, scene.service, 300)
    scene.wait("resolved", lambda: scene.incident_is("Resolved"), 30)
    scene.wait("cancelled", lambda: scene.plan_is("Cancelled"), 10)
    assert scene.incident()["status"]["reason"] == "Cleared"
    assert scene.plan()["status"]["reason"] == "IncidentResolved"
    scene.wait("noted", lambda: [p.get("outcome") for p in scene.incident()["status"]["plans"]] == ["Cancelled"], 10)
    assert scene.updates() == []


def test_incident_follows_its_metric_when_the_detector_is_renamed(scene: Scene) -> None:
    scene.surge()
    old = f"{scene.service}-errors"
    renamed = detector(scene.service)
    renamed["metadata"]["name"] = f"{scene.service}-failures"
    scene.world.apply(renamed)
    scene.world.control_plane.kubectl("delete", "detector", old, "-n", NAMESPACE)
    scene.wait("it owns the incident", lambda: _owner(scene, renamed["metadata"]["name"]), 15)
    scene.world.simulator.set_load(CLUSTER, scene.service, 300)
    scene.wait("resolved", lambda: scene.incident_is("Resolved"), 30)
    assert len(scene.incidents()) == 1
    renamed["metadata"]["name"] = old
    scene.world.apply(renamed)  # The scene takes it away again.
    scene.world.control_plane.kubectl("delete", "detector", f"{scene.service}-failures", "-n", NAMESPACE)


def test_s10_plan_of_a_person_that_is_deleted_in_the_middle_is_undone_first(scene: Scene) -> None:
    scene.world.deploy(scene.service, ERROR_RATIO=0.6)
    bad = scene.world.describe(scene.service)["taskDefinition"]
    scene.wait("a plan awaits approval", lambda: scene.plan_is("AwaitingApproval"), 30)
    made = scene.plan()
    spec = {**made["spec"], "risks": []}
    metadata = {"name": f"{scene.service}-by-hand", "namespace": NAMESPACE}
    scene.world.apply({"apiVersion": made["apiVersion"], "kind": "RecoveryPlan", "metadata": metadata, "spec": spec})

    def by_hand() -> dict[str, Any]:
        return scene.world.get("recoveryplans", metadata["name"]) or {"status": {}}

    scene.wait("it awaits approval", lambda: by_hand().get("status", {}).get("phase") == "AwaitingApproval", 15)
    scene.approve(by_hand())
    scene.wait("it verifies", lambda: by_hand()["status"]["phase"] == "Verifying", 20)
    scene.world.control_plane.kubectl("delete", "recoveryplan", metadata["name"], "-n", NAMESPACE, "--timeout=40s")
    assert len(scene.updates()) == 2
    assert scene.world.describe(scene.service)["taskDefinition"] == bad


def _owner(scene: Scene, name: str) -> bool:
    detections = (scene.world.get("detectors", name) or {}).get("status", {}).get("detections", [])
    return any(d.get("incident", {}).get("uid") == scene.incident()["metadata"]["uid"] for d in detections)


def _service_status(scene: Scene) -> dict[str, object]:
    found = scene.world.get("protectedservices", scene.service)
    assert found is not None
    status: dict[str, object] = found["status"]
    return status
