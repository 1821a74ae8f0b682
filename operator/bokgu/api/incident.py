"""Incident: what is broken, and where its recovery stands."""

from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from bokgu.api.fields import (
    ApiModel,
    Arn,
    DecimalString,
    Digest,
    Duration,
    Line,
    ObjectName,
    StatusModel,
    Timestamp,
    Uid,
    Word,
)
from bokgu.api.meta import Conditions, Gate, NameReference, Resource, TimelineEntry, UidReference
from bokgu.api.outbox import Outbox
from bokgu.api.redaction import Foreign
from bokgu.api.vocabulary import (
    Confidence,
    DetectionState,
    IncidentPhase,
    IncidentType,
    PlanPhase,
    RootCause,
    Severity,
    SourceKind,
    Trait,
)

_RANKS = "{'low': 0, 'medium': 1, 'high': 2, 'critical': 3}"


class IncidentMetric(ApiModel):
    """One metric as it was measured when the incident was opened."""

    name: Word = Field(description="Name of the detector's condition, such as error_rate.")
    value: DecimalString = Field(description="What was measured.")
    unit: Word = Field(default="None", description="CloudWatch unit, or None for a ratio.")
    threshold: DecimalString = Field(description="The threshold that the value passed.")


class IncidentSource(ApiModel):
    """Where the incident came from."""

    kind: SourceKind = Field(default=SourceKind.MANUAL, description="What opened the incident.")
    name: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = Field(
        default=None, description="Name of the Detector, the alarm, or the alert that opened it."
    )
    condition: Word | None = Field(
        default=None, description="Condition of that Detector or preset; of an alert its fingerprint."
    )


class IncidentSpec(ApiModel):
    """What is broken. Everything but description and metrics stays as it was; the severity may only rise."""

    rules: ClassVar[tuple[dict[str, str], ...]] = (
        {"rule": "self.type == oldSelf.type", "message": "spec.type is immutable"},
        {"rule": "self.serviceRef == oldSelf.serviceRef", "message": "spec.serviceRef is immutable"},
        {
            "rule": "has(self.source) == has(oldSelf.source) && (!has(self.source) || self.source == oldSelf.source)",
            "message": "spec.source is immutable",
        },
        {
            "rule": f"{_RANKS}[self.severity] >= {_RANKS}[oldSelf.severity]",
            "message": "spec.severity may only rise: a lower one would need fewer approvals",
        },
    )

    type: IncidentType = Field(description="What kind of trouble it is.")
    severity: Severity = Field(description="How bad it is. It may only rise.")
    service_ref: NameReference = Field(description="The ProtectedService that is in trouble.")
    description: Foreign = Field(
        default="",
        description="What was seen, for people. Whatever is made of it has it redacted and cut to 300 characters.",
    )
    metrics: Annotated[tuple[IncidentMetric, ...], Field(max_length=16)] = Field(
        default=(), description="What was measured when the incident was opened."
    )
    affected_resources: Annotated[tuple[Arn, ...], Field(max_length=32)] = Field(
        default=(), description="AWS resources in trouble, by ARN or name."
    )
    detected_at: Timestamp | None = Field(default=None, description="When the trouble was seen; default: creation.")
    source: IncidentSource = Field(default=IncidentSource(), description="Where the incident came from.")


class SimilarIncidents(ApiModel):
    """Past incidents like this one."""

    count: int = Field(ge=0, description="How many were found.")
    median_resolution: Duration | None = Field(default=None, description="Median time from detection to resolution.")
    names: Annotated[tuple[ObjectName, ...], Field(max_length=10)] = Field(
        default=(), description="Names of the most alike, these first; an id where there is no name."
    )


class EvidenceItem(ApiModel):
    """One quoted fact and its source."""

    source: Word = Field(description="Where the fact comes from, such as the name of an AWS API call.")
    fact: Line = Field(description="The fact.")


class Classification(StatusModel):
    """What is wrong, why we think so, and how urgent it is."""

    category: Word = Field(
        description="Application, Capacity, Configuration, Data, Dependency, Deployment, Human, Network, Platform or"
        " Unknown."
    )
    root_cause: RootCause = Field(description="The mechanism behind the incident.")
    new_revision_at_fault: bool | None = Field(
        default=None, description="Whether a newly deployed service revision causes it; absent: it cannot be told."
    )
    confidence: Confidence = Field(description="How sure the diagnosis is.")
    deployment_id: Arn | None = Field(
        default=None,
        description="The deployment of the service that this was told about. Once another one has ended, and there is"
        " no plan, it is told anew.",
    )
    told_at: Timestamp | None = Field(
        default=None,
        description="When it was told: while there is no plan, or after one that did not help, it is told anew.",
    )
    environment: Word | None = Field(
        default=None, description="Environment of the ProtectedService, where its history is kept."
    )
    traits: Annotated[tuple[Trait, ...], Field(max_length=8)] = Field(
        default=(), description="What else the evidence shows, where it decides whether an action helps."
    )
    evidence: Annotated[tuple[EvidenceItem, ...], Field(max_length=16)] = Field(
        default=(), description="The facts that the diagnosis rests on."
    )
    ruled_out: Annotated[tuple[Line, ...], Field(max_length=8)] = Field(
        default=(), description="What it is not, and why, such as: OutOfMemory: memory peaked at 31 %."
    )
    impact_level: Severity = Field(description="What it does to users.")
    required_actions: Annotated[tuple[Word, ...], Field(max_length=8)] = Field(
        default=(), description="What can help; `manual` where only a person can."
    )
    priority: int = Field(ge=1, le=5, description="1 (now) to 5 (when there is time).")
    estimated_resolution_time: Duration = Field(description="How long the recovery will probably take.")
    similar_incidents: SimilarIncidents | None = Field(default=None, description="Past incidents like this one.")


