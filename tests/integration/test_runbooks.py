"""Runbooks on a real API server: what is admitted, who is chosen, what `bokgu plan` foresees."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.world.manifests import CLUSTER, NAMESPACE, NORMAL_LOAD, REGION, SURGE_LOAD, protected_service
from tests.world.scene import Scene
from tests.world.world import ROOT, Raw, World, wait_for

SCALE_OUT = {"name": "more", "action": "scale_out"}


def runbook(name: str, *, drop: tuple[str, ...] = (), **spec: Any) -> Raw:
    whole = {"rootCauses": ["TrafficSurge"], "steps": [SCALE_OUT], **spec}
    return {
        "apiVersion": "bokgu.dev/v1alpha1",
        "kind": "Runbook",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {key: value for key, value in whole.items() if key not in drop},
    }


@pytest.fixture
def put(world: World) -> Iterator[Callable[[Raw], None]]:
    """Applies Runbooks, and removes them after the test: they are for all services of the namespace."""
    names: list[str] = []

    def apply(manifest: Raw) -> None:
        names.append(manifest["metadata"]["name"])
        world.apply(manifest)

    yield apply
    for name in names:
        world.control_plane.kubectl("delete", "runbook", name, "-n", NAMESPACE, "--ignore-not-found")


@pytest.fixture(scope="module")
def approver(world: World) -> Path:
    """A person who may read what is Bokgu's and approve plans, and nothing else."""
    return world.control_plane.kubeconfig_for_user(world.alice.name)


def bokgu_plan(world: World, kubeconfig: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(ROOT / "operator"),
        "KUBECONFIG": str(kubeconfig),
        "AWS_ACCESS_KEY_ID": "reader",
        "AWS_SECRET_ACCESS_KEY": "simulated",
        "BOKGU_AWS_ENDPOINT_URL": world.aws_url,
    }
    command = [sys.executable, "-m", "bokgu", "plan", "-n", NAMESPACE, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


# Admission


def test_the_built_in_runbooks_are_admitted_as_they_are(world: World) -> None:
    texts = [f.read_text() for f in sorted((ROOT / "operator/bokgu/runbooks").glob("*.yaml"))]
    manifests = "\n---\n".join(texts)
    names = {document["metadata"]["name"] for document in yaml.safe_load_all(manifests)}
    answer = world.control_plane.kubectl(
        "create", "-f", "-", "-n", NAMESPACE, "--dry-run=server", "-o", "name", input=manifests
    )
    assert {line.rpartition("/")[2] for line in answer.stdout.split()} == names


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"serviceSelector": {}}, "serviceSelector must not be empty"),
        ({"serviceSelector": {"matchLabels": {}}}, "should have at least 1 properties"),
        ({"steps": []}, "give steps, or advice"),
        ({"steps": [SCALE_OUT, SCALE_OUT]}, "every name must be unique"),
        ({"steps": [{"name": "a", "action": "scale_up"}]}, 'Unsupported value: "scale_up"'),
        ({"rootCauses": ["Gremlins"]}, 'Unsupported value: "Gremlins"'),
        ({"rootCauses": []}, "must name its services"),
        ({"rootCauses": ["TrafficSurge", "Unknown"]}, "against Unknown, DependencyFailure"),
        ({"steps": [SCALE_OUT, {**SCALE_OUT, "name": "again"}]}, "at most one step of each action"),
        ({"advice": "see {service.name}"}, "advice: the only braces are {service}"),
        ({"steps": [{**SCALE_OUT, "description": "to {wanted}"}]}, "description: the only braces are {service}"),
        ({"advice": "{{service}}"}, "advice: the only braces are"),
        ({"steps": [{**SCALE_OUT, "rollback": {"action": "scale_out"}}]}, "none of them has a rollback"),
        ({"steps": [{**SCALE_OUT, "parameters": {"minimumHealthyPercent": 100}}]}, "is for service_restart"),
        ({"steps": [{**SCALE_OUT, "validation": {"for": "0s"}}]}, "validation.for must be at least 1s"),
        ({"steps": [{**SCALE_OUT, "validation": {"for": "5m", "timeout": "4m"}}]}, "must not be shorter"),
        ({"steps": [{**SCALE_OUT, "timeout": "0s"}]}, "timeout must be at least 1s"),
        ({"priority": 1001}, "should be less than or equal to 1000"),
    ],
)
def test_s12_a_runbook_that_cannot_be_meant_is_refused_with_what_to_do(
    world: World, changes: dict[str, Any], message: str
) -> None:
    manifest = json.dumps(runbook("wrong", **changes))
    refused = world.control_plane.kubectl("create", "-f", "-", "--dry-run=server", input=manifest, check=False)
    assert message in refused.stderr


