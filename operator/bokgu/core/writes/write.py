"""What is asked about every write to AWS after its intent was stored.

Everything is judged against what the service was `before` (S3): ECS is eventually consistent, so seeing nothing proves
nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from typing import Any, Protocol

from bokgu.api.observed import EcsService, ScalableTarget
from bokgu.api.recovery_plan import AwsRequest, Before, Intent, OperationStatus, ScalableRange
from bokgu.core.live_state import LiveState


@dataclass(frozen=True)
class Effect:
    """What AWS shows of an intent. `ambiguous`: more happened than the intent explains."""

    seen: bool
    ambiguous: bool = False
    deployment_id: str | None = None
    service_revision_arn: str | None = None
    made: tuple[str, ...] = ()


FOREIGN_CHANGE = "ForeignChange"
"""Reason of what somebody else has changed meanwhile."""

DEPLOYMENT_FAILED = "DeploymentFailed"
"""Reason of a deployment of ours, or a rollback that we asked for, that failed."""


@dataclass(frozen=True)
class Change:
    """How the world differs from what an operation set. `foreign`: somebody else did it, or ECS by itself, and it is
    never undone; what is not is a failure. `reason` names it."""

    message: str
    foreign: bool = True
    reason: str = FOREIGN_CHANGE


class Touches(Enum):
    """What of the service a write changes; the last write of each kind is what the service must still hold."""

    COUNT = auto()
    REVISION = auto()
    NOTHING = auto()
    """Neither: the service must be as it was before, and what the write did needs no holding."""


class Write(Protocol):
    """One operation of an AWS API, as it is followed from its stored intent to its end."""

    touches: Touches
    repeatable: bool
    """Whether sending the request again is harmless when it did happen after all (S3)."""
    shown_for: timedelta | None
    """For how long AWS shows the effect and knows the request again, None for ever: later, that nothing is seen proves
    nothing, and it is not sent again."""

    def find_effect(self, intent: Intent, live: LiveState) -> Effect:
        """Look for the effect of a request whose answer is not known."""

    def find_change(self, operation: OperationStatus, live: LiveState, ours: frozenset[str]) -> Change | None:
        """What has become different since, or None while the world holds what was set. `operation` has an intent and an
        answer; `ours` are deployments that the same plan made later: they are nobody else's change."""

    def complete(self, operation: OperationStatus, live: LiveState) -> bool:
        """Whether AWS has done all that was asked, where nothing has changed since."""

    def describe(self, operation: OperationStatus, live: LiveState) -> str:
        """What it did, in one line for people."""


def build_request(service: str, operation: str, arguments: Mapping[str, Any]) -> AwsRequest:
    """A request as it is stored: the same arguments are always the same text."""
    text = json.dumps(arguments, sort_keys=True, separators=(",", ":"))
    return AwsRequest(service=service, operation=operation, arguments=text)


def request_arguments(request: AwsRequest) -> Mapping[str, Any]:
    """The arguments as a mapping."""
    arguments: dict[str, Any] = json.loads(request.arguments)
    return arguments


def observe_before(live: LiveState) -> Before:
    """The world as an intent records it."""
    service = live.service
    return Before(
        desired_count=service.desired_count,
        service_revision_arn=service.service_revision_arn,
        task_definition=service.task_definition,
        deployment_ids=service.deployment_ids[:16],
        scalable_target=record_range(live.scalable_target),
    )


def record_range(target: ScalableTarget | None) -> ScalableRange | None:
    """A scalable target as it stands in plans and intents."""
    if target is None:
        return None
    return ScalableRange(min_capacity=target.minimum, max_capacity=target.maximum, suspended=target.suspended)


def unchanged(before: Before, live: LiveState) -> bool:
    """Whether the world is exactly as it was found."""
    return observe_before(live) == before


def took_effect(operation: OperationStatus) -> bool:
    """Whether the operation is known to have changed something."""
    return operation.answer is not None and operation.answer.result in {"Accepted", "Adopted"}


def summarise(service: EcsService) -> str:
    """The service in one line, for people."""
    primary = service.primary
    state = f", deployment {primary.rollout_state}" if primary else ""
    definition = service.task_definition.rsplit("/", 1)[-1]
    return f"{service.running_count}/{service.desired_count} tasks running, {definition}{state}"
