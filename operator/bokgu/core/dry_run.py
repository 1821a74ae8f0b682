"""Dry run: a plan runs as always, and what it would send to AWS is written down and not sent."""

from datetime import datetime

from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import AwsRequest, RecoveryPlanStatus
from bokgu.api.recovery_policy import RecoveryPolicy
from bokgu.api.vocabulary import OperationPhase

DRY_RUN = "DryRun"
"""Reason of a step whose write was not sent, of its plan and of the incident; type of the plan's condition."""


def find_dry_run(protected: ProtectedService | None, policy: RecoveryPolicy | None) -> str | None:
    """What asks that nothing be sent, or None."""
    if protected is not None and protected.spec.dry_run:
        return "spec.dryRun of the ProtectedService"
    if policy is not None and policy.spec.dry_run:
        return "spec.dryRun of the RecoveryPolicy"
    return None


def is_rehearsal(status: RecoveryPlanStatus) -> bool:
    """Whether a write of the plan was not sent: then nothing else of it is, whoever changes their mind meanwhile. What
    comes later would rest on what was never done."""
    return any(step.phase is OperationPhase.SKIPPED and step.reason == DRY_RUN for step in status.steps)


def began_writing(status: RecoveryPlanStatus) -> datetime | None:
    """When a plan began that has stored a write; None of one that has changed nothing yet. Of one that lists no steps
    it is assumed that it has."""
    acted = not status.steps or any(step.intent for step in status.steps)
    return status.started_at if acted else None


def describe_unsent(request: AwsRequest, role_arn: str | None) -> str:
    """What would have been sent: service, operation, as whom, and the arguments as canonical JSON."""
    whom = role_arn or "the operator itself"
    return f"dry run: would have sent {request.service} {request.operation} as {whom}: {request.arguments}"


def describe_unknown(why: str) -> str:
    """What is said of a write after one that was not sent, where the effect of that would be needed to tell."""
    return f"dry run: what would have been sent is not known, as nothing was done before it: {why}"


def describe_rehearsal(status: RecoveryPlanStatus) -> str:
    """What the plan has done, and would have."""
    sent = [step.name for step in status.steps if step.intent]
    done = f"sent before it: {', '.join(sent)}" if sent else "nothing was done"
    unsent = (step.output or "" for step in status.steps if step.reason == DRY_RUN)
    return f"{done}. {'; '.join(unsent)}"
