"""Runbook: what is done against incidents of a type and root cause, on which services, and what comes next."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field, StringConstraints

from bokgu.api.fields import (
    ApiModel,
    Duration,
    Label,
    Line,
    ObjectName,
    StatusModel,
    Text,
    Word,
)
from bokgu.api.meta import Conditions, Resource
from bokgu.api.recovery_plan import LOG_EXPRESSION, LOG_MATCHES, WAIT_BOUNDS
from bokgu.api.vocabulary import Action, IncidentType, OnFailure, RootCause, Trait, ValidationType

TEMPLATE_FIELDS = (
    "service",
    "cluster",
    "region",
    "environment",
    "desiredCount",
    "runningCount",
    "wantedCount",
    "currentRevision",
    "targetRevision",
    "rootCause",
    "incidentType",
    "severity",
    "zone",
    "graceSeconds",
    "logGroup",
    "dependencies",
)
"""What a template may name, in braces. core/templates.py puts the values in and does nothing else."""

_TEMPLATE = f"^([^{{}}]|[{{]({'|'.join(TEMPLATE_FIELDS)})[}}])*$"
_KNOWN = f"the only braces are {' '.join(f'{{{field}}}' for field in TEMPLATE_FIELDS)}"


def _template_rule(field: str) -> dict[str, str]:
    return {"rule": f"!has(self.{field}) || self.{field}.matches('{_TEMPLATE}')", "message": f"{field}: {_KNOWN}"}


_HARMLESS = f"s.action in [{', '.join(repr(str(action)) for action in Action if not action.writes)}]"
"""Rule of a step that changes nothing."""

LabelValue = Annotated[str, StringConstraints(max_length=63)]


class ServiceSelector(ApiModel):
    """Which ProtectedServices a Runbook is for. All that is given must match."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})
    rules: ClassVar[tuple[dict[str, str], ...]] = (
        {
            "rule": "has(self.environment) || has(self.matchLabels)",
            "message": "serviceSelector must not be empty: give environment or matchLabels, or leave serviceSelector"
            " out to mean all services of the namespace",
        },
    )

    environment: Word | None = Field(default=None, description="spec.environment of the ProtectedService.")
    match_labels: Annotated[dict[str, LabelValue], Field(min_length=1, max_length=8)] | None = Field(
        default=None, description="Labels that the ProtectedService has, with these values."
    )

    def matches(self, labels: Mapping[str, str], environment: str) -> bool:
        """Whether a service with these labels and environment is meant."""
        same_environment = self.environment in {None, environment}
        return same_environment and all(labels.get(k) == v for k, v in (self.match_labels or {}).items())

    @property
    def specificity(self) -> int:
        """How many things must match: of two Runbooks for a service, the one that says more about it wins."""
        return (self.environment is not None) + len(self.match_labels or {})


class RunbookParameters(ApiModel):
    """How far a step goes. Limits of the ProtectedService hold in any case."""

    scale_step_percent: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="scale_out: how many tasks are added, in percent of the present number; default and upper limit:"
        " spec.limits.scaleStepPercent of the ProtectedService.",
    )
    minimum_healthy_percent: int | None = Field(
        default=None,
        ge=0,
        le=100,
        description="service_restart: restart only a service whose deployments keep at least this percentage of its"
        " tasks running.",
    )
    duration: Duration | None = Field(default=None, description="wait: how long.")
    calm: bool | None = Field(
        default=None,
        description="wait: the trouble of the incident must stay away for that long. If it comes back, the step fails.",
    )


class RunbookValidation(ApiModel):
    """What proves that a step worked. The metric and its limit are those that opened the incident."""

    rules: ClassVar[tuple[dict[str, str], ...]] = (
        {
            "rule": "!has(self.__for__) || duration(self.__for__) >= duration('1s')",
            "message": "validation.for must be at least 1s",
        },
        {
            "rule": "!has(self.__for__) || !has(self.timeout) || duration(self.timeout) >= duration(self.__for__)",
            "message": "validation.timeout must not be shorter than validation.for",
        },
        {
            "rule": "(!has(self.pattern) && !has(self.expression)) || (self.type == 'log' && has(self.pattern))",
            "message": "validation: pattern and expression are for type log, and an expression needs a pattern",
        },
        {
            "rule": f"!has(self.expression) || self.expression.matches('{LOG_EXPRESSION}')",
            "message": f"validation.expression compares {LOG_MATCHES}, such as {LOG_MATCHES} <= 0",
        },
    )

    type: ValidationType = Field(
        default=ValidationType.METRIC,
        description="metric: the measured value is back on the right side of its lowest threshold. log: what matches"
        " `pattern` in spec.logGroup of the ProtectedService is counted; without a pattern, or without a log group, the"
        " metric is measured instead and the plan says so. manual: a person confirms it.",
    )
    pattern: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = Field(
        default=None, description="log: filter pattern in CloudWatch Logs syntax."
    )
    expression: Annotated[str, StringConstraints(max_length=128)] | None = Field(
        default=None,
        description=f"log: what the number of matching events must be; default: {LOG_MATCHES} <= 0, no match at all.",
    )
    criteria: Word | None = Field(
        default=None,
        description="What is checked, in one word; default: after the metric, such as error_rate_decrease.",
    )
    for_: Duration | None = Field(
        default=None,
        alias="for",
        description="How long it must hold without a break; default and lower limit: five periods of the metric, ten"
        " after a rollback.",
    )
    timeout: Duration | None = Field(default=None, description="How long to wait for that; default: twice as long.")


