"""Plans that people write with the actions on single tasks, on task definitions, and on what runs by itself."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.world.manifests import CLUSTER, NAMESPACE
from tests.world.roles import USUAL, runs_role
from tests.world.scene import Scene
from tests.world.world import World

Raw = dict[str, Any]
API = "bokgu.dev/v1alpha1"


def register(world: World, family: str, **variables: object) -> str:
    """A task definition that writes its log to CloudWatch Logs; its ARN."""
    options = {"awslogs-group": "/jobs", "awslogs-stream-prefix": "job", "awslogs-region": "us-east-1"}
    container = {
        "name": "job",
        "image": "job:1",
        "environment": [{"name": f"SIM_{n}", "value": str(v)} for n, v in variables.items()],
        "logConfiguration": {"logDriver": "awslogs", "options": options},
    }
    answer = world.ecs.register_task_definition(family=family, containerDefinitions=[container])
    return str(answer["taskDefinition"]["taskDefinitionArn"])


def write_plan(scene: Scene, action: str, parameters: Raw, **fields: Any) -> Callable[[], Raw]:
    """A person files an incident and a plan of one step for it, and both people approve; the plan as it is."""
    name = f"{scene.service}-by-hand"
    trouble = {"type": "service_down", "severity": "high", "serviceRef": {"name": scene.service}}
    metadata = {"name": name, "namespace": NAMESPACE}
    scene.world.apply({"apiVersion": API, "kind": "Incident", "metadata": metadata, "spec": trouble})
    scene.wait("a person is called", lambda: scene.incident_is("Escalated"), 20)
    step = {"name": "run", "action": action, "parameters": parameters, "timeout": "40s", "onFailure": "RollBack"}
    spec = {
        "incidentRef": {"name": name, "uid": scene.incident()["metadata"]["uid"]},
        "serviceRef": {"name": scene.service},
        "preconditions": {"desiredCount": 3, "rootCause": "Unknown"},
        "steps": [step | fields],
        "expiresAt": "2099-01-01T00:00:00Z",
    }
    scene.world.apply({"apiVersion": API, "kind": "RecoveryPlan", "metadata": metadata, "spec": spec})

    def plan() -> Raw:
        found: Raw = scene.world.get("recoveryplans", name) or {}
        return found if "status" in found else {"status": {"phase": ""}}

    scene.wait("it awaits approval", lambda: plan()["status"].get("phase") == "AwaitingApproval", 15)
    scene.approve(plan())
    return plan


def step_of(plan: Raw) -> Raw:
    found: Raw = plan["status"]["steps"][0]
    return found


def once(definition: str) -> Raw:
    return {"taskDefinition": definition, "roleArn": runs_role(USUAL)}


def runs(scene: Scene, operation: str, text: str) -> list[Raw]:
    calls = scene.world.simulator.calls(operation)
    return [c.parameters for c in calls if c.effect and text in str(c.parameters)]


@pytest.mark.parametrize(("code", "phase"), [(0, "Completed"), (3, "Failed")])
def test_a_task_is_run_and_its_end_is_told_without_secrets(
    world: World, new_scene: Callable[..., Scene], code: int, phase: str
) -> None:
    family = f"job-{code}"
    definition = register(
        world, family, EXIT_AFTER_SECONDS=60, EXIT_CODE=code, LOG_LINE_ON_EXIT="done with password=hunter2"
    )
    allowed = {"roleArn": runs_role(USUAL), "taskDefinitions": [definition]}
    scene = new_scene(allowedActions=["run_task"], runTask=allowed)
    plan = write_plan(scene, "run_task", {**once(definition), "container": "job", "command": ["repair"]})
    scene.wait("it is over", lambda: plan()["status"]["phase"] in {"Completed", "Failed"}, 40)
    assert plan()["status"]["phase"] == phase
    step = step_of(plan())
    assert f"job exited with {code}" in step["output"]
    assert "done with" in step["output"]
    assert "hunter2" not in str(plan())
    assert step.get("reason") == (None if code == 0 else "TaskFailed")
    (sent,) = runs(scene, "RunTask", definition)
    assert sent["clientToken"] == sent["startedBy"]
    assert step["intent"]["roleArn"] == runs_role(USUAL)
    assert scene.updates() == []


def test_what_is_not_listed_is_not_started(world: World, new_scene: Callable[..., Scene]) -> None:
    definition = register(world, "unlisted", EXIT_AFTER_SECONDS=60)
    scene = new_scene(allowedActions=["run_task"], runTask={"roleArn": runs_role(USUAL)})
    plan = write_plan(scene, "run_task", once(definition))
    scene.wait("it is blocked", lambda: plan()["status"].get("reason") == "NotListed", 20)
    (gate,) = [g for g in plan()["status"]["gates"] if g["name"] == "Listed"]
    assert "spec.runTask.taskDefinitions" in gate["message"]
    assert runs(scene, "RunTask", definition) == []


def test_a_task_that_still_runs_is_stopped_when_the_plan_is_deleted(
    world: World, new_scene: Callable[..., Scene]
) -> None:
    definition = register(world, "endless")
    allowed = {"roleArn": runs_role(USUAL), "taskDefinitions": [definition]}
    scene = new_scene(allowedActions=["run_task"], runTask=allowed)
    plan = write_plan(scene, "run_task", once(definition), rollback={"action": "run_task"})

    def made() -> list[str]:
        steps = plan()["status"].get("steps") or [{}]
        found: list[str] = steps[0].get("answer", {}).get("made", [])
        return found

    scene.wait("it runs", lambda: bool(made()), 20)
    (task,) = made()
    world.control_plane.kubectl("delete", "recoveryplan", f"{scene.service}-by-hand", "-n", NAMESPACE, "--timeout=40s")
    (ended,) = world.ecs.describe_tasks(cluster=CLUSTER, tasks=[task])["tasks"]
    assert ended["lastStatus"] == "STOPPED"
    assert "Bokgu stops the task" in ended["stoppedReason"]


@pytest.mark.parametrize(("result", "phase"), [("Success", "Completed"), ("Failed", "Failed")])
def test_a_document_is_executed_and_followed_to_its_end(
    world: World, new_scene: Callable[..., Scene], result: Any, phase: str
) -> None:
    document = f"Repair-{result}"
    world.simulator.declare_automation(document, seconds=120, result=result, message="no node answered")
    allowed = {"roleArn": runs_role(USUAL), "documents": [document]}
    scene = new_scene(allowedActions=["ssm_automation"], automation=allowed)
    parameters = {
        "documentName": document,
        "documentVersion": "1",
        "documentParameters": {"Cluster": [CLUSTER]},
        "roleArn": runs_role(USUAL),
    }
    plan = write_plan(scene, "ssm_automation", parameters)
    scene.wait("it is over", lambda: plan()["status"]["phase"] in {"Completed", "Failed"}, 40)
    assert plan()["status"]["phase"] == phase
    step = step_of(plan())
    assert f"is {result}" in step["output"]
    if result == "Failed":
        assert (step["reason"], "no node answered" in step["output"]) == ("AutomationFailed", True)
    (sent,) = runs(scene, "StartAutomationExecution", document)
    assert sent["Parameters"] == {"Cluster": [CLUSTER]}
    assert step["intent"]["roleArn"] == runs_role(USUAL)


def test_s4_a_task_that_is_well_is_not_stopped_whatever_a_plan_says(new_scene: Callable[..., Scene]) -> None:
    scene = new_scene(allowedActions=["stop_unhealthy_tasks"])
    task = scene.world.ecs.list_tasks(cluster=CLUSTER, serviceName=scene.service)["taskArns"][0]
    plan = write_plan(scene, "stop_unhealthy_tasks", {"task": task}, onFailure="Stop")
    scene.wait(
        "it waits or is over", lambda: plan()["status"].get("reason") in {"TasksNotWell", "PreconditionChanged"}, 20
    )
    assert runs(scene, "StopTask", task) == []
    (ended,) = scene.world.ecs.describe_tasks(cluster=CLUSTER, tasks=[task])["tasks"]
    assert ended["lastStatus"] == "RUNNING"


@pytest.mark.parametrize(("allowed", "reason"), [(False, "ActionNotAllowed"), (True, "CopyNotNeeded")])
def test_no_copy_of_a_task_definition_is_registered_unless_a_rollback_needs_it(
    new_scene: Callable[..., Scene], reason: str, *, allowed: bool
) -> None:
    rollback = {"maxAge": "72h", "minServed": "5s", "reregister": allowed}
    scene = new_scene(allowedActions=["rollback_to_previous_version"], rollback=rollback)
    definition = scene.world.describe(scene.service)["taskDefinition"]
    plan = write_plan(scene, "register_task_definition", {"taskDefinition": definition}, onFailure="Stop")
    scene.wait("it is blocked", lambda: plan()["status"].get("reason") == reason, 20)
    copies = runs(scene, "RegisterTaskDefinition", "bokgu:intent")
    assert [c for c in copies if c["family"] == scene.service] == []
    assert scene.updates() == []
