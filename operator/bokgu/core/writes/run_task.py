"""RunTask: a task of its own starts, does its work and ends."""

from datetime import timedelta

from bokgu.api.fields import bounded
from bokgu.api.observed import Task
from bokgu.api.recovery_plan import Intent, OperationStatus
from bokgu.api.redaction import redact_quote
from bokgu.core.live_state import LiveState
from bokgu.core.writes.write import Change, Effect, Touches, request_arguments, summarise

TASK_FAILED = "TaskFailed"
"""Reason of a step whose task did not start, or ended with another exit code than 0."""

STOPPED_SHOWN = timedelta(hours=1)
"""For at least so long ECS shows a task that has stopped (API_DescribeTasks), and knows its clientToken."""

ROOM = 2000
"""Characters of an output that quotes the end of a log; `output` of a status takes 2048."""


class RunTask:
    """Sent twice with one clientToken it starts one task (API_RunTask)."""

    touches = Touches.NOTHING
    repeatable = True
    shown_for: timedelta | None = STOPPED_SHOWN

    def find_effect(self, intent: Intent, live: LiveState) -> Effect:
        """A task that was started by the intent's token."""
        token = request_arguments(intent.request)["startedBy"]
        found = tuple(sorted(t.arn for t in live.runs.values() if t.started_by == token))
        return Effect(seen=bool(found), made=found)

    def find_change(self, operation: OperationStatus, live: LiveState, ours: frozenset[str]) -> Change | None:
        """The task has failed."""
        task = _made_one(operation, live)
        if task is None or task.last_status != "STOPPED" or _succeeded(task):
            return None
        return Change(_describe_end(task), foreign=False, reason=TASK_FAILED)

    def complete(self, operation: OperationStatus, live: LiveState) -> bool:
        """The task has ended, its essential containers with exit code 0."""
        task = _made_one(operation, live)
        return task is not None and task.last_status == "STOPPED" and _succeeded(task)

    def describe(self, operation: OperationStatus, live: LiveState) -> str:
        """How it ended, with the end of its log."""
        task = _made_one(operation, live)
        if task is None:
            return summarise(live.service)
        return _describe_end(task) if task.last_status == "STOPPED" else f"task {task.id} is {task.last_status}"


def _made_one(operation: OperationStatus, live: LiveState) -> Task | None:
    made = operation.answer.made if operation.answer else ()
    return next((live.runs[arn] for arn in made if arn in live.runs), None)


def _succeeded(task: Task) -> bool:
    return bool(task.containers) and all(c.exit_code == 0 for c in task.containers)


def _describe_end(task: Task) -> str:
    """Exit codes, ECS's words, and the last lines of the log without what may be secret."""
    codes = ", ".join(
        f"{c.name} exited with {c.exit_code}" if c.exit_code is not None else f"{c.name} has no exit code"
        for c in task.containers
    )
    reasons = (task.stopped_reason, *(c.reason for c in task.containers))
    why = ", ".join(dict.fromkeys(redact_quote(reason) for reason in reasons if reason))
    head = bounded(f"task {task.id}: {codes}; {task.stop_code}: {why}", ROOM)
    kept: list[str] = []
    for line in (redact_quote(line) for line in reversed(task.last_lines)):
        if len("\n".join([head, line, *kept])) > ROOM:
            break
        kept.insert(0, line)
    return "\n".join([head, *kept])