class RunbookUndo(ApiModel):
    """What takes the step back."""

    action: Action = Field(description="The action that takes the step back.")


class RunbookStep(ApiModel):
    """One step, to be made concrete with the numbers of a service."""

    rules: ClassVar[tuple[dict[str, str], ...]] = (
        _template_rule("description"),
        {
            "rule": "!has(self.timeout) || duration(self.timeout) >= duration('1s')",
            "message": "timeout must be at least 1s",
        },
        {
            "rule": "!has(self.parameters) || !has(self.parameters.scaleStepPercent) || self.action == 'scale_out'",
            "message": "parameters.scaleStepPercent is for scale_out",
        },
        {
            "rule": "!has(self.parameters) || !has(self.parameters.minimumHealthyPercent)"
            " || self.action == 'service_restart'",
            "message": "parameters.minimumHealthyPercent is for service_restart",
        },
        {
            "rule": "self.action != 'manual' || (has(self.description) && !has(self.validation))",
            "message": "a manual step is what a person confirms: its description says what, and it has no validation",
        },
        {
            "rule": "self.action == 'wait' ? has(self.parameters) && has(self.parameters.duration)"
            f" && {WAIT_BOUNDS.format('self.parameters.duration')}"
            " && (!has(self.timeout) || duration(self.timeout) >= duration(self.parameters.duration))"
            " && !has(self.validation)"
            " : !has(self.parameters) || !has(self.parameters.duration) && !has(self.parameters.calm)",
            "message": "wait, and nothing else, needs parameters.duration, from 1s to 24h; its timeout is not shorter,"
            " and it has no validation: calm is its proof",
        },
        {
            "rule": "self.action != 'scale_in'",
            "message": "a Runbook has no scale_in: a plan that raises the minimum of Application Auto Scaling gives it"
            " back by itself once the trouble has stayed away",
        },
        {
            "rule": "!has(self.rollback) || self.action in ['service_restart', 'rollback_to_previous_version']",
            "message": "health_check and manual change nothing, a scale_out is not taken back while the trouble lasts,"
            " and a stopped task does not come back: none of them has a rollback",
        },
        {
            "rule": "self.action != 'register_task_definition'",
            "message": "action: plans register a task definition by themselves where a rollback needs it: name"
            " rollback_to_previous_version",
        },
        {
            "rule": "!(self.action in ['run_task', 'ssm_automation'])",
            "message": "action: run_task and ssm_automation are not for runbooks: a person writes a RecoveryPlan",
        },
        {
            "rule": "!has(self.rollback) || self.rollback.action == 'rollback_to_previous_version'",
            "message": "rollback.action must be rollback_to_previous_version",
        },
    )

    name: Label = Field(description="Name of the step, unique in the Runbook.")
    action: Action = Field(description="What the step does.")
    description: Text | None = Field(
        default=None, description="The same for people; a template. Default: a sentence that fits the action."
    )
    parameters: RunbookParameters | None = Field(default=None, description="How far the step goes.")
    estimated_duration: Duration | None = Field(
        default=None, description="How long it usually takes; default: from the action."
    )
    timeout: Duration | None = Field(default=None, description="When to give up; default: from the action.")
    required_resources: Annotated[tuple[Word, ...], Field(max_length=8)] = Field(
        default=(), description="What the step uses, such as ecs_service; default: that."
    )
    on_failure: OnFailure | None = Field(
        default=None, description="What follows when the step fails; default: RollBack where the step can be undone."
    )
    validation: RunbookValidation | None = Field(
        default=None, description="What proves that the step worked; default for all that change something: metric."
    )
    rollback: RunbookUndo | None = Field(
        default=None,
        description="What takes the step back; default: what the action can. A restart changes no revision, so plans"
        " leave its rollback out and say so.",
    )


NO_CAUSE = (
    RootCause.UNKNOWN,
    RootCause.DEPENDENCY_FAILURE,
    RootCause.THROTTLED,
    RootCause.HUMAN_ACTION,
    RootCause.DATA_CORRUPTION,
)
"""Causes that no change of the service removes (no cause, no write)."""


