"""The tasks of a service, and how well each of them is."""

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from bokgu.api.meta import Target
from bokgu.api.observed import AwsError, EcsService, Metric, StoppedContainer, StoppedTask, Task
from bokgu.aws.client import AwsClient
from bokgu.aws.ecs import fetch_task_definition
from bokgu.aws.logs import fetch_last_lines
from bokgu.aws.series import fetch_series

PACK = 100
"""Tasks of one page of ListTasks and of one DescribeTasks call (API_ListTasks, API_DescribeTasks)."""

RECENT = 10
"""Periods in which a task's disk is looked for: Container Insights publishes once a minute, and CloudWatch is late."""

Targets = Mapping[tuple[str, int | None], str]
"""State by id (IP address or EC2 instance) and port; port None: any."""


async def list_tasks(aws: AwsClient, target: Target, *, bulk: bool = False, **filters: str) -> tuple[str, ...]:
    """ARNs of the tasks of the cluster that pass the filters of ListTasks. `bulk` reads let others go first.

    Raises AwsError.
    """
    found: list[str] = []
    request: dict[str, Any] = {"cluster": target.cluster, "maxResults": PACK, **filters}
    while True:
        answer = await aws.read("ecs", "ListTasks", request, region=target.region, role_arn=target.role_arn, bulk=bulk)
        found += answer["taskArns"]
        if not (token := answer.get("nextToken")):
            return tuple(found)
        request["nextToken"] = token


async def describe_tasks(
    aws: AwsClient, target: Target, arns: Iterable[str], *, bulk: bool = False
) -> tuple[dict[str, Any], ...]:
    """Those tasks as ECS describes them (API_Task); what it has forgotten is left out. Raises AwsError."""
    wanted, found = sorted(set(arns)), []
    for i in range(0, len(wanted), PACK):
        request = {"cluster": target.cluster, "tasks": wanted[i : i + PACK]}
        answer = await aws.read(
            "ecs", "DescribeTasks", request, region=target.region, role_arn=target.role_arn, bulk=bulk
        )
        found += answer["tasks"]
    return tuple(found)


async def fetch_stopped_tasks(aws: AwsClient, target: Target, *, bulk: bool = False) -> tuple[StoppedTask, ...]:
    """The service's stopped tasks that ECS still knows: it keeps them for an hour. Latest first.

    `bulk` as for `fetch_service_deployments`. Raises AwsError.
    """
    arns = await list_tasks(aws, target, bulk=bulk, serviceName=target.service, desiredStatus="STOPPED")
    described = await describe_tasks(aws, target, arns, bulk=bulk)
    found = (parse_stopped_task(raw) for raw in described if raw.get("stoppedAt"))
    return tuple(sorted(found, key=lambda task: task.stopped_at, reverse=True))


def parse_stopped_task(raw: dict[str, Any]) -> StoppedTask:
    """A stopped task from its API_Task."""
    return StoppedTask(
        arn=raw["taskArn"],
        stopped_at=raw["stoppedAt"],
        stop_code=raw.get("stopCode", ""),
        reason=raw.get("stoppedReason", ""),
        containers=tuple(
            StoppedContainer(c["name"], c.get("exitCode"), c.get("reason", ""), c.get("healthStatus", "UNKNOWN"))
            for c in raw.get("containers", ())
        ),
        task_definition=raw.get("taskDefinitionArn", ""),
        started_by=raw.get("startedBy", ""),
        created_at=raw.get("createdAt"),
        started_at=raw.get("startedAt"),
        stopping_at=raw.get("stoppingAt"),
        zone=raw.get("availabilityZone", ""),
    )


async def find_run(aws: AwsClient, target: Target, *, family: str, started_by: str) -> tuple[str, ...]:
    """ARNs of the tasks of the family that RunTask started with that startedBy, whether they run or have stopped.

    startedBy "must be the only filter that you use" (API_ListTasks), and alone it finds no stopped task: those are
    listed by their family and looked through. Raises AwsError.
    """
    if running := await list_tasks(aws, target, startedBy=started_by):
        return running
    stopped = await list_tasks(aws, target, family=family, desiredStatus="STOPPED")
    described = await describe_tasks(aws, target, stopped)
    return tuple(raw["taskArn"] for raw in described if raw.get("startedBy") == started_by)


def parse_task(raw: dict[str, Any]) -> Task:
    """A task from its API_Task."""
    return Task(
        arn=raw["taskArn"],
        last_status=raw["lastStatus"],
        desired_status=raw["desiredStatus"],
        health_status=raw.get("healthStatus", "UNKNOWN"),
        started_by=raw.get("startedBy", ""),
        task_definition=raw.get("taskDefinitionArn", ""),
        created_at=raw.get("createdAt"),
        stop_code=raw.get("stopCode", ""),
        stopped_reason=raw.get("stoppedReason", ""),
        containers=tuple(
            StoppedContainer(c["name"], c.get("exitCode"), c.get("reason", ""), c.get("healthStatus", "UNKNOWN"))
            for c in raw.get("containers", ())
        ),
    )


async def fetch_run(aws: AwsClient, target: Target, arns: Iterable[str]) -> tuple[Task, ...]:
    """Tasks that RunTask started; of those that have ended the essential containers, and the end of the log of the
    first one that writes to CloudWatch Logs. What the log does not give is left out. Raises AwsError."""
    found = []
    for raw in await describe_tasks(aws, target, arns):
        task = parse_task(raw)
        if task.last_status == "STOPPED":
            task = await _with_end(aws, target, task)
        found.append(task)
    return tuple(found)


