"""The state of simulated Amazon ECS: plain objects, and the indexes to find them."""

import math
import random
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from .aws_json import Json
from .behaviour import TaskBehaviour
from .conditions import Conditions
from .errors import AwsError

MAX_SERVICE_EVENTS = 100
"""DescribeServices: "The event stream for your service. A maximum of 100 of the latest events are displayed"."""

WORKLOAD_MEMBERS = (
    "taskDefinition",
    "launchType",
    "capacityProviderStrategy",
    "platformVersion",
    "networkConfiguration",
    "loadBalancers",
    "serviceRegistries",
    "serviceConnectConfiguration",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
    "monitoring",
)
"""The parameters of a service that a service revision records (API type ServiceRevision); changing one deploys."""

STARTING_STATUSES = frozenset({"PROVISIONING", "PENDING", "ACTIVATING"})
"""The task life cycle before RUNNING; `pendingCount` counts them."""

IN_PROGRESS = "IN_PROGRESS"
FINISHED_STATUSES = frozenset({"SUCCESSFUL", "STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"})
"""The "completed" stage of the developer guide's page on service deployments."""


@dataclass
class Cluster:
    """A cluster, and the tags on it."""

    arn: str
    name: str
    created_at: float
    settings: list[Json] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class TaskDefinition:
    """One revision of a family. `contents` are the members that RegisterTaskDefinition was given."""

    arn: str
    family: str
    revision: int
    contents: Json
    behaviour: TaskBehaviour
    registered_at: float
    deregistered_at: float | None = None
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """ACTIVE, or INACTIVE once deregistered."""
        return "ACTIVE" if self.deregistered_at is None else "INACTIVE"


@dataclass(frozen=True)
class ServiceRevision:
    """The workload configuration of one deployment; `workload` has the WORKLOAD_MEMBERS as the API shapes them.

    `target_groups` are the ARNs its tasks are registered in, one for each load balancer of the workload that has
    target groups: after a blue/green deployment not those that the service names (API type ResolvedConfiguration).
    """

    arn: str
    workload: Json
    created_at: float
    target_groups: tuple[str, ...] = ()


@dataclass
class TaskSource:
    """What starts tasks: a deployment or a task set, known by its `ecs-svc/` id, which is `Task.startedBy`.

    `failed_tasks` counts the failures the circuit breaker looks at; `failed_starts` those before RUNNING, which
    slow down new starts until `start_not_before` (wall seconds).
    """

    id: str
    revision: ServiceRevision
    created_at: float
    updated_at: float
    failed_tasks: int = field(default=0, kw_only=True)
    failed_starts: int = field(default=0, kw_only=True)
    start_not_before: float = field(default=0.0, kw_only=True)


@dataclass
class Deployment(TaskSource):
    """An entry of `Service.deployments`."""

    rollout_state: str = IN_PROGRESS
    rollout_state_reason: str = ""


@dataclass
class TaskSet(TaskSource):
    """An entry of `Service.taskSets`, of a service whose controller is CODE_DEPLOY or EXTERNAL.

    `scale` is a percentage of the service's desired count; `status` is PRIMARY, ACTIVE or DRAINING.
    """

    arn: str
    scale: float
    status: str = "ACTIVE"
    external_id: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    steady: bool = False
    stability_at: float = 0.0

    def compute_desired_count(self, service_desired_count: int) -> int:
        """API type TaskSet, computedDesiredCount: "The result is always rounded up"."""
        return 0 if self.status == "DRAINING" else math.ceil(service_desired_count * self.scale / 100)


@dataclass
class LifecycleHook:
    """One run of a deployment lifecycle hook (API type DeploymentLifecycleHookDetail).

    `answer_at` is when a Lambda function answers, with `answer`; None: not by itself.
    """

    id: str
    stage: str
    target_type: str
    target_arn: str | None
    status: str
    expires_at: float
    timeout_action: str
    answer_at: float | None = None
    answer: str = "SUCCEEDED"


