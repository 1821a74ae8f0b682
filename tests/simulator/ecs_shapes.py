"""ECS objects in the shapes of the API (botocore's service model `ecs`)."""

import hashlib
from typing import Any

from .aws_json import Json
from .ecs import Cluster, Deployment, Ecs, Service, ServiceDeployment, ServiceRevision, Task, TaskDefinition
from .ecs_scheduler import compute_breaker_threshold

FARGATE_PLATFORM_VERSION = "1.4.0"
"""What LATEST means for Linux tasks (developer guide, "Fargate platform versions for Linux")."""

_SERVICE_MEMBERS = (
    "taskDefinition",
    "launchType",
    "capacityProviderStrategy",
    "platformVersion",
    "networkConfiguration",
    "loadBalancers",
    "serviceRegistries",
)
_DEPLOYMENT_MEMBERS = (
    "taskDefinition",
    "launchType",
    "capacityProviderStrategy",
    "networkConfiguration",
    "serviceConnectConfiguration",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
)


def _only_present(members: dict[str, Any]) -> Json:
    """`members` without those that have no value: AWS omits them."""
    return {name: value for name, value in members.items() if value is not None}


def shape_tags(tags: dict[str, str]) -> list[Json]:
    """Tags as a list of key and value."""
    return [{"key": key, "value": value} for key, value in tags.items()]


def shape_cluster(cluster: Cluster, services: list[Service]) -> Json:
    """A Cluster, with the counts of its `services`."""
    return {
        "clusterArn": cluster.arn,
        "clusterName": cluster.name,
        "status": "ACTIVE",
        "registeredContainerInstancesCount": 0,
        "runningTasksCount": sum(len(service.running()) for service in services),
        "pendingTasksCount": sum(len(service.pending()) for service in services),
        "activeServicesCount": sum(service.status == "ACTIVE" for service in services),
        "settings": cluster.settings,
    }


def shape_task_definition(definition: TaskDefinition) -> Json:
    """A TaskDefinition."""
    shape = {
        **definition.contents,
        "taskDefinitionArn": definition.arn,
        "revision": definition.revision,
        "status": definition.status,
        "compatibilities": definition.contents.get("requiresCompatibilities", ["EC2"]),
        "registeredAt": definition.registered_at,
        "deregisteredAt": definition.deregistered_at,
    }
    return _only_present(shape)


def _pick(workload: Json, members: tuple[str, ...]) -> Json:
    return {name: workload[name] for name in members if name in workload}


def _platform(workload: Json) -> Json:
    """The platform version that the workload resolves to; only Fargate has one."""
    if workload.get("launchType") != "FARGATE":
        return {}
    version = workload.get("platformVersion", "LATEST")
    return {
        "platformVersion": FARGATE_PLATFORM_VERSION if version == "LATEST" else version,
        "platformFamily": "Linux",
    }


def _shape_deployment(service: Service, deployment: Deployment) -> Json:
    running, pending = service.running(deployment.id), service.pending(deployment.id)
    primary = deployment is service.primary
    wanted = service.desired_count if primary else len(running) + len(pending)
    return {
        "id": deployment.id,
        "status": "PRIMARY" if primary else "ACTIVE",
        "desiredCount": 0 if deployment.rollout_state == "FAILED" else wanted,
        "runningCount": len(running),
        "pendingCount": len(pending),
        "failedTasks": deployment.failed_tasks,
        "createdAt": deployment.created_at,
        "updatedAt": deployment.updated_at,
        "rolloutState": deployment.rollout_state,
        "rolloutStateReason": deployment.rollout_state_reason,
        **_pick(deployment.revision.workload, _DEPLOYMENT_MEMBERS),
        **_platform(deployment.revision.workload),
    }


def _shape_revision_counts(service: Service, arn: str) -> Json:
    deployments = [d for d in service.deployments if d.revision.arn == arn]
    shapes = [_shape_deployment(service, deployment) for deployment in deployments]
    return {
        "arn": arn,
        "requestedTaskCount": sum(shape["desiredCount"] for shape in shapes),
        "runningTaskCount": sum(shape["runningCount"] for shape in shapes),
        "pendingTaskCount": sum(shape["pendingCount"] for shape in shapes),
    }


def shape_service(ecs: Ecs, service: Service, *, with_tags: bool) -> Json:
    """A Service; an INACTIVE one has no deployments any more."""
    deployments = service.deployments if service.status == "ACTIVE" else []
    revisions = list(dict.fromkeys(deployment.revision.arn for deployment in deployments))
    shape = {
        "serviceArn": service.arn,
        "serviceName": service.name,
        "clusterArn": ecs.arn(f"cluster/{service.cluster}"),
        "status": service.status,
        "desiredCount": service.desired_count,
        "runningCount": len(service.running()),
        "pendingCount": len(service.pending()),
        "loadBalancers": [],
        "serviceRegistries": [],
        **_pick(service.workload, _SERVICE_MEMBERS),
        **service.settings,
        "deployments": [_shape_deployment(service, deployment) for deployment in deployments],
        "currentServiceDeployment": service.service_deployments[0].arn,
        "currentServiceRevisions": [_shape_revision_counts(service, arn) for arn in revisions],
        "events": [
            {"id": event.id, "createdAt": event.created_at, "message": event.message} for event in service.events
        ],
        "createdAt": service.created_at,
        "createdBy": service.created_by,
        "resourceManagementType": "CUSTOMER",
    }
    if service.workload.get("launchType") == "FARGATE":
        shape |= {"platformVersion": service.workload.get("platformVersion", "LATEST"), "platformFamily": "Linux"}
    if with_tags:
        shape["tags"] = shape_tags(service.tags)
    return shape


