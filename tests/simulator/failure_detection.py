"""How ECS finds that a deployment fails: the deployment circuit breaker, and CloudWatch alarms."""

import math
from dataclasses import dataclass

from .aws_json import Json
from .ecs import Ecs, Service, ServiceDeployment

# API type ServiceDeploymentCircuitBreaker.
DEFAULT_THRESHOLD_PERCENT = 50
MIN_THRESHOLD = 3
MAX_THRESHOLD = 200


@dataclass(frozen=True)
class FailureCause:
    """Why a deployment failed, in the words of each place that tells it.

    rollout_reason: `rolloutStateReason` of the deployment that failed. event: what the service event says after
    "deployment failed:". because: the end of the service deployment's `statusReason`. origin: how
    `rolloutStateReason` of the deployment rolled back to begins. rolls_back: whether to roll back.
    needs_completed: whether that takes a deployment which completed before. to_previous: whether it goes to the
    previous service revision, not to the last successful one, should they differ.
    """

    rollout_reason: str
    event: str
    because: str
    origin: str
    rolls_back: bool
    needs_completed: bool = True
    to_previous: bool = False

    @property
    def rollback_reason(self) -> str:
        """`statusReason` and `rollback.reason` of the service deployment when it rolls back."""
        return f"Service deployment rolled back because {self.because}"


def compute_breaker_threshold(deployment_configuration: Json, desired_count: int) -> int:
    """How many failed tasks trip the deployment circuit breaker.

    Half of the desired count, at least 3 and at most 200 (API type ServiceDeploymentCircuitBreaker), unless
    `thresholdConfiguration` says COUNT, BOUNDED_PERCENT (same bounds) or UNBOUNDED_PERCENT. Percentages are of the
    latest desired count and round up.
    """
    configured = deployment_configuration.get("deploymentCircuitBreaker", {}).get("thresholdConfiguration", {})
    kind = configured.get("type", "BOUNDED_PERCENT")
    value: int = configured.get("value", DEFAULT_THRESHOLD_PERCENT)
    if kind == "COUNT":
        return value
    share = math.ceil(desired_count * value / 100)
    return max(1, share) if kind == "UNBOUNDED_PERCENT" else min(MAX_THRESHOLD, max(MIN_THRESHOLD, share))


def start_monitoring(ecs: Ecs, record: ServiceDeployment) -> None:
    """Set the states of both monitors of a new service deployment.

    "If an alarm is in the ALARM state at the beginning of a deployment, Amazon ECS will not monitor alarms for the
    duration of that deployment" (developer guide, "How CloudWatch alarms detect Amazon ECS deployment failures").
    """
    configuration = record.deployment_configuration
    breaker = configuration.get("deploymentCircuitBreaker", {})
    record.breaker_status = "MONITORING" if breaker.get("enable") else "DISABLED"
    alarms = configuration.get("alarms", {})
    watched = alarms.get("enable", False) and not _find_alarming(ecs, record)
    record.alarm_status = "MONITORING" if watched else "DISABLED"


def end_monitoring(record: ServiceDeployment) -> None:
    """The service deployment is over, or rolls back: monitors that found nothing have done their work."""
    if record.breaker_status == "MONITORING":
        record.breaker_status = "MONITORING_COMPLETE"
    if record.alarm_status == "MONITORING":
        record.alarm_status = "MONITORING_COMPLETE"


def _find_alarming(ecs: Ecs, record: ServiceDeployment) -> tuple[str, ...]:
    names = record.deployment_configuration.get("alarms", {}).get("alarmNames", [])
    return tuple(name for name in names if ecs.alarm_state(name) == "ALARM")


def detect_failure(ecs: Ecs, service: Service, record: ServiceDeployment) -> FailureCause | None:
    """What failure of the PRIMARY deployment the monitors see now; None: none.

    "Either one can initiate a deployment failure as soon as the criteria for either method is met. A rollback occurs
    when you use the rollback option for the method that initiated the deployment failure" (developer guide).
    """
    record.failure_count = max(record.failure_count, service.primary.failed_tasks)
    configuration = record.deployment_configuration
    threshold = compute_breaker_threshold(configuration, service.desired_count)
    breaks = record.breaker_status == "MONITORING" or (
        record.breaker_status == "TRIGGERED" and record.rollback is not None
    )
    if breaks and service.primary.failed_tasks >= threshold:
        record.breaker_status = "TRIGGERED"
        return FailureCause(
            rollout_reason="ECS deployment circuit breaker: tasks failed to start.",
            event="tasks failed to start.",
            because="the circuit breaker threshold was exceeded.",
            origin="ECS deployment circuit breaker",
            rolls_back=configuration["deploymentCircuitBreaker"].get("rollback", False),
        )
    # "Amazon ECS starts monitoring … as soon as one or more tasks of the updated service are in a running state"
    # (AWS containers blog on alarm-based rollbacks).
    if record.alarm_status == "MONITORING" and record.rollback is None and service.running(service.primary.id):
        record.triggered_alarms = _find_alarming(ecs, record)
        if record.triggered_alarms:
            record.alarm_status = "TRIGGERED"
            names = ", ".join(record.triggered_alarms)
            return FailureCause(
                rollout_reason="ECS deployment failed: alarm detected.",
                event="alarm detected.",
                because=f"alarms were triggered: {names}.",
                origin="ECS deployment alarm",
                rolls_back=configuration["alarms"].get("rollback", False),
            )
    return None


def explain_stop() -> FailureCause:
    """The cause when StopServiceDeployment asked for it.

    ROLLBACK "rolls back the service deployment to the previous service revision. You can use this option even if you
    didn't configure the service deployment for the rollback option" (StopServiceDeployment).
    """
    return FailureCause(
        rollout_reason="ECS deployment was stopped by the user.",
        event="stopped by the user.",
        because="it was stopped by the user.",
        origin="ECS deployment stopped",
        rolls_back=True,
        needs_completed=False,
        to_previous=True,
    )


def explain_hook(stage: str, target_arn: str | None, status: str) -> FailureCause:
    """The cause when a lifecycle hook ended as FAILED or TIMED_OUT (`status`): always a rollback.

    Wording: developer guide, "Troubleshooting Amazon ECS blue/green deployments".
    """
    if target_arn is not None:
        outcome = "returned FAILED status." if status == "FAILED" else "timed out."
        because = f"{stage} lifecycle hook(s) failed. Lifecycle hook target {target_arn} {outcome}"
    else:
        because = f"{stage} pause hook {'timed out' if status == 'TIMED_OUT' else 'was rolled back'}."
    reason = f"Service deployment rolled back because {because}"
    return FailureCause(reason, reason, because, "ECS deployment lifecycle hook", True, needs_completed=False)
