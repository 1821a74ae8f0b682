"""The vocabulary of stories: what people, AWS and chance do. README.md tells it to people.

Services are named as `world.services` names them. Durations are simulated. Members in AWS's own words (`ecs`, `set`,
`container`) and those of our kinds may hold placeholders, which `placed_service.PlacedService` explains.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tests.scenarios.model import Json, Model, Name
from tests.scenarios.simulated_time import Length


class _Step(Model):
    """`at`: when it is done, since the story began; `after`: how long after the step before; else at once."""

    at: Length | None = None
    after: Length | None = None
    note: str | None = None
    """Said to whoever watches, instead of the bare step."""


class Deploy(_Step):
    """Somebody deploys a new revision: a task definition with these SIM_ variables, known as `revision` from now on."""

    do: Literal["deploy"]
    service: Name
    revision: Name
    task: Json = Field(default_factory=dict)
    container: Json = Field(default_factory=dict)
    definition: Json = Field(default_factory=dict)
    ecs: Json = Field(default_factory=dict)


class Redeploy(_Step):
    """A pipeline applies a revision again that was deployed before."""

    do: Literal["redeploy"]
    service: Name
    revision: Name


class Update(_Step):
    """Somebody calls UpdateService."""

    do: Literal["update"]
    service: Name
    ecs: Json


class Deregister(_Step):
    """Somebody deregisters the task definition of a revision: it becomes INACTIVE."""

    do: Literal["deregister"]
    service: Name
    revision: Name


class StopTasks(_Step):
    """Somebody stops running tasks by hand."""

    do: Literal["stop-tasks"]
    service: Name
    count: int = Field(ge=1)
    reason: str = "stopped by hand"


class DeleteService(_Step):
    """Somebody deletes the service, with all of its tasks."""

    do: Literal["delete-service"]
    service: Name


class Tag(_Step):
    """Somebody tags the ECS service."""

    do: Literal["tag"]
    service: Name
    tags: dict[str, str]


class Load(_Step):
    """From now on the service gets so many requests a second."""

    do: Literal["load"]
    service: Name
    rps: float = Field(ge=0)


class LoadGap(_Step):
    """No request arrives for a while."""

    do: Literal["load-gap"]
    service: Name
    lasting: Length


class Dependency(_Step):
    """A dependency of `world.dependencies` goes down, becomes slow, or is well again."""

    do: Literal["dependency"]
    name: Name
    becomes: Literal["down", "slow", "well"]
    error_ratio: float = 1.0
    latency_seconds: float = 5.0
    cpu_percent: float = 60.0


class ServiceErrors(_Step):
    """Something that only this service calls fails this share of its requests, whatever its revision."""

    do: Literal["service-errors"]
    service: Name
    ratio: float = Field(ge=0, le=1)


class Account(_Step):
    """Something is wrong, or right again, in the AWS account: conditions as simulator/conditions.py names them."""

    do: Literal["account"]
    set: Json


class Metrics(_Step):
    """CloudWatch loses points, delivers them late (`by`), or answers with a status code instead of Complete.

    It concerns the metrics of `namespace`, `metric` and the value `dimension` of a dimension, where given.
    """

    do: Literal["metrics"]
    become: Literal["lost", "late", "PartialData", "InternalError", "Forbidden"]
    by: Length | None = None
    namespace: str | None = None
    metric: str | None = None
    dimension: str | None = None
    lasting: Length | None = None


class MetricsWell(_Step):
    """CloudWatch is well again."""

    do: Literal["metrics-well"]


class CallFault(_Step):
    """Calls of the operator, as of anybody in the account, go wrong: `kind` as in simulator/faults.py."""

    do: Literal["call-fault"]
    call: str
    kind: Literal["throttling", "server-error", "access-denied", "timeout", "connection-reset", "slow", "lost-answer"]
    times: int | None = Field(default=None, ge=1)
    lasting: Length | None = None


class OtherCalls(_Step):
    """A CI pipeline uses the account's quota of a call up."""

    do: Literal["other-calls"]
    call: str
    per_second: float
    lasting: Length


class Disrupt(_Step):
    """AWS takes running tasks away; `stuck-unhealthy` ones stay, and fail `error_ratio` of their requests."""

    do: Literal["disrupt"]
    kind: Literal["spot-interruption", "termination-notice", "host-lost", "out-of-memory", "stuck-unhealthy"]
    service: Name
    count: int | None = None
    share: float | None = None
    zone: str | None = None
    error_ratio: float | None = Field(default=None, ge=0, le=1)


class FillDisks(_Step):
    """The ephemeral storage of so many tasks is full."""

    do: Literal["fill-disks"]
    service: Name
    count: int = Field(ge=1)


class CodeDeploy(_Step):
    """A pipeline has CodeDeploy deploy a new revision to a service whose controller is CODE_DEPLOY. The task set from
    before stays for so long after the traffic has moved."""

    do: Literal["code-deploy"]
    service: Name
    revision: Name
    keeps: Length = 300.0
    task: Json = Field(default_factory=dict)
    container: Json = Field(default_factory=dict)
    definition: Json = Field(default_factory=dict)


