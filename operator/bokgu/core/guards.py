"""Guards: the gates before every AWS write (S6). Each is a small check; all are asked, none raises.

A guard that cannot tell blocks. A changed precondition is no gate: it ends the plan (S4).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from bokgu.api.fields import bounded
from bokgu.api.meta import Gate
from bokgu.api.observed import (
    DescribedDeployment,
    EcsService,
    ScalableTarget,
)
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import (
    OperationStatus,
    Preconditions,
    RecoveryPlan,
    RecoveryPlanStatus,
    ScalableRange,
    Step,
)
from bokgu.api.role_grants import ROLE_NOT_ALLOWED
from bokgu.api.vocabulary import Action, Mode
from bokgu.core.actions.rollback import returns_elsewhere
from bokgu.core.allow_lists import find_unlisted, listed
from bokgu.core.approval.tally import Tally
from bokgu.core.freeze import Freeze
from bokgu.core.giving_back import allowed_by, find_raised
from bokgu.core.live_state import LiveState
from bokgu.core.owners import STACK_NAME_TAG, find_stack, is_updating
from bokgu.core.scaling_limits import SCALING, find_floor, find_misfit, find_other_owner, most_wanted
from bokgu.core.support import find_unsupported, kind_of
from bokgu.core.task_health import find_obstacle
from bokgu.core.writes.stop_deployment import IN_FLIGHT
from bokgu.core.writes.table import find_change, write_of
from bokgu.core.writes.write import Touches, record_range, request_arguments, took_effect

SUSPEND_TAG = "bokgu:suspend"
"""A tag on the ECS service that blocks at once, without kubectl. Any value but `false` counts."""


SUSPENDED = "Suspended"
"""Reason of a plan, and type of the condition, while people hold it before its next step."""

NOT_ROLLING_BACK = "EcsNotRollingBack"
"""The gate that is closed while ECS itself takes a deployment back."""

OWNER_IDLE = "OwnerIdle"
"""The gate that is closed while the CloudFormation stack of the service is being updated."""

ROLLING_BACK = frozenset({"ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS"})
"""Service deployments that ECS takes back now (ServiceDeploymentStatus of Amazon ECS)."""

TARGET_ALREADY_PROTECTED = "TargetAlreadyProtected"
"""Reason of a ProtectedService that is the younger of two for one ECS service."""


@dataclass(frozen=True)
class GuardFacts:
    """What the checks look at.

    `live` is what AWS says now, `problem` why that could not be read. `elder` is an older ProtectedService of the same
    ECS service, `at_work` another plan of the service that has begun and is not over. `mitigated` says that the trouble
    has gone away and was not seen since, `frozen_by` is an open incident that keeps plans from changing the service.
    `role_refused` says why configuration does not let the namespace assume the service's role.
    """

    plan: RecoveryPlan
    step: Step
    protected_service: ProtectedService | None
    live: LiveState | None
    problem: str | None
    tally: Tally
    elder: str | None
    role_refused: str | None
    at_work: str | None
    now: datetime
    mitigated: bool = False
    frozen_by: Freeze | None = None

    @property
    def service(self) -> EcsService | None:
        """The ECS service as read just now; None where it could not be read."""
        return None if self.live is None else self.live.service

    @property
    def deployment(self) -> DescribedDeployment | None:
        """Its service deployment in flight, or the one that the plan stopped."""
        return None if self.live is None else self.live.deployment

    @property
    def scalable_target(self) -> ScalableTarget | None:
        """What Application Auto Scaling owns of it."""
        return None if self.live is None else self.live.scalable_target


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
    action = allowed_by(facts.plan, facts.step)
    if action is Action.REGISTER:
        return _reregister_allowed(facts)
    return _gate(
        "ActionAllowed",
        "ActionNotAllowed",
        action in allowed or not action.writes,
        value=action,
        limit=", ".join(allowed) or "none",
        message=f"the ProtectedService does not allow {action}: add it to spec.allowedActions",
    )


def _reregister_allowed(facts: GuardFacts) -> Gate:
    """A copy is registered for a rollback alone."""
    spec = facts.protected_service.spec if facts.protected_service else None
    allowed = spec is not None and spec.rollback.reregister and Action.ROLLBACK in spec.allowed_actions
    return _gate(
        "ActionAllowed",
        "ActionNotAllowed",
        allowed,
        value=Action.REGISTER,
        limit=f"{Action.ROLLBACK} with spec.rollback.reregister",
        message="the ProtectedService lets no copy of a task definition be registered: set spec.rollback.reregister,"
        f" and add {Action.ROLLBACK} to spec.allowedActions",
    )


def _listed(facts: GuardFacts) -> Gate:
    """What a task or an execution may do is beyond what Bokgu may: only what is listed is started."""
    unlisted, step = find_unlisted(facts.step, facts.protected_service), facts.step
    value = step.parameters and (step.parameters.document_name or step.parameters.task_definition)
    return _gate(
        "Listed",
        "NotListed",
        unlisted is None,
        value=(value or "") if step.action.runs else "",
        limit=", ".join(listed(step.action, facts.protected_service)),
        message=unlisted or "",
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
        begun or not facts.mitigated or facts.step.action is Action.SCALE_IN,
        message="the trouble has gone away; should it come back while the plan is valid, the plan goes on",
    )


def _not_frozen(facts: GuardFacts) -> Gate:
    """What an open incident forbids, whatever people approve (KNOWLEDGE, DataCorruption and SecretOrConfigFailure)."""
    freeze, running = facts.frozen_by, facts.service.running_count if facts.service else 1
    if freeze is None or not freeze.holds(facts.step.action, running):
        return _gate("NotFrozen", "Frozen", True)
    return _gate("NotFrozen", freeze.reason, False, value=freeze.incident, message=freeze.message)


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
    found = find_unsupported(service, facts.step.action)
    if found is None:
        return _gate("ServiceSupported", "ServiceUnsupported", True, value=kind_of(service))
    return _gate(
        "ServiceSupported",
        "ServiceUnsupported",
        False,
        value=found.value,
        limit=found.limit,
        message=found.message,
    )


def _owner_idle(facts: GuardFacts) -> Gate:
    """What is changed while CloudFormation updates a stack, it does not expect: the stack fails, or fights it back."""
    service, status = facts.service, facts.live.stack_status if facts.live else None
    if service is None:
        message = "not known while ECS does not describe the service"
        return _gate(OWNER_IDLE, "OwnerUnreadable", False, message=message)
    stack = find_stack(service)
    if stack is None or not facts.step.action.writes:
        return _gate(OWNER_IDLE, "OwnerUpdating", True)
    owner = f"CloudFormation stack {service.tags.get(STACK_NAME_TAG) or stack}"
    if isinstance(status, str):
        return _gate(
            OWNER_IDLE,
            "OwnerUpdating",
            not is_updating(status),
            value=status,
            limit="nothing in progress",
            message=f"{owner} owns the service and is {status}: the plan goes on when that is done",
        )
    said = "it was not asked" if status is None else f"{status.code}: {status.message}"
    message = (
        f"{owner} owns the service, and whether it is being updated cannot be read:"
        f" allow cloudformation:DescribeStacks on it. {said}"
    )
    return _gate(OWNER_IDLE, "OwnerUnreadable", False, value=owner, message=message)


def _not_rolling_back(facts: GuardFacts) -> Gate:
    """ECS rolls back by itself: what it does is seen first, and nothing is done against it."""
    deployment, action = facts.deployment, facts.step.action
    if deployment is None:
        # Every other write waits for the end of a deployment anyway.
        unknown = facts.service is None or (facts.service.deploying and action is Action.ROLLBACK)
        message = "ECS is deploying, and does not describe that deployment: whether it rolls back is not known"
        return _gate(NOT_ROLLING_BACK, "DeploymentUnreadable", not unknown, message=message)
    rolling = deployment.status in ROLLING_BACK and not _asked_for(facts.plan, deployment)
    why = deployment.rollback_reason or deployment.status_reason
    return _gate(
        NOT_ROLLING_BACK,
        "EcsRollsBack",
        not rolling or not action.writes,
        value=deployment.status,
        message=f"ECS is already rolling back: what to do is decided when that has ended. {why}".rstrip(),
    )


def _asked_for(plan: RecoveryPlan, deployment: DescribedDeployment) -> bool:
    """Whether the plan itself has asked ECS for this rollback (StopServiceDeployment)."""
    requests = (o.intent.request for s in plan.status.steps for o in (s, s.rollback) if o and o.intent)
    stops = (request_arguments(r) for r in requests if r.operation == "StopServiceDeployment")
    return any(arguments["serviceDeploymentArn"] == deployment.arn for arguments in stops)


def _no_hook(facts: GuardFacts) -> Gate:
    """A deployment that waits for a person: only the way back does not take the decision from them."""
    hook, action = facts.deployment.waiting_hook if facts.deployment else None, facts.step.action
    return _gate(
        "NoHookWaiting",
        "HookWaiting",
        hook is None or action is Action.ROLLBACK or not action.writes,
        value=hook or "",
        message=f"the deployment waits at {hook}: continue it or roll it back there (ContinueServiceDeployment)",
    )


def _no_deployment(facts: GuardFacts) -> Gate:
    """A rollback may stop the deployment in flight, where ECS then returns to the revision that is meant."""
    service, step = facts.service, facts.step
    message = None
    if service is None or service.deploying:
        message = "ECS is deploying: what to do is decided when that has ended"
    if step.action is Action.ROLLBACK and facts.deployment and facts.deployment.status in IN_FLIGHT:
        meant = facts.plan.spec.preconditions.service_deployment_arn == facts.deployment.arn
        wanted = (step.parameters and step.parameters.service_revision_arn) or ""
        unnamed = (
            f"{facts.deployment.arn} is in flight, and the plan's preconditions.serviceDeploymentArn does not name it:"
            " make a new plan to stop it"
        )
        message = returns_elsewhere(facts.deployment, wanted) if meant else unnamed
    return _gate(
        "NoDeployment",
        "DeploymentInProgress",
        message is None,
        value=", ".join(f"{d.id} {d.rollout_state}" for d in service.deployments) if service else "",
        message=message or "",
    )


def _trouble_gone(facts: GuardFacts) -> Gate:
    """Fewer tasks while the trouble lasts would be the second incident."""
    return _gate(
        "TroubleGone",
        "TroubleLasts",
        facts.mitigated or facts.step.action is not Action.SCALE_IN,
        message="the trouble is there, or nobody says that it has gone: nothing is scaled in meanwhile",
    )


def _find_scaling_problem(facts: GuardFacts, find: Callable[[EcsService], str | None]) -> str | None:
    if facts.step.action not in SCALING:
        return None
    return "not known while AWS does not describe the service" if facts.service is None else find(facts.service)


def _count_owner(facts: GuardFacts) -> Gate:
    problem = _find_scaling_problem(facts, lambda _: find_other_owner(facts.step, facts.scalable_target))
    owner = "Application Auto Scaling" if facts.scalable_target else "the service"
    return _gate("CountOwner", "AnotherOwner", problem is None, value=owner, message=problem or "")


def _count_in_range(facts: GuardFacts) -> Gate:
    target = facts.scalable_target
    problem = _find_scaling_problem(facts, lambda service: find_misfit(facts.step, service, target))
    return _gate(
        "CountInRange",
        "OutsideRange",
        problem is None,
        value=str(facts.service.desired_count) if facts.service else "",
        limit=f"{target.minimum} to {target.maximum}" if target else "",
        message=problem or "",
    )


def _scale_in_floor(facts: GuardFacts) -> Gate:
    problem = _find_scaling_problem(facts, lambda service: find_floor(facts.plan, facts.step, service))
    return _gate("ScaleInFloor", "BelowFloor", problem is None, message=problem or "")


def _within_limits(facts: GuardFacts) -> Gate:
    wanted = most_wanted(facts.step)
    if facts.step.action is not Action.SCALE_OUT or wanted is None:
        return _gate("WithinLimits", "LimitExceeded", True)
    limit = facts.protected_service.spec.limits.max_desired_count if facts.protected_service else None
    count = facts.step.parameters.desired_count if facts.step.parameters else None
    more = facts.service is not None and count is not None and count > facts.service.desired_count
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


def _others_well(facts: GuardFacts) -> Gate:
    """StopTask asks nobody: what must stay running is looked after here."""
    live, stops = facts.live, facts.step.action is Action.STOP_UNHEALTHY_TASKS
    obstacle = find_obstacle(facts.plan, facts.step, live.tasks if live else None, facts.service) if stops else None
    return _gate("OtherTasksWell", "TasksNotWell", obstacle is None, message=obstacle or "")


def _copy_needed(facts: GuardFacts) -> Gate:
    """A copy of a task definition is for a rollback of the same plan, which ECS would refuse without it."""
    if facts.step.action is not Action.REGISTER:
        return _gate("CopyNeeded", "CopyNotNeeded", True)
    copied = facts.step.parameters.task_definition if facts.step.parameters else None
    position = next((i for i, s in enumerate(facts.plan.spec.steps) if s.name == facts.step.name), 0)
    later = [s.parameters for s in facts.plan.spec.steps[position + 1 :] if s.action is Action.ROLLBACK]
    known = facts.live.revisions if facts.live else {}
    restored = [known.get(p.service_revision_arn or "") for p in later if p]
    definition, message = facts.live.task_definition if facts.live else None, None
    if not any(revision and revision.task_definition == copied for revision in restored):
        message = f"no later rollback of the plan restores a service revision with {copied}: nothing needs a copy of it"
    elif definition is None or definition.arn != copied:
        message = f"ECS does not describe {copied}: whether it is INACTIVE is not known"
    elif definition.active:
        message = f"{copied} is ACTIVE: ECS deploys it as it is"
    return _gate("CopyNeeded", "CopyNotNeeded", message is None, value=copied or "", message=message or "")


Check = Callable[[GuardFacts], Gate]
CHECKS: tuple[Check, ...] = (_protected, _role_allowed, _only_protector, _mode, _action_allowed, _listed, _approved)
"""What people and configuration decide."""

LIVE_CHECKS: tuple[Check, ...] = (
    _not_suspended,
    _still_needed,
    _not_frozen,
    _lock_free,
    _readable,
    _supported,
    _owner_idle,
    _not_rolling_back,
    _no_hook,
    _no_deployment,
    _within_limits,
    _trouble_gone,
    _count_owner,
    _count_in_range,
    _scale_in_floor,
    _others_well,
    _copy_needed,
)
"""What the service itself must be asked; asked once it was read, or could not be."""


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
