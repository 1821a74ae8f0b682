"""The tasks of a service, and how well each of them is."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from bokgu.api.meta import Target
from bokgu.api.observed import EcsService, Metric, StoppedContainer, Task
from bokgu.aws.client import AwsClient
from bokgu.aws.series import fetch_series

PACK = 100
"""Tasks of one page of ListTasks and of one DescribeTasks call (API_ListTasks, API_DescribeTasks)."""

RECENT = 10
"""Periods in which a task's disk is looked for: Container Insights publishes once a minute, and CloudWatch is late."""

Targets = Mapping[tuple[str, int | None], str]
"""State by id (IP address or EC2 instance) and port; port None: any."""


async def list_tasks(aws: AwsClient, target: Target, **filters: str) -> tuple[str, ...]:
    """ARNs of the tasks of the cluster that pass the filters of ListTasks. Raises AwsError."""
    found: list[str] = []
    request: dict[str, Any] = {"cluster": target.cluster, "maxResults": PACK, **filters}
    while True:
        answer = await aws.read("ecs", "ListTasks", request, region=target.region, role_arn=target.role_arn)
        found += answer["taskArns"]
        if not (token := answer.get("nextToken")):
            return tuple(found)
        request["nextToken"] = token


async def describe_tasks(aws: AwsClient, target: Target, arns: Iterable[str]) -> tuple[dict[str, Any], ...]:
    """Those tasks as ECS describes them (API_Task); what it has forgotten is left out. Raises AwsError."""
    wanted, found = sorted(set(arns)), []
    for i in range(0, len(wanted), PACK):
        request = {"cluster": target.cluster, "tasks": wanted[i : i + PACK]}
        answer = await aws.read("ecs", "DescribeTasks", request, region=target.region, role_arn=target.role_arn)
        found += answer["tasks"]
    return tuple(found)


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
