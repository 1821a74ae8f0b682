"""StartAutomationExecution and StopAutomationExecution of AWS Systems Manager."""

from datetime import timedelta

from bokgu.api.observed import AutomationExecution
from bokgu.api.recovery_plan import AwsRequest, Intent, OperationStatus
from bokgu.api.redaction import redact_quote
from bokgu.core.live_state import LiveState
from bokgu.core.writes.token import INTENT_TAG
from bokgu.core.writes.write import Change, Effect, Touches, request_arguments, summarise

SUCCEEDED = frozenset({"Success", "CompletedWithSuccess"})
FAILED = frozenset(
    {"TimedOut", "Cancelled", "Failed", "Rejected", "ChangeCalendarOverrideRejected", "CompletedWithFailure", "Exited"}
)
OVER = SUCCEEDED | FAILED
"""AutomationExecutionStatus of executions that have ended (API_AutomationExecution)."""

AUTOMATION_FAILED = "AutomationFailed"
"""Reason of a step whose execution did not succeed."""


class StartAutomation:
    """Its ClientToken "can't be reused" (API_StartAutomationExecution): sent twice it starts one execution."""

    touches = Touches.NOTHING
    repeatable = True
    shown_for: timedelta | None = None

    def find_effect(self, intent: Intent, live: LiveState) -> Effect:
        """An execution with the intent's tag."""
        execution = execution_of(intent.request, live)
        return Effect(seen=execution is not None, made=(execution.id,) if execution else ())

    def find_change(self, operation: OperationStatus, live: LiveState, ours: frozenset[str]) -> Change | None:
        """The execution has failed, or was stopped."""
        execution = _made_one(operation, live)
        if execution is None or execution.status not in FAILED:
            return None
        return Change(_describe(execution), foreign=False, reason=AUTOMATION_FAILED)

    def complete(self, operation: OperationStatus, live: LiveState) -> bool:
        """It has succeeded."""
        execution = _made_one(operation, live)
        return execution is not None and execution.status in SUCCEEDED

    def describe(self, operation: OperationStatus, live: LiveState) -> str:
        """Where it stands."""
        execution = _made_one(operation, live)
        return _describe(execution) if execution else summarise(live.service)


class StopAutomation:
    """Sent to an execution that is being cancelled it changes nothing."""

    touches = Touches.NOTHING
    repeatable = True
    shown_for: timedelta | None = None

    def find_effect(self, intent: Intent, live: LiveState) -> Effect:
        """The execution is on its way to its end, or there."""
        execution = execution_of(intent.request, live)
        return Effect(seen=execution is not None and execution.status in OVER | {"Cancelling"})

    def find_change(self, operation: OperationStatus, live: LiveState, ours: frozenset[str]) -> Change | None:
        """Nothing brings it back."""
        return None

    def complete(self, operation: OperationStatus, live: LiveState) -> bool:
        """It has ended."""
        execution = execution_of(operation.intent.request, live) if operation.intent else None
        return execution is not None and execution.status in OVER

    def describe(self, operation: OperationStatus, live: LiveState) -> str:
        """Where it stands."""
        execution = execution_of(operation.intent.request, live) if operation.intent else None
        return _describe(execution) if execution else summarise(live.service)


def execution_of(request: AwsRequest, live: LiveState) -> AutomationExecution | None:
    """The execution that the request started, by its tag, or stops, by its id."""
    key = request_arguments(request).get("AutomationExecutionId") or find_tag(request)
    return live.executions.get(key) if key else None


def find_tag(request: AwsRequest) -> str | None:
    """The tag by which the execution is found: executions are filtered by the keys of their tags alone
    (API_AutomationExecutionFilter), so the token is in the key."""
    keys: list[str] = [tag["Key"] for tag in request_arguments(request).get("Tags", ())]
    return next((key for key in keys if key.startswith(INTENT_TAG)), None)


def _made_one(operation: OperationStatus, live: LiveState) -> AutomationExecution | None:
    made = operation.answer.made if operation.answer else ()
    return next((live.executions[id_] for id_ in made if id_ in live.executions), None)


def _describe(execution: AutomationExecution) -> str:
    why = f": {redact_quote(execution.failure_message)}" if execution.failure_message else ""
    return f"execution {execution.id} of {execution.document} is {execution.status}{why}"