@dataclass
class Rollback:
    """Why, when and to which service revision a service deployment went back."""

    reason: str
    started_at: float
    revision_arn: str


@dataclass
class ServiceDeployment:
    """A service deployment: the record of one change of a service, rollback included.

    `stage_position` counts the stages entered, traffic shift steps one by one; `stage_ends_at` is when the wait of the
    present one is over (wall seconds). `production_share` and `test_share` are the shares (0 to 1) of the traffic that
    goes to the target revision; `production_share` is None where traffic follows the tasks.
    """

    arn: str
    source_revisions: tuple[str, ...]
    target_revision: str
    created_at: float
    updated_at: float
    deployment_configuration: Json
    status: str = "PENDING"
    status_reason: str | None = None
    started_at: float | None = None
    finished_at: float | None = None
    stopped_at: float | None = None
    rollback: Rollback | None = None
    breaker_status: str = "MONITORING"
    failure_count: int = 0
    alarm_status: str = "DISABLED"
    triggered_alarms: tuple[str, ...] = ()
    lifecycle_stage: str | None = None
    stage_position: int = 0
    stage_ends_at: float | None = None
    stop_requested_at: float | None = None
    hooks: list[LifecycleHook] = field(default_factory=list)
    production_share: float | None = None
    test_share: float = 0.0

    @property
    def strategy(self) -> str:
        """ROLLING, BLUE_GREEN, LINEAR or CANARY."""
        return str(self.deployment_configuration.get("strategy", "ROLLING"))

    @property
    def shifts_traffic(self) -> bool:
        """Whether its strategy runs old and new tasks side by side and moves traffic between them."""
        return self.strategy != "ROLLING"

    @property
    def is_finished(self) -> bool:
        """Whether nothing more becomes of it."""
        return self.status in FINISHED_STATUSES


@dataclass
class Task:
    """A task of a service, or one of RunTask: then `revision_arn` is empty, and `deployment_id` is its startedBy.

    `workload` is where and how it runs, as the API shapes it: of its service revision, or of the RunTask request.
    `transition_at` is when its next change is due (wall seconds). `healthy`: it takes traffic, and its deployment
    can count on it. `was_healthy`: it once did. `checks_pass` is what its health checks find since
    `checks_changed_at`; None until they begin. `stuck_error_ratio`: it fails its checks for good, ECS does not stop it
    for that, and it fails this share (0 to 1) of the requests it still gets; None: it is not stuck.
    `protected_until`: no scale-in and no deployment stops it before. `lines_written` are those its main container
    wrote since it started. `ends` says how its containers ended, by
    name; never changed in place.
    """

    id: str
    arn: str
    deployment_id: str
    revision_arn: str
    task_definition: TaskDefinition
    created_at: float
    transition_at: float | None
    cluster: str = ""
    group: str = ""
    workload: Json = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    overrides: Json = field(default_factory=dict)
    availability_zone: str | None = None
    subnet: str | None = None
    capacity_provider: str | None = None
    container_instance: str | None = None
    last_status: str = "PROVISIONING"
    desired_status: str = "RUNNING"
    version: int = 1
    healthy: bool = False
    was_healthy: bool = False
    checks_pass: bool | None = None
    checks_changed_at: float = 0.0
    stuck_error_ratio: float | None = None
    health_status: str = "UNKNOWN"
    pull_started_at: float | None = None
    pull_stopped_at: float | None = None
    started_at: float | None = None
    container_started_at: float | None = None
    restarts: int = 0
    lines_written: int = 0
    protected_until: float = 0.0
    stopping_at: float | None = None
    execution_stopped_at: float | None = None
    stopped_at: float | None = None
    stop_code: str | None = None
    stopped_reason: str | None = None
    ends: "dict[str, ContainerEnd]" = field(default_factory=dict)


@dataclass(frozen=True)
class ContainerEnd:
    """How a container ended: without an exit code when it never ran, or its host was lost."""

    exit_code: int | None = None
    reason: str | None = None


@dataclass(frozen=True)
class ServiceEvent:
    """A line of a service's event stream."""

    id: str
    created_at: float
    message: str


