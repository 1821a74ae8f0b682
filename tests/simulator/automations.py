"""Systems Manager Automation: the documents there are, and their executions in time."""

from dataclasses import dataclass, field
from typing import Literal, get_args

from .aws_protocol import Json
from .clock import Clock

Result = Literal["Success", "Failed", "TimedOut"]

PENDING_SECONDS = 2.0
"""Simulated: from StartAutomationExecution until the first step runs. AWS gives no figure."""
CANCELLING_SECONDS = 3.0
"""Simulated: how long an execution that is stopped is Cancelling. AWS gives no figure."""
ASSUME_ROLE = "AutomationAssumeRole"
"""The parameter by which most documents are told their role; every document here takes it."""


@dataclass(frozen=True)
class Document:
    """An Automation document (runbook), and what becomes of its executions after `seconds` (simulated).

    `required` and `optional` are the names of its parameters; `optional` None: it takes any.
    """

    name: str
    seconds: float = 60.0
    result: Result = "Success"
    message: str = ""
    outputs: dict[str, list[str]] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    optional: frozenset[str] | None = None

    def find_flaw(self, parameters: Json) -> str | None:
        """What is wrong with the parameters of an execution."""
        if missing := self.required - parameters.keys():
            return f"Missing required parameter: {', '.join(sorted(missing))} in user inputs."
        known = self.required | {ASSUME_ROLE}
        if self.optional is not None and (unknown := parameters.keys() - known - self.optional):
            return f"Document {self.name} has no parameter {', '.join(sorted(unknown))}."
        return None


@dataclass
class Execution:
    """One execution of a document as it was when it started. `fingerprint` stands for the request that began it."""

    id: str
    document: Document
    parameters: Json
    mode: str
    tags: dict[str, str]
    executed_by: str
    started_at: float
    fingerprint: str
    stop_type: str | None = None
    stopped_at: float | None = None

    @property
    def step_id(self) -> str:
        """The ID of its only step."""
        return f"{self.id[:-1]}{(int(self.id[-1], 16) + 1) % 16:x}"


class Automations:
    """The documents and executions of one account and region. The owner holds a lock around every use.

    Nothing needs to happen for time to pass: what an execution is follows from the clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.documents: dict[str, Document] = {}
        self.executions: dict[str, Execution] = {}
        self.tokens: dict[str, str] = {}
        """The execution that each client token began."""

    def declare(self, request: Json) -> Json:
        """From now on there is this document, or it is as `request` says; executions under way stay as they are.

        ValueError for what is not known or not right.
        """
        known = {"document", "seconds", "result", "message", "outputs", "required", "optional"}
        if unknown := request.keys() - known:
            raise ValueError(f"unknown members: {', '.join(sorted(unknown))}")
        if request.get("result", "Success") not in get_args(Result):
            raise ValueError(f"result must be one of {', '.join(get_args(Result))}")
        if (seconds := float(request.get("seconds", 60.0))) < 0:
            raise ValueError("seconds cannot be negative")
        optional = request.get("optional")
        document = Document(
            request["document"],
            seconds,
            request.get("result", "Success"),
            request.get("message", ""),
            {name: [str(value) for value in values] for name, values in request.get("outputs", {}).items()},
            frozenset(request.get("required", ())),
            None if optional is None else frozenset(optional),
        )
        self.documents[document.name] = document
        return {}

    def status(self, execution: Execution, now: float) -> str:
        """The AutomationExecutionStatus at `now`."""
        if execution.stopped_at is not None:
            if execution.stop_type == "Complete":
                return "Success"
            return "Cancelling" if now < self._stop_ends_at(execution) else "Cancelled"
        if now < execution.started_at + self._clock.wall(PENDING_SECONDS):
            return "Pending"
        return "InProgress" if now < self._runs_until(execution) else execution.document.result

    def ended_at(self, execution: Execution, now: float) -> float | None:
        """When it ended; None: it has not, by `now`."""
        end = self._runs_until(execution) if execution.stopped_at is None else self._stop_ends_at(execution)
        return end if end <= now else None

    def stop(self, execution: Execution, stop_type: str, now: float) -> None:
        """Cancel or complete an execution under way."""
        execution.stop_type, execution.stopped_at = stop_type, now

    def _runs_until(self, execution: Execution) -> float:
        return execution.started_at + self._clock.wall(PENDING_SECONDS + execution.document.seconds)

    def _stop_ends_at(self, execution: Execution) -> float:
        assert execution.stopped_at is not None, "it was stopped"
        wait = 0.0 if execution.stop_type == "Complete" else CANCELLING_SECONDS
        return execution.stopped_at + self._clock.wall(wait)