@pytest.mark.parametrize(
    "spec",
    [
        {"drop": ("rootCauses",), "serviceSelector": {"matchLabels": {"team": "pay"}}},
        {"drop": ("rootCauses",), "onlyByName": True},
        {"drop": ("rootCauses", "steps"), "advice": "call {service}'s owner"},
        {"steps": [{**SCALE_OUT, "description": "{service}: {desiredCount} to {wantedCount}"}], "advice": "x" * 800},
    ],
    ids=["selector", "only-by-name", "advice", "templates"],
)
def test_a_runbook_that_can_be_meant_is_admitted(world: World, spec: dict[str, Any]) -> None:
    manifest = json.dumps(runbook("right", **spec))
    world.control_plane.kubectl("create", "-f", "-", "--dry-run=server", input=manifest)


# Ready


def test_s12_a_runbook_says_whether_it_can_be_used(world: World, put: Callable[[Raw], None]) -> None:
    def ready(name: str, status: str, reason: str) -> None:
        def is_so() -> bool:
            found = world.condition("runbooks", name, "Ready")
            return (found.get("status"), found.get("reason")) == (status, reason)

        wait_for(is_so, 10, lambda: f"{world.get('runbooks', name)}\n{world.operator_log_tail()}")

    put(runbook("first-rung", rootCauses=["DiskExhausted"], escalatesTo="second-rung"))
    ready("first-rung", "False", "EscalatesToNobody")
    assert "second-rung" in world.condition("runbooks", "first-rung", "Ready")["message"]
    put(runbook("second-rung", rootCauses=["DiskExhausted"], escalatesTo="first-rung"))
    ready("first-rung", "False", "EscalationLoop")
    ready("second-rung", "False", "EscalationLoop")
    put(runbook("second-rung", rootCauses=["DiskExhausted"]))
    ready("first-rung", "True", "Usable")
    ready("second-rung", "True", "Usable")
    assert world.status("runbooks", "second-rung")["summary"] == "scale_out"
    put(runbook("throttled", rootCauses=["Throttled"], drop=("steps",), advice="ask for more"))
    ready("throttled", "True", "ReplacesBuiltIn")


# Choice, and the forecast of it


def test_a_runbook_for_the_labels_of_a_service_makes_its_plan_and_is_foreseen(
    scene: Scene, put: Callable[[Raw], None], approver: Path
) -> None:
    world = scene.world
    labelled = protected_service(scene.service)
    labelled["metadata"]["labels"] = {"team": scene.service}
    world.apply(labelled)
    step = {**SCALE_OUT, "description": "{service}: {wantedCount}", "parameters": {"scaleStepPercent": 10}}
    ours, others = ({"matchLabels": {"team": team}} for team in (scene.service, "others"))
    put(runbook("of-team", drop=("rootCauses",), steps=[step], serviceSelector=ours, priority=-5))
    put(runbook("of-others", drop=("rootCauses",), serviceSelector=others, priority=900))
    plan = scene.surge()
    assert plan["spec"]["runbookRef"]["name"] == "of-team"
    (made,) = plan["spec"]["steps"]
    assert made["description"] == f"{scene.service}: 4"
    assert made["parameters"] == {"desiredCount": 4}

    name = scene.incident()["metadata"]["name"]
    before = {kind: world.all(kind) for kind in ("recoveryplans", "runbooks")}
    answer = bokgu_plan(world, approver, "--incident", name, "--dry-run", "-o", "json")
    assert answer.returncode == 0, answer.stderr
    foreseen = json.loads(answer.stdout)
    assert foreseen["outcome"] == "Plan"
    spec = foreseen["plan"]["spec"]
    for field in ("steps", "risks", "requiredApprovals", "runbookRef", "preconditions", "chosenBecause"):
        assert spec[field] == plan["spec"][field], field
    fates = {row["name"]: row["fate"] for row in foreseen["runbooks"]}
    assert fates["of-team"] == "makes the plan"
    assert fates["of-others"] == "not for this: its serviceSelector is for other services"
    assert fates["classic-high-error-rate"] == "not for this: chosen only by name"
    assert "it has plan" in foreseen["notes"][0]
    assert {g["name"] for g in foreseen["gates"] if not g["passed"]} == {"Approved"}
    assert [o["metadata"]["name"] for o in world.all("recoveryplans")] == [
        o["metadata"]["name"] for o in before["recoveryplans"]
    ]
    assert world.all("runbooks") == before["runbooks"]
    assert scene.updates() == []

    text = bokgu_plan(world, approver, "--incident", name, "--dry-run").stdout
    assert "step 1  more (scale_out)" in text
    assert "gate    Approved blocks: waits for" in text
    assert yaml.safe_load(bokgu_plan(world, approver, "--incident", name, "--dry-run", "-o", "yaml").stdout)["plan"]


