"""Guards: the gates before every AWS write (S6). Each is a small check; all are asked, none raises.

A guard that cannot tell blocks. A changed precondition is no gate: it ends the plan (S4).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from bokgu.api.fields import bounded
from bokgu.api.meta import Gate
from bokgu.api.observed import DescribedDeployment, EcsService
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import OperationStatus, Preconditions, RecoveryPlan, RecoveryPlanStatus, Step
from bokgu.api.role_grants import ROLE_NOT_ALLOWED
from bokgu.api.vocabulary import Action, Mode
from bokgu.core.actions.rollback import returns_elsewhere
from bokgu.core.approval.tally import Tally
from bokgu.core.live_state import LiveState
from bokgu.core.writes.stop_deployment import IN_FLIGHT
from bokgu.core.writes.table import find_change, write_of
from bokgu.core.writes.write import Touches, took_effect

SUSPEND_TAG = "bokgu:suspend"
"""A tag on the ECS service that blocks at once, without kubectl. Any value but `false` counts."""


SUSPENDED = "Suspended"
"""Reason of a plan, and type of the condition, while people hold it before its next step."""

TARGET_ALREADY_PROTECTED = "TargetAlreadyProtected"
"""Reason of a ProtectedService that is the younger of two for one ECS service."""


@dataclass(frozen=True)
class GuardFacts:
    """What the checks look at.

    `service` is the live read, `problem` why there is none, `deployment` the service deployment in flight. `elder` is
    an older ProtectedService of the same ECS service, `at_work` another plan of the service that has begun and is not
    over. `mitigated` says that the trouble has gone away and was not seen since, `frozen_by` names an open incident of
    corrupted data on the service. `role_refused` says why configuration does not let the namespace assume the service's
    role.
    """

    plan: RecoveryPlan
    step: Step
    protected_service: ProtectedService | None
    service: EcsService | None
    problem: str | None
    tally: Tally
    elder: str | None
    role_refused: str | None
    at_work: str | None
    now: datetime
    mitigated: bool = False
    frozen_by: str | None = None
    deployment: DescribedDeployment | None = None


def evaluate_gates(facts: GuardFacts) -> tuple[Gate, ...]:
    """Ask every guard, in the order that a person would. Before the people have spoken the service is not read."""
    asked = facts.service is not None or facts.problem is not None
    return tuple(check(facts) for check in (*CHECKS, *LIVE_CHECKS)[: None if asked else len(CHECKS)])


def first_blocking(gates: tuple[Gate, ...]) -> Gate | None:
    """The first gate that blocks, or None where all let the work go on."""
    return next((gate for gate in gates if not gate.passed), None)


APPROVED = "Approved"
"""The gate that people open. A plan that waits for it is no blocked plan, it awaits approval."""


def _gate(name: str, reason: str, passed: bool, *, value: str = "", limit: str = "", message: str = "") -> Gate:
    why = {} if passed else {"reason": reason, "message": bounded(message)}
    return Gate(name=name, passed=passed, value=bounded(value) or None, limit=bounded(limit) or None, **why)


def _protected(facts: GuardFacts) -> Gate:
    protected, pinned = facts.protected_service, facts.plan.status.target
    if protected is None:
        name = facts.plan.spec.service_ref.name
        message = f"there is no ProtectedService {name}: create it, then the plan goes on"
        return _gate("Protected", "NotProtected", False, message=message)
    return _gate(
        "Protected",
        "TargetChanged",
        pinned is None or pinned == protected.spec.target,
        message="the ProtectedService names another ECS service than the plan was made for",
    )


def _role_allowed(facts: GuardFacts) -> Gate:
    """A role that is another team's lends its power to whoever names it (IAM User Guide, "The confused deputy
    problem")."""
    pinned, protected = facts.plan.status.target, facts.protected_service
    target = pinned or (protected.spec.target if protected else None)
    return _gate(
        "RoleAllowed",
        ROLE_NOT_ALLOWED,
        facts.role_refused is None,
        value=(target.role_arn if target else None) or "",
        message=facts.role_refused or "",
    )


