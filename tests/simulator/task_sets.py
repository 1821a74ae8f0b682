"""Task sets: what runs the tasks of services whose deployments CodeDeploy, or something of the user's own, controls."""

from collections.abc import Callable

from .aws_json import Json
from .clock import Clock
from .ecs import WORKLOAD_MEMBERS, Deployment, Ecs, Service, ServiceRevision, TaskSet
from .ecs_scheduler import Scheduler
from .ecs_shapes import shape_task_set
from .errors import AwsError


def build_task_set(ecs: Ecs, service: Service, workload: Json, now: float, *, status: str = "ACTIVE") -> TaskSet:
    """A task set of 100 % that runs `workload`, and a revision by which its tasks are known; not yet in the service."""
    names = ecs.identifiers
    number = names.digits()
    arns = [balancer.get("targetGroupArn") for balancer in workload.get("loadBalancers", [])]
    revision = ServiceRevision(
        ecs.arn(f"service-revision/{service.cluster}/{service.name}/{names.digits()}"),
        workload,
        now,
        tuple(arn for arn in arns if arn is not None),
    )
    service.revisions[revision.arn] = revision
    arn = ecs.arn(f"task-set/{service.cluster}/{service.name}/ecs-svc/{number}")
    return TaskSet(f"ecs-svc/{number}", revision, now, now, arn, scale=100.0, status=status, stability_at=now)


def adopt_task_sets(service: Service, now: float) -> None:
    """The service changes to the ECS controller: its PRIMARY task set becomes a completed deployment, others go."""
    for task_set in service.task_sets:
        if task_set.status == "PRIMARY":
            reason = f"ECS deployment {task_set.id} completed."
            deployment = Deployment(task_set.id, task_set.revision, task_set.created_at, now, "COMPLETED", reason)
            service.deployments.append(deployment)
            service.last_successful_revision = task_set.revision.arn
    service.task_sets.clear()


class TaskSetApi:
    """Each method answers one operation: request parameters in, members of the answer out, AwsError else."""

    def __init__(self, ecs: Ecs, scheduler: Scheduler, clock: Clock) -> None:
        self._ecs = ecs
        self._scheduler = scheduler
        self._clock = clock
        self.operations: dict[str, Callable[[Json], Json]] = {
            "CreateTaskSet": self.create_task_set,
            "DescribeTaskSets": self.describe_task_sets,
            "UpdateTaskSet": self.update_task_set,
            "UpdateServicePrimaryTaskSet": self.update_service_primary_task_set,
            "DeleteTaskSet": self.delete_task_set,
        }

    def create_task_set(self, request: Json) -> Json:
        """CreateTaskSet: for EXTERNAL services; the first one still has to be made PRIMARY."""
        service = self._get_external(request)
        workload = {name: request[name] for name in WORKLOAD_MEMBERS if name in request}
        workload["taskDefinition"] = self._ecs.resolve_task_definition(request["taskDefinition"])
        if "capacityProviderStrategy" not in workload:
            workload.setdefault("launchType", "EC2")
        if workload.get("launchType") == "FARGATE":
            workload.setdefault("platformVersion", "LATEST")
        task_set = build_task_set(self._ecs, service, workload, self._clock.now())
        task_set.external_id = request.get("externalId")
        task_set.tags = {tag["key"]: tag.get("value", "") for tag in request.get("tags", [])}
        task_set.scale = _read_scale(request)
        service.task_sets.append(task_set)
        return self._answer(service, task_set)

    def describe_task_sets(self, request: Json) -> Json:
        """DescribeTaskSets: all of the service's, or those named; missing ones are `failures`."""
        service = self._ecs.get_active_service(request["cluster"], request["service"])
        names = request.get("taskSets") or [task_set.arn for task_set in service.task_sets]
        found, failures = [], []
        for name in names:
            task_set = _find(service, name)
            if task_set is None:
                failures.append({"arn": name, "reason": "MISSING"})
            else:
                found.append(shape_task_set(self._ecs, service, task_set))
        return {"taskSets": found, "failures": failures}

    def update_task_set(self, request: Json) -> Json:
        """UpdateTaskSet: its scale."""
        service = self._get_external(request)
        task_set = _get(service, request["taskSet"])
        task_set.scale, task_set.updated_at = _read_scale(request), self._clock.now()
        return self._answer(service, task_set)

    def update_service_primary_task_set(self, request: Json) -> Json:
        """UpdateServicePrimaryTaskSet: production traffic moves to it at once."""
        service = self._get_external(request)
        task_set = _get(service, request["primaryTaskSet"])
        for other in service.task_sets:
            if other.status == "PRIMARY":
                other.status = "ACTIVE"
        task_set.status, task_set.updated_at = "PRIMARY", self._clock.now()
        return self._answer(service, task_set)

    def delete_task_set(self, request: Json) -> Json:
        """DeleteTaskSet: `force` "if it hasn't been scaled down to zero"."""
        service = self._get_external(request)
        task_set = _get(service, request["taskSet"])
        if task_set.compute_desired_count(service.desired_count) > 0 and not request.get("force", False):
            raise AwsError(
                "InvalidParameterException", "The task set must be scaled down to 0 before it can be deleted."
            )
        if task_set.status == "PRIMARY" and not request.get("force", False):
            raise AwsError("InvalidParameterException", "The primary task set can't be deleted.")
        task_set.status, task_set.updated_at = "DRAINING", self._clock.now()
        return self._answer(service, task_set)

    def _answer(self, service: Service, task_set: TaskSet) -> Json:
        service.steady = False
        self._scheduler.touch(service)
        return {"taskSet": shape_task_set(self._ecs, service, task_set)}

    def _get_external(self, request: Json) -> Service:
        service = self._ecs.get_active_service(request["cluster"], request["service"])
        if service.controller != "EXTERNAL":
            raise AwsError(
                "InvalidParameterException",
                "Task sets can only be managed on services with an EXTERNAL deployment controller.",
            )
        return service


def _find(service: Service, reference: str) -> TaskSet | None:
    """By ID or ARN."""
    return next((task_set for task_set in service.task_sets if reference in (task_set.id, task_set.arn)), None)


def _get(service: Service, reference: str) -> TaskSet:
    task_set = _find(service, reference)
    if task_set is None:
        raise AwsError("TaskSetNotFoundException", "The specified task set was not found.")
    return task_set


def _read_scale(request: Json) -> float:
    """`scale` in percent, 100 when it is not given; InvalidParameterException unless it is within 0 and 100."""
    value = float(request.get("scale", {}).get("value", 100.0))
    if not 0 <= value <= 100:
        raise AwsError("InvalidParameterException", "The scale value must be between 0 and 100.")
    return value