def shape_service_deployment_brief(ecs: Ecs, service: Service, record: ServiceDeployment) -> Json:
    """A ServiceDeploymentBrief."""
    return _only_present(
        {
            "serviceDeploymentArn": record.arn,
            "serviceArn": service.arn,
            "clusterArn": ecs.arn(f"cluster/{service.cluster}"),
            "createdAt": record.created_at,
            "startedAt": record.started_at,
            "finishedAt": record.finished_at,
            "targetServiceRevisionArn": record.target_revision,
            "status": record.status,
            "statusReason": record.status_reason,
        }
    )


def shape_service_deployment(ecs: Ecs, service: Service, record: ServiceDeployment) -> Json:
    """A ServiceDeployment."""
    shape = shape_service_deployment_brief(ecs, service, record)
    del shape["targetServiceRevisionArn"]
    shape |= _only_present({"updatedAt": record.updated_at, "stoppedAt": record.stopped_at})
    if record.rollback is not None:
        shape["rollback"] = {
            "reason": record.rollback.reason,
            "startedAt": record.rollback.started_at,
            "serviceRevisionArn": record.rollback.revision_arn,
        }
    return {
        **shape,
        "sourceServiceRevisions": [_shape_revision_counts(service, arn) for arn in record.source_revisions],
        "targetServiceRevision": _shape_revision_counts(service, record.target_revision),
        "deploymentConfiguration": record.deployment_configuration,
        "deploymentCircuitBreaker": {
            "status": record.breaker_status,
            "failureCount": record.failure_count,
            "threshold": compute_breaker_threshold(record.deployment_configuration, service.desired_count),
        },
    }


def compute_image_digest(image: str) -> str:
    """The digest that the simulated registry has for `image`."""
    return f"sha256:{hashlib.sha256(image.encode()).hexdigest()}"


def shape_service_revision(ecs: Ecs, service: Service, revision: ServiceRevision) -> Json:
    """A ServiceRevision, image digests included."""
    definition = ecs.find_task_definition(revision.workload["taskDefinition"])
    containers = definition.contents["containerDefinitions"] if definition is not None else []
    balancers = [
        {"targetGroupArn": balancer["targetGroupArn"]}
        for balancer in revision.workload.get("loadBalancers", [])
        if "targetGroupArn" in balancer
    ]
    return {
        **revision.workload,
        **_platform(revision.workload),
        "serviceRevisionArn": revision.arn,
        "serviceArn": service.arn,
        "clusterArn": ecs.arn(f"cluster/{service.cluster}"),
        "containerImages": [
            {
                "containerName": container["name"],
                "image": container["image"],
                "imageDigest": compute_image_digest(container["image"]),
            }
            for container in containers
        ],
        "guardDutyEnabled": False,
        "createdAt": revision.created_at,
        "resolvedConfiguration": {"loadBalancers": balancers},
    }


def shape_task(ecs: Ecs, service: Service, task: Task) -> Json:
    """A Task. The exit code is that of its first essential container; the others are taken down with it."""
    workload = service.revisions[task.revision_arn].workload
    contents = task.task_definition.contents
    checked = any("healthCheck" in container for container in contents["containerDefinitions"])
    health = ("HEALTHY" if task.healthy else "UNKNOWN") if checked else "UNKNOWN"
    shape = {
        "taskArn": task.arn,
        "clusterArn": ecs.arn(f"cluster/{service.cluster}"),
        "taskDefinitionArn": task.task_definition.arn,
        "group": f"service:{service.name}",
        "startedBy": task.deployment_id,
        "lastStatus": task.last_status,
        "desiredStatus": task.desired_status,
        "healthStatus": health,
        "version": task.version,
        "createdAt": task.created_at,
        "startedAt": task.started_at,
        "stoppingAt": task.stopping_at,
        "stoppedAt": task.stopped_at,
        "executionStoppedAt": task.stopped_at if task.started_at is not None else None,
        "stopCode": task.stop_code,
        "stoppedReason": task.stopped_reason,
        "cpu": contents.get("cpu"),
        "memory": contents.get("memory"),
        "launchType": workload.get("launchType"),
        "containers": [
            _only_present(
                {
                    "name": container["name"],
                    "image": container["image"],
                    "imageDigest": None if task.started_at is None else compute_image_digest(container["image"]),
                    "taskArn": task.arn,
                    "lastStatus": task.last_status if task.last_status in ("RUNNING", "STOPPED") else "PENDING",
                    "healthStatus": health,
                    "exitCode": task.exit_code,
                    "reason": task.stopped_reason if task.stop_code == "TaskFailedToStart" else None,
                }
            )
            for container in contents["containerDefinitions"]
        ],
        "attachments": [],
        "overrides": {"containerOverrides": [], "inferenceAcceleratorOverrides": []},
        "tags": [],
        **_platform(workload),
    }
    return _only_present(shape)
