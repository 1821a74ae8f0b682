"""The stacks of CloudFormation, as far as services belong to them: DescribeStacks, and what the control API sets."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from .aws_protocol import Json
from .clock import Clock
from .ecs import Ecs
from .errors import AwsError

NAME_TAG = "aws:cloudformation:stack-name"
ID_TAG = "aws:cloudformation:stack-id"
"""CloudFormation tags what it makes (user guide, "Resource tags")."""
SETTLED_STATUS = "UPDATE_COMPLETE"
"""Of a stack that a service's tags name and nobody said anything about."""
DELETED_STATUS = "DELETE_COMPLETE"
STATUSES = frozenset(
    {
        "CREATE_IN_PROGRESS",
        "CREATE_FAILED",
        "CREATE_COMPLETE",
        "ROLLBACK_IN_PROGRESS",
        "ROLLBACK_FAILED",
        "ROLLBACK_COMPLETE",
        "DELETE_IN_PROGRESS",
        "DELETE_FAILED",
        DELETED_STATUS,
        "UPDATE_IN_PROGRESS",
        "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
        SETTLED_STATUS,
        "UPDATE_FAILED",
        "UPDATE_ROLLBACK_IN_PROGRESS",
        "UPDATE_ROLLBACK_FAILED",
        "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
        "UPDATE_ROLLBACK_COMPLETE",
        "REVIEW_IN_PROGRESS",
        "IMPORT_IN_PROGRESS",
        "IMPORT_COMPLETE",
        "IMPORT_ROLLBACK_IN_PROGRESS",
        "IMPORT_ROLLBACK_FAILED",
        "IMPORT_ROLLBACK_COMPLETE",
    }
)
"""API type Stack, StackStatus."""


@dataclass
class Stack:
    """A stack. `id` is its ARN."""

    id: str
    name: str
    created_at: float
    status: str = SETTLED_STATUS
    updated_at: float | None = None
    reason: str | None = None


class Stacks:
    """The stacks of one account and region. The owner holds a lock around every use."""

    def __init__(self, ecs: Ecs, clock: Clock) -> None:
        self._ecs = ecs
        self._clock = clock
        self._set: dict[str, Stack] = {}
        self.operations: dict[str, Callable[[Json], Json]] = {"DescribeStacks": self.describe_stacks}

    def describe_stacks(self, request: Json) -> Json:
        """DescribeStacks: one by name or ID, or all. A deleted one is found by its ID only; ValidationError else."""
        reference = request.get("StackName")
        found = list(self._survey().values())
        if reference is None:
            return {"Stacks": [_shape(stack) for stack in found if stack.status != DELETED_STATUS]}
        for stack in found:
            if stack.id == reference or (stack.name == reference and stack.status != DELETED_STATUS):
                return {"Stacks": [_shape(stack)]}
        raise AwsError("ValidationError", f"Stack with id {reference} does not exist")

    def put(self, request: Json) -> Json:
        """From now on the stack, by name or ID, has this `status`, for this `reason`; it need not be known yet.

        ValueError for a status that CloudFormation does not know.
        """
        if (status := request["status"]) not in STATUSES:
            raise ValueError(f"status must be one of {', '.join(sorted(STATUSES))}")
        reference, now = request["stack"], self._clock.now()
        known = (s for s in self._survey().values() if reference in (s.id, s.name))
        stack = next(known, None) or self._make(reference, now)
        stack.status, stack.reason, stack.updated_at = status, request.get("reason"), now
        self._set[stack.id] = stack
        return {"stackId": stack.id}

    def _survey(self) -> dict[str, Stack]:
        """Every stack by ID: those that were set, and those that tags of services name."""
        found = dict(self._set)
        for service in self._ecs.services.values():
            id_, name = service.tags.get(ID_TAG), service.tags.get(NAME_TAG)
            if id_ is not None and name is not None and service.status != "INACTIVE":
                found.setdefault(id_, Stack(id_, name, service.created_at))
        return found

    def _make(self, reference: str, now: float) -> Stack:
        if reference.startswith("arn:"):
            return Stack(reference, reference.split("/")[1], now)
        place = f"arn:aws:cloudformation:{self._ecs.region}:{self._ecs.account}:stack"
        unique = uuid.UUID(hex=self._ecs.identifiers.hex_id(), version=4)
        return Stack(f"{place}/{reference}/{unique}", reference, now)


def _shape(stack: Stack) -> Json:
    """A Stack."""
    shape: Json = {
        "StackId": stack.id,
        "StackName": stack.name,
        "CreationTime": stack.created_at,
        "StackStatus": stack.status,
        "DisableRollback": False,
        "NotificationARNs": [],
        "Tags": [],
        "EnableTerminationProtection": False,
        "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
    }
    if stack.updated_at is not None:
        shape["LastUpdatedTime"] = stack.updated_at
    if stack.status == DELETED_STATUS:
        shape["DeletionTime"] = stack.updated_at
    if stack.reason is not None:
        shape["StackStatusReason"] = stack.reason
    return shape
