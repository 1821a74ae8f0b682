"""Facts as AWS reports them, in the shape that `core` decides on. Gateways make them, nothing changes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple

from bokgu.api.redaction import redact_quote


@dataclass(frozen=True)
class Deployment:
    """One entry of `deployments[]` of DescribeServices (API_Deployment of Amazon ECS). `network` is its
    networkConfiguration.

    Of a service that CodeDeploy deploys it is a task set (API_TaskSet), and `code_deployment_id` the CodeDeploy
    deployment that made it, None for the one that the service began with.
    """

    id: str
    status: str
    task_definition: str
    desired_count: int
    running_count: int
    pending_count: int
    failed_tasks: int
    rollout_state: str
    rollout_state_reason: str
    created_at: datetime
    updated_at: datetime | None = None
    network: Mapping[str, Any] = field(default_factory=dict)
    code_deployment_id: str | None = None


@dataclass(frozen=True)
class EcsService:
    """What DescribeServices says of one service (API_Service of Amazon ECS).

    `strategy` is that of its deployments, `pauses` the lifecycle stages at which they wait for somebody to go on.
    `resource_management_type` is ECS for an Express Mode service, else CUSTOMER. `running_by_revision` is the
    runningTaskCount of each of its currentServiceRevisions, by ARN; empty where ECS says none. `launch` is where its
    tasks run and how, as arguments of RunTask: launchType or capacityProviderStrategy, networkConfiguration.
    """

    arn: str
    status: str
    desired_count: int
    running_count: int
    pending_count: int
    task_definition: str
    controller: str
    scheduling_strategy: str
    current_service_deployment: str | None
    current_service_revisions: tuple[str, ...]
    deployments: tuple[Deployment, ...]
    events: tuple[tuple[datetime, str], ...]
    tags: Mapping[str, str]
    read_at: datetime
    grace_seconds: int = 0
    target_groups: tuple[str, ...] = ()
    target_pairs: Mapping[str, str] = field(default_factory=dict)
    minimum_healthy_percent: int | None = None
    launch: Mapping[str, Any] = field(default_factory=dict)
    strategy: str = "ROLLING"
    pauses: tuple[str, ...] = ()
    resource_management_type: str = "CUSTOMER"
    running_by_revision: Mapping[str, int] = field(default_factory=dict)

    @property
    def primary(self) -> Deployment | None:
        """The deployment that the service is moving to, or has reached."""
        return next((d for d in self.deployments if d.status == "PRIMARY"), None)

    @property
    def deployment_ids(self) -> tuple[str, ...]:
        """Ids of all deployments, the newest first."""
        return tuple(d.id for d in self.deployments)

    @property
    def service_revision_arn(self) -> str | None:
        """The one service revision in use; None while two are, or where ECS says none."""
        return self.current_service_revisions[0] if len(self.current_service_revisions) == 1 else None

    @property
    def deploying(self) -> bool:
        """Whether ECS is replacing tasks by those of a deployment."""
        return any(d.rollout_state == "IN_PROGRESS" for d in self.deployments)

    @property
    def busy_revisions(self) -> tuple[str, ...]:
        """The service revisions that tasks run of. A deployment that succeeds early leaves tasks of the one before
        (API_DeploymentConfiguration, earlySuccessCriteria with deferred clean-up)."""
        return tuple(arn for arn in self.current_service_revisions if self.running_by_revision.get(arn, 1))

    @property
    def steady(self) -> bool:
        """Whether one deployment is complete and runs every task that it wants, and no task of another revision is
        left."""
        primary = self.primary
        return (
            len(self.deployments) == 1
            and primary is not None
            and primary.rollout_state == "COMPLETED"
            and self.pending_count == 0
            and self.running_count == self.desired_count
            and len(self.busy_revisions) <= 1
        )


@dataclass(frozen=True)
class ServiceDeployment:
    """One entry of ListServiceDeployments (API_ServiceDeploymentBrief of Amazon ECS)."""

    arn: str
    status: str
    target_service_revision_arn: str
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True)
class DescribedDeployment:
    """One service deployment as DescribeServiceDeployments tells it (API_ServiceDeployment of Amazon ECS).

    `rollback_revision_arn` is what ECS rolls back to, `rollback_reason` why; a rollback stays in the same service
    deployment and creates no new service revision. `waiting_hook` names a lifecycle hook that waits for somebody's
    action, None where none does. `lifecycle_stage` is empty where ECS says none, as in a rolling update.
    """

    arn: str
    status: str
    status_reason: str
    source_revision_arns: tuple[str, ...]
    target_revision_arn: str | None
    rollback_revision_arn: str | None
    rollback_reason: str
    waiting_hook: str | None
    lifecycle_stage: str
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True)
class CodeDeployment:
    """A deployment of AWS CodeDeploy (API_DeploymentInfo).

    `rollback_id` is the deployment that takes it back, `rolls_back` the one that it takes back itself; `error` says why
    it failed or was stopped.
    """

    id: str
    application: str
    group: str
    status: str
    rollback_id: str | None = None
    rolls_back: str | None = None
    error: str = ""

    @property
    def in_flight(self) -> bool:
        """Whether it has not ended, so that it can be stopped (DeploymentStatus of CodeDeploy)."""
        return self.status in CODE_DEPLOY_IN_FLIGHT


CODE_DEPLOY_IN_FLIGHT = frozenset({"Created", "Queued", "InProgress", "Baking", "Ready"})
"""States of a CodeDeploy deployment that has not ended; the others are Succeeded, Failed and Stopped
(API_DeploymentInfo)."""


@dataclass(frozen=True)
class StoppedContainer:
    """A container of a task that ended (API_Container of Amazon ECS). `exit_code` is None where it never ran, or where
    nobody saw its end."""

    name: str
    exit_code: int | None = None
    reason: str = ""
    health_status: str = "UNKNOWN"


@dataclass(frozen=True)
class StoppedTask:
    """A task that ended (API_Task of Amazon ECS).

    `started_at` is None where it never ran. `started_by` is the id of the deployment that started it. `stored`: ECS has
    forgotten it, and it is told from the event of its end.
    """

    arn: str
    stopped_at: datetime
    stop_code: str
    reason: str
    containers: tuple[StoppedContainer, ...] = ()
    task_definition: str = ""
    started_by: str = ""
    created_at: datetime | None = None
    started_at: datetime | None = None
    stopping_at: datetime | None = None
    zone: str = ""
    stored: bool = False


@dataclass(frozen=True)
class Task:
    """A task that ECS describes (API_Task of Amazon ECS).

    `started_by` is the id of the deployment that started it, or what RunTask was told. `target_states` is its health in
    each target group that has it (API_TargetHealth, such as healthy, unhealthy, initial), `disk_percent` how full its
    ephemeral storage was last; None where nothing says so, or it was not asked. `last_lines` end the log
    of its first essential container; they may hold secrets.
    """

    arn: str
    last_status: str
    desired_status: str
    health_status: str = "UNKNOWN"
    started_by: str = ""
    task_definition: str = ""
    created_at: datetime | None = None
    stop_code: str = ""
    stopped_reason: str = ""
    containers: tuple[StoppedContainer, ...] = ()
    target_states: tuple[str, ...] = ()
    disk_percent: float | None = None
    last_lines: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The part of the ARN that people read."""
        return self.arn.rpartition("/")[2]

    @property
    def stopped(self) -> bool:
        """Whether it has ended, or is about to."""
        return "STOPPED" in {self.last_status, self.desired_status}