@dataclass
class Service:
    """A service and all that belongs to it. `deployments` and `service_deployments` are newest first.

    `settings` are the members that change without a deployment, as the API shapes them.
    """

    arn: str
    cluster: str
    name: str
    created_at: float
    created_by: str
    desired_count: int
    settings: Json
    tags: dict[str, str]
    status: str = "ACTIVE"
    steady: bool = False
    last_successful_revision: str | None = None
    deployments: list[Deployment] = field(default_factory=list)
    service_deployments: list[ServiceDeployment] = field(default_factory=list)
    task_sets: list[TaskSet] = field(default_factory=list)
    initial_workload: Json = field(default_factory=dict)
    revisions: dict[str, ServiceRevision] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    unresolved: dict[str, float] = field(default_factory=dict)
    """When a service event was last told whose cause lasts, by cause (wall seconds)."""
    events: deque[ServiceEvent] = field(default_factory=lambda: deque(maxlen=MAX_SERVICE_EVENTS))

    @property
    def key(self) -> tuple[str, str]:
        """Cluster name and service name."""
        return self.cluster, self.name

    @property
    def controller(self) -> str:
        """The deployment controller: ECS, CODE_DEPLOY or EXTERNAL."""
        return str(self.settings["deploymentController"]["type"])

    @property
    def primary(self) -> Deployment:
        """The PRIMARY deployment; only services with the ECS controller have one."""
        return self.deployments[0]

    @property
    def sources(self) -> list[TaskSource]:
        """Its deployments or task sets, the primary one first."""
        ranked = sorted(self.task_sets, key=lambda task_set: task_set.status != "PRIMARY")
        return [*self.deployments, *ranked]

    @property
    def workload(self) -> Json:
        """The workload configuration now aimed at."""
        if self.deployments:
            return self.primary.revision.workload
        serving = next((task_set for task_set in self.task_sets if task_set.status == "PRIMARY"), None)
        return self.initial_workload if serving is None else serving.revision.workload

    @property
    def target_group_arns(self) -> list[str]:
        """Every load balancer target group its tasks may be registered in, alternate ones included."""
        arns: dict[str, None] = {}
        for balancer in self.workload.get("loadBalancers", []):
            alternate = balancer.get("advancedConfiguration", {}).get("alternateTargetGroupArn")
            arns |= dict.fromkeys(arn for arn in (balancer.get("targetGroupArn"), alternate) if arn is not None)
        for source in self.sources:
            arns |= dict.fromkeys(source.revision.target_groups)
        return list(arns)

    def production_shares(self) -> dict[str, float]:
        """The share of the production traffic (0 to 1, in sum 1) that each service revision's tasks get.

        A strategy that shifts traffic says so itself, and a task set gets it when it is the PRIMARY one; else traffic
        follows the healthy tasks. Revisions without traffic are left out; {} when no task could serve.
        """
        if self.controller != "ECS":
            primary = next((task_set for task_set in self.task_sets if task_set.status == "PRIMARY"), None)
            return {} if primary is None else {primary.revision.arn: 1.0}
        record = self.service_deployments[0]
        if record.production_share is not None:
            target = record.target_revision
            old = next((arn for arn in record.source_revisions if arn != target), None)
            if old is None:
                return {target: 1.0}
            shares = {old: 1 - record.production_share, target: record.production_share}
            return {arn: share for arn, share in shares.items() if share > 0}
        healthy = Counter(task.revision_arn for task in self.tasks.values() if task.healthy)
        return {arn: count / healthy.total() for arn, count in healthy.items()}

    def traffic(self, shares: Mapping[str, float] | None = None) -> list[tuple[str, str, float]]:
        """Target group, service revision, and the share (0 to 1) of the service's requests they get together.

        The shares of the target groups of one load balancer add up to 1; a service with several load balancers gets
        its requests through each of them. [] when no task could serve or there is no target group. `shares`: what
        `production_shares` says, where it is known already.
        """
        return [
            (arn, revision_arn, share)
            for revision_arn, share in (self.production_shares() if shares is None else shares).items()
            for arn in self.revisions[revision_arn].target_groups
        ]

    def registered(self, target_group_arn: str) -> list[Task]:
        """The RUNNING tasks that are targets of a target group."""
        return [task for task in self.running() if target_group_arn in self.revisions[task.revision_arn].target_groups]

    def running(self, deployment_id: str | None = None) -> list[Task]:
        """Its RUNNING tasks, of one deployment if given."""
        return [
            task
            for task in self.tasks.values()
            if task.last_status == "RUNNING" and deployment_id in (None, task.deployment_id)
        ]

    def pending(self, deployment_id: str | None = None) -> list[Task]:
        """Its tasks on the way to RUNNING, of one deployment if given."""
        return [
            task
            for task in self.tasks.values()
            if task.last_status in STARTING_STATUSES and deployment_id in (None, task.deployment_id)
        ]

    def snapshot(self) -> "Service":
        """A copy that later changes of this service do not reach."""
        return replace(
            self,
            settings=dict(self.settings),
            tags=dict(self.tags),
            deployments=[replace(deployment) for deployment in self.deployments],
            service_deployments=[
                replace(deployment, hooks=[replace(hook) for hook in deployment.hooks])
                for deployment in self.service_deployments
            ],
            task_sets=[replace(task_set) for task_set in self.task_sets],
            revisions=dict(self.revisions),
            tasks={id_: replace(task) for id_, task in self.tasks.items()},
            events=self.events.copy(),
        )