def _only_protector(facts: GuardFacts) -> Gate:
    return _gate(
        "SoleProtector",
        TARGET_ALREADY_PROTECTED,
        facts.elder is None,
        value=facts.elder or "",
        message=f"{facts.elder} protects the same ECS service: remove one of them",
    )


def list_holders(plan: RecoveryPlan, protected: ProtectedService | None) -> list[str]:
    """What people have suspended the plan with, in Kubernetes."""
    holders = []
    if plan.spec.suspend:
        holders.append("spec.suspend of the plan")
    if protected and protected.spec.suspend:
        holders.append("spec.suspend of the ProtectedService")
    return holders


def _not_suspended(facts: GuardFacts) -> Gate:
    holders = list_holders(facts.plan, facts.protected_service)
    if facts.service and facts.service.tags.get(SUSPEND_TAG, "false").lower() != "false":
        holders.append(f"the tag {SUSPEND_TAG} on the ECS service")
    return _gate(
        "NotSuspended", SUSPENDED, not holders, value=", ".join(holders), message=f"held by {', '.join(holders)}"
    )


def _mode(facts: GuardFacts) -> Gate:
    mode = facts.protected_service.spec.mode if facts.protected_service else Mode.OBSERVE
    return _gate(
        "Mode",
        "ModeForbids",
        mode.runs,
        value=mode,
        limit=f"{Mode.APPROVE}, {Mode.AUTO}",
        message=f"the mode of the ProtectedService is {mode}: plans run only in the modes Approve and Auto",
    )


def _action_allowed(facts: GuardFacts) -> Gate:
    allowed = facts.protected_service.spec.allowed_actions if facts.protected_service else ()
    action = facts.step.action
    return _gate(
        "ActionAllowed",
        "ActionNotAllowed",
        action in allowed or not action.writes,
        value=action,
        limit=", ".join(allowed) or "none",
        message=f"the ProtectedService does not allow {action}: add it to spec.allowedActions",
    )


def _approved(facts: GuardFacts) -> Gate:
    tally = facts.tally
    return _gate(
        APPROVED,
        "ApprovalsMissing",
        tally.approved,
        value=tally.count,
        limit=", ".join(tally.required),
        message=tally.message,
    )


def _still_needed(facts: GuardFacts) -> Gate:
    begun = facts.plan.status.started_at is not None
    return _gate(
        "StillNeeded",
        "Mitigated",
        begun or not facts.mitigated,
        message="the trouble has gone away; should it come back while the plan is valid, the plan goes on",
    )


def _not_frozen(facts: GuardFacts) -> Gate:
    """Corrupted data: whatever is changed now may make it worse or destroy the traces (KNOWLEDGE, DataCorruption)."""
    return _gate(
        "NotFrozen",
        "DataCorruption",
        facts.frozen_by is None or not facts.step.action.writes,
        value=facts.frozen_by or "",
        message=f"{facts.frozen_by} reports corrupted data: a person must look before anything is changed",
    )


def _lock_free(facts: GuardFacts) -> Gate:
    active = facts.protected_service.status.active_plan if facts.protected_service else None
    holder = active.name if active and active.uid != facts.plan.metadata.uid else facts.at_work
    return _gate(
        "ServiceFree",
        "ServiceBusy",
        holder is None,
        value=holder or "",
        message=f"plan {holder} is changing the service: one change at a time",
    )


def _readable(facts: GuardFacts) -> Gate:
    return _gate(
        "ServiceReadable",
        "ServiceUnreadable",
        facts.service is not None,
        value=facts.problem or "",
        message=f"ECS did not describe the service: {facts.problem}",
    )


def _supported(facts: GuardFacts) -> Gate:
    service = facts.service
    if service is None:
        return _gate(
            "ServiceSupported", "ServiceUnsupported", False, message="not known while ECS does not describe the service"
        )
    found = find_unsupported(service)
    if found is None:
        return _gate("ServiceSupported", "ServiceUnsupported", True, value=service.scheduling_strategy, limit="REPLICA")
    return _gate("ServiceSupported", "ServiceUnsupported", False, **found)