@dataclass(frozen=True)
class AutomationExecution:
    """An execution of an Automation document (API_AutomationExecution of AWS Systems Manager)."""

    id: str
    document: str
    status: str
    failure_message: str = ""


@dataclass(frozen=True)
class TaskDefinition:
    """A task definition (API_TaskDefinition of Amazon ECS). `settings` is what DescribeTaskDefinition says of it;
    `tags` are there where they were asked for."""

    arn: str
    registered_at: datetime | None
    settings: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        """Whether ECS starts tasks of it: it refuses revisions that were deregistered."""
        return bool(self.settings.get("status", "ACTIVE") == "ACTIVE")


@dataclass(frozen=True)
class LogLine:
    """One line of a log; `at` is None where the line does not say when."""

    text: str
    at: datetime | None = None


@dataclass(frozen=True)
class ApiCall:
    """A call that somebody made of an AWS API ("CloudTrail record contents"). `user` is the name of an IAM user or of a
    role's session, `arguments` the requestParameters."""

    at: datetime
    user: str
    operation: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ServiceRevision:
    """One service revision, with the arguments of UpdateService that restore it (API_ServiceRevision).

    `settings` holds the members that UpdateService takes under the same name, such as taskDefinition,
    networkConfiguration, platformVersion, loadBalancers and capacityProviderStrategy.
    """

    arn: str
    task_definition: str
    created_at: datetime
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ScalableTarget:
    """A service whose desired count Application Auto Scaling owns (API_ScalableTarget).

    Its policies and scheduled actions keep the count from `minimum` to `maximum`. `suspended` names what it does not do
    for now, in AWS's words: DynamicScalingIn, DynamicScalingOut, ScheduledScaling.
    """

    minimum: int
    maximum: int
    suspended: tuple[str, ...] = ()


@dataclass(frozen=True)
class BalancedGroup:
    """A target group, the LoadBalancer dimension of its metrics ("" where nothing uses it), and all target groups of
    that load balancer."""

    arn: str
    load_balancer: str
    siblings: frozenset[str]


class Metric(NamedTuple):
    """What GetMetricData can be asked for; `period` in seconds, dimensions sorted by name."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    stat: str
    period: int


class LogMetric(NamedTuple):
    """What FilterLogEvents can be asked for, counted in periods of `period` seconds."""

    log_group: str
    pattern: str
    period: int


@dataclass(frozen=True)
class Series:
    """Datapoints of one metric, oldest first; `period` in seconds. Each point is stamped with its period's start."""

    points: tuple[tuple[datetime, float], ...]
    period: int

    def since(self, moment: datetime) -> "Series":
        """Only the periods that begin then or later."""
        return Series(tuple(point for point in self.points if point[0] >= moment), self.period)

    @cached_property
    def by_moment(self) -> Mapping[datetime, float]:
        """The value of each period that has one."""
        return dict(self.points)


@dataclass(frozen=True)
class CallerIdentity:
    """Who makes calls to AWS, and how far AWS's clock is ahead of ours; None where it did not say."""

    account: str
    arn: str
    ahead: timedelta | None


@dataclass(frozen=True)
class Verdict:
    """What IAM says of one action on one resource. `decision` is `allowed`, `implicitDeny` or `explicitDeny`."""

    action: str
    resource: str
    decision: str


class AwsError(Exception):
    """AWS said no, or nothing. `message` is redacted and cut, as it quotes arguments and goes into status and logs.

    `code` is AWS's error code, or `Unreachable` when no answer came. `sent` says whether the request may have had an
    effect: False only where AWS itself refused it before acting, or the connection was never made.
    """

    def __init__(self, operation: str, code: str, message: str, *, sent: bool) -> None:
        self.operation = operation
        self.code = code
        self.message = redact_quote(message)
        super().__init__(f"{operation}: {code}: {self.message}")
        self.sent = sent
