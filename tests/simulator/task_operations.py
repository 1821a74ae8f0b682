"""The operations of the ECS API on single tasks: to run, to stop and to protect them."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .aws_json import Json
from .behaviour import read_behaviour
from .clock import Clock
from .ecs import WORKLOAD_MEMBERS, Ecs, Service, Task, TaskDefinition
from .ecs_reads import MAX_TASKS, check_length
from .ecs_scheduler import Scheduler
from .errors import AwsError
from .placement import Refusal
from .resource_tags import read_own_tags
from .standalone_tasks import StandaloneTasks
from .task_shapes import shape_task

MAX_RUN_TASKS = 10
"""RunTask, count: "You can specify up to 10 tasks for each call"."""
MAX_CLIENT_TOKEN = 64
"""RunTask, clientToken: "Up to 64 characters are allowed. The valid characters are … in the range of 33-126"."""
CLIENT_TOKEN_SECONDS = 24 * 3600.0
"""Simulated: how long a token is remembered at most (API reference, "Ensuring idempotency"); it is forgotten earlier
when none of its tasks is shown any longer, an hour after they stopped."""
MAX_STARTED_BY = 128
_STARTED_BY = re.compile(r"[A-Za-z0-9/_-]*")
"""RunTask, startedBy: "Up to 128 letters (uppercase and lowercase), numbers, hyphens (-), forward slash (/), and
underscores (_) are allowed"."""
MAX_PROTECTED_TASKS = 10
DEFAULT_PROTECTION_MINUTES = 120
MAX_PROTECTION_MINUTES = 2880
"""UpdateTaskProtection: up to ten tasks, for two hours by default and 48 at most."""
DEFAULT_STOP_REASON = "Task stopped by user"


@dataclass(frozen=True)
class _RememberedCall:
    """A RunTask call with a clientToken: its parameters as JSON, the tasks it started, and its failures."""

    parameters: str
    task_ids: tuple[str, ...]
    failures: tuple[Json, ...]
    at: float