class Automation(_Step):
    """There is a Systems Manager Automation document, whose executions take so long and end so."""

    do: Literal["automation"]
    document: str
    takes: Length = 60.0
    ends: Literal["Success", "Failed", "TimedOut"] = "Success"
    message: str = ""


class Stack(_Step):
    """CloudFormation is at a stack, by its name or ID: its StackStatus `becomes` UPDATE_IN_PROGRESS, say."""

    do: Literal["stack"]
    name: str
    becomes: Literal[
        "CREATE_IN_PROGRESS",
        "UPDATE_IN_PROGRESS",
        "UPDATE_COMPLETE",
        "UPDATE_ROLLBACK_IN_PROGRESS",
        "UPDATE_ROLLBACK_COMPLETE",
        "UPDATE_ROLLBACK_FAILED",
        "DELETE_IN_PROGRESS",
        "DELETE_COMPLETE",
    ]


class Autoscaling(_Step):
    """Somebody sets the range of an autoscaled service, which pulls the count into it."""

    do: Literal["autoscaling"]
    service: Name
    min: int
    max: int


class Alarm(_Step):
    """Somebody makes a CloudWatch alarm (`members` of PutMetricAlarm), or sets the state of one."""

    do: Literal["alarm"]
    name: str
    members: Json | None = None
    state: Literal["OK", "ALARM", "INSUFFICIENT_DATA"] | None = None


class Alert(_Step):
    """Alertmanager's webhook is told that an alert about the service fires, or is resolved."""

    do: Literal["alert"]
    service: Name
    name: str
    type: str
    severity: str = "critical"
    becomes: Literal["firing", "resolved"]


class EventDisorder(_Step):
    """EventBridge delivers this share of its events twice, and each by up to so long too late. Needs a world alone."""

    do: Literal["event-disorder"]
    duplicate_share: float = Field(ge=0, le=1)
    late_by: Length


class FileIncident(_Step):
    """A person files an Incident by hand."""

    do: Literal["incident"]
    service: Name
    type: str
    severity: str
    description: str = ""


class Move(Model):
    """One step of a plan that a person writes."""

    action: str
    parameters: Json = Field(default_factory=dict)


class FilePlan(_Step):
    """A person writes a RecoveryPlan for the newest incident of the service."""

    do: Literal["plan"]
    service: Name
    moves: tuple[Move, ...] = Field(min_length=1)


class Approve(_Step):
    """Alice and bob approve the service's plan that awaits approval, once there is one."""

    do: Literal["approve"]
    service: Name


class Apply(_Step):
    """Somebody applies an object of ours: `kind`, `name` and `spec`."""

    do: Literal["apply"]
    object: Json


class Operator(_Step):
    """The operator's process is stopped, killed, or started again. Needs a world alone."""

    do: Literal["operator"]
    becomes: Literal["stopped", "killed", "started"]


class ReadLag(_Step):
    """ECS shows what was written only so much later. Needs a world alone."""

    do: Literal["read-lag"]
    by: Length


class WaitFor(_Step):
    """The story goes on when the service is so far: phase of its newest incident or plan, state of its deployment,
    number of running tasks, a call that the operator made with an effect, or the name of an alarm in ALARM, of which
    the beginning is enough."""

    do: Literal["wait-for"]
    service: Name
    incident: str | None = None
    plan: str | None = None
    deployment: str | None = None
    running: int | None = None
    call: str | None = None
    alarm: str | None = None
    within: Length = 1800.0

    @model_validator(mode="after")
    def _check_one(self) -> "WaitFor":
        given = (self.incident, self.plan, self.deployment, self.running, self.call, self.alarm)
        if sum(one is not None for one in given) != 1:
            raise ValueError("wait-for needs one of incident, plan, deployment, running, call and alarm")
        return self


class Nothing(_Step):
    """Time passes."""

    do: Literal["nothing"]


Step = Annotated[
    Deploy
    | Redeploy
    | Update
    | Deregister
    | StopTasks
    | DeleteService
    | Tag
    | Load
    | LoadGap
    | Dependency
    | ServiceErrors
    | Account
    | Metrics
    | MetricsWell
    | CallFault
    | OtherCalls
    | Disrupt
    | FillDisks
    | CodeDeploy
    | Automation
    | Stack
    | Autoscaling
    | Alarm
    | Alert
    | EventDisorder
    | FileIncident
    | FilePlan
    | Approve
    | Apply
    | Operator
    | ReadLag
    | WaitFor
    | Nothing,
    Field(discriminator="do"),
]

NEEDS_OWN_ACCOUNT = (Account, FillDisks, Metrics, MetricsWell, CallFault, OtherCalls)
"""Steps that all services of an account feel."""
NEEDS_WORLD_ALONE = (Operator, ReadLag, EventDisorder)
"""Steps that everybody in a world feels."""


def describe_step(step: Any) -> str:
    """A step in a line."""
    if step.note:
        return str(step.note)
    members = step.model_dump(exclude={"do", "at", "after", "note"}, exclude_defaults=True)
    words = " ".join(f"{name}={_brief(value)}" for name, value in members.items())
    return f"{step.do} {words}".strip()


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