async def _with_end(aws: AwsClient, target: Target, task: Task) -> Task:
    definition = await fetch_task_definition(aws, target, task.task_definition)
    containers = definition.settings.get("containerDefinitions", ())
    essential = {c["name"] for c in containers if c.get("essential", True)}
    named = next((c for c in containers if c["name"] in essential and "awslogs-group" in _log_options(c)), None)
    lines: tuple[str, ...] = ()
    if named is not None:
        options = _log_options(named)
        stream = f"{options.get('awslogs-stream-prefix', 'ecs')}/{named['name']}/{task.id}"
        with contextlib.suppress(AwsError):  # A log that nobody may read hides no exit code.
            lines = await fetch_last_lines(aws, target, options["awslogs-group"], stream)
    ended = tuple(c for c in task.containers if c.name in essential)
    return replace(task, containers=ended, last_lines=lines)


def _log_options(container: Mapping[str, Any]) -> Mapping[str, str]:
    """Options of the log driver awslogs of a container definition; nothing where it has another one."""
    configuration = container.get("logConfiguration", {})
    options: Mapping[str, str] = configuration.get("options", {})
    return options if configuration.get("logDriver") == "awslogs" else {}


async def fetch_tasks(
    aws: AwsClient,
    target: Target,
    service: EcsService,
    *,
    named: Iterable[str] = (),
    disks: bool = False,
    period: timedelta = timedelta(minutes=1),
    now: datetime,
) -> dict[str, Task]:
    """The tasks of the service that should run, and the `named` ones that ECS still knows, by ARN, with their health.

    It takes ListTasks, DescribeTasks (100 tasks each), DescribeTargetHealth for each target group; for `disks` one
    GetMetricData of Container Insights with enhanced observability at that `period`. Raises AwsError.
    """
    listed = await list_tasks(aws, target, serviceName=target.service, desiredStatus="RUNNING")
    described = await describe_tasks(aws, target, {*listed, *named})
    groups = [await _fetch_targets(aws, target, arn) for arn in service.target_groups]
    instances = await _fetch_instances(aws, target, described) if groups else {}
    tasks = {
        raw["taskArn"]: replace(parse_task(raw), target_states=find_states(raw, groups, instances)) for raw in described
    }
    if disks:
        full = await _fetch_disks(aws, target, tasks, period, now)
        tasks = {arn: replace(task, disk_percent=full.get(task.id)) for arn, task in tasks.items()}
    return tasks


async def _fetch_targets(aws: AwsClient, target: Target, group: str) -> Targets:
    answer = await aws.read(
        "elbv2", "DescribeTargetHealth", {"TargetGroupArn": group}, region=target.region, role_arn=target.role_arn
    )
    found: dict[tuple[str, int | None], str] = {}
    for description in answer.get("TargetHealthDescriptions", ()):
        id_, port = description["Target"]["Id"], description["Target"].get("Port")
        found[id_, port] = found[id_, None] = description["TargetHealth"]["State"]
    return found


async def _fetch_instances(aws: AwsClient, target: Target, described: Iterable[dict[str, Any]]) -> dict[str, str]:
    """EC2 instance ids by ARN of the container instance, for tasks that have no network interface of their own."""
    shared = {raw["containerInstanceArn"] for raw in described if "containerInstanceArn" in raw and not _addresses(raw)}
    wanted = sorted(shared)
    found: dict[str, str] = {}
    for i in range(0, len(wanted), PACK):
        request = {"cluster": target.cluster, "containerInstances": wanted[i : i + PACK]}
        answer = await aws.read(
            "ecs", "DescribeContainerInstances", request, region=target.region, role_arn=target.role_arn
        )
        found |= {i["containerInstanceArn"]: i.get("ec2InstanceId", "") for i in answer["containerInstances"]}
    return found


def find_states(raw: dict[str, Any], groups: Iterable[Targets], instances: Mapping[str, str]) -> tuple[str, ...]:
    """The state of a task (API_Task) in each target group that has it: by the address of its own network interface,
    else by its EC2 instance and the ports that its containers have there."""
    addresses: set[tuple[str, int | None]] = {(address, None) for address in _addresses(raw)}
    if not addresses and (instance := instances.get(raw.get("containerInstanceArn", ""))):
        bindings = (b for c in raw.get("containers", ()) for b in c.get("networkBindings", ()))
        addresses = {(instance, binding["hostPort"]) for binding in bindings if "hostPort" in binding}
    return tuple(group[address] for group in groups for address in sorted(addresses, key=str) if address in group)


def _addresses(raw: dict[str, Any]) -> set[str]:
    interfaces = (i for c in raw.get("containers", ()) for i in c.get("networkInterfaces", ()))
    return {i[name] for i in interfaces for name in ("privateIpv4Address", "ipv6Address") if name in i}


async def _fetch_disks(
    aws: AwsClient, target: Target, tasks: Mapping[str, Task], period: timedelta, now: datetime
) -> dict[str, float]:
    """Percent of their ephemeral storage that tasks use, by id ("Amazon ECS Container Insights with enhanced
    observability metrics": TaskEphemeralStorageUtilization of a TaskId); those that publish nothing are left out."""
    cluster, seconds = target.cluster.rpartition("/")[2], int(period.total_seconds())
    metrics = {
        task.id: Metric(
            "ECS/ContainerInsights",
            "TaskEphemeralStorageUtilization",
            (("ClusterName", cluster), ("ServiceName", target.service), ("TaskId", task.id)),
            "Maximum",
            seconds,
        )
        for task in tasks.values()
        if not task.stopped
    }
    if not metrics:
        return {}
    series = await fetch_series(
        aws, metrics, region=target.region, role_arn=target.role_arn, start=now - RECENT * period, end=now
    )
    return {id_: found.points[-1][1] for id_, found in series.items() if found.points}
