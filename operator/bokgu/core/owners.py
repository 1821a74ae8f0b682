"""Who else sets a service, and will set it again: told from its tags and fields.

Terraform, OpenTofu and Pulumi leave no mark on what they make: a service of theirs looks like one made by hand.
"""

from dataclasses import dataclass
from enum import StrEnum

from bokgu.api.observed import EcsService
from bokgu.api.vocabulary import Level

STACK_NAME_TAG = "aws:cloudformation:stack-name"
STACK_ID_TAG = "aws:cloudformation:stack-id"
"""Tags that CloudFormation puts on what it owns (CloudFormation User Guide, "Resource tags")."""

ACK_TAG = "services.k8s.aws/controller-version"
ACK_NAMESPACE_TAG = "services.k8s.aws/namespace"
"""Tags that AWS Controllers for Kubernetes put on what they own (ACK, "Managing Tags on your AWS Resources")."""


class OwnerKind(StrEnum):
    """What owns the service."""

    CLOUDFORMATION = "CloudFormation"
    ACK = "ACK"
    CODE_DEPLOY = "CodeDeploy"
    EXTERNAL = "External"
    EXPRESS = "Express"


@dataclass(frozen=True)
class Owner:
    """Who else sets the service. `name` is for people, `arn` the stack of CloudFormation. `reverts` says when it sets
    the service again, `likely` how probable that is while an incident lasts."""

    kind: OwnerKind
    name: str
    reverts: str
    likely: Level
    arn: str | None = None


def find_owner(service: EcsService) -> Owner | None:
    """Who owns the service; None where it shows nobody."""
    stack, tags = find_stack(service), service.tags
    if service.resource_management_type == "ECS":
        return Owner(OwnerKind.EXPRESS, "ECS Express Mode", "at UpdateExpressGatewayService", Level.MEDIUM)
    if service.controller == "CODE_DEPLOY":
        return Owner(OwnerKind.CODE_DEPLOY, "CodeDeploy", "at its next deployment", Level.MEDIUM)
    if service.controller != "ECS":
        return Owner(OwnerKind.EXTERNAL, "the external deployment controller", "whenever it likes", Level.HIGH)
    if stack is not None:
        name = tags.get(STACK_NAME_TAG) or stack
        return Owner(OwnerKind.CLOUDFORMATION, f"CloudFormation stack {name}", _STACK_REVERTS, Level.MEDIUM, arn=stack)
    if ACK_TAG in tags or ACK_NAMESPACE_TAG in tags:
        of = f" of namespace {namespace}" if (namespace := tags.get(ACK_NAMESPACE_TAG)) else ""
        return Owner(OwnerKind.ACK, f"the ACK controller{of}", _ACK_REVERTS, Level.HIGH)
    return None


_STACK_REVERTS = "at its next update of the service, where its template names it"
"""CloudFormation compares templates, not the service; an update of the service sends what the template names, and
leaves desiredCount alone where it names none (AWS re:Post, "Why did the running task count change")."""

_ACK_REVERTS = "at the next change of its spec, and every 10 hours"
"""ACK, "Recovering from Drift": the service is compared with the spec every 10 hours, and set back."""


def find_stack(service: EcsService) -> str | None:
    """The CloudFormation stack that owns the service, by ARN, else by name."""
    return service.tags.get(STACK_ID_TAG) or service.tags.get(STACK_NAME_TAG) or None


def is_updating(stack_status: str) -> bool:
    """Whether CloudFormation is at work on a stack of that status, its clean-up and its own rollback too (API_Stack,
    StackStatus)."""
    return stack_status.endswith("_IN_PROGRESS")
