"""StopTask: the task ends, and where it is one of a service, ECS starts a new one."""

from datetime import timedelta

from bokgu.api.observed import Task
from bokgu.api.recovery_plan import Intent, OperationStatus
from bokgu.api.redaction import redact_quote
from bokgu.core.live_state import LiveState
from bokgu.core.writes.token import stable_token
from bokgu.core.writes.write import Change, Effect, Touches, request_arguments, summarise


class StopTask:
    """Sent to a task that has stopped it does nothing (API_StopTask)."""

    touches = Touches.NOTHING
    repeatable = True
    shown_for: timedelta | None = None

    def find_effect(self, intent: Intent, live: LiveState) -> Effect:
        """The task has stopped or is about to, whoever asked for it; ECS forgets stopped tasks after an hour."""
        task = _stopped_one(intent, live)
        return Effect(seen=not _must_be_seen(intent, live) if task is None else task.stopped)

    def find_change(self, operation: OperationStatus, live: LiveState, ours: frozenset[str]) -> Change | None:
        """While the new task starts, somebody deploys or sets another count. A task of its own is not replaced."""
        intent, primary = operation.intent, live.service.primary
        if intent is None:
            return Change("nothing was stopped")
        if live.tasks is None:
            return None
        if primary is None or primary.id not in {*intent.before.deployment_ids, *ours}:
            return Change(f"deployment {primary.id if primary else 'none'} began while the task was replaced")
        if live.service.desired_count != intent.before.desired_count:
            was = intent.before.desired_count
            return Change(f"desiredCount was {was}, is {live.service.desired_count} while the task was replaced")
        return None

    def complete(self, operation: OperationStatus, live: LiveState) -> bool:
        """The task has ended, and the service runs as many as it wants where it was one of its own."""
        if operation.intent is None:
            return False
        task = _stopped_one(operation.intent, live)
        if task is None and _must_be_seen(operation.intent, live):
            return False
        if task is not None and task.arn in live.runs:
            return task.last_status == "STOPPED"
        return (task is None or task.last_status == "STOPPED") and live.service.steady

    def describe(self, operation: OperationStatus, live: LiveState) -> str:
        """Which task, and why it ended in ECS's words."""
        if operation.intent is None:
            return summarise(live.service)
        arguments, task = request_arguments(operation.intent.request), _stopped_one(operation.intent, live)
        name = arguments["task"].rpartition("/")[2]
        why = f" ({redact_quote(task.stopped_reason)})" if task and task.stopped_reason else ""
        by = ", not by Bokgu" if task and task.stopped_reason and not _is_ours(task, operation.intent) else ""
        return f"task {name} stopped{by}{why}; {summarise(live.service)}"


def _is_ours(task: Task, intent: Intent) -> bool:
    """Whether the reason is the one that we gave. Own patterns may hide words of it, not the token."""
    given = request_arguments(intent.request)["reason"]
    return task.stopped_reason == given or stable_token(intent.token) in task.stopped_reason


def _must_be_seen(intent: Intent, live: LiveState) -> bool:
    """Whether the absence of the task says nothing: one that was run is stopped by the role that ran it, and each of
    those is read by itself."""
    return intent.role_arn is not None or live.tasks is None


def _stopped_one(intent: Intent, live: LiveState) -> Task | None:
    return {**(live.tasks or {}), **live.runs}.get(request_arguments(intent.request)["task"])
