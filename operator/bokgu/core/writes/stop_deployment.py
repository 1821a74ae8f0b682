"""StopServiceDeployment with ROLLBACK: ECS returns to the service revision that the deployment would have replaced."""

from datetime import timedelta

from bokgu.api.observed import DescribedDeployment
from bokgu.api.recovery_plan import Intent, OperationStatus
from bokgu.api.redaction import redact_quote
from bokgu.core.live_state import LiveState
from bokgu.core.writes.new_deployment import describe_revision
from bokgu.core.writes.write import DEPLOYMENT_FAILED, Change, Effect, Touches, request_arguments

_STOPPING = frozenset(
    {
        "STOP_REQUESTED",
        "ROLLBACK_REQUESTED",
        "ROLLBACK_IN_PROGRESS",
        "ROLLBACK_SUCCESSFUL",
        "ROLLBACK_FAILED",
        "STOPPED",
    }
)
"""States of a service deployment that was stopped, by us or by ECS itself (API_ServiceDeployment)."""

_FAILED = frozenset({"ROLLBACK_FAILED", "STOPPED"})
"""States in which it ended without the revision before."""

IN_FLIGHT = frozenset({"PENDING", "IN_PROGRESS"})
"""States in which a service deployment can be stopped."""


class StopDeployment:
    """Where the rollback is under way already, "StopServiceDeployment continues the rollback" (Amazon ECS Developer
    Guide, "Stopping Amazon ECS service deployments"). It makes no service revision and no service deployment."""

    touches = Touches.REVISION
    repeatable = True
    shown_for: timedelta | None = None

    def find_effect(self, intent: Intent, live: LiveState) -> Effect:
        """The deployment is on its way back, whoever asked for it."""
        deployment = _stopped_one(intent, live)
        seen = deployment is not None and deployment.status in _STOPPING
        return Effect(seen, service_revision_arn=deployment.rollback_revision_arn if deployment and seen else None)

    def find_change(self, operation: OperationStatus, live: LiveState, ours: frozenset[str]) -> Change | None:
        """Another service deployment has begun, the rollback has failed, or goes elsewhere."""
        intent, current = operation.intent, live.service.current_service_deployment
        if intent is None:
            return Change("nothing was stopped")
        stopped = request_arguments(intent.request)["serviceDeploymentArn"]
        primary = live.service.primary
        if current != stopped and not (primary and primary.id in ours):
            return Change(f"service deployment {current} replaced {stopped}, which was stopped")
        deployment = _stopped_one(intent, live)
        if deployment is None:
            return None
        if deployment.status in _FAILED:
            return Change(
                f"the rollback ended as {deployment.status}: {redact_quote(deployment.status_reason)}",
                foreign=False,
                reason=DEPLOYMENT_FAILED,
            )
        if deployment.status == "SUCCESSFUL":
            return Change("the deployment ended before it was stopped")
        goes_to = deployment.rollback_revision_arn
        if goes_to and intent.restores and goes_to != intent.restores:
            return Change(f"ECS returns to {goes_to}, not to {intent.restores}")
        return None

    def complete(self, operation: OperationStatus, live: LiveState) -> bool:
        """ECS has returned to the revision that was meant, and all tasks run on it."""
        intent = operation.intent
        deployment = _stopped_one(intent, live) if intent else None
        return (
            intent is not None
            and deployment is not None
            and deployment.status == "ROLLBACK_SUCCESSFUL"
            and live.service.steady
            and live.service.service_revision_arn == (intent.restores or deployment.rollback_revision_arn)
        )

    def describe(self, operation: OperationStatus, live: LiveState) -> str:
        """The task definition before and now."""
        return describe_revision(operation, live)


def _stopped_one(intent: Intent, live: LiveState) -> DescribedDeployment | None:
    arn = request_arguments(intent.request)["serviceDeploymentArn"]
    return live.deployment if live.deployment and live.deployment.arn == arn else None
