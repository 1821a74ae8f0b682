"""What the fault tests play: a row for each action, forward and undone.

A new action is a new row: what is done before (`prepare`), the steps of a person's plan, and how it must end. The
points at which the operator is killed are found by counting the calls of a play without a fault.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import dropwhile, takewhile
from typing import Any

from bokgu.api.fields import parse_duration
from tests.faults.play import PATIENCE, Play
from tests.faults.points import Point
from tests.faults.sample import WHOLE
from tests.world.manifests import CLUSTER, NORMAL_LOAD, SURGE_LOAD, TARGET_GROUP_ARN, TASK_CAPACITY, detector
from tests.world.roles import USUAL, runs_role
from tests.world.world import OPERATOR_SETTINGS, Raw

Steps = Callable[[Play], Sequence[Raw]]

QUICK_MINUTE = parse_duration(OPERATOR_SETTINGS["BOKGU_MINUTE"]).total_seconds()
"""Seconds of a minute in the windows that the operator makes."""


def _nothing(_: Play) -> None:
    """The service is well."""


def _file(play: Play, steps: Steps) -> None:
    """A person files an incident and a plan against it."""
    play.file_incident()
    play.file_plan(*steps(play))


class Counts(Enum):
    """Which calls of a play are tried. What is the same in all plays is tried in those that do not take long."""

    FROM_APPROVAL = auto()
    FROM_AWS_WRITE = auto()
    UNTIL_APPROVAL = auto()

    def select(self, points: Sequence[Point]) -> Sequence[Point]:
        """Those points of a play, which are in the order in which it came to them."""
        match self:
            case Counts.FROM_APPROVAL:
                return points
            case Counts.FROM_AWS_WRITE:
                return list(dropwhile(lambda point: not point.of_aws, points))
            case Counts.UNTIL_APPROVAL:
                return list(takewhile(lambda point: "planapprovals" not in point.name, points))


@dataclass(frozen=True)
class Case:
    """A recovery. `plan` and `incident` are the phases in which it ends without a fault, `writes` how many AWS writes
    have an effect.

    `repeatable` says whether every AWS write may be sent again by an operator that does not know what became of it: one
    that may not be ends with a person (S3) where the operator died before AWS got it. `begin` brings the incident and
    the plan. `counts` says which of the calls are points. `slow`: a play takes half a minute, and no sample has it.
    `controller` is what deploys the service. `minute` is how many seconds a minute of its windows takes: fewer where
    the operator makes the plan itself.
    """

    name: str
    writes: int
    prepare: Callable[[Play], None] = _nothing
    steps: Steps = lambda _: ()
    begin: Callable[[Play, Steps], None] = _file
    counts: Counts = Counts.FROM_APPROVAL
    plan: str = "Completed"
    incident: str = "Resolved"
    repeatable: bool = True
    slow: bool = False
    controller: str = "ECS"
    minute: float = 60.0


def _step(action: str, **members: Any) -> Raw:
    return {"action": action, **members}


def _scale_out(_: Play) -> list[Raw]:
    return [_step("health_check"), _step("scale_out", parameters={"desiredCount": 5})]


def _restart(_: Play) -> list[Raw]:
    return [_step("service_restart")]


def _deploy(play: Play) -> None:
    play.world.deploy(play.name, ERROR_RATIO=0.1)


def _first_revision(play: Play) -> str:
    found = play.world.ecs.list_service_deployments(cluster=CLUSTER, service=play.name)["serviceDeployments"]
    return str(min(found, key=lambda d: d["createdAt"])["targetServiceRevisionArn"])


def _roll_back(play: Play) -> list[Raw]:
    """To the revision before; what takes it back is the same action."""
    parameters = {"serviceRevisionArn": _first_revision(play)}
    name = "rollback_to_previous_version"
    return [_step(name, parameters=parameters, rollback={"action": name})]


def _deploy_without_end(play: Play) -> None:
    """The deployment is in flight until it is stopped: its tasks take ten simulated hours to start."""
    definition = play.world.register(play.name, START_SECONDS=36_000)
    play.world.ecs.update_service(cluster=CLUSTER, service=play.name, taskDefinition=definition)


def _stop_deployment(play: Play) -> list[Raw]:
    """Back to the revision that the deployment in flight would replace."""
    return [_step("rollback_to_previous_version", parameters={"serviceRevisionArn": _first_revision(play)})]


def _deploy_with_code_deploy(play: Play) -> None:
    """CodeDeploy has moved the traffic to a bad revision, and keeps the task set from before for an hour. Its group is
    named, so that the deployment may be stopped."""
    names = {"applicationName": f"AppECS-{CLUSTER}-{play.name}", "deploymentGroupName": f"DgpECS-{CLUSTER}-{play.name}"}
    play.protect(rollback={"codeDeploy": names})
    definition = play.world.register(play.name, CAPACITY_RPS=TASK_CAPACITY, ERROR_RATIO=0.1)
    deployment = play.world.simulator.deploy_with_code_deploy(
        CLUSTER, play.name, definition, termination_wait_seconds=3600
    )
    play.names.append(deployment)
    shifted = [("ACTIVE", play.good_definition), ("PRIMARY", definition)]

    def task_sets() -> list[tuple[str, str]]:
        return sorted((t["status"], t["taskDefinition"]) for t in play.service()["taskSets"])

    play.wait("the traffic has moved", lambda: task_sets() == shifted, PATIENCE)


def _stop_code_deployment(play: Play) -> list[Raw]:
    """Back to the task set from before."""
    parameters = {"codeDeployDeploymentId": play.names[-1], "taskDefinition": play.good_definition}
    return [_step("rollback_to_previous_version", parameters=parameters)]


def _deploy_and_refuse_scaling(play: Play) -> None:
    """AWS will refuse the second step, so that the first one is taken back."""
    _deploy(play)
    play.refuse('"desiredCount": 5')


def _roll_back_and_scale(play: Play) -> list[Raw]:
    return [*_roll_back(play), _step("scale_out", parameters={"desiredCount": 5})]


def _take_good_definition_away(play: Play) -> None:
    """A bad deployment, whose pipeline deregistered what it replaced; a copy of that may be registered."""
    play.protect(rollback={"maxAge": "72h", "minServed": "5s", "reregister": True})
    _deploy(play)
    play.world.ecs.deregister_task_definition(taskDefinition=play.good_definition)


def _register_and_roll_back(play: Play) -> list[Raw]:
    copy = _step("register_task_definition", parameters={"taskDefinition": play.good_definition})
    return [copy, *_roll_back(play)]


def _make_one_unhealthy(play: Play) -> None:
    """One of four tasks, which are known by their addresses, fails its health checks, and ECS leaves it."""
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1", "subnet-2"], "securityGroups": ["sg-1"]}}
    play.world.ecs.update_service(cluster=CLUSTER, service=play.name, desiredCount=4, networkConfiguration=network)
    play.world.wait_steady(play.name, PATIENCE)
    play.wait("four tasks are seen", lambda: play.protected()["status"].get("summary") == "4/4", PATIENCE)
    (task,) = play.world.simulator.disrupt(
        "stuck-unhealthy", cluster=CLUSTER, service=play.name, count=1, errorRatio=0.6
    )
    play.names.append(task)
    group = TARGET_GROUP_ARN.replace("/api/", f"/{play.name}/")

    def unhealthy() -> bool:
        found = play.world.load_balancing.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return any(target["TargetHealth"]["State"] == "unhealthy" for target in found)

    play.wait("it fails its health checks", unhealthy, PATIENCE)


def _stop_task(play: Play) -> list[Raw]:
    return [_step("stop_unhealthy_tasks", parameters={"task": play.names[-1]})]


def _list_job(play: Play) -> None:
    """A task of its own may be run, which ends well after two simulated minutes."""
    definition = play.world.register(play.name, EXIT_AFTER_SECONDS=120, EXIT_CODE=0)
    play.protect(runTask={"roleArn": runs_role(USUAL), "taskDefinitions": [definition]})


def _run_task(play: Play) -> list[Raw]:
    allowed = play.protected()["spec"]["runTask"]
    parameters = {"taskDefinition": allowed["taskDefinitions"][0], "roleArn": allowed["roleArn"]}
    return [_step("run_task", parameters=parameters, rollback={"action": "run_task"})]


def _list_document(play: Play) -> None:
    """An Automation document may be executed, which ends well after two simulated minutes."""
    play.world.simulator.declare_automation(play.name, seconds=120)
    play.protect(automation={"roleArn": runs_role(USUAL), "documents": [play.name]})


def _execute(play: Play) -> list[Raw]:
    name = "ssm_automation"
    parameters = {"documentName": play.name, "documentVersion": "1", "roleArn": runs_role(USUAL)}
    return [_step(name, parameters=parameters, rollback={"action": name})]


def _surge(play: Play, _: Steps) -> None:
    """Twice the traffic: the operator notices it and makes the plan itself."""
    play.world.simulator.set_load(CLUSTER, play.name, SURGE_LOAD)


def _surge_that_grows(play: Play, steps: Steps) -> None:
    """Five times the traffic, when the plan against twice of it is there: five tasks fail half of it."""
    _surge(play, steps)
    play.wait("the plan awaits approval", play.awaits_approval, PATIENCE)
    play.world.simulator.set_load(CLUSTER, play.name, 5 * NORMAL_LOAD)


def _watch(play: Play) -> None:
    """What is good, and how many errors are usual, is known before the trouble begins."""
    play.apply(detector(play.name))
    name = f"{play.name}-errors"
    play.wait(
        "the detector sees it", lambda: play.lane.get("detectors", name)["status"].get("summary") == "Clear", PATIENCE
    )
    play.wait("a good revision is known", lambda: "lastKnownGood" in play.protected()["status"], PATIENCE)


def _watch_scaled(play: Play) -> None:
    """Application Auto Scaling owns the count of the service that is watched."""
    play.scalable_target(MinCapacity=3, MaxCapacity=10)
    _watch(play)


CASES = (
    Case("scale-out", writes=1, steps=_scale_out),
    Case("service-restart", writes=1, steps=_restart, repeatable=False),
    Case("rollback", writes=1, prepare=_deploy, steps=_roll_back),
    Case(
        "rollback-undone",
        writes=2,
        prepare=_deploy_and_refuse_scaling,
        steps=_roll_back_and_scale,
        plan="RolledBack",
        incident="Escalated",
    ),
    Case("deployment-stopped", writes=1, prepare=_deploy_without_end, steps=_stop_deployment),
    Case(
        "code-deployment-stopped",
        writes=1,
        prepare=_deploy_with_code_deploy,
        steps=_stop_code_deployment,
        controller="CODE_DEPLOY",
    ),
    Case("rollback-to-copy", writes=2, prepare=_take_good_definition_away, steps=_register_and_roll_back),
    Case("stop-task", writes=1, prepare=_make_one_unhealthy, steps=_stop_task),
    Case("run-task", writes=1, prepare=_list_job, steps=_run_task),
    Case("automation", writes=1, prepare=_list_document, steps=_execute),
    # The minimum is raised, calm is waited for, and the minimum is given back.
    Case(
        "scaled-surge",
        writes=2,
        prepare=_watch_scaled,
        begin=_surge,
        counts=Counts.FROM_AWS_WRITE,
        slow=True,
        minute=QUICK_MINUTE,
    ),
    Case(
        "scaled-surge-grows",
        writes=1,
        prepare=_watch_scaled,
        begin=_surge_that_grows,
        plan="Failed",
        incident="Escalated",
        counts=Counts.FROM_AWS_WRITE,
        slow=True,
        minute=QUICK_MINUTE,
    ),
    Case(
        "surge-noticed",
        writes=1,
        prepare=_watch,
        begin=_surge,
        counts=Counts.UNTIL_APPROVAL,
        minute=QUICK_MINUTE,
    ),
)

SAMPLED = CASES if WHOLE else tuple(case for case in CASES if not case.slow)
"""What a sample is drawn from."""
