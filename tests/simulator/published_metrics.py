"""The metrics that ECS, load balancers, API Gateway and Container Insights publish about services.

Once a minute of simulated time the state of every service is taken as it is and published for the whole minute:

- AWS/ECS: CPUUtilization and MemoryUtilization, one sample a running task, and nothing without running tasks
  (developer guide, "Amazon ECS CloudWatch metrics"); EBSFilesystemUtilization too where tasks have an EBS volume.
- AWS/ApplicationELB (user guide, "CloudWatch metrics for your Application Load Balancer"): metrics are reported "only
  when requests are flowing"; RequestCount counts only requests "where the load balancer node was able to choose a
  target"; error counts are reported only when they are not zero. With no target the 503 are the load balancer's own
  (HTTPCode_ELB_5XX_Count), which has no TargetGroup dimension. Each target group gets the traffic that
  `Service.traffic` says, so that a bad canary shows on its own target group alone.
- AWS/ApiGateway: see `api_gateways`. Unlike target metrics they do not vanish in an outage: the gateway answers 5XX.
- ECS/ContainerInsights, where the cluster's setting containerInsights is `enabled` or `enhanced` (CloudWatch user
  guide, "Amazon ECS Container Insights metrics"); RestartCount is one of the enhanced ones.
"""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from .api_gateways import GATEWAY_LATENCY_SECONDS, ApiGateway
from .aws_protocol import Json
from .behaviour import find_main_container
from .clock import METRIC_PERIOD_SECONDS, Clock
from .cloudwatch import Dimensions, MetricName, MetricStore, Sample, Series
from .conditions import includes
from .ecs import Ecs, Service, Task
from .load import Demand, Health, TaskLoad, evaluate_health
from .load_balancers import LoadBalancers
from .metric_conditions import MetricConditions
from .restart_policy import has_restart_policy
from .traffic import ServiceKey, Traffic

ECS_NAMESPACE = "AWS/ECS"
LOAD_BALANCER_NAMESPACE = "AWS/ApplicationELB"
API_GATEWAY_NAMESPACE = "AWS/ApiGateway"
CONTAINER_INSIGHTS_NAMESPACE = "ECS/ContainerInsights"

LATENCY_SHAPE = ((0.9, 0.8), (0.09, 2.0), (0.01, 10.0))
"""Shares of the requests, and how their latency compares with the mean: p50 is 0.8, p99 2 and p99.9 10 times it."""
DEFAULT_STORAGE_GIB = 20.0
"""Ephemeral storage of a Fargate task that asks for none (developer guide, "Fargate task ephemeral storage")."""
DEFAULT_CPU_UNITS = 256.0
DEFAULT_MEMORY_MIB = 512.0


@dataclass
class _Flow:
    """Requests of one period through a target group or a load balancer, and what became of them."""

    requests: float = 0.0
    errors: float = 0.0
    refused: float = 0.0
    latencies: list[tuple[float, float]] = field(default_factory=list)
    """Requests, and their mean latency in seconds."""

    def add(self, requests: float, health: Health) -> None:
        """Count requests that a target took."""
        self.requests += requests
        self.errors += requests * health.error_ratio
        self.latencies.append((requests, health.latency_seconds))


@dataclass(frozen=True)
class _State:
    """A service at one instant: its running tasks, and the health of those that serve, by service revision."""

    running: list[Task]
    health: dict[str, Health]
    cpu: list[float]
    memory: list[float]


