"""Tasks in the shape of the ECS API, and in that of their events on EventBridge."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .aws_json import Json
from .ecs import STARTING_STATUSES, ContainerEnd, Ecs, Task

FARGATE_PLATFORM_VERSION = "1.4.0"
"""What LATEST means for Linux tasks (developer guide, "Fargate platform versions for Linux")."""
DEFAULT_EPHEMERAL_STORAGE_GIB = 20
"""Of a Fargate task (API type EphemeralStorage)."""

_TIMES = (
    "connectivityAt",
    "createdAt",
    "executionStoppedAt",
    "pullStartedAt",
    "pullStoppedAt",
    "startedAt",
    "stoppedAt",
    "stoppingAt",
    "updatedAt",
)


def compute_image_digest(image: str) -> str:
    """The digest that the simulated registry has for `image`."""
    return f"sha256:{hashlib.sha256(image.encode()).hexdigest()}"


def is_fargate(workload: Mapping[str, Any]) -> bool:
    """Whether a workload runs on Fargate, by launch type or capacity provider."""
    strategy = workload.get("capacityProviderStrategy", [])
    if strategy:
        return all(item["capacityProvider"] in ("FARGATE", "FARGATE_SPOT") for item in strategy)
    return workload.get("launchType") == "FARGATE"


def shape_platform(workload: Mapping[str, Any]) -> Json:
    """The platform version that the workload resolves to; only Fargate has one."""
    if not is_fargate(workload):
        return {}
    version = workload.get("platformVersion", "LATEST")
    return {
        "platformVersion": FARGATE_PLATFORM_VERSION if version == "LATEST" else version,
        "platformFamily": "Linux",
    }


def find_private_address(task: Task) -> str:
    """The private IPv4 address of its network interface, derived from its ID: 10.x.y.z."""
    return "10." + ".".join(str(int(task.id[start : start + 2], 16)) for start in (0, 2, 4))


def shape_task(ecs: Ecs, task: Task) -> Json:
    """A Task."""
    contents = task.task_definition.contents
    fargate = is_fargate(task.workload)
    shape = {
        "taskArn": task.arn,
        "clusterArn": ecs.arn(f"cluster/{task.cluster}"),
        "taskDefinitionArn": task.task_definition.arn,
        "availabilityZone": task.availability_zone,
        "capacityProviderName": task.capacity_provider if "capacityProviderStrategy" in task.workload else None,
        "containerInstanceArn": _find_instance_arn(ecs, task),
        "group": task.group,
        "startedBy": task.deployment_id or None,
        "lastStatus": task.last_status,
        "desiredStatus": task.desired_status,
        "healthStatus": task.health_status,
        "version": task.version,
        "connectivity": "CONNECTED" if task.pull_started_at is not None and task.stopped_at is None else None,
        "connectivityAt": task.pull_started_at,
        "createdAt": task.created_at,
        "pullStartedAt": task.pull_started_at,
        "pullStoppedAt": task.pull_stopped_at,
        "startedAt": task.started_at,
        "stoppingAt": task.stopping_at,
        "executionStoppedAt": task.execution_stopped_at,
        "stoppedAt": task.stopped_at,
        "stopCode": task.stop_code,
        "stoppedReason": task.stopped_reason,
        "cpu": contents.get("cpu"),
        "memory": contents.get("memory"),
        "launchType": _find_launch_type(task),
        "enableExecuteCommand": False,
        "ephemeralStorage": {"sizeInGiB": find_ephemeral_storage(task)} if fargate else None,
        "containers": [_shape_container(ecs, task, container) for container in contents["containerDefinitions"]],
        "attachments": _shape_attachments(task),
        "overrides": {"containerOverrides": [], "inferenceAcceleratorOverrides": [], **task.overrides},
        "tags": [{"key": key, "value": value} for key, value in task.tags.items()],
        **shape_platform(task.workload),
    }
    return _only_present(shape)


def shape_task_event(ecs: Ecs, task: Task, at: float) -> Json:
    """The detail of an "ECS Task State Change" event of `at`: a Task, with ISO 8601 times and `updatedAt`.

    "Task health is not available in task state change events", and an attachment's type is `eni` there (developer
    guide, "Amazon ECS task state change events").
    """
    detail = {**shape_task(ecs, task), "updatedAt": at}
    for member in ("healthStatus", "tags", "enableExecuteCommand"):
        detail.pop(member)
    for container in detail["containers"]:
        container.pop("healthStatus")
    for attachment in detail["attachments"]:
        attachment["type"] = "eni"
    for member in _TIMES:
        if member in detail:
            detail[member] = format_event_time(detail[member])
    return detail


def format_event_time(seconds: float) -> str:
    """As events have it: `2020-01-23T17:57:58.103Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def find_ephemeral_storage(task: Task) -> int:
    """GiB of ephemeral storage of a Fargate task."""
    return int(
        task.task_definition.contents.get("ephemeralStorage", {}).get("sizeInGiB", DEFAULT_EPHEMERAL_STORAGE_GIB)
    )


def _only_present(members: dict[str, Any]) -> Json:
    """`members` without those that have no value: AWS omits them."""
    return {name: value for name, value in members.items() if value is not None}


def _find_launch_type(task: Task) -> str | None:
    """A task of a capacity provider has the launch type that the provider stands for."""
    if "capacityProviderStrategy" in task.workload:
        return "FARGATE" if is_fargate(task.workload) else "EC2"
    launch_type: str | None = task.workload.get("launchType")
    return launch_type


def _find_instance_arn(ecs: Ecs, task: Task) -> str | None:
    if task.container_instance is None:
        return None
    return ecs.arn(f"container-instance/{task.cluster}/{task.container_instance}")


def _derive_id(task: Task, purpose: str) -> str:
    """A UUID that belongs to the task."""
    value = hashlib.sha256(f"{purpose}/{task.id}".encode()).hexdigest()
    return "-".join((value[:8], value[8:12], value[12:16], value[16:20], value[20:32]))


def _shape_attachments(task: Task) -> list[Json]:
    """The network interface of a task in the network mode awsvpc."""
    if task.subnet is None or task.last_status == "PROVISIONING":
        return []
    interface = task.id[:17]
    details = {
        "subnetId": task.subnet,
        "networkInterfaceId": f"eni-{interface}",
        "macAddress": ":".join(("0a", *(task.id[start : start + 2] for start in range(0, 10, 2)))),
        "privateIPv4Address": find_private_address(task),
    }
    return [
        {
            "id": _derive_id(task, "attachment"),
            "type": "ElasticNetworkInterface",
            "status": "DELETED" if task.last_status == "STOPPED" else "ATTACHED",
            "details": [{"name": name, "value": value} for name, value in details.items()],
        }
    ]


def _shape_container(ecs: Ecs, task: Task, container: Json) -> Json:
    end = task.ends.get(container["name"], ContainerEnd())
    pulled = task.pull_stopped_at is not None
    interfaces = [
        {"attachmentId": _derive_id(task, "attachment"), "privateIpv4Address": find_private_address(task)}
        for _ in _shape_attachments(task)
    ]
    run = f"{container['name']}/{task.restarts}"
    return _only_present(
        {
            "containerArn": ecs.arn(f"container/{task.cluster}/{task.id}/{_derive_id(task, container['name'])}"),
            "taskArn": task.arn,
            "name": container["name"],
            "image": container["image"],
            "imageDigest": compute_image_digest(container["image"]) if pulled else None,
            "runtimeId": f"{task.id}-{int(_derive_id(task, run)[:8], 16):010d}" if pulled else None,
            "lastStatus": _find_container_status(task),
            "healthStatus": task.health_status,
            "exitCode": end.exit_code,
            "reason": end.reason,
            "networkInterfaces": interfaces,
            "cpu": str(container.get("cpu", 0)),
            "memory": str(container["memory"]) if "memory" in container else None,
        }
    )


def _find_container_status(task: Task) -> str:
    if task.last_status == "STOPPED" or task.execution_stopped_at is not None:
        return "STOPPED"
    return "PENDING" if task.last_status in STARTING_STATUSES or task.started_at is None else "RUNNING"