class Identifiers:
    """Names of new things in AWS's formats, the same for the same seed."""

    def __init__(self, seed: int | str) -> None:
        self._random = random.Random(seed)

    def hex_id(self) -> str:
        """32 hexadecimal digits: a task."""
        return f"{self._random.getrandbits(128):032x}"

    def digits(self) -> str:
        """19 digits: a deployment or a service revision."""
        return str(self._random.randrange(10**18, 10**19))

    def word(self) -> str:
        """22 letters, digits, _ and -: a service deployment."""
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
        return "".join(self._random.choices(alphabet, k=22))

    def uuid(self) -> str:
        """A UUID: a service event."""
        value = self.hex_id()
        return "-".join((value[:8], value[8:12], value[12:16], value[16:20], value[20:]))

    def jitter(self, share: float) -> float:
        """A factor between 1 - share and 1 + share."""
        return self._random.uniform(1 - share, 1 + share)


Publish = Callable[[str, list[str], Json], None]
"""Sends an event to EventBridge: detail-type, ARNs of the resources it is about, detail."""


Log = Callable[[str, str, str], None]
"""Writes a line to CloudWatch Logs: log group, log stream, message."""


def _log_nowhere(_group: str, _stream: str, _message: str) -> None:
    """What becomes of log lines as long as there are no logs."""


def _publish_nowhere(_detail_type: str, _resources: list[str], _detail: Json) -> None:
    """What becomes of ECS's events as long as there is no event bus."""


AlarmState = Callable[[str], str | None]
"""The state (OK, ALARM, INSUFFICIENT_DATA) of the CloudWatch alarm of this name; None: no such alarm, or unknown."""


def _know_no_alarm(_name: str) -> None:
    """What ECS sees of alarms as long as there are none."""


