"""The Automation operations of AWS Systems Manager."""

import json
import re
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime

from .accounts import Caller
from .automations import Automations, Execution
from .aws_protocol import Json
from .clock import Clock
from .ecs import Identifiers
from .errors import AwsError
from .pages import cut_page

MAX_TAGS = 5
"""StartAutomationExecution, Tags: "You can specify a maximum of five tags for an automation"."""
MAX_PAGE = 50
"""DescribeAutomationExecutions, MaxResults: "Maximum value of 50"."""
MAX_FILTERS = 10
STEP = "run"
_TOKEN = re.compile(r"[a-fA-F0-9]{8}-[a-fA-F0-9]{4}-[a-fA-F0-9]{4}-[a-fA-F0-9]{4}-[a-fA-F0-9]{12}")
_ACTION = "aws:executeScript"
_FILTERS = frozenset(
    {
        "DocumentNamePrefix",
        "ExecutionStatus",
        "ExecutionId",
        "ParentExecutionId",
        "CurrentAction",
        "StartTimeBefore",
        "StartTimeAfter",
        "AutomationType",
        "TagKey",
        "TargetResourceGroup",
        "AutomationSubtype",
        "OpsItemId",
    }
)
"""API type AutomationExecutionFilter."""


class AutomationsApi:
    """Each method answers one operation for a caller: parameters in, members of the answer out, AwsError else."""

    def __init__(self, automations: Automations, clock: Clock, identifiers: Identifiers) -> None:
        self._automations = automations
        self._clock = clock
        self._identifiers = identifiers
        self.operations: dict[str, Callable[[Json, Caller], Json]] = {
            "StartAutomationExecution": self.start,
            "GetAutomationExecution": self.get,
            "DescribeAutomationExecutions": self.describe,
            "StopAutomationExecution": self.stop,
        }

    def start(self, request: Json, caller: Caller) -> Json:
        """StartAutomationExecution.

        ClientToken: "must be unique, is case insensitive, … and can't be reused". IdempotentParameterMismatch is for a
        retry whose "parameters don't match the original call". For one whose parameters match AWS has no words; here,
        as idempotence means elsewhere, it returns the execution that the token began, ended or not.
        """
        token = request.get("ClientToken", "").lower()
        if token and not _TOKEN.fullmatch(token):
            raise AwsError("ValidationException", f"Value '{token}' at 'clientToken' must be a UUID.")
        fingerprint = json.dumps({**request, "ClientToken": token}, sort_keys=True)
        if token in self._automations.tokens:
            earlier = self._automations.executions[self._automations.tokens[token]]
            if earlier.fingerprint != fingerprint:
                raise AwsError(
                    "IdempotentParameterMismatch",
                    "An execution with this client token exists already, and its parameters are different.",
                )
            return {"AutomationExecutionId": earlier.id}
        name = request["DocumentName"].rsplit("/", 1)[-1]
        document = self._automations.documents.get(name)
        if document is None:
            raise AwsError("AutomationDefinitionNotFoundException", f"Automation definition {name} was not found.")
        if request.get("DocumentVersion", "$DEFAULT") not in ("$DEFAULT", "$LATEST", "1"):
            raise AwsError(
                "AutomationDefinitionVersionNotFoundException",
                f"Automation definition {name} has no version {request['DocumentVersion']}.",
            )
        parameters, tags = request.get("Parameters", {}), request.get("Tags", [])
        flaw = document.find_flaw(parameters)
        if flaw is None and len(tags) > MAX_TAGS:
            flaw = f"An automation can have at most {MAX_TAGS} tags."
        if flaw is not None:
            raise AwsError("InvalidAutomationExecutionParametersException", flaw)
        execution = Execution(
            id=str(uuid.UUID(hex=self._identifiers.hex_id(), version=4)),
            document=document,
            parameters=parameters,
            mode=request.get("Mode", "Auto"),
            tags={tag["Key"]: tag["Value"] for tag in tags},
            executed_by=caller.arn,
            started_at=self._clock.now(),
            fingerprint=fingerprint,
        )
        self._automations.executions[execution.id] = execution
        if token:
            self._automations.tokens[token] = execution.id
        return {"AutomationExecutionId": execution.id}

    def get(self, request: Json, _caller: Caller) -> Json:
        """GetAutomationExecution: the execution has one step."""
        execution, now = self._get(request), self._clock.now()
        shape = self._shape(execution, now)
        step = {
            "StepExecutionId": execution.step_id,
            "StepName": STEP,
            "Action": _ACTION,
            "StepStatus": shape["AutomationExecutionStatus"],
        }
        for name in ("ExecutionEndTime", "FailureMessage"):
            if name in shape:
                step[name] = shape[name]
        if shape["AutomationExecutionStatus"] != "Pending":
            step["ExecutionStartTime"] = execution.started_at
        return {
            "AutomationExecution": {
                **shape,
                "StepExecutions": [step],
                "StepExecutionsTruncated": False,
                "Parameters": execution.parameters,
            }
        }

    def describe(self, request: Json, _caller: Caller) -> Json:
        """DescribeAutomationExecutions, newest first: those that pass every filter.

        A filter passes what has one of its values; TagKey compares keys of tags.
        """
        filters = request.get("Filters", [])
        if len(filters) > MAX_FILTERS:
            raise AwsError("ValidationException", f"There can be at most {MAX_FILTERS} filters.")
        for wanted in filters:
            if wanted["Key"] not in _FILTERS:
                raise AwsError("InvalidFilterKey", f"The filter key {wanted['Key']} isn't valid.")
        size = request.get("MaxResults", MAX_PAGE)
        if not 1 <= size <= MAX_PAGE:
            raise AwsError("ValidationException", f"MaxResults must be between 1 and {MAX_PAGE}.")
        now = self._clock.now()
        found = [
            execution
            for execution in reversed(self._automations.executions.values())
            if all(self._passes(execution, wanted["Key"], wanted["Values"], now) for wanted in filters)
        ]
        page, token = cut_page(found, request.get("NextToken"), size)
        shapes = [{**self._shape(execution, now), "AutomationType": "Local"} for execution in page]
        return {"AutomationExecutionMetadataList": shapes, **({} if token is None else {"NextToken": token})}

    def stop(self, request: Json, _caller: Caller) -> Json:
        """StopAutomationExecution: Cancel (the default) or Complete, which ends it with Success.

        InvalidAutomationStatusUpdateException when it has ended. AWS does not say what Complete makes of the status.
        """
        execution, now = self._get(request), self._clock.now()
        if self._automations.ended_at(execution, now) is not None:
            status = self._automations.status(execution, now)
            raise AwsError(
                "InvalidAutomationStatusUpdateException",
                f"Execution {execution.id} is {status} and can't be stopped.",
            )
        if execution.stopped_at is None:
            self._automations.stop(execution, request.get("Type", "Cancel"), now)
        return {}

    def _get(self, request: Json) -> Execution:
        id_ = request["AutomationExecutionId"]
        execution = self._automations.executions.get(id_)
        if execution is None:
            raise AwsError("AutomationExecutionNotFoundException", f"Automation execution {id_} was not found.")
        return execution

    def _passes(self, execution: Execution, key: str, values: Sequence[str], now: float) -> bool:
        match key:
            case "DocumentNamePrefix":
                return execution.document.name.startswith(tuple(values))
            case "ExecutionStatus":
                return self._automations.status(execution, now) in values
            case "ExecutionId":
                return execution.id in values
            case "CurrentAction":
                return self._is_running(execution, now) and _ACTION in values
            case "StartTimeBefore":
                return any(execution.started_at <= _read_time(value) for value in values)
            case "StartTimeAfter":
                return any(execution.started_at >= _read_time(value) for value in values)
            case "AutomationType":
                return "Local" in values
            case "TagKey":
                return not execution.tags.keys().isdisjoint(values)
        # No execution here has a parent, a resource group, a subtype or an OpsItem.
        return False

    def _is_running(self, execution: Execution, now: float) -> bool:
        return self._automations.status(execution, now) in ("InProgress", "Cancelling")

    def _shape(self, execution: Execution, now: float) -> Json:
        """What AutomationExecution and AutomationExecutionMetadata have in common."""
        document, ended_at = execution.document, self._automations.ended_at(execution, now)
        status = self._automations.status(execution, now)
        shape: Json = {
            "AutomationExecutionId": execution.id,
            "DocumentName": document.name,
            "DocumentVersion": "1",
            "ExecutionStartTime": execution.started_at,
            "AutomationExecutionStatus": status,
            "ExecutedBy": execution.executed_by,
            "Mode": execution.mode,
            "Outputs": document.outputs if status == "Success" else {},
        }
        if ended_at is not None:
            shape["ExecutionEndTime"] = ended_at
        if status in ("Failed", "TimedOut"):
            shape["FailureMessage"] = document.message or f"Step {STEP} ended with {status}."
        if self._is_running(execution, now):
            shape |= {"CurrentStepName": STEP, "CurrentAction": _ACTION}
        return shape


def _read_time(value: str) -> float:
    """Seconds since the epoch of an ISO 8601 time; InvalidFilterValue for another text."""
    try:
        return datetime.fromisoformat(value).timestamp()
    except ValueError as error:
        raise AwsError("InvalidFilterValue", f"{value} isn't a time such as 2026-01-01T00:00:00Z.") from error
