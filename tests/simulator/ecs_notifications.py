"""The events that ECS sends to EventBridge about services and their deployments.

Shapes and names are those of the developer guide's pages "Amazon ECS service action events", "Amazon ECS service
deployment state change events" and "Amazon ECS service deployment hook state change events". None of them has a
`version` in its detail.
"""

from datetime import UTC, datetime

from .ecs import Ecs, LifecycleHook, Service, ServiceDeployment

DEPLOYMENT_STATE_CHANGE = "ECS Deployment State Change"
SERVICE_ACTION = "ECS Service Action"
HOOK_STATE_CHANGE = "ECS Hook State Change"

_DEPLOYMENT_EVENT_TYPES = {
    "SERVICE_DEPLOYMENT_IN_PROGRESS": "INFO",
    "SERVICE_DEPLOYMENT_COMPLETED": "INFO",
    "SERVICE_DEPLOYMENT_FAILED": "ERROR",
}
_ACTION_EVENT_TYPES = {
    "SERVICE_STEADY_STATE": "INFO",
    "TASKSET_STEADY_STATE": "INFO",
    "SERVICE_DESIRED_COUNT_UPDATED": "INFO",
    "TASKS_STOPPED": "INFO",
    "SERVICE_REBALANCING_STARTED": "INFO",
    "SERVICE_REBALANCING_COMPLETED": "INFO",
    "SERVICE_TASK_START_IMPAIRED": "WARN",
    "SERVICE_TASK_PLACEMENT_FAILURE": "ERROR",
    "SERVICE_TASK_CONFIGURATION_FAILURE": "ERROR",
    "SERVICE_HEALTH_UNKNOWN": "ERROR",
}


class EcsNotifications:
    """Publishes through `Ecs.publish`. Times are wall seconds since the epoch."""

    def __init__(self, ecs: Ecs) -> None:
        self._ecs = ecs

    def change_deployment(self, service: Service, event_name: str, deployment_id: str, reason: str, at: float) -> None:
        """A SERVICE_DEPLOYMENT_* event of the deployment `ecs-svc/…`."""
        detail = {
            "eventType": _DEPLOYMENT_EVENT_TYPES[event_name],
            "eventName": event_name,
            "deploymentId": deployment_id,
            "updatedAt": _format(at, "seconds"),
            "reason": reason,
        }
        self._ecs.publish(DEPLOYMENT_STATE_CHANGE, [service.arn], detail)

    def act(self, service: Service, event_name: str, at: float, **members: object) -> None:
        """A service action; `members` such as `reason` or `capacityProviderArns` come on top."""
        detail = {
            "eventType": _ACTION_EVENT_TYPES[event_name],
            "eventName": event_name,
            "clusterArn": self._ecs.arn(f"cluster/{service.cluster}"),
            **members,
            "createdAt": _format(at, "milliseconds"),
        }
        self._ecs.publish(SERVICE_ACTION, [service.arn], detail)

    def change_hook(self, service: Service, record: ServiceDeployment, hook: LifecycleHook, at: float) -> None:
        """A HOOK_* event, named after the status the hook now has."""
        detail = {
            "eventType": "ERROR" if hook.status in ("FAILED", "TIMED_OUT") else "INFO",
            "eventName": f"HOOK_{hook.status}",
            "hookId": hook.id,
            "hookType": hook.target_type,
            "expiresAt": _format(hook.expires_at, "seconds"),
            "lifecycleStage": hook.stage,
            "clusterArn": self._ecs.arn(f"cluster/{service.cluster}"),
            "serviceArn": service.arn,
            "serviceDeploymentArn": record.arn,
            "updatedAt": _format(at, "microseconds"),
        }
        self._ecs.publish(HOOK_STATE_CHANGE, [record.arn], detail)


def _format(at: float, precision: str) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec=precision).replace("+00:00", "Z")