class TaskOperations:
    """Each method answers one operation: request parameters in, members of the answer out, AwsError else."""

    def __init__(self, ecs: Ecs, scheduler: Scheduler, standalone: StandaloneTasks, clock: Clock) -> None:
        self._ecs = ecs
        self._scheduler = scheduler
        self._standalone = standalone
        self._clock = clock
        self._calls: dict[tuple[str, str], _RememberedCall] = {}
        self.operations: dict[str, Callable[[Json], Json]] = {
            "RunTask": self.run_task,
            "StopTask": self.stop_task,
            "UpdateTaskProtection": self.update_task_protection,
            "GetTaskProtection": self.get_task_protection,
        }

    def stop_task(self, request: Json) -> Json:
        """StopTask: ignores minimumHealthyPercent; a task that has stopped already is returned as it is.

        "Any tags associated with the task will be deleted."
        """
        cluster = self._ecs.find_cluster(request.get("cluster"))
        id_ = request["task"].rsplit("/", 1)[-1]
        reason, now = request.get("reason", DEFAULT_STOP_REASON), self._clock.now()
        task = self._ecs.standalone_tasks.get(id_)
        if task is not None and task.cluster == cluster.name:
            if task.desired_status == "RUNNING":
                self._standalone.stop(task, now, reason)
                task.tags = {}
            return {"task": shape_task(self._ecs, task)}
        candidates = (s for s in self._ecs.services.values() if s.cluster == cluster.name and id_ in s.tasks)
        service = next(candidates, None)
        if service is None:
            raise AwsError("InvalidParameterException", "The referenced task was not found.")
        task = service.tasks[id_]
        if task.desired_status == "RUNNING":
            self._scheduler.stop_tasks(service, [task], now, reason, "UserInitiated")
            self._scheduler.touch(service)
        return {"task": shape_task(self._ecs, task)}

    def run_task(self, request: Json) -> Json:
        """RunTask: up to ten tasks; those that find no place are `failures`.

        A clientToken makes it idempotent in its cluster: the same request returns the tasks it started before, another
        one with the same token is a ConflictException with their ARNs in `resourceIds`. A request that started nothing
        is not remembered: only one that "mutated successfully" is.
        """
        cluster = self._ecs.find_cluster(request.get("cluster"))
        _check(request)
        now = self._clock.now()
        token = (cluster.name, request.get("clientToken", ""))
        parameters = json.dumps(request, sort_keys=True, default=str)
        if (earlier := self._recall(token, parameters, now)) is not None:
            return earlier
        definition = self._resolve(request)
        workload = {name: request[name] for name in WORKLOAD_MEMBERS if name in request}
        if "capacityProviderStrategy" not in workload:
            workload.setdefault("launchType", "EC2")
        if "networkConfiguration" not in workload and definition.contents.get("networkMode") == "awsvpc":
            raise AwsError(
                "InvalidParameterException",
                "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
            )
        started: list[Task] = []
        failures: list[Json] = []
        for _ in range(request.get("count", 1)):
            place = self._scheduler.tasks.placements.choose(cluster.name, workload, definition, started)
            if isinstance(place, Refusal):
                if place.event_name == "SERVICE_TASK_CONFIGURATION_FAILURE":
                    raise AwsError("ClientException", place.failure)
                failures.append({"arn": cluster.arn, "reason": place.failure})
                continue
            task = self._create(request, cluster.name, definition, workload, now)
            self._scheduler.tasks.begin(task, place, now)
            started.append(task)
        if token[1] and started:
            ids = tuple(task.id for task in started)
            self._calls[token] = _RememberedCall(parameters, ids, tuple(failures), now)
        return {"tasks": [shape_task(self._ecs, task) for task in started], "failures": failures}

    def update_task_protection(self, request: Json) -> Json:
        """UpdateTaskProtection: for two hours unless `expiresInMinutes` says else; tasks of services only."""
        minutes = request.get("expiresInMinutes", DEFAULT_PROTECTION_MINUTES)
        if not 1 <= minutes <= MAX_PROTECTION_MINUTES:
            raise AwsError("InvalidParameterException", "expiresInMinutes must be between 1 and 2880.")
        check_length("tasks", request["tasks"], MAX_PROTECTED_TASKS)
        now = self._clock.now()
        until = now + self._clock.wall(60.0 * minutes) if request["protectionEnabled"] else 0.0
        found, failures = self._find_protectable(request)
        for service, task in found:
            task.protected_until = until
            self._scheduler.touch(service)
        return {"protectedTasks": [_shape_protection(task, now) for _, task in found], "failures": failures}

    def get_task_protection(self, request: Json) -> Json:
        """GetTaskProtection."""
        check_length("tasks", request.get("tasks", []), MAX_TASKS)
        found, failures = self._find_protectable(request)
        now = self._clock.now()
        return {"protectedTasks": [_shape_protection(task, now) for _, task in found], "failures": failures}

    def _find_protectable(self, request: Json) -> tuple[list[tuple[Service, Task]], list[Json]]:
        """The tasks of services, and the failures MISSING and TASK_NOT_VALID (of a standalone or stopped task)."""
        cluster = self._ecs.find_cluster(request.get("cluster"))
        services = [service for service in self._ecs.services.values() if service.cluster == cluster.name]
        found, failures = [], []
        for reference in request["tasks"]:
            id_ = reference.rsplit("/", 1)[-1]
            arn = self._ecs.arn(f"task/{cluster.name}/{id_}")
            service = next((service for service in services if id_ in service.tasks), None)
            if service is not None and service.tasks[id_].last_status != "STOPPED":
                found.append((service, service.tasks[id_]))
            elif service is not None or id_ in self._ecs.standalone_tasks:
                failures.append({"arn": arn, "reason": "TASK_NOT_VALID"})
            else:
                failures.append({"arn": arn, "reason": "MISSING"})
        return found, failures

    def _recall(self, token: tuple[str, str], parameters: str, now: float) -> Json | None:
        """The answer to an earlier call with this token; ConflictException when it was another one."""
        oldest, shown = now - self._clock.wall(CLIENT_TOKEN_SECONDS), self._ecs.standalone_tasks.keys()
        for key, past in list(self._calls.items()):
            if past.at < oldest or shown.isdisjoint(past.task_ids):
                del self._calls[key]
        call = self._calls.get(token)
        if call is None:
            return None
        if call.parameters != parameters:
            arns = [self._ecs.arn(f"task/{token[0]}/{id_}") for id_ in call.task_ids]
            raise AwsError(
                "ConflictException",
                "The RunTask request could not be processed due to conflicts. The provided clientToken is already in "
                "use with a different RunTask request.",
                members={"resourceIds": arns},
            )
        found = (self._ecs.standalone_tasks.get(id_) for id_ in call.task_ids)
        shapes = [shape_task(self._ecs, task) for task in found if task is not None]
        return {"tasks": shapes, "failures": list(call.failures)}

    def _resolve(self, request: Json) -> TaskDefinition:
        """The task definition, its environment as the overrides change it; ClientException when missing or INACTIVE."""
        definition = self._ecs.find_task_definition(request["taskDefinition"])
        if definition is None:
            raise AwsError("ClientException", "TaskDefinition not found.")
        if definition.status != "ACTIVE":
            raise AwsError("ClientException", "TaskDefinition is inactive")
        overrides = request.get("overrides", {}).get("containerOverrides", [])
        if not overrides:
            return definition
        changes = {override.get("name"): override for override in overrides}
        containers = definition.contents["containerDefinitions"]
        if unknown := changes.keys() - {container["name"] for container in containers}:
            names = ", ".join(map(str, unknown))
            raise AwsError("InvalidParameterException", f"Override for container named {names} is not a container.")
        changed = [_override(container, changes.get(container["name"], {})) for container in containers]
        return replace(definition, behaviour=read_behaviour(changed))

    def _create(self, request: Json, cluster: str, definition: TaskDefinition, workload: Json, now: float) -> Task:
        id_ = self._ecs.identifiers.hex_id()
        tags = read_own_tags(request)
        if request.get("propagateTags") == "TASK_DEFINITION":
            tags = definition.tags | tags
        task = Task(
            id=id_,
            arn=self._ecs.arn(f"task/{cluster}/{id_}"),
            deployment_id=request.get("startedBy", ""),
            revision_arn="",
            task_definition=definition,
            created_at=now,
            transition_at=None,
            cluster=cluster,
            group=request.get("group", f"family:{definition.family}"),
            workload=workload,
            tags=tags,
            overrides=request.get("overrides", {}),
        )
        self._ecs.standalone_tasks[id_] = task
        return task