class RunbookSpec(ApiModel):
    """When the runbook applies, and what it does."""

    rules: ClassVar[tuple[dict[str, str], ...]] = (
        _template_rule("advice"),
        {
            "rule": "(has(self.steps) && size(self.steps) > 0) || has(self.advice)",
            "message": "spec: give steps, or advice for the person who must help",
        },
        {
            "rule": "!has(self.steps) || self.steps.all(s, self.steps.exists_one(t, t.name == s.name))",
            "message": "spec.steps: every name must be unique",
        },
        {
            "rule": f"!has(self.steps) || self.steps.all(s, {_HARMLESS})"
            " || (has(self.rootCauses) && size(self.rootCauses) > 0) || has(self.serviceSelector)"
            " || (has(self.onlyByName) && self.onlyByName)",
            "message": "spec: a runbook that changes something whatever the root cause must name its services: give"
            " rootCauses, serviceSelector, or onlyByName",
        },
        {
            "rule": f"!has(self.steps) || self.steps.all(s, {_HARMLESS}"
            " || self.steps.exists_one(t, t.action == s.action))",
            "message": "spec.steps: at most one step of each action that changes something",
        },
        {
            "rule": f"!has(self.steps) || self.steps.all(s, {_HARMLESS}) || !has(self.rootCauses)"
            f" || self.rootCauses.all(c, !(c in [{', '.join(f'{c!r}' for c in map(str, NO_CAUSE))}]))"
            " || has(self.serviceSelector) || (has(self.onlyByName) && self.onlyByName)",
            "message": f"spec: a runbook that changes something against {', '.join(NO_CAUSE)} must name its services:"
            " give serviceSelector or onlyByName",
        },
    )

    description: Text = Field(default="", description="What the runbook is for.")
    incident_types: Annotated[tuple[IncidentType, ...], Field(max_length=4)] = Field(
        default=(), description="Types of incidents that it is for; default: all."
    )
    root_causes: Annotated[tuple[RootCause, ...], Field(max_length=19)] = Field(
        default=(), description="Root causes that it is against; default: all."
    )
    new_revision_at_fault: bool | None = Field(
        default=None,
        description="Whether a new service revision must be, or must not be, at fault; default: it does not matter."
        " Where the diagnosis cannot tell, neither value matches.",
    )
    traits: Annotated[tuple[Trait, ...], Field(max_length=5)] = Field(
        default=(), description="What the classification must show besides, all of it."
    )
    service_selector: ServiceSelector | None = Field(
        default=None, description="The services that it is for; default: all of the namespace."
    )
    only_by_name: bool = Field(
        default=False,
        description="Choose it only where spec.runbooks of a ProtectedService or escalatesTo of a Runbook names it.",
    )
    priority: int = Field(
        default=0,
        ge=-1000,
        le=1000,
        description="Of runbooks whose serviceSelectors say equally much, the one with the highest priority is chosen."
        " The built-in ones have -1000.",
    )
    steps: Annotated[
        tuple[RunbookStep, ...], Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    ] = Field(default=(), description="What is done, in order. Without a step that changes something no plan is made.")
    estimated_resolution: Duration | None = Field(
        default=None, description="How long a recovery with it usually takes; default: the sum of its steps."
    )
    cooldown: Duration | None = Field(
        default=None, description="Begin it at most once in this time on one service; before that it gives way."
    )
    escalates_to: ObjectName | None = Field(
        default=None, description="The Runbook that follows where this one has not helped, or cannot."
    )
    advice: Annotated[str, StringConstraints(min_length=1, max_length=800)] | None = Field(
        default=None, description="What a person should do where the runbook makes no plan; a template."
    )


class RunbookStatus(StatusModel):
    """Whether the runbook can be used."""

    observed_generation: int | None = Field(default=None, ge=0, description="The generation last acted on.")
    summary: Line | None = Field(default=None, description="What it does, in the order of its steps.")
    conditions: Conditions = ()


class Runbook(Resource):
    """What to do against incidents of a type and root cause. The built-in ones are replaced by name."""

    kind_name = "Runbook"
    plural = "runbooks"
    short_names = ("rb",)
    printer_columns = (
        {"name": "Causes", "type": "string", "jsonPath": ".spec.rootCauses"},
        {"name": "Actions", "type": "string", "jsonPath": ".status.summary"},
        {"name": "Escalates", "type": "string", "jsonPath": ".spec.escalatesTo"},
        {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].status"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        {
            "name": "Reason",
            "type": "string",
            "jsonPath": ".status.conditions[?(@.type=='Ready')].reason",
            "priority": 1,
        },
        {"name": "Priority", "type": "integer", "jsonPath": ".spec.priority", "priority": 1},
    )

    spec: RunbookSpec
    status: RunbookStatus = Field(default_factory=RunbookStatus)
