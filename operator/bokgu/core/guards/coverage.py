"""What configuration allows: that the service is protected, by one, and how far it may be touched."""

from bokgu.api.meta import Gate
from bokgu.api.role_grants import ROLE_NOT_ALLOWED
from bokgu.api.vocabulary import Action, Mode
from bokgu.core.allow_lists import find_unlisted, listed
from bokgu.core.giving_back import allowed_by
from bokgu.core.guards.facts import GuardFacts
from bokgu.core.guards.gate import build_gate
from bokgu.core.load import TARGET_ALREADY_PROTECTED
from bokgu.core.scaling_limits import most_wanted


def check_protected(facts: GuardFacts) -> Gate:
    """A ProtectedService lets the service be touched, and names the one that the plan was made for."""
    protected = facts.protected_service
    pinned = (facts.plan.status.target, facts.plan.spec.preconditions.target)
    if protected is None:
        name = facts.plan.spec.service_ref.name
        message = f"there is no ProtectedService {name}: create it, then the plan goes on"
        return build_gate("Protected", "NotProtected", False, message=message)
    return build_gate(
        "Protected",
        "TargetChanged",
        all(target in {None, protected.spec.target} for target in pinned),
        message="the ProtectedService names another ECS service than the plan was made for",
    )


def check_role_allowed(facts: GuardFacts) -> Gate:
    """A role that is another team's lends its power to whoever names it (IAM User Guide, "The confused deputy
    problem")."""
    pinned, protected = facts.plan.status.target, facts.protected_service
    target = pinned or (protected.spec.target if protected else None)
    return build_gate(
        "RoleAllowed",
        ROLE_NOT_ALLOWED,
        facts.role_refused is None,
        value=(target.role_arn if target else None) or "",
        message=facts.role_refused or "",
    )


def check_only_protector(facts: GuardFacts) -> Gate:
    """Of two ProtectedServices of one ECS service the older one counts."""
    return build_gate(
        "SoleProtector",
        TARGET_ALREADY_PROTECTED,
        facts.elder is None,
        value=facts.elder or "",
        message=f"{facts.elder} protects the same ECS service: remove one of them",
    )


def check_mode(facts: GuardFacts) -> Gate:
    """The mode lets plans run."""
    mode = facts.protected_service.spec.mode if facts.protected_service else Mode.OBSERVE
    return build_gate(
        "Mode",
        "ModeForbids",
        mode.runs,
        value=mode,
        limit=f"{Mode.APPROVE}, {Mode.AUTO}",
        message=f"the mode of the ProtectedService is {mode}: plans run only in the modes Approve and Auto",
    )


def check_action_allowed(facts: GuardFacts) -> Gate:
    """The ProtectedService allows the action of the step."""
    allowed = facts.protected_service.spec.allowed_actions if facts.protected_service else ()
    action = allowed_by(facts.plan, facts.step)
    if action is Action.REGISTER:
        return _reregister_allowed(facts)
    return build_gate(
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
    return build_gate(
        "ActionAllowed",
        "ActionNotAllowed",
        allowed,
        value=Action.REGISTER,
        limit=f"{Action.ROLLBACK} with spec.rollback.reregister",
        message="the ProtectedService lets no copy of a task definition be registered: set spec.rollback.reregister,"
        f" and add {Action.ROLLBACK} to spec.allowedActions",
    )


def check_listed(facts: GuardFacts) -> Gate:
    """What a task or an execution may do is beyond what Bokgu may: only what is listed is started."""
    unlisted, step = find_unlisted(facts.step, facts.protected_service), facts.step
    value = step.parameters and (step.parameters.document_name or step.parameters.task_definition)
    return build_gate(
        "Listed",
        "NotListed",
        unlisted is None,
        value=(value or "") if step.action.runs else "",
        limit=", ".join(listed(step.action, facts.protected_service)),
        message=unlisted or "",
    )


def check_within_limits(facts: GuardFacts) -> Gate:
    """Nothing is scaled out beyond what the ProtectedService allows (S11)."""
    wanted = most_wanted(facts.step)
    if facts.step.action is not Action.SCALE_OUT or wanted is None:
        return build_gate("WithinLimits", "LimitExceeded", True)
    limit = facts.protected_service.spec.limits.max_desired_count if facts.protected_service else None
    count = facts.step.parameters.desired_count if facts.step.parameters else None
    more = facts.service is not None and count is not None and count > facts.service.desired_count
    return build_gate(
        "WithinLimits",
        "LimitExceeded",
        limit is not None and wanted <= limit and more,
        value=str(wanted),
        limit="none set" if limit is None else str(limit),
        message="set spec.limits.maxDesiredCount of the ProtectedService"
        if limit is None
        else f"{wanted} tasks are outside what is allowed: more than now, at most {limit}",
    )
