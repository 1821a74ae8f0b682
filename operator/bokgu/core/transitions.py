"""The state machine of a plan as a table: which phase may follow which, why, and by when each one ends.

`core.execution` raises where a pass would write anything else; docs/execution.md is made from it; the tests reach every
row, and no other.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

from bokgu.api.recovery_plan import OperationStatus, RecoveryPlanStatus, StepStatus
from bokgu.api.vocabulary import OperationPhase, PlanPhase

P = TypeVar("P", bound=StrEnum)


@dataclass(frozen=True)
class Row(Generic[P]):
    """One phase. `next` has the phases that may follow, each with why; `until` is by when it ends (core/deadlines.py),
    None for a phase that nothing follows."""

    until: str | None = None
    next: Mapping[P, str] = field(default_factory=dict)


_NEVER = {
    PlanPhase.REJECTED: "somebody rejects",
    PlanPhase.EXPIRED: "expiresAt has come",
    PlanPhase.CANCELLED: "its incident is over or gone, its world has changed, it is a copy, or it is deleted",
}
_BEGINS = "approved, all gates open, service and incident claimed"
_UNDO_BEGINS = "a step failed with onFailure RollBack, somebody rejects, or it is deleted; a step can be undone"
_GONE = "its service was deleted, or it was restored from a backup"
_FAILS = "a step failed and nothing is undone, or a person must look"

PLAN: Mapping[PlanPhase, Row[PlanPhase]] = {
    PlanPhase.PENDING: Row(
        "expiresAt",
        {
            PlanPhase.AWAITING_APPROVAL: "approvals are missing",
            PlanPhase.APPROVED: "approved, a gate is closed",
            PlanPhase.IN_PROGRESS: _BEGINS,
            **_NEVER,
        },
    ),
    PlanPhase.AWAITING_APPROVAL: Row(
        "expiresAt",
        {
            PlanPhase.APPROVED: "approved, a gate is closed",
            PlanPhase.IN_PROGRESS: _BEGINS,
            **_NEVER,
        },
    ),
    PlanPhase.APPROVED: Row(
        "expiresAt",
        {
            PlanPhase.AWAITING_APPROVAL: "an approval was withdrawn or has ended",
            PlanPhase.IN_PROGRESS: _BEGINS,
            **_NEVER,
        },
    ),
    PlanPhase.IN_PROGRESS: Row(
        "those of its steps, one after the other",
        {
            PlanPhase.VERIFYING: "the effect of a step is complete",
            PlanPhase.COMPLETED: "all steps are behind",
            PlanPhase.ROLLING_BACK: _UNDO_BEGINS,
            PlanPhase.FAILED: _FAILS,
            PlanPhase.CANCELLED: "stopped, or the world had changed, before anything was; a dry run; its service was"
            " deleted; or it was restored from a backup",
        },
    ),
    PlanPhase.VERIFYING: Row(
        "that of the step that is verified",
        {
            PlanPhase.IN_PROGRESS: "the step has passed or failed",
            PlanPhase.ROLLING_BACK: "somebody rejects, or it is deleted; a step can be undone",
            PlanPhase.FAILED: "somebody rejects, or it is deleted, and nothing can be undone",
            PlanPhase.CANCELLED: _GONE,
        },
    ),
    PlanPhase.ROLLING_BACK: Row(
        "those of its undos, one after the other",
        {
            PlanPhase.ROLLED_BACK: "all that can be undone is",
            PlanPhase.ROLLBACK_FAILED: "an undo failed",
            PlanPhase.CANCELLED: _GONE,
        },
    ),
    **{phase: Row[PlanPhase]() for phase in PlanPhase if phase.terminal},
}
"""The phases of a plan."""

_SETTLED = "its start and its timeout; later only while an answer may still be found (consistency delay)"

STEP: Mapping[OperationPhase, Row[OperationPhase]] = {
    OperationPhase.PENDING: Row(
        "the end of the step before and its timeout",
        {
            OperationPhase.IN_PROGRESS: "the intent is stored, or there is something to wait for",
            OperationPhase.COMPLETED: "it only had to look",
            OperationPhase.SKIPPED: "its work is done already, by ECS or by somebody else; or in a dry run",
            OperationPhase.FAILED: "no longer approved, its world has changed, blocked until its timeout, or stopped",
        },
    ),
    OperationPhase.IN_PROGRESS: Row(
        _SETTLED,
        {
            OperationPhase.PENDING: "AWS refused it before acting, or it never arrived: everything is asked again",
            OperationPhase.VERIFYING: "AWS has done what was asked, completely",
            OperationPhase.COMPLETED: "the same, and there is nothing to verify",
            OperationPhase.FAILED: "refused, changed by others, unknown, too late, or stopped",
        },
    ),
    OperationPhase.VERIFYING: Row(
        "its start, its timeout and that of its validation, or an hour for that while there is too little traffic",
        {
            OperationPhase.COMPLETED: "verified",
            OperationPhase.FAILED: "not verified, changed by others, too late, or stopped",
        },
    ),
    OperationPhase.FAILED: Row("at once, in the next pass", {OperationPhase.SKIPPED: "onFailure is Continue"}),
    OperationPhase.COMPLETED: Row(),
    OperationPhase.SKIPPED: Row(),
}
"""The phases of a step."""

UNDO: Mapping[OperationPhase, Row[OperationPhase]] = {
    OperationPhase.PENDING: Row(
        "its start, or that of the process that leads, and its step's timeout",
        {
            OperationPhase.IN_PROGRESS: "the intent is stored",
            OperationPhase.COMPLETED: "what was to be stopped has ended by itself",
            OperationPhase.FAILED: "somebody else has changed what the step set, or too late",
        },
    ),
    OperationPhase.IN_PROGRESS: Row(
        _SETTLED,
        {
            OperationPhase.PENDING: "AWS refused it before acting, or it never arrived: everything is asked again",
            OperationPhase.COMPLETED: "AWS has done what was asked, completely",
            OperationPhase.FAILED: "refused, changed by others, unknown, or too late",
        },
    ),
    OperationPhase.COMPLETED: Row(),
    OperationPhase.FAILED: Row(),
}
"""The phases of the undo of a step."""


class ForbiddenTransition(Exception):
    """A pass would write what the table does not have: a defect. Nothing of it is written."""


def moves(old: RecoveryPlanStatus, new: RecoveryPlanStatus) -> tuple[tuple[str, str, str], ...]:
    """The transitions between two statuses of one plan, each as (plan, step or undo; from; to)."""
    found = [("plan", str(old.phase), str(new.phase))]
    before: Iterable[StepStatus | None] = old.steps or (None,) * len(new.steps)
    for was, now in zip(before, new.steps, strict=True):
        found.append(("step", _phase(was), str(now.phase)))
        if now.rollback:
            found.append(("undo", _phase(was.rollback if was else None), str(now.rollback.phase)))
    return tuple(move for move in found if move[1] != move[2])


def check_moves(old: RecoveryPlanStatus, new: RecoveryPlanStatus) -> None:
    """Raise ForbiddenTransition for a move that is not in the table."""
    for move in moves(old, new):
        if move not in ALL:
            raise ForbiddenTransition(f"{move[0]}: {move[1]} → {move[2]} is no transition of the state machine")


def _phase(operation: OperationStatus | None) -> str:
    return str(operation.phase if operation else OperationPhase.PENDING)


ALL: Mapping[tuple[str, str, str], str] = {
    (kind, str(phase), str(after)): why
    for kind, table in (("plan", PLAN), ("step", STEP), ("undo", UNDO))
    for phase, row in table.items()
    for after, why in row.next.items()
}
"""Every transition: (plan, step or undo; from; to) and why."""