def test_a_forecast_reads_what_owns_the_service_and_its_count(scene: Scene, approver: Path) -> None:
    """The gates of a plan that Application Auto Scaling and CloudFormation have a word in are those of the operator."""
    world, target = scene.world, f"service/{CLUSTER}/{scene.service}"
    world.scaling.register_scalable_target(
        ServiceNamespace="ecs",
        ResourceId=target,
        ScalableDimension="ecs:service:DesiredCount",
        MinCapacity=3,
        MaxCapacity=10,
    )
    stack = f"arn:aws:cloudformation:{REGION}:123456789012:stack/{scene.service}/1"
    tags = {"aws:cloudformation:stack-name": scene.service, "aws:cloudformation:stack-id": stack}
    arn = world.describe(scene.service)["serviceArn"]
    world.ecs.tag_resource(resourceArn=arn, tags=[{"key": k, "value": v} for k, v in tags.items()])

    def closed() -> set[str]:
        name = scene.incident()["metadata"]["name"]
        answer = bokgu_plan(world, approver, "--incident", name, "--dry-run", "-o", "json")
        assert answer.returncode == 0, answer.stderr
        foreseen = json.loads(answer.stdout)
        (more,) = [s for s in foreseen["plan"]["spec"]["steps"] if s["action"] == "scale_out"]
        assert more["parameters"]["minCapacity"] == 5
        return {g["name"] for g in foreseen["gates"] if not g["passed"]}

    world.simulator.set_stack(scene.service, "UPDATE_COMPLETE")
    scene.surge()
    assert closed() == {"Approved"}
    world.simulator.set_stack(scene.service, "UPDATE_IN_PROGRESS")
    assert closed() == {"Approved", "OwnerIdle"}


def test_a_restart_is_planned_approved_made_and_proven(
    new_scene: Callable[..., Scene], put: Callable[[Raw], None]
) -> None:
    scene = new_scene(allowedActions=["service_restart"], runbooks=["restart-anyway"])
    world = scene.world
    restart = {"name": "restart", "action": "service_restart", "parameters": {"minimumHealthyPercent": 100}}
    put(runbook("restart-anyway", drop=("rootCauses",), onlyByName=True, steps=[restart], cooldown="6h"))
    plan = scene.surge()
    (step,) = plan["spec"]["steps"]
    assert (step["action"], step["onFailure"], "rollback" in step) == ("service_restart", "Stop", False)
    assert "keeps 3 of 3 tasks running" in plan["spec"]["risks"][0]["mitigation"]
    scene.approve(plan)
    scene.wait("ECS is asked", scene.updates, 20)
    world.simulator.set_load(CLUSTER, scene.service, NORMAL_LOAD)
    scene.wait("the plan completes", lambda: scene.plan_is("Completed"), 60)
    (sent,) = scene.updates()
    assert sent["forceNewDeployment"] is True
    assert "taskDefinition" not in sent


def test_a_runbook_of_the_same_name_replaces_the_built_in_one_and_its_end_wakes_who_waits(
    new_scene: Callable[..., Scene], put: Callable[[Raw], None], approver: Path
) -> None:
    """With a classic plan, which the service names: it is for every root cause."""
    scene = new_scene(runbooks=["classic-high-error-rate"])
    world = scene.world
    advice = "Call the shop about {service}: {desiredCount} tasks."
    put(runbook("classic-high-error-rate", drop=("rootCauses", "steps"), onlyByName=True, advice=advice))
    world.simulator.set_load(CLUSTER, scene.service, SURGE_LOAD)
    scene.wait("it is escalated", lambda: scene.incident_is("Escalated"), 30)
    status = scene.incident()["status"]
    assert status["reason"] == "NoSafeAction"
    assert status["classification"]["requiredActions"] == ["manual"]
    name = scene.incident()["metadata"]["name"]
    said = f"Call the shop about {scene.service}: 3 tasks."
    assert world.condition("incidents", name, "Planned")["message"] == said
    text = bokgu_plan(world, approver, "--incident", name, "--dry-run").stdout
    assert f"no plan   NoSafeAction: {said}" in text

    world.control_plane.kubectl("delete", "runbook", "classic-high-error-rate", "-n", NAMESPACE)
    scene.wait("the built-in one makes a plan", lambda: scene.plan_is("AwaitingApproval"), 20)
    spec = scene.plan()["spec"]
    assert spec["runbookRef"]["name"] == "classic-high-error-rate"
    assert [step["action"] for step in spec["steps"]] == ["scale_out"]
    assert any("acts whatever the cause" in risk["description"] for risk in spec["risks"])


def test_plans_are_not_made_by_hand(world: World, approver: Path) -> None:
    refused = bokgu_plan(world, approver, "--incident", "any")
    assert refused.returncode == 2
    assert "add --dry-run" in refused.stderr
    missing = bokgu_plan(world, approver, "--incident", "nothing-here", "--dry-run")
    assert missing.returncode == 1
    assert "there is no Incident nothing-here" in missing.stderr
