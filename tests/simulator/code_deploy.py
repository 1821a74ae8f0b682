"""CodeDeploy: blue/green deployments of services whose deployment controller is CODE_DEPLOY."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from .aws_protocol import Json
from .clock import Clock
from .ecs import Ecs, Service, TaskSet
from .ecs_scheduler import Scheduler
from .errors import AwsError
from .pages import cut_page
from .task_sets import build_task_set

TERMINATION_WAIT_SECONDS = 300.0
"""Simulated: how long the original task set stays after the traffic has moved, where nobody says. One says so in a
deployment group (API type BlueInstanceTerminationOption); these are five minutes."""
STEADY_SECONDS = 3600.0
"""Simulated: a deployment fails whose replacement task set is not healthy by then; an hour is what its users see."""
LOOK_SECONDS = 1.0
PAGE_SIZE = 100
_ID = re.compile(r"d-[A-Z0-9]{9}")


@dataclass
class CodeDeployment:
    """A deployment of a service: from the task set `original` to `replacement` (IDs). Times are wall seconds."""

    id: str
    service: Service
    original: str
    replacement: str
    created_at: float
    creator: str = "user"
    termination_wait: float = TERMINATION_WAIT_SECONDS
    status: str = "InProgress"
    shifted_at: float | None = None
    completed_at: float | None = None
    error: tuple[str, str] | None = None
    rolled_back_by: str | None = None
    rolls_back: str | None = None

    @property
    def application(self) -> str:
        """The name that the ECS console gives the application of a service."""
        return f"AppECS-{self.service.cluster}-{self.service.name}"

    @property
    def group(self) -> str:
        """The name that the ECS console gives the deployment group of a service."""
        return f"DgpECS-{self.service.cluster}-{self.service.name}"


class CodeDeploy:
    """The deployments of one account and region. The owner holds a lock around every use.

    Operations take request parameters and return members of the answer, or raise AwsError.
    """

    def __init__(self, ecs: Ecs, scheduler: Scheduler, clock: Clock) -> None:
        self._ecs = ecs
        self._scheduler = scheduler
        self._clock = clock
        self._deployments: dict[str, CodeDeployment] = {}
        self._look_at: float | None = None
        self.operations: dict[str, Callable[[Json], Json]] = {
            "GetDeployment": self.get_deployment,
            "ListDeployments": self.list_deployments,
            "StopDeployment": self.stop_deployment,
        }

    # The control API

    def start(self, request: Json) -> Json:
        """A pipeline has CodeDeploy deploy `taskDefinition`; `targetGroupArn` is where the replacement registers,
        `terminationWaitSeconds` how long the original stays beside it.

        Answers its `deploymentId`. ValueError unless CodeDeploy deploys the service, and is idle; LookupError for a
        service or a task definition that is not there.
        """
        key = (request["cluster"], request["service"])
        service = self._ecs.services.get(key)
        if service is None or service.status != "ACTIVE":
            raise LookupError(f"no service {key[1]} in cluster {key[0]}")
        if service.controller != "CODE_DEPLOY":
            raise ValueError(f"the deployment controller of {key[1]} is {service.controller}")
        if any(d.service is service and d.status == "InProgress" for d in self._deployments.values()):
            raise ValueError(f"a deployment of {key[1]} is under way")
        definition = self._ecs.find_task_definition(request["taskDefinition"])
        if definition is None or definition.status != "ACTIVE":
            raise LookupError(f"no ACTIVE task definition {request['taskDefinition']}")
        now, primary = self._clock.now(), _primary(service)
        workload = {**primary.revision.workload, "taskDefinition": definition.arn}
        if (group := request.get("targetGroupArn")) is not None:
            workload["loadBalancers"] = [
                {**balancer, "targetGroupArn": group} for balancer in workload.get("loadBalancers", [])
            ]
        replacement = build_task_set(self._ecs, service, workload, now)
        deployment = self._record(service, primary.id, replacement.id, now)
        deployment.termination_wait = request.get("terminationWaitSeconds", TERMINATION_WAIT_SECONDS)
        replacement.external_id = deployment.id
        service.task_sets.append(replacement)
        self._touch(service)
        return {"deploymentId": deployment.id}

    # The API

    def get_deployment(self, request: Json) -> Json:
        """GetDeployment."""
        return {"deploymentInfo": _shape(self._get(request["deploymentId"]))}

    def list_deployments(self, request: Json) -> Json:
        """ListDeployments, newest first: of a deployment group or all, by status."""
        application, group = request.get("applicationName"), request.get("deploymentGroupName")
        if application is not None and group is None:
            raise AwsError("DeploymentGroupNameRequiredException", "Deployment group name is required.")
        if application is None and group is not None:
            raise AwsError("ApplicationNameRequiredException", "Application name is required.")
        known = list(self._deployments.values())
        if application is not None and application not in {deployment.application for deployment in known}:
            raise AwsError("ApplicationDoesNotExistException", f"No application found for name: {application}")
        if group is not None and (application, group) not in {(d.application, d.group) for d in known}:
            raise AwsError("DeploymentGroupDoesNotExistException", f"No Deployment Group found for name: {group}")
        found = [
            deployment.id
            for deployment in reversed(known)
            if (application is None or (deployment.application, deployment.group) == (application, group))
            and deployment.status in request.get("includeOnlyStatuses", [deployment.status])
        ]
        page, token = cut_page(found, request.get("nextToken"), PAGE_SIZE, "InvalidNextTokenException")
        return {"deployments": page, **({} if token is None else {"nextToken": token})}

    def stop_deployment(self, request: Json) -> Json:
        """StopDeployment: with autoRollbackEnabled a deployment of its own gives the traffic back to the original.

        Without it the task sets stay as they are. DeploymentAlreadyCompletedException when it is over.
        """
        deployment, now = self._get(request["deploymentId"]), self._clock.now()
        if deployment.status != "InProgress":
            raise AwsError(
                "DeploymentAlreadyCompletedException", f"The deployment {deployment.id} is already complete."
            )
        deployment.error = ("MANUAL_STOP", "The deployment was stopped by a user.")
        self._finish(deployment, "Stopped", now)
        if request.get("autoRollbackEnabled", False) and deployment.rolls_back is None:
            self._roll_back(deployment, now)
        return {"status": "Succeeded", "statusMessage": "No more commands will be scheduled for execution."}

    # Time

    def next_due(self) -> float | None:
        """Wall time of the next look at what is under way; None: nothing is."""
        return self._look_at

    def run_due(self, now: float) -> None:
        """Move every deployment as far as its tasks and time allow."""
        if self._look_at is None or now < self._look_at:
            return
        for deployment in list(self._deployments.values()):
            if deployment.status == "InProgress":
                self._advance(deployment, now)
        under_way = any(deployment.status == "InProgress" for deployment in self._deployments.values())
        self._look_at = now + self._clock.wall(LOOK_SECONDS) if under_way else None

    def _advance(self, deployment: CodeDeployment, now: float) -> None:
        service = deployment.service
        original, replacement = _find(service, deployment.original), _find(service, deployment.replacement)
        if service.status != "ACTIVE" or service.controller != "CODE_DEPLOY":
            self._fail(deployment, "ECS_UPDATE_ERROR", "The ECS service is no longer deployed by CodeDeploy.", now)
        elif deployment.rolls_back is not None:
            if original is None:
                self._finish(deployment, "Succeeded", now)
        elif replacement is None:
            self._fail(deployment, "ECS_UPDATE_ERROR", "The replacement task set is gone.", now)
        elif deployment.shifted_at is None:
            if self._is_ready(service, replacement):
                self._shift(service, replacement)
                deployment.shifted_at = now
            elif now >= deployment.created_at + self._clock.wall(STEADY_SECONDS):
                self._fail(
                    deployment, "TIMEOUT", "The deployment timed out while waiting for the replacement task set.", now
                )
        elif now >= deployment.shifted_at + self._clock.wall(deployment.termination_wait):
            self._drain(service, original)
            self._finish(deployment, "Succeeded", now)

    def _is_ready(self, service: Service, task_set: TaskSet) -> bool:
        healthy = sum(task.healthy for task in service.running(task_set.id))
        return healthy >= task_set.compute_desired_count(service.desired_count)

    def _shift(self, service: Service, task_set: TaskSet) -> None:
        """All production traffic goes to `task_set` (CodeDeployDefault.ECSAllAtOnce)."""
        for other in service.task_sets:
            if other.status == "PRIMARY":
                other.status, other.updated_at = "ACTIVE", self._clock.now()
        task_set.status, task_set.updated_at = "PRIMARY", self._clock.now()
        self._touch(service)

    def _drain(self, service: Service, task_set: TaskSet | None) -> None:
        if task_set is not None:
            task_set.status, task_set.updated_at = "DRAINING", self._clock.now()
            self._touch(service)

    def _roll_back(self, deployment: CodeDeployment, now: float) -> None:
        """A deployment by CodeDeploy itself, from the replacement back to the original."""
        service = deployment.service
        original, replacement = _find(service, deployment.original), _find(service, deployment.replacement)
        assert original is not None, "it goes only after the deployment succeeded"
        back = self._record(service, deployment.replacement, deployment.original, now, creator="codeDeployRollback")
        back.rolls_back, deployment.rolled_back_by = deployment.id, back.id
        self._shift(service, original)
        self._drain(service, replacement)
        back.shifted_at = now

    def _record(
        self, service: Service, original: str, replacement: str, now: float, *, creator: str = "user"
    ) -> CodeDeployment:
        id_ = f"d-{self._ecs.identifiers.hex_id()[:9].upper()}"
        deployment = CodeDeployment(id_, service, original, replacement, now, creator)
        self._deployments[id_] = deployment
        self._look_at = now + self._clock.wall(LOOK_SECONDS) if self._look_at is None else self._look_at
        return deployment

    def _finish(self, deployment: CodeDeployment, status: str, now: float) -> None:
        deployment.status, deployment.completed_at = status, now

    def _fail(self, deployment: CodeDeployment, code: str, message: str, now: float) -> None:
        deployment.error = (code, message)
        self._finish(deployment, "Failed", now)

    def _touch(self, service: Service) -> None:
        service.steady = False
        self._scheduler.touch(service)

    def _get(self, id_: str) -> CodeDeployment:
        if not _ID.fullmatch(id_):
            raise AwsError("InvalidDeploymentIdException", f"The deployment ID {id_} is not valid.")
        if (deployment := self._deployments.get(id_)) is None:
            raise AwsError("DeploymentDoesNotExistException", f"The deployment {id_} could not be found.")
        return deployment


def _primary(service: Service) -> TaskSet:
    return next(task_set for task_set in service.task_sets if task_set.status == "PRIMARY")


def _find(service: Service, id_: str) -> TaskSet | None:
    return next((task_set for task_set in service.task_sets if task_set.id == id_), None)


def _shape(deployment: CodeDeployment) -> Json:
    """A DeploymentInfo."""
    shape: Json = {
        "applicationName": deployment.application,
        "deploymentGroupName": deployment.group,
        "deploymentConfigName": "CodeDeployDefault.ECSAllAtOnce",
        "deploymentId": deployment.id,
        "status": deployment.status,
        "createTime": deployment.created_at,
        "startTime": deployment.created_at,
        "creator": deployment.creator,
        "computePlatform": "ECS",
        "deploymentStyle": {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
        "instanceTerminationWaitTimeStarted": deployment.shifted_at is not None,
    }
    if deployment.completed_at is not None:
        shape["completeTime"] = deployment.completed_at
    if deployment.error is not None:
        shape["errorInformation"] = dict(zip(("code", "message"), deployment.error, strict=True))
    rollback = {
        "rollbackDeploymentId": deployment.rolled_back_by,
        "rollbackTriggeringDeploymentId": deployment.rolls_back,
    }
    if any(rollback.values()):
        shape["rollbackInfo"] = {name: id_ for name, id_ in rollback.items() if id_ is not None}
    return shape
