"""What every object has: metadata, conditions, references."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field, StringConstraints

from bokgu.api.fields import (
    ApiModel,
    Arn,
    Line,
    ObjectName,
    Region,
    StatusModel,
    Timestamp,
    Uid,
    bounded,
)

GROUP = "bokgu.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


EVENT_NOTE = 1024
"""Bytes that the note of an Event holds (events.k8s.io/v1)."""


class ConditionStatus(StrEnum):
    """Status of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(StatusModel):
    """One observation of an object's state, as the Kubernetes API conventions describe conditions."""

    type: Annotated[str, StringConstraints(max_length=63)] = Field(description="Name of the condition, in CamelCase.")
    status: ConditionStatus = Field(description="True, False or Unknown.")
    reason: Annotated[str, StringConstraints(min_length=1, max_length=63)] = Field(
        description="One CamelCase word saying why the condition has this status."
    )
    message: Annotated[str, StringConstraints(max_length=1024)] = Field(
        default="", description="The same for people, with what to do next."
    )
    last_transition_time: Timestamp = Field(description="When the status last changed.")
    observed_generation: int | None = Field(
        default=None, ge=0, description="The metadata.generation that the condition was computed from."
    )


Conditions = Annotated[
    tuple[Condition, ...],
    Field(
        max_length=16,
        description="The latest observations of the object's state, one per type.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    ),
]


def find_condition(conditions: Iterable[Condition], type_: str) -> Condition | None:
    """The condition of that type, or None."""
    return next((c for c in conditions if c.type == type_), None)


def is_true(conditions: Iterable[Condition], type_: str) -> bool:
    """Whether the condition of that type is there and True."""
    found = find_condition(conditions, type_)
    return found is not None and found.status is ConditionStatus.TRUE


def set_condition(
    conditions: tuple[Condition, ...],
    type_: str,
    status: bool | None,
    reason: str,
    message: str,
    *,
    now: datetime,
    generation: int | None,
) -> tuple[Condition, ...]:
    """Return the conditions with one set. `status` None is Unknown.

    `lastTransitionTime` moves only when the status changes, so that setting the same condition again changes nothing.
    """
    value = ConditionStatus.UNKNOWN if status is None else ConditionStatus(str(status))
    old = find_condition(conditions, type_)
    since = old.last_transition_time if old and old.status is value else now
    new = Condition(
        type=type_,
        status=value,
        reason=reason,
        message=bounded(message, 1024),
        last_transition_time=since,
        observed_generation=generation,
    )
    return tuple(new if c.type == type_ else c for c in conditions) if old else (*conditions, new)


class OwnerReference(ApiModel):
    """The object that this one goes away with."""

    api_version: str
    kind: str
    name: str
    uid: str


class ObjectMeta(ApiModel):
    """The part of metav1.ObjectMeta that the operator reads."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: Timestamp | None = None
    deletion_timestamp: Timestamp | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OwnerReference, ...] = ()


class NameReference(ApiModel):
    """Another object of the same namespace, by name."""

    name: ObjectName = Field(description="Name of the object, in the same namespace.")


class UidReference(ApiModel):
    """Another object of the same namespace, by name and uid, so that a re-created one is not taken for it."""

    name: ObjectName = Field(description="Name of the object, in the same namespace.")
    uid: Uid = Field(description="metadata.uid of the object: a re-created object of the same name does not count.")


class OpenBreaker(StatusModel):
    """Recoveries that failed, until a person has looked."""

    opened_at: Timestamp = Field(description="When the last of them had failed.")
    plans: Annotated[tuple[ObjectName, ...], Field(max_length=32)] = Field(description="The plans, the oldest first.")


class Resource(ApiModel):
    """Base of the kinds. Subclasses say how kubectl shows them."""

    kind_name: ClassVar[str]
    plural: ClassVar[str]
    short_names: ClassVar[tuple[str, ...]]
    printer_columns: ClassVar[tuple[dict[str, Any], ...]]
    rules: ClassVar[tuple[dict[str, str], ...]] = ()
    """CEL rules of the whole object; beside spec and status only metadata.name is visible."""
    selectable_fields: ClassVar[tuple[str, ...]] = ()
    """Paths that a list can be asked for (`kubectl get --field-selector`, KEP-4358), such as `spec.planRef.name`."""

    api_version: str = API_VERSION
    kind: str = ""
    metadata: ObjectMeta

    @property
    def key(self) -> tuple[str, str, str]:
        """(plural, namespace, name): how store and queue name the object."""
        return (self.plural, self.metadata.namespace, self.metadata.name)


def name_ecs_service(cluster: str, service: str) -> str:
    """`cluster/service`, both by name, whether the cluster is given by name or ARN."""
    return f"{cluster.rpartition('/')[2]}/{service}"


class Target(ApiModel):
    """Where an ECS service lives."""

    region: Region = Field(description="AWS region, such as eu-central-1.")
    role_arn: Arn | None = Field(default=None, description="IAM role that the operator assumes, if any.")
    cluster: Annotated[str, StringConstraints(max_length=255)] = Field(description="ECS cluster, by name or ARN.")
    service: Annotated[str, StringConstraints(max_length=255)] = Field(description="ECS service, by name.")

    @property
    def scaling_resource(self) -> str:
        """Id of the service as a scalable target (Application Auto Scaling, API_RegisterScalableTarget, ResourceId)."""
        return f"service/{name_ecs_service(self.cluster, self.service)}"


class TimelineEntry(StatusModel):
    """One thing that happened."""

    at: Timestamp = Field(description="When it happened.")
    event: Annotated[str, StringConstraints(max_length=63)] = Field(description="What happened, in one CamelCase word.")
    message: Line = Field(default="", description="The same for people.")


class Gate(StatusModel):
    """One guard, and whether it lets the work go on."""

    name: Annotated[str, StringConstraints(max_length=63)] = Field(description="Name of the guard.")
    passed: bool = Field(description="Whether the guard lets the work go on.")
    reason: Annotated[str, StringConstraints(max_length=63)] | None = Field(
        default=None,
        description="Why it blocks, in one CamelCase word; EmergencyOverride where a person let a closed one through.",
    )
    value: Line | None = Field(default=None, description="What was found.")
    limit: Line | None = Field(default=None, description="What is allowed.")
    blocked_until: Timestamp | None = Field(
        default=None, description="When the guard is looked at again; absent: when something changes."
    )
    message: Line | None = Field(default=None, description="Why it blocks, and what to do.")
