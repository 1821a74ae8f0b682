"""ECS objects in the shapes of the API (botocore's service model `ecs`)."""

from collections.abc import Sequence
from typing import Any

from .aws_json import Json
from .ecs import (
    STARTING_STATUSES,
    Cluster,
    Deployment,
    Ecs,
    LifecycleHook,
    Service,
    ServiceDeployment,
    ServiceRevision,
    Task,
    TaskDefinition,
    TaskSet,
)
from .failure_detection import compute_breaker_threshold
from .task_shapes import compute_image_digest, shape_platform

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

_TASK_SET_MEMBERS = (
    "taskDefinition",
    "launchType",
    "capacityProviderStrategy",
    "networkConfiguration",
    "loadBalancers",
    "serviceRegistries",
)


def _only_present(members: dict[str, Any]) -> Json:
    """`members` without those that have no value: AWS omits them."""
    return {name: value for name, value in members.items() if value is not None}


def shape_tags(tags: dict[str, str]) -> list[Json]:
    """Tags as a list of key and value."""
    return [{"key": key, "value": value} for key, value in tags.items()]


def shape_cluster(cluster: Cluster, services: list[Service], standalone: Sequence[Task] = ()) -> Json:
    """A Cluster, with the counts of its `services` and of its `standalone` tasks."""
    running = sum(task.last_status == "RUNNING" for task in standalone)
    pending = sum(task.last_status in STARTING_STATUSES for task in standalone)
    return {
        "clusterArn": cluster.arn,
        "clusterName": cluster.name,
        "status": "ACTIVE",
        "registeredContainerInstancesCount": 0,
        "runningTasksCount": running + sum(len(service.running()) for service in services),
        "pendingTasksCount": pending + sum(len(service.pending()) for service in services),
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
        **shape_platform(deployment.revision.workload),
    }


def _shape_revision_counts(service: Service, arn: str) -> Json:
    """A ServiceCurrentRevisionSummary."""
    deployments = [d for d in service.deployments if d.revision.arn == arn]
    shapes = [_shape_deployment(service, deployment) for deployment in deployments]
    return {
        "arn": arn,
        "requestedTaskCount": sum(shape["desiredCount"] for shape in shapes),
        "runningTaskCount": sum(shape["runningCount"] for shape in shapes),
        "pendingTaskCount": sum(shape["pendingCount"] for shape in shapes),
    }


def _shape_revision_summary(service: Service, record: ServiceDeployment, arn: str) -> Json:
    """A ServiceRevisionSummary; only strategies that shift traffic have weights, in percent."""
    summary = _shape_revision_counts(service, arn)
    if record.production_share is not None and record is service.service_deployments[0]:
        is_target = arn == record.target_revision
        summary["requestedProductionTrafficWeight"] = round(100 * service.production_shares().get(arn, 0.0), 1)
        summary["requestedTestTrafficWeight"] = round(100 * record.test_share, 1) if is_target else 0.0
    return summary


def shape_task_set(ecs: Ecs, service: Service, task_set: TaskSet) -> Json:
    """A TaskSet."""
    workload = task_set.revision.workload
    shape: Json = {
        "id": task_set.id,
        "taskSetArn": task_set.arn,
        "serviceArn": service.arn,
        "clusterArn": ecs.arn(f"cluster/{service.cluster}"),
        "status": task_set.status,
        "computedDesiredCount": task_set.compute_desired_count(service.desired_count),
        "pendingCount": len(service.pending(task_set.id)),
        "runningCount": len(service.running(task_set.id)),
        "createdAt": task_set.created_at,
        "updatedAt": task_set.updated_at,
        "scale": {"value": task_set.scale, "unit": "PERCENT"},
        "stabilityStatus": "STEADY_STATE" if task_set.steady else "STABILIZING",
        "stabilityStatusAt": task_set.stability_at,
        "loadBalancers": [],
        "serviceRegistries": [],
        "tags": shape_tags(task_set.tags),
        **_pick(workload, _TASK_SET_MEMBERS),
        **shape_platform(workload),
    }
    if task_set.external_id is not None:
        shape["externalId"] = task_set.external_id
    if service.controller == "CODE_DEPLOY":
        shape["startedBy"] = "CODE_DEPLOY"
    return shape


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
    if service.service_deployments:
        shape["currentServiceDeployment"] = service.service_deployments[0].arn
    if service.controller != "ECS":
        shape["taskSets"] = [shape_task_set(ecs, service, task_set) for task_set in service.task_sets]
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
    alarms = record.deployment_configuration.get("alarms", {})
    shape |= _only_present(
        {
            "updatedAt": record.updated_at,
            "stoppedAt": record.stopped_at,
            "lifecycleStage": record.lifecycle_stage,
            "lifecycleHookDetails": [_shape_hook(hook) for hook in record.hooks] or None,
        }
    )
    shape["alarms"] = {
        "status": record.alarm_status,
        "alarmNames": alarms.get("alarmNames", []),
        "triggeredAlarmNames": list(record.triggered_alarms),
    }
    if record.rollback is not None:
        shape["rollback"] = {
            "reason": record.rollback.reason,
            "startedAt": record.rollback.started_at,
            "serviceRevisionArn": record.rollback.revision_arn,
        }
    return {
        **shape,
        "sourceServiceRevisions": [_shape_revision_summary(service, record, arn) for arn in record.source_revisions],
        "targetServiceRevision": _shape_revision_summary(service, record, record.target_revision),
        "deploymentConfiguration": record.deployment_configuration,
        "deploymentCircuitBreaker": {
            "status": record.breaker_status,
            "failureCount": record.failure_count,
            "threshold": compute_breaker_threshold(record.deployment_configuration, service.desired_count),
        },
    }


def _shape_hook(hook: LifecycleHook) -> Json:
    return _only_present(
        {
            "hookId": hook.id,
            "targetType": hook.target_type,
            "targetArn": hook.target_arn,
            "status": hook.status,
            "expiresAt": hook.expires_at,
            "timeoutAction": hook.timeout_action,
        }
    )


def _shape_load_balancers(revision: ServiceRevision) -> list[Json]:
    """The ServiceRevisionLoadBalancers: which target groups serve, and which rule leads to them."""
    shapes = []
    for balancer in revision.workload.get("loadBalancers", []):
        advanced = balancer.get("advancedConfiguration", {})
        pair = {balancer.get("targetGroupArn"), advanced.get("alternateTargetGroupArn")}
        for arn in (arn for arn in revision.target_groups if arn in pair):
            rule = advanced.get("productionListenerRule")
            shapes.append(_only_present({"targetGroupArn": arn, "productionListenerRule": rule}))
    return shapes


def shape_service_revision(ecs: Ecs, service: Service, revision: ServiceRevision) -> Json:
    """A ServiceRevision, image digests included."""
    definition = ecs.find_task_definition(revision.workload["taskDefinition"])
    containers = definition.contents["containerDefinitions"] if definition is not None else []
    return {
        **revision.workload,
        **shape_platform(revision.workload),
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
        "resolvedConfiguration": {"loadBalancers": _shape_load_balancers(revision)},
    }
