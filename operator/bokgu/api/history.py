"""What history keeps of an incident that is over: the shape of a record, whatever keeps it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from bokgu.api.fields import ApiModel, Arn, DecimalString, Line, Timestamp, Word
from bokgu.api.redaction import Foreign
from bokgu.api.vocabulary import IncidentType, OperationPhase, PlanPhase, Severity, Verdict

MAX_SIGNATURE = 48
"""Words of evidence that a record keeps."""

RecordId = Annotated[str, StringConstraints(min_length=1, max_length=255)]
"""uid of the Incident; records that were imported keep the id that they had."""

MAX_MINUTES = 10 * 365 * 24 * 60
"""No incident took longer: what says so was counted in something else."""


def check_moment(moment: datetime) -> datetime:
    """The moment in UTC, which it is in where it does not say. Raises ValueError where it is not of this millennium:
    not all arithmetic works with the others."""
    if not 2000 <= moment.year < 3000:
        raise ValueError(f"{moment.isoformat()} is not of this millennium")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def clamp_minutes(minutes: str) -> str:
    """A decimal number of minutes that an incident can have taken."""
    if float(minutes) < 0:
        return "0"
    return minutes if float(minutes) <= MAX_MINUTES else str(MAX_MINUTES)


Moment = Annotated[Timestamp, AfterValidator(check_moment)]
Minutes = Annotated[DecimalString, AfterValidator(clamp_minutes)]


class Outcome(StrEnum):
    """How an incident ended. Records that were imported may have other words."""

    RECOVERED = "Recovered"
    """Its last plan completed, and the trouble stayed away."""

    CLEARED = "Cleared"
    """The trouble went away by itself, by ECS, or by a person."""

    RELAPSED = "Relapsed"
    """Its last plan completed, the trouble came back, and has gone away since."""

    ESCALATED = "Escalated"
    """A person was needed; how it ended is not known."""


class StepRecord(ApiModel):
    """One step of a plan that began. `action` may be a word that the operator does not know (any more)."""

    action: Word
    status: OperationPhase
    undone: bool = False
    started_at: Moment | None = None
    finished_at: Moment | None = None
    output: Foreign = ""


class MetricRecord(ApiModel):
    """A metric and its value; of a plan the value before and after."""

    name: Word
    value: DecimalString
    after: DecimalString | None = None


class PlanRecord(ApiModel):
    """A plan; `started_at` is absent where it never began. `id` is the uid of the RecoveryPlan. `verdict` is that of
    its last step that was verified; absent where none was, or it was imported."""

    id: RecordId
    runbook: Line | None = None
    root_cause: Line | None = None
    outcome: PlanPhase
    verdict: Verdict | None = None
    started_at: Moment | None = None
    finished_at: Moment | None = None
    steps: Annotated[tuple[StepRecord, ...], Field(max_length=64)] = ()
    metrics: Annotated[tuple[MetricRecord, ...], Field(max_length=64)] = ()


class ClassificationRecord(ApiModel):
    """What the incident was taken for. `estimate_minutes` is how long it was expected to take."""

    category: Word
    impact_level: Severity
    required_actions: Annotated[tuple[Word, ...], Field(max_length=16)] = ()
    priority: int
    estimate_minutes: int


class IncidentRecord(ApiModel):
    """An incident that is over.

    `root_cause` and `outcome` are words of `RootCause` and `Outcome`, or were imported and are others. `signature` are
    the words of its evidence, as `core.history` finds them. `resolution_minutes` reach from detection to the moment
    when the symptom was gone, without the relapse watch. `plans` are in the order in which they were made.
    """

    id: RecordId
    namespace: Line = ""
    name: Line = ""
    type: IncidentType
    severity: Severity
    service: Line
    environment: Word
    description: Foreign = ""
    metrics: Annotated[tuple[MetricRecord, ...], Field(max_length=64)] = ()
    affected_resources: Annotated[tuple[Arn, ...], Field(max_length=64)] = ()
    root_cause: Line | None = None
    new_revision_at_fault: bool | None = None
    classification: ClassificationRecord | None = None
    signature: Annotated[tuple[Word, ...], Field(max_length=MAX_SIGNATURE)] = ()
    detected_at: Moment
    resolved_at: Moment | None = None
    resolution_minutes: Minutes | None = None
    outcome: Line
    plans: Annotated[tuple[PlanRecord, ...], Field(max_length=64)] = ()


@dataclass(frozen=True)
class Question:
    """What is asked of a history: incidents of the past that may be like one of this service and type."""

    namespace: str
    environment: str
    service: str
    type: IncidentType


class HistoryError(Exception):
    """The history was not read or not written. `reason` is one CamelCase word; the text says what to do."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message