class Publisher:
    """Publishes for all services of one account and region. The owner holds a lock around every use."""

    def __init__(
        self,
        ecs: Ecs,
        store: MetricStore,
        *,
        conditions: MetricConditions,
        traffic: Traffic,
        balancers: LoadBalancers,
        clock: Clock,
    ) -> None:
        self.gateways: dict[ServiceKey, ApiGateway] = {}
        """API Gateways in front of services."""
        self._ecs = ecs
        self._store = store
        self._conditions = conditions
        self._traffic = traffic
        self._balancers = balancers
        self._clock = clock
        self._series: dict[tuple[str, str, Dimensions], tuple[MetricName, Series]] = {}
        self._restarts: dict[str, int] = {}
        self._period_start = 0.0
        self._now = 0.0
        self._delivery_is_plain = True

    def publish(self, period_start: float, now: float) -> None:
        """Publish the period that began at `period_start` (wall seconds); AWS stamps points with a period's start."""
        self._period_start, self._now = period_start, now
        self._delivery_is_plain = not self._conditions.find()
        balancers: dict[str, _Flow] = defaultdict(_Flow)
        restarts: dict[str, int] = {}
        for service in self._ecs.services.values():
            if service.status == "ACTIVE":
                self._publish_service(service, balancers, restarts)
        for path, flow in balancers.items():
            self._publish_flow((("LoadBalancer", path),), flow)
        self._restarts = restarts

    def _publish_service(self, service: Service, balancers: dict[str, _Flow], restarts: dict[str, int]) -> None:
        demand = self._traffic.demand(service.key, self._now)
        shares = service.production_shares()
        state = self._evaluate(service, demand, shares)
        dimensions = (("ClusterName", service.cluster), ("ServiceName", service.name))
        monitoring = service.workload.get("monitoring")
        for name, values in (("CPUUtilization", state.cpu), ("MemoryUtilization", state.memory)):
            resolution = METRIC_PERIOD_SECONDS if monitoring is None else _find_resolution(monitoring, name)
            for offset in range(0, int(METRIC_PERIOD_SECONDS), int(resolution)):
                self._put_all(ECS_NAMESPACE, name, dimensions, values, unit="Percent", offset=offset)
        volumes = [100 * used / size for used, size in map(self._measure_volume, state.running) if size < math.inf]
        self._put_all(ECS_NAMESPACE, "EBSFilesystemUtilization", dimensions, volumes, unit="Percent")
        requests = demand.rps * METRIC_PERIOD_SECONDS
        total = _Flow()
        for revision, share in shares.items():
            if (health := state.health.get(revision)) is not None:
                total.add(requests * share, health)
        total.refused = requests - total.requests
        failed = total.errors + total.refused
        self._traffic.observe(service.key, failed / requests if requests else float(not state.health))
        if service.target_group_arns:
            self._publish_target_groups(service, state, shares=shares, requests=requests, balancers=balancers)
        if (gateway := self.gateways.get(service.key)) is not None and requests:
            self._publish_gateway(gateway, requests, failed, total)
        setting = self._insights_setting(service.cluster)
        if setting in ("enabled", "enhanced"):
            self._publish_insights(service, dimensions, state, restarts, enhanced=setting == "enhanced")

    def _evaluate(self, service: Service, demand: Demand, shares: dict[str, float]) -> _State:
        running = service.running()
        serving: dict[str, list[Task]] = defaultdict(list)
        cpu: list[float] = []
        memory: list[float] = []
        for task in running:
            if (task.healthy or task.stuck_error_ratio is not None) and shares.get(task.revision_arn):
                serving[task.revision_arn].append(task)
            else:
                idle = evaluate_health(replace(demand, rps=0), [self._load(task)])
                assert idle is not None, "there is a task"
                cpu.extend(idle.cpu)
                memory.extend(idle.memory)
        health = {}
        for revision, tasks in serving.items():
            part = replace(demand, rps=demand.rps * shares[revision])
            found = evaluate_health(part, [self._load(task) for task in tasks])
            assert found is not None, "there are tasks"
            health[revision] = found
            cpu.extend(found.cpu)
            memory.extend(found.memory)
        return _State(running, health, cpu, memory)

    def _load(self, task: Task) -> TaskLoad:
        behaviour = task.task_definition.behaviour
        started_at = task.container_started_at or task.started_at or self._now
        disks = (self._measure_disk(task), self._measure_volume(task))
        full = behaviour.disk_full_error_ratio if any(used >= size for used, size in disks) else 0.0
        if includes(self._ecs.conditions.impaired_zones, task.availability_zone or ""):
            full = 1.0
        full = max(full, task.stuck_error_ratio or 0.0)
        return TaskLoad(behaviour, (self._now - started_at) * self._clock.speed, full)

    def _measure_volume(self, task: Task) -> tuple[float, float]:
        """The EBS volume of a task: GiB in use, and in all; (0, infinity) without one."""
        volumes = task.workload.get("volumeConfigurations")
        if not volumes:
            return 0.0, math.inf
        size = next(
            (float(v["managedEBSVolume"].get("sizeInGiB", 1)) for v in volumes if "managedEBSVolume" in v), math.inf
        )
        behaviour = task.task_definition.behaviour
        hours = (self._now - (task.started_at or self._now)) * self._clock.speed / 3600
        return min(size, behaviour.volume_used_gb + behaviour.volume_growth_gb_per_hour * hours), size

    def _measure_disk(self, task: Task) -> tuple[float, float]:
        """Ephemeral storage of a task: GiB in use, and in all."""
        contents = task.task_definition.contents
        size = float(contents.get("ephemeralStorage", {}).get("sizeInGiB", DEFAULT_STORAGE_GIB))
        full = self._ecs.conditions.full_disks
        if full and (includes(full, task.id) or includes(full, task.arn)):
            return size, size
        behaviour = task.task_definition.behaviour
        hours = (self._now - (task.started_at or self._now)) * self._clock.speed / 3600
        return min(size, behaviour.disk_used_gb + behaviour.disk_growth_gb_per_hour * hours), size

    # Load balancers

    def _publish_target_groups(
        self,
        service: Service,
        state: _State,
        *,
        shares: dict[str, float],
        requests: float,
        balancers: dict[str, _Flow],
    ) -> None:
        flows: dict[str, _Flow] = defaultdict(_Flow)
        taken: dict[str, float] = defaultdict(float)
        paths = {arn: self._balancers.find_path(arn, service) for arn in service.target_group_arns}
        for arn, revision, share in service.traffic(shares):
            if (health := state.health.get(revision)) is not None and requests:
                flows[arn].add(requests * share, health)
                balancers[paths[arn]].add(requests * share, health)
                taken[paths[arn]] += requests * share
        for path in set(paths.values()):
            # Fractions of a request are what shares leave over, not requests.
            if (refused := requests - taken[path]) >= 0.5:
                balancers[path].refused += refused
        targets: dict[str, list[Task]] = {arn: [] for arn in paths}
        for task in state.running:
            for arn in service.revisions[task.revision_arn].target_groups:
                targets.setdefault(arn, []).append(task)
        for arn, path in paths.items():
            target_group = arn.rsplit(":", 1)[-1]
            dimensions = (("LoadBalancer", path), ("TargetGroup", target_group))
            healthy = sum(task.healthy for task in targets[arn])
            self._put(LOAD_BALANCER_NAMESPACE, "HealthyHostCount", dimensions, healthy)
            self._put(LOAD_BALANCER_NAMESPACE, "UnHealthyHostCount", dimensions, len(targets[arn]) - healthy)
            if arn in flows:
                self._publish_flow(dimensions, flows[arn])
                per_target = flows[arn].requests / max(1, healthy)
                self._put(LOAD_BALANCER_NAMESPACE, "RequestCountPerTarget", dimensions, per_target)

    def _publish_flow(self, dimensions: Dimensions, flow: _Flow) -> None:
        """What a target group and a load balancer both publish: nothing without requests, no count of zero."""
        errors, refused = round(flow.errors), round(flow.refused)
        counts = {
            "RequestCount": round(flow.requests),
            "HTTPCode_Target_2XX_Count": round(flow.requests) - errors,
            "HTTPCode_Target_5XX_Count": errors,
            "HTTPCode_ELB_5XX_Count": refused,
            "HTTPCode_ELB_503_Count": refused,
        }
        for name, count in counts.items():
            if count > 0:
                self._put(LOAD_BALANCER_NAMESPACE, name, dimensions, count)
        self._put_latencies(LOAD_BALANCER_NAMESPACE, "TargetResponseTime", dimensions, flow.latencies, "Seconds")

    # API Gateway

    def _publish_gateway(self, gateway: ApiGateway, requests: float, failed: float, flow: _Flow) -> None:
        latencies = [(count, 1000 * (seconds + GATEWAY_LATENCY_SECONDS)) for count, seconds in flow.latencies]
        count, errors = round(requests), round(failed)
        for members in gateway.dimensions():
            dimensions = tuple(members.items())
            self._put(API_GATEWAY_NAMESPACE, "Count", dimensions, 1.0, count=count)
            if gateway.kind == "REST":
                for name, bad in (("5XXError", errors), ("4XXError", 0)):
                    for value, share in ((1.0, bad), (0.0, count - bad)):
                        if share > 0:
                            self._put(API_GATEWAY_NAMESPACE, name, dimensions, value, count=share)
            elif errors > 0:
                self._put(API_GATEWAY_NAMESPACE, "5xx", dimensions, 1.0, count=errors)
            self._put_latencies(API_GATEWAY_NAMESPACE, "Latency", dimensions, latencies, "Milliseconds")

    # Container Insights

    def _insights_setting(self, cluster_name: str) -> str:
        cluster = self._ecs.clusters.get(cluster_name)
        settings = cluster.settings if cluster is not None else []
        return next((str(s["value"]) for s in settings if s.get("name") == "containerInsights"), "disabled")

    def _publish_insights(
        self, service: Service, dimensions: Dimensions, state: _State, restarts: dict[str, int], *, enhanced: bool
    ) -> None:
        counts = {
            "RunningTaskCount": len(state.running),
            "PendingTaskCount": len(service.pending()),
            "DesiredTaskCount": service.desired_count,
            "DeploymentCount": len(service.deployments),
            "TaskSetCount": len(service.task_sets),
        }
        for name, count in counts.items():
            self._put(CONTAINER_INSIGHTS_NAMESPACE, name, dimensions, count)
        if not state.running:
            return
        contents = state.running[0].task_definition.contents
        cpu_units = float(contents.get("cpu") or DEFAULT_CPU_UNITS)
        memory_mib = float(contents.get("memory") or DEFAULT_MEMORY_MIB)
        for name, units, shares, unit in (
            ("Cpu", cpu_units, state.cpu, "None"),
            ("Memory", memory_mib, state.memory, "Megabytes"),
        ):
            used = [units * percent / 100 for percent in shares]
            self._put_all(CONTAINER_INSIGHTS_NAMESPACE, f"{name}Utilized", dimensions, used, unit=unit)
            self._put(CONTAINER_INSIGHTS_NAMESPACE, f"{name}Reserved", dimensions, units, unit=unit, count=len(shares))
        disks = [self._measure_disk(task) for task in state.running]
        for name, values in (
            ("EphemeralStorageUtilized", [used for used, _ in disks]),
            ("EphemeralStorageReserved", [size for _, size in disks]),
        ):
            self._put_all(CONTAINER_INSIGHTS_NAMESPACE, name, dimensions, values, unit="Gigabytes")
        if enhanced:
            self._publish_restarts(dimensions, state.running, restarts)
            self._publish_disks(dimensions, state.running, disks)

    def _publish_disks(self, dimensions: Dimensions, running: list[Task], disks: list[tuple[float, float]]) -> None:
        """Of each task, which only the enhanced metrics tell apart, and of all (TaskEphemeralStorageUtilization)."""
        shares = [100 * used / size for used, size in disks]
        self._put_all(
            CONTAINER_INSIGHTS_NAMESPACE, "TaskEphemeralStorageUtilization", dimensions, shares, unit="Percent"
        )
        for task, (used, _), share in zip(running, disks, shares, strict=True):
            own = (*dimensions, ("TaskId", task.id))
            self._put(CONTAINER_INSIGHTS_NAMESPACE, "EphemeralStorageUtilized", own, used, unit="Gigabytes")
            self._put(CONTAINER_INSIGHTS_NAMESPACE, "TaskEphemeralStorageUtilization", own, share, unit="Percent")

    def _publish_restarts(self, dimensions: Dimensions, running: list[Task], restarts: dict[str, int]) -> None:
        """RestartCount "is collected only for containers that have a restart policy enabled"."""
        restarted = 0
        watched = [
            task
            for task in running
            if has_restart_policy(find_main_container(task.task_definition.contents["containerDefinitions"]))
        ]
        for task in watched:
            restarts[task.id] = task.restarts
            restarted += task.restarts - self._restarts.get(task.id, 0)
        if watched:
            self._put(CONTAINER_INSIGHTS_NAMESPACE, "RestartCount", dimensions, restarted)

    # To the store

    def _put_latencies(
        self, namespace: str, name: str, dimensions: Dimensions, latencies: Iterable[tuple[float, float]], unit: str
    ) -> None:
        for requests, mean in latencies:
            for share, factor in LATENCY_SHAPE:
                self._put(namespace, name, dimensions, mean * factor, unit=unit, count=requests * share)

    def _put_all(
        self, namespace: str, name: str, dimensions: Dimensions, values: list[float], *, unit: str, offset: float = 0.0
    ) -> None:
        """One sample each, `offset` simulated seconds into the period; equal values as one."""
        if not values:
            return
        if values.count(values[0]) == len(values):
            self._put(namespace, name, dimensions, values[0], unit=unit, count=len(values), offset=offset)
            return
        for value in values:
            self._put(namespace, name, dimensions, value, unit=unit, offset=offset)

    def _put(
        self,
        namespace: str,
        name: str,
        dimensions: Dimensions,
        value: float,
        *,
        unit: str = "Count",
        count: float = 1.0,
        offset: float = 0.0,
    ) -> None:
        at = self._period_start + self._clock.wall(offset) if offset else self._period_start
        key = (namespace, name, dimensions)
        found = self._series.get(key)
        if found is None:
            metric = MetricName.build(namespace, name, dict(dimensions))
            found = self._series[key] = (metric, self._store.open(metric))
            found[1].units.add(unit)
        if self._delivery_is_plain:
            found[1].add(at, value, count)
        else:
            self._store.publish(found[0], unit, Sample(at, value, count), self._now)


def _find_resolution(monitoring: Json, metric_name: str) -> int:
    """Seconds between two points of a metric: 20 where asked for, else 60 (API type MonitoringConfiguration)."""
    for configuration in monitoring.get("metricConfigurations", []):
        if metric_name in configuration["metricNames"]:
            return int(configuration["resolutionSeconds"])
    return int(METRIC_PERIOD_SECONDS)
