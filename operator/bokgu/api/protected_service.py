"""ProtectedService: one ECS service that the operator may touch, and how far."""

from typing import Annotated

from pydantic import Field, StringConstraints

from bokgu.api.fields import ApiModel, Arn, Duration, Line, Timestamp, Word
from bokgu.api.meta import Conditions, Resource, Target, UidReference
from bokgu.api.vocabulary import Action, Mode


class EcsReference(ApiModel):
    """The ECS service."""

    cluster: Annotated[str, StringConstraints(min_length=1, max_length=255)] = Field(
        description="ECS cluster, by name or ARN."
    )
    service: Annotated[str, StringConstraints(min_length=1, max_length=255)] = Field(
        description="ECS service, by name."
    )


class ServiceLimits(ApiModel):
    """How far the allowed actions go."""

    max_desired_count: int | None = Field(
        default=None,
        ge=1,
        le=10000,
        description="Never ask for more tasks than this. Without it nothing is scaled out.",
    )
    scale_step_percent: int = Field(
        default=50, ge=1, le=1000, description="How many tasks one scale_out adds, in percent of the present number."
    )


class RollbackLimits(ApiModel):
    """Which service revision is good enough to return to."""

    max_age: Duration = Field(default="72h", description="It served last at most this long ago.")
    min_served: Duration = Field(default="30m", description="It served at least this long with no open incident.")


class ProtectedServiceSpec(ApiModel):
    """What to watch over and what is allowed. It starts closed: Observe, no actions."""

    environment: Word = Field(default="production", description="Environment, such as production or staging.")
    region: Annotated[str, StringConstraints(min_length=1, max_length=32)] = Field(
        description="AWS region, such as eu-central-1."
    )
    role_arn: Arn | None = Field(
        default=None, description="IAM role that the operator assumes for this service; default: its own identity."
    )
    ecs: EcsReference = Field(description="The ECS service.")
    mode: Mode = Field(
        default=Mode.OBSERVE,
        description="Observe: say what is wrong. Propose: also write the plan, never run it. Approve: run it when the"
        " required people have approved.",
    )
    allowed_actions: Annotated[tuple[Action, ...], Field(max_length=8)] = Field(
        default=(), description="Actions that may run. health_check needs no permission."
    )
    limits: ServiceLimits = Field(default=ServiceLimits(), description="How far the allowed actions go.")
    rollback: RollbackLimits = Field(
        default=RollbackLimits(), description="Which service revision is good enough to return to."
    )
    suspend: bool = Field(
        default=False, description="Touch nothing for now. The tag bokgu:suspend on the ECS service does the same."
    )

    @property
    def target(self) -> Target:
        """Where the service lives."""
        return Target(region=self.region, role_arn=self.role_arn, cluster=self.ecs.cluster, service=self.ecs.service)


class ObservedService(ApiModel):
    """What ECS says of the service."""

    desired_count: int = Field(ge=0, description="Tasks wanted.")
    running_count: int = Field(ge=0, description="Tasks running.")
    pending_count: int = Field(ge=0, description="Tasks starting.")
    task_definition: Arn = Field(description="Task definition in use.")
    service_revision_arn: Arn | None = Field(default=None, description="Service revision in use.")
    rollout_state: Word | None = Field(default=None, description="COMPLETED, IN_PROGRESS or FAILED.")


class KnownRevision(ApiModel):
    """A service revision that was deployed successfully and served cleanly."""

    service_revision_arn: Arn = Field(description="The service revision.")
    task_definition: Arn = Field(description="Its task definition.")
    served_from: Timestamp = Field(description="When its deployment succeeded.")
    served_until: Timestamp | None = Field(default=None, description="When it was replaced; absent while it serves.")


class ProtectedServiceStatus(ApiModel):
    """What is known of the service."""

    observed_generation: int | None = Field(default=None, ge=0, description="The generation last acted on.")
    service: ObservedService | None = Field(default=None, description="What ECS said last.")
    last_known_good: KnownRevision | None = Field(
        default=None, description="The service revision that a rollback returns to."
    )
    active_plan: UidReference | None = Field(
        default=None,
        description="The one plan that may change the service now. Freed when that plan is over, never by time.",
    )
    summary: Line | None = Field(default=None, description="Tasks running of tasks wanted, such as 3/3.")
    conditions: Conditions = ()


class ProtectedService(Resource):
    """An ECS service that the operator watches over, and what it may do to it. Nothing is touched that has none."""

    kind_name = "ProtectedService"
    plural = "protectedservices"
    short_names = ("psvc",)
    printer_columns = (
        {"name": "Cluster", "type": "string", "jsonPath": ".spec.ecs.cluster"},
        {"name": "Service", "type": "string", "jsonPath": ".spec.ecs.service"},
        {"name": "Mode", "type": "string", "jsonPath": ".spec.mode"},
        {"name": "Tasks", "type": "string", "jsonPath": ".status.summary"},
        {"name": "Plan", "type": "string", "jsonPath": ".status.activePlan.name"},
        {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].status"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        {"name": "Region", "type": "string", "jsonPath": ".spec.region", "priority": 1},
        {
            "name": "Reason",
            "type": "string",
            "jsonPath": ".status.conditions[?(@.type=='Ready')].reason",
            "priority": 1,
        },
    )

    spec: ProtectedServiceSpec
    status: ProtectedServiceStatus = Field(default_factory=ProtectedServiceStatus)
