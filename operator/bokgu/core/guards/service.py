"""The service itself: that it can be read and driven, and that nobody else is at work on it."""

from bokgu.api.meta import Gate
from bokgu.core.actions.code_deploy import stops_code_deployment
from bokgu.core.guards.facts import GuardFacts
from bokgu.core.guards.gate import build_gate
from bokgu.core.owners import STACK_NAME_TAG, find_stack, is_updating
from bokgu.core.support import find_unsupported, kind_of

OWNER_IDLE = "OwnerIdle"
"""The gate that is closed while the CloudFormation stack of the service is being updated."""


def check_readable(facts: GuardFacts) -> Gate:
    """ECS describes the service."""
    return build_gate(
        "ServiceReadable",
        "ServiceUnreadable",
        facts.service is not None,
        value=facts.problem or "",
        message=f"ECS did not describe the service: {facts.problem}",
    )


def check_supported(facts: GuardFacts) -> Gate:
    """The action is driven on a service of this kind."""
    service = facts.service
    if service is None:
        return build_gate(
            "ServiceSupported", "ServiceUnsupported", False, message="not known while ECS does not describe the service"
        )
    spec = facts.protected_service.spec if facts.protected_service else None
    opted_in = spec is not None and spec.rollback.code_deploy is not None and stops_code_deployment(facts.step)
    found = find_unsupported(service, facts.step.action, opted_in=opted_in)
    if found is None:
        return build_gate("ServiceSupported", "ServiceUnsupported", True, value=kind_of(service))
    return build_gate(
        "ServiceSupported",
        "ServiceUnsupported",
        False,
        value=found.value,
        limit=found.limit,
        message=found.message,
    )


def check_owner_idle(facts: GuardFacts) -> Gate:
    """What is changed while CloudFormation updates a stack, it does not expect: the stack fails, or fights it back."""
    service, status = facts.service, facts.live.stack_status if facts.live else None
    if service is None:
        message = "not known while ECS does not describe the service"
        return build_gate(OWNER_IDLE, "OwnerUnreadable", False, message=message)
    stack = find_stack(service)
    if stack is None or not facts.step.action.writes:
        return build_gate(OWNER_IDLE, "OwnerUpdating", True)
    owner = f"CloudFormation stack {service.tags.get(STACK_NAME_TAG) or stack}"
    if isinstance(status, str):
        return build_gate(
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
    return build_gate(OWNER_IDLE, "OwnerUnreadable", False, value=owner, message=message)


def check_lock_free(facts: GuardFacts) -> Gate:
    """No other plan is changing the service (S5)."""
    active = facts.protected_service.status.active_plan if facts.protected_service else None
    holder = active.name if active and active.uid != facts.plan.metadata.uid else facts.at_work
    return build_gate(
        "ServiceFree",
        "ServiceBusy",
        holder is None,
        value=holder or "",
        message=f"plan {holder} is changing the service: one change at a time",
    )