def find_unsupported(service: EcsService) -> dict[str, str] | None:
    """Why the service is of a kind that is not driven, as value, limit and message of a gate; None where it is."""
    if service.status != "ACTIVE":
        return {"value": service.status, "message": f"the service is {service.status}"}
    if service.controller != "ECS":
        message = f"its deployment controller is {service.controller}: only ECS is driven"
        return {"value": service.controller, "limit": "ECS", "message": message}
    if service.scheduling_strategy == "DAEMON":
        return {"value": "DAEMON", "limit": "REPLICA", "message": "a DAEMON service is not driven"}
    return None


def _no_deployment(facts: GuardFacts) -> Gate:
    """A rollback may stop the deployment in flight, where ECS then returns to the revision that is meant."""
    service, step = facts.service, facts.step
    message = None
    if service is None or service.deploying:
        message = "ECS is deploying: what to do is decided when that has ended"
    stoppable = facts.deployment is not None and facts.deployment.status in IN_FLIGHT
    if message and step.action is Action.ROLLBACK and facts.deployment and stoppable:
        message = returns_elsewhere(facts.deployment, (step.parameters and step.parameters.service_revision_arn) or "")
    return _gate(
        "NoDeployment",
        "DeploymentInProgress",
        message is None,
        value=", ".join(f"{d.id} {d.rollout_state}" for d in service.deployments) if service else "",
        message=message or "",
    )


def _within_limits(facts: GuardFacts) -> Gate:
    wanted = facts.step.parameters.desired_count if facts.step.parameters else None
    if facts.step.action is not Action.SCALE_OUT or wanted is None:
        return _gate("WithinLimits", "LimitExceeded", True)
    limit = facts.protected_service.spec.limits.max_desired_count if facts.protected_service else None
    more = facts.service is not None and wanted > facts.service.desired_count
    return _gate(
        "WithinLimits",
        "LimitExceeded",
        limit is not None and wanted <= limit and more,
        value=str(wanted),
        limit="none set" if limit is None else str(limit),
        message="set spec.limits.maxDesiredCount of the ProtectedService"
        if limit is None
        else f"{wanted} tasks are outside what is allowed: more than now, at most {limit}",
    )


Check = Callable[[GuardFacts], Gate]
CHECKS: tuple[Check, ...] = (_protected, _role_allowed, _only_protector, _mode, _action_allowed, _approved)
"""What people and configuration decide."""

LIVE_CHECKS: tuple[Check, ...] = (
    _not_suspended,
    _still_needed,
    _not_frozen,
    _lock_free,
    _readable,
    _supported,
    _no_deployment,
    _within_limits,
)
"""What the service itself must be asked; asked once it was read, or could not be."""


def changed_precondition(preconditions: Preconditions, service: EcsService) -> str | None:
    """What is not as it was when the plan was made, or None (S4)."""
    found = [
        f"{name} was {then}, is {now}"
        for name, then, now in (
            ("the service revision", preconditions.service_revision_arn, service.service_revision_arn),
            ("the service deployment", preconditions.service_deployment_arn, service.current_service_deployment),
            ("desiredCount", preconditions.desired_count, service.desired_count),
        )
        if then is not None and then != now
    ]
    return bounded("; ".join(found)) if found else None


def find_surprise(plan: RecoveryPlan, status: RecoveryPlanStatus, live: LiveState) -> str | None:
    """What is neither as the plan was made for nor as its own steps left it, or None (S4)."""
    expected = plan.spec.preconditions
    latest: dict[Touches, OperationStatus] = {}
    for operation in status.steps:
        if operation.intent is None or not took_effect(operation):
            continue
        touches = write_of(operation.intent.request).touches
        latest[touches] = operation
        expected = expected.model_copy(update=_no_more_expected(touches, live.service))
    changes = (find_change(operation, live) for operation in latest.values())
    return changed_precondition(expected, live.service) or next((c.message for c in changes if c), None)


def _no_more_expected(touches: Touches, service: EcsService) -> dict[str, object]:
    """What the plan itself has changed, so that it need not be as it was before."""
    match touches:
        case Touches.COUNT:
            return {"desired_count": service.desired_count}
        case Touches.REVISION:
            return {"service_revision_arn": None, "service_deployment_arn": None}