def _shape_protection(task: Task, now: float) -> Json:
    protected = task.protected_until > now
    expiry = {"expirationDate": task.protected_until} if protected else {}
    return {"taskArn": task.arn, "protectionEnabled": protected, **expiry}


def _override(container: Mapping[str, Any], change: Mapping[str, Any]) -> Json:
    """The container definition with the environment of a container override on top."""
    environment = {pair["name"]: pair["value"] for pair in container.get("environment", [])}
    environment |= {pair["name"]: pair["value"] for pair in change.get("environment", [])}
    return {**container, "environment": [{"name": name, "value": value} for name, value in environment.items()]}


def _check(request: Json) -> None:
    if not 1 <= request.get("count", 1) <= MAX_RUN_TASKS:
        raise AwsError("InvalidParameterException", f"Tasks count must be between 1 and {MAX_RUN_TASKS}.")
    token = request.get("clientToken", "x")
    if not 1 <= len(token) <= MAX_CLIENT_TOKEN or not all(33 <= ord(character) <= 126 for character in token):
        raise AwsError("InvalidParameterException", f"clientToken must have 1 to {MAX_CLIENT_TOKEN} ASCII characters.")
    read_own_tags(request)
    started_by = request.get("startedBy", "")
    if len(started_by) > MAX_STARTED_BY or not _STARTED_BY.fullmatch(started_by):
        raise AwsError(
            "InvalidParameterException",
            f"startedBy must have at most {MAX_STARTED_BY} letters, numbers, hyphens, slashes and underscores.",
        )
    if request.get("propagateTags") == "SERVICE":
        raise AwsError("InvalidParameterException", "SERVICE is not a valid value of propagateTags for RunTask.")
    if "launchType" in request and "capacityProviderStrategy" in request:
        raise AwsError(
            "InvalidParameterException",
            "Specifying both a launch type and capacity provider strategy is not supported.",
        )
