"""StopDeployment of CodeDeploy with autoRollbackEnabled: a deployment of its own gives the traffic back."""

from datetime import timedelta

from bokgu.api.observed import CodeDeployment
from bokgu.api.recovery_plan import Intent, OperationStatus
from bokgu.api.redaction import redact_quote
from bokgu.core.live_state import LiveState
from bokgu.core.writes.write import DEPLOYMENT_FAILED, Change, Effect, Touches, request_arguments, summarise

_FAILED = frozenset({"Failed", "Stopped"})
"""States in which a rollback ended without the task set from before (DeploymentStatus of CodeDeploy)."""


class StopCodeDeployment:
    """Sent to a deployment that has ended it does nothing: CodeDeploy says DeploymentAlreadyCompletedException
    (API_StopDeployment)."""

    touches = Touches.REVISION
    repeatable = True
    shown_for: timedelta | None = None

    def find_effect(self, intent: Intent, live: LiveState) -> Effect:
        """The deployment was stopped or is taken back, whoever asked for it."""
        stopped = _stopped_one(intent, live)
        return Effect(seen=stopped is not None and (stopped.status == "Stopped" or stopped.rollback_id is not None))

    def find_change(self, operation: OperationStatus, live: LiveState, ours: frozenset[str]) -> Change | None:
        """Another deployment has begun, this one ended by itself, or its rollback has failed."""
        if operation.intent is None:
            return Change("nothing was stopped")
        stopped = _stopped_one(operation.intent, live)
        if stopped is None:
            return None
        known = {*operation.intent.before.deployment_ids, *ours}
        fresh = (d for d in live.service.deployments if d.id not in known)
        began = next((d for d in fresh if (d.code_deployment_id or d.id) != stopped.rollback_id), None)
        if began is not None:
            made_by = began.code_deployment_id or began.id
            return Change(f"CodeDeploy deployment {made_by} began after {stopped.id} was stopped")
        if stopped.status == "Succeeded" or (stopped.status == "Failed" and stopped.rollback_id is None):
            return Change(f"{_describe(stopped)}: it ended before it was stopped")
        rollback = _rollback_of(stopped, live)
        if rollback is not None and rollback.status in _FAILED:
            return Change(f"the rollback failed: {_describe(rollback)}", foreign=False, reason=DEPLOYMENT_FAILED)
        return None

    def complete(self, operation: OperationStatus, live: LiveState) -> bool:
        """CodeDeploy has gone back, and all tasks run the task definition that was meant."""
        stopped = _stopped_one(operation.intent, live) if operation.intent else None
        rollback = _rollback_of(stopped, live) if stopped else None
        return (
            operation.intent is not None
            and rollback is not None
            and rollback.status == "Succeeded"
            and live.service.steady
            and live.service.task_definition == operation.intent.restores
        )

    def describe(self, operation: OperationStatus, live: LiveState) -> str:
        """The deployment and its rollback, and the service."""
        stopped = _stopped_one(operation.intent, live) if operation.intent else None
        rollback = _rollback_of(stopped, live) if stopped else None
        told = [_describe(one) for one in (stopped, rollback) if one]
        return "; ".join([*told, summarise(live.service)])


def _stopped_one(intent: Intent, live: LiveState) -> CodeDeployment | None:
    return live.code_deployments.get(request_arguments(intent.request)["deploymentId"])


def _rollback_of(stopped: CodeDeployment, live: LiveState) -> CodeDeployment | None:
    """The deployment that takes it back, once CodeDeploy has begun one."""
    return live.code_deployments.get(stopped.rollback_id) if stopped.rollback_id else None


def _describe(deployment: CodeDeployment) -> str:
    what = f"rollback {deployment.id} of {deployment.rolls_back}" if deployment.rolls_back else deployment.id
    why = f" ({redact_quote(deployment.error)})" if deployment.error else ""
    return f"CodeDeploy deployment {what} is {deployment.status}{why}"