class Ecs:
    """All clusters, task definitions and services of one account and region.

    `publish` sends ECS's events to EventBridge, `alarm_state` tells the state of a CloudWatch alarm, and `log` writes
    what containers say; whoever has an event bus, alarms and logs sets them. `standalone_tasks`, by ID, are those that
    RunTask started.
    Not thread safe: the owner holds a lock around every use.
    """

    def __init__(self, account: str, region: str, identifiers: Identifiers) -> None:
        self.account = account
        self.region = region
        self.identifiers = identifiers
        self.clusters: dict[str, Cluster] = {}
        self.families: dict[str, list[TaskDefinition]] = {}
        self.services: dict[tuple[str, str], Service] = {}
        self.publish: Publish = _publish_nowhere
        self.alarm_state: AlarmState = _know_no_alarm
        self.log: Log = _log_nowhere
        self.conditions = Conditions()
        self.standalone_tasks: dict[str, Task] = {}
        self._histories: dict[tuple[str, str], deque[tuple[float, Service]]] = {}
        self._lag = 0.0

    def arn(self, resource: str) -> str:
        """The ARN of `resource`, such as `cluster/demo`."""
        return f"arn:aws:ecs:{self.region}:{self.account}:{resource}"

    def find_task_definition(self, reference: str) -> TaskDefinition | None:
        """By ARN, `family:revision`, or `family` (its newest ACTIVE revision)."""
        family, _, revision = reference.rsplit("/", 1)[-1].partition(":")
        revisions = self.families.get(family, [])
        if not revision:
            return next((entry for entry in reversed(revisions) if entry.status == "ACTIVE"), None)
        index = int(revision) - 1 if revision.isdecimal() else -1
        return revisions[index] if 0 <= index < len(revisions) else None

    def get_active_service(self, cluster: str | None, reference: str) -> Service:
        """The service that `reference`, a name or ARN, names in a cluster.

        ServiceNotFoundException when there is none, ServiceNotActiveException when it is not ACTIVE.
        """
        service = self.services.get((self.find_cluster(cluster).name, reference.rsplit("/", 1)[-1]))
        if service is None:
            raise AwsError("ServiceNotFoundException", "Service not found.")
        if service.status != "ACTIVE":
            raise AwsError("ServiceNotActiveException", "Service was not ACTIVE.")
        return service

    def resolve_task_definition(self, reference: str) -> str:
        """The ARN of a task definition that may be deployed; ClientException when missing or INACTIVE."""
        definition = self.find_task_definition(reference)
        if definition is None:
            raise AwsError("ClientException", "TaskDefinition not found.")
        if definition.status != "ACTIVE":
            raise AwsError("ClientException", "TaskDefinition is inactive")
        return definition.arn

    def find_cluster(self, reference: str | None) -> Cluster:
        """By name or ARN, `default` when None; ClusterNotFoundException when there is none."""
        cluster = self.clusters.get((reference or "default").rsplit("/", 1)[-1])
        if cluster is None:
            raise AwsError("ClusterNotFoundException", "Cluster not found.")
        return cluster

    # Reads lag behind writes: AWS answers from replicas, "Amazon ECS API follows an eventual consistency model".

    def set_lag(self, seconds: float, now: float) -> None:
        """From `now` on, reads of services show the state `seconds` (wall) ago; 0 turns it off."""
        self._lag = seconds
        self._histories.clear()
        if seconds > 0:
            for service in self.services.values():
                self._histories[service.key] = deque([(0.0, service.snapshot())])

    def record(self, service: Service, now: float) -> None:
        """Keep how `service` looks at `now` for readers that lag."""
        if self._lag <= 0:
            return
        history = self._histories.setdefault(service.key, deque())
        history.append((now, service.snapshot()))
        while len(history) > 1 and history[1][0] <= now - self._lag:
            history.popleft()

    def read_standalone(self, cluster: str, now: float) -> list[Task]:
        """The tasks of RunTask in `cluster` that a reader can see at `now`: those older than the lag."""
        tasks = self.standalone_tasks.values()
        return [task for task in tasks if task.cluster == cluster and task.created_at <= now - self._lag]

    def read(self, key: tuple[str, str], now: float) -> Service | None:
        """The service as a reader sees it at `now`; None when it does not exist, or not yet for readers."""
        if self._lag <= 0:
            return self.services.get(key)
        seen = None
        for recorded_at, service in self._histories.get(key, ()):
            if recorded_at > now - self._lag:
                break
            seen = service
        return seen

    def read_cluster(self, cluster: str, now: float) -> Iterator[Service]:
        """Every service of `cluster` as a reader sees it at `now`."""
        for key in self.services:
            if key[0] == cluster and (service := self.read(key, now)) is not None:
                yield service