class IncidentPlan(StatusModel):
    """One recovery plan of the incident. The entry is what makes a plan run once (see RecoveryPlan)."""

    name: ObjectName = Field(description="Name of the RecoveryPlan.")
    uid: Uid = Field(description="Its uid.")
    digest: Digest = Field(description="Its digest, which approvals name.")
    runbook: ObjectName | None = Field(default=None, description="The Runbook that it was made from.")
    made_by_operator: bool = Field(
        default=False, description="Whether the operator itself made it: only such a plan may start without approvals."
    )
    started_at: Timestamp | None = Field(default=None, description="When its execution began.")
    outcome: PlanPhase | None = Field(default=None, description="How it ended.")
    relapsed_at: Timestamp | None = Field(
        default=None, description="When it showed that the trouble was back, or still there, after it had completed."
    )


class Report(StatusModel):
    """What an alarm or alert last said of the trouble: those who only speak when something changes."""

    source: IncidentSource = Field(description="Who said it.")
    state: DetectionState = Field(description="Firing, Clear, or Unknown: it has no data any more.")
    at: Timestamp = Field(description="When it became so, by the clock of who said it.")


class IncidentStatus(StatusModel):
    """Where the recovery stands."""

    observed_generation: int | None = Field(default=None, ge=0, description="The generation last acted on.")
    uid: Uid | None = Field(
        default=None, description="uid of the incident that this is the status of: a restored incident has another one."
    )
    phase: IncidentPhase = Field(default=IncidentPhase.DETECTED, description="Summary of the conditions.")
    reason: Word | None = Field(
        default=None, description="Why the phase is what it is, in one word: what it waits for, or how it was resolved."
    )
    blocked_by: Word | None = Field(
        default=None,
        description="What holds the recovery up: reason of the condition Blocked while that is True; absent otherwise.",
    )
    fingerprint: Word | None = Field(default=None, description="Same trouble, same fingerprint.")
    classification: Classification | None = Field(default=None, description="What is wrong.")
    plans: Annotated[tuple[IncidentPlan, ...], Field(max_length=16)] = Field(
        default=(), description="The recovery plans, the current one last."
    )
    leader: UidReference | None = Field(
        default=None, description="The incident of the same service or cause that this one is folded into."
    )
    reports: Annotated[tuple[Report, ...], Field(max_length=16)] = Field(
        default=(), description="What alarms and alerts last said."
    )
    occurrences: int = Field(default=1, ge=1, description="How often the trouble began while the incident was open.")
    last_seen_at: Timestamp | None = Field(default=None, description="When the trouble last began.")
    mitigated_at: Timestamp | None = Field(default=None, description="When the symptom went away.")
    resolved_at: Timestamp | None = Field(default=None, description="When the incident was resolved.")
    timeline: Annotated[tuple[TimelineEntry, ...], Field(max_length=64)] = Field(
        default=(), description="What happened, oldest first."
    )
    gates: Annotated[tuple[Gate, ...], Field(max_length=40)] = Field(
        default=(), description="The gates that hold the current plan, but for its approvals."
    )
    outbox: Outbox | None = Field(
        default=None, description="Alerts about the incident and its plans; absent: nobody is to be told."
    )
    conditions: Conditions = ()


class Incident(Resource):
    """An incident on an ECS service: what is broken, and where its recovery stands."""

    kind_name = "Incident"
    plural = "incidents"
    short_names = ("inc",)
    printer_columns = (
        {"name": "Severity", "type": "string", "jsonPath": ".spec.severity"},
        {"name": "Type", "type": "string", "jsonPath": ".spec.type"},
        {"name": "Service", "type": "string", "jsonPath": ".spec.serviceRef.name"},
        {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
        {"name": "Cause", "type": "string", "jsonPath": ".status.classification.rootCause"},
        {"name": "Plan", "type": "string", "jsonPath": ".status.plans[-1:].name"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        {"name": "Priority", "type": "integer", "jsonPath": ".status.classification.priority", "priority": 1},
        {"name": "Blocked", "type": "string", "jsonPath": ".status.blockedBy", "priority": 1},
        {"name": "Count", "type": "integer", "jsonPath": ".status.occurrences", "priority": 1},
        {
            "name": "ETA",
            "type": "string",
            "jsonPath": ".status.classification.estimatedResolutionTime",
            "priority": 1,
        },
    )

    selectable_fields = ("status.phase", "spec.severity", "spec.type", "spec.serviceRef.name")

    spec: IncidentSpec
    status: IncidentStatus = Field(default_factory=IncidentStatus)
