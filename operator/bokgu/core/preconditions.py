"""What must be as it was when the plan was made, but for what the plan itself has changed (S4)."""

from bokgu.api.fields import bounded
from bokgu.api.observed import EcsService
from bokgu.api.recovery_plan import (
    OperationStatus,
    Preconditions,
    RecoveryPlan,
    RecoveryPlanStatus,
    ScalableRange,
    Step,
)
from bokgu.core.giving_back import find_raised
from bokgu.core.live_state import LiveState
from bokgu.core.writes.table import find_change, write_of
from bokgu.core.writes.write import Touches, record_range, took_effect


def changed_precondition(preconditions: Preconditions, live: LiveState) -> str | None:
    """What is not as it was when the plan was made, or None (S4)."""
    service, scalable = live.service, record_range(live.scalable_target)
    found = [
        f"{name} was {_shown(then)}, is {_shown(now)}"
        for name, then, now in (
            ("the service revision", preconditions.service_revision_arn, service.service_revision_arn),
            ("the service deployment", preconditions.service_deployment_arn, service.current_service_deployment),
            ("desiredCount", preconditions.desired_count, service.desired_count),
            ("the range of Application Auto Scaling", preconditions.scalable_target, scalable),
        )
        if then is not None and then != now
    ]
    return bounded("; ".join(found)) if found else None


def _shown(found: object) -> str:
    if not isinstance(found, ScalableRange):
        return str(found)
    suspended = f" without {', '.join(found.suspended)}" if found.suspended else ""
    return f"{found.min_capacity} to {found.max_capacity}{suspended}"


def find_surprise(plan: RecoveryPlan, status: RecoveryPlanStatus, step: Step, live: LiveState) -> str | None:
    """What is neither as the plan was made for nor as its own steps left it, or None (S4).

    Where the step gives a raised minimum back, only that must still be as it was set.
    """
    if (raised := find_raised(plan, status, step)) is not None:
        change = find_change(raised, live)
        return change.message if change else None
    expected = plan.spec.preconditions
    latest: dict[Touches, OperationStatus] = {}
    for operation in status.steps:
        if operation.intent is None or not took_effect(operation):
            continue
        touches = write_of(operation.intent.request).touches
        if touches is Touches.NOTHING:
            continue
        latest[touches] = operation
        expected = expected.model_copy(update=_no_more_expected(touches, live.service))
    changes = (find_change(operation, live) for operation in latest.values())
    return changed_precondition(expected, live) or next((c.message for c in changes if c), None)


def _no_more_expected(touches: Touches, service: EcsService) -> dict[str, object]:
    """What the plan itself has changed, so that it need not be as it was before."""
    match touches:
        case Touches.COUNT:
            return {"desired_count": service.desired_count, "scalable_target": None}
        case Touches.REVISION:
            return {"service_revision_arn": None, "service_deployment_arn": None}
        case Touches.NOTHING:
            return {}
