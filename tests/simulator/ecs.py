"""The state of simulated Amazon ECS: plain objects, and the indexes to find them."""

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from .aws_json import Json
from .behaviour import TaskBehaviour
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
)
"""The parameters of a service that a service revision records (API type ServiceRevision); changing one deploys."""

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
    """The workload configuration of one deployment; `workload` has the WORKLOAD_MEMBERS as the API shapes them."""

    arn: str
    workload: Json
    created_at: float


@dataclass
class Deployment:
    """An entry of `Service.deployments`, known by its `ecs-svc/` id.

    `failed_tasks` counts the failures the circuit breaker looks at; `failed_starts` those before RUNNING, which
    slow down new starts until `start_not_before` (wall seconds).
    """

    id: str
    revision: ServiceRevision
    created_at: float
    updated_at: float
    rollout_state: str = IN_PROGRESS
    rollout_state_reason: str = ""
    failed_tasks: int = 0
    failed_starts: int = 0
    start_not_before: float = 0.0


@dataclass
class Rollback:
    """Why, when and to which service revision a service deployment went back."""

    reason: str
    started_at: float
    revision_arn: str


@dataclass
class ServiceDeployment:
    """A service deployment: the record of one change of a service, rollback included."""

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


@dataclass
class Task:
    """A task of a service. `transition_at` is when its next change of state is due (wall seconds)."""

    id: str
    arn: str
    deployment_id: str
    revision_arn: str
    task_definition: TaskDefinition
    created_at: float
    transition_at: float | None
    last_status: str = "PROVISIONING"
    desired_status: str = "RUNNING"
    version: int = 1
    healthy: bool = False
    started_at: float | None = None
    stopping_at: float | None = None
    stopped_at: float | None = None
    stop_code: str | None = None
    stopped_reason: str | None = None
    exit_code: int | None = None


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
    revisions: dict[str, ServiceRevision] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    events: deque[ServiceEvent] = field(default_factory=lambda: deque(maxlen=MAX_SERVICE_EVENTS))

    @property
    def key(self) -> tuple[str, str]:
        """Cluster name and service name."""
        return self.cluster, self.name

    @property
    def primary(self) -> Deployment:
        """The PRIMARY deployment."""
        return self.deployments[0]

    @property
    def workload(self) -> Json:
        """The workload configuration now aimed at."""
        return self.primary.revision.workload

    @property
    def target_group_arns(self) -> list[str]:
        """The load balancer target groups its tasks are registered in."""
        balancers = self.workload.get("loadBalancers", [])
        return [balancer["targetGroupArn"] for balancer in balancers if "targetGroupArn" in balancer]

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
            if task.last_status in ("PROVISIONING", "PENDING") and deployment_id in (None, task.deployment_id)
        ]

    def snapshot(self) -> "Service":
        """A copy that later changes of this service do not reach."""
        return replace(
            self,
            settings=dict(self.settings),
            tags=dict(self.tags),
            deployments=[replace(deployment) for deployment in self.deployments],
            service_deployments=[replace(deployment) for deployment in self.service_deployments],
            revisions=dict(self.revisions),
            tasks={id_: replace(task) for id_, task in self.tasks.items()},
            events=self.events.copy(),
        )


class Identifiers:
    """Names of new things in AWS's formats, the same for the same seed."""

    def __init__(self, seed: int) -> None:
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


class Ecs:
    """All clusters, task definitions and services of one account and region.

    Not thread safe: the owner holds a lock around every use.
    """

    def __init__(self, account: str, region: str, identifiers: Identifiers) -> None:
        self.account = account
        self.region = region
        self.identifiers = identifiers
        self.clusters: dict[str, Cluster] = {}
        self.families: dict[str, list[TaskDefinition]] = {}
        self.services: dict[tuple[str, str], Service] = {}
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
