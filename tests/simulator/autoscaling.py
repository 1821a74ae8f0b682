"""Application Auto Scaling of ECS services: scalable targets, policies, scheduled actions, and what they do.

Policies act when CloudWatch alarms call them: target tracking policies have alarms of their own, step scaling policies
those of their users. Rules without another source are those of the developer guide's page "Automatically scale your
Amazon ECS service" and of the Application Auto Scaling user guide.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from .alarms import Alarm, Alarms
from .aws_protocol import Json
from .clock import Clock
from .cloudwatch import MetricName, MetricStore
from .ecs import IN_PROGRESS, Ecs, Service
from .scaling_policies import (
    DEFAULT_COOLDOWN_SECONDS,
    SCALE_IN_MARGIN,
    compute_step_capacity,
    compute_tracked_capacity,
)
from .scaling_schedules import Schedule

MAX_ACTIVITIES = 1000
"""AWS keeps six weeks of them."""
HIGH_PERIODS = 3
LOW_PERIODS = 15
"""One-minute periods that the alarms of a target tracking policy look at: the alarms AWS makes for ECS services."""


@dataclass(frozen=True)
class SuspendedState:
    """What of a scalable target is suspended (API type SuspendedState)."""

    scale_in: bool = False
    scale_out: bool = False
    scheduled: bool = False


@dataclass
class ScalableTarget:
    """A service under Application Auto Scaling, known by its resource ID `service/CLUSTER/NAME`."""

    resource_id: str
    arn: str
    role_arn: str
    min_capacity: int
    max_capacity: int
    created_at: float
    suspended: SuspendedState = SuspendedState()
    policies: "dict[str, Policy]" = field(default_factory=dict)
    actions: "dict[str, ScheduledAction]" = field(default_factory=dict)
    scaled_out_at: float = float("-inf")
    scaled_out_to: int = 0
    scaled_in_at: float = float("-inf")

    @property
    def key(self) -> tuple[str, str]:
        """Cluster name and service name."""
        _, cluster, service = self.resource_id.split("/")
        return cluster, service


@dataclass
class Policy:
    """A scaling policy. `configuration` is the one of its type, as the API shapes it; `alarm_names` are its own."""

    name: str
    arn: str
    kind: str
    configuration: Json
    created_at: float
    alarm_names: list[str] = field(default_factory=list)

    @property
    def tracks(self) -> bool:
        """Whether it is a target tracking policy."""
        return self.kind == "TargetTrackingScaling"


@dataclass
class ScheduledAction:
    """A scheduled action. Times are wall seconds; `next_at` None: it does not run any more."""

    name: str
    arn: str
    text: str
    timezone: str
    schedule: Schedule
    capacities: Json
    created_at: float
    start_at: float | None = None
    end_at: float | None = None
    next_at: float | None = None


@dataclass
class Activity:
    """A scaling activity; `not_scaled` says why there was none."""

    id: str
    resource_id: str
    description: str
    cause: str
    started_at: float
    status: str
    message: str | None = None
    ended_at: float | None = None
    capacity: int | None = None
    not_scaled: Json | None = None


class AutoScaling:
    """The scalable targets of one account and region. Not thread safe: the owner holds a lock around every use."""

    def __init__(
        self,
        ecs: Ecs,
        metrics: MetricStore,
        alarms: Alarms,
        clock: Clock,
        set_desired_count: Callable[[Service, int, float], None],
    ) -> None:
        """`set_desired_count` scales a service, at a wall time."""
        self.targets: dict[str, ScalableTarget] = {}
        self.activities: deque[Activity] = deque(maxlen=MAX_ACTIVITIES)
        """Newest first."""
        self._ecs = ecs
        self._metrics = metrics
        self._alarms = alarms
        self._clock = clock
        self._set_desired_count = set_desired_count

    def find_service(self, resource_id: str) -> Service | None:
        """The ACTIVE service of a resource ID; None when there is none."""
        parts = resource_id.split("/")
        service = self._ecs.services.get((parts[1], parts[2])) if len(parts) == 3 else None
        return service if service is not None and service.status == "ACTIVE" else None

    # Limits

    def pull_into_range(self, target: ScalableTarget, now: float, cause: str | None = None) -> None:
        """RegisterScalableTarget: "it changes the resource's current capacity to a value that is inside of this range".

        Any call does, whether it names capacities or not.
        """
        service = self.find_service(target.resource_id)
        if service is None:
            return
        wanted = min(max(service.desired_count, target.min_capacity), target.max_capacity)
        if wanted != service.desired_count:
            low = wanted > service.desired_count
            limit = f"{'minimum' if low else 'maximum'} capacity was set to {wanted}"
            self._scale(target, service, wanted, f"{cause}. {limit}" if cause else limit, now)

    # Policies

    def watch(self, target: ScalableTarget, policy: Policy) -> None:
        """Make, or change, the alarms of a target tracking policy; no AlarmLow when scale-in is disabled."""
        if not policy.tracks:
            return
        suffixes = {name.rsplit("-Alarm", 1)[-1].split("-", 1)[0]: name for name in policy.alarm_names}
        kinds = ["High"] if policy.configuration.get("DisableScaleIn", False) else ["High", "Low"]
        for kind in suffixes.keys() - set(kinds):
            self._alarms.delete(suffixes[kind])
        policy.alarm_names = [
            suffixes.get(kind, f"TargetTracking-{target.resource_id}-Alarm{kind}-{self._ecs.identifiers.uuid()}")
            for kind in kinds
        ]
        period = max(1, round(self._clock.metric_period))
        threshold = float(policy.configuration["TargetValue"])
        statistic, metric = self._find_metric(target, policy)
        if statistic == "Sum":
            threshold *= period / self._clock.metric_period
        for kind, name in zip(kinds, policy.alarm_names, strict=True):
            high = kind == "High"
            self._alarms.put(
                {
                    "AlarmName": name,
                    "AlarmDescription": f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {policy.arn}.",
                    "ActionsEnabled": True,
                    "AlarmActions": [policy.arn],
                    "Namespace": metric.namespace,
                    "MetricName": metric.name,
                    "Dimensions": [{"Name": key, "Value": value} for key, value in metric.dimensions],
                    "Statistic": statistic,
                    "Period": period,
                    "EvaluationPeriods": HIGH_PERIODS if high else LOW_PERIODS,
                    "Threshold": threshold if high else threshold * SCALE_IN_MARGIN,
                    "ComparisonOperator": "GreaterThanThreshold" if high else "LessThanThreshold",
                }
            )

    def unwatch(self, policy: Policy) -> None:
        """Delete the alarms that were made for a policy."""
        for name in policy.alarm_names if policy.tracks else []:
            self._alarms.delete(name)

    def _find_metric(self, target: ScalableTarget, policy: Policy) -> tuple[str, MetricName]:
        """Statistic and metric that a target tracking policy follows; ValueError when it names none known here."""
        configuration = policy.configuration
        if "CustomizedMetricSpecification" in configuration:
            custom = configuration["CustomizedMetricSpecification"]
            dimensions = {pair["Name"]: pair["Value"] for pair in custom.get("Dimensions", [])}
            return custom["Statistic"], MetricName.build(custom["Namespace"], custom["MetricName"], dimensions)
        predefined = configuration.get("PredefinedMetricSpecification", {})
        kind = predefined.get("PredefinedMetricType")
        cluster, service = target.key
        utilisation = {
            "ECSServiceAverageCPUUtilization": "CPUUtilization",
            "ECSServiceAverageMemoryUtilization": "MemoryUtilization",
        }
        if kind in utilisation:
            dimensions = {"ClusterName": cluster, "ServiceName": service}
            return "Average", MetricName.build("AWS/ECS", utilisation[kind], dimensions)
        if kind == "ALBRequestCountPerTarget":
            balancer, separator, group = predefined.get("ResourceLabel", "").partition("/targetgroup/")
            if not separator:
                raise ValueError(
                    "ResourceLabel must be LOAD-BALANCER/TARGET-GROUP, as in app/web/1a2b/targetgroup/web/3c"
                )
            dimensions = {"LoadBalancer": balancer, "TargetGroup": f"targetgroup/{group}"}
            return "Sum", MetricName.build("AWS/ApplicationELB", "RequestCountPerTarget", dimensions)
        raise ValueError(f"PredefinedMetricType {kind} is not one of ECS services")

    def invoke(self, arn: str, alarm: Alarm) -> None:
        """An alarm calls the policy `arn`, as it does once a minute while it is in ALARM."""
        found = ((t, p) for t in self.targets.values() for p in t.policies.values() if p.arn == arn)
        target, policy = next(found, (None, None))
        if target is None or policy is None:
            return
        service = self.find_service(target.resource_id)
        if service is not None:
            cause = f"monitor alarm {alarm.name} in state {alarm.state} triggered policy {policy.name}"
            if policy.tracks:
                self._track(target, service, policy, "-AlarmHigh-" in alarm.name, cause)
            else:
                self._step(target, service, policy, alarm, cause)

    def _track(self, target: ScalableTarget, service: Service, policy: Policy, out: bool, cause: str) -> None:
        wanted = self._compute_tracked(target, service, policy)
        if wanted is None:
            return
        if out:
            self._scale_out(target, service, policy, wanted, cause)
            return
        # It scales in only when all target tracking policies that may scale in are ready to (developer guide).
        for other in target.policies.values():
            lows = [name for name in other.alarm_names if "-AlarmLow-" in name]
            if other is policy or not lows:
                continue
            others_wish = self._compute_tracked(target, service, other)
            if self._alarms.state(lows[0]) != "ALARM" or others_wish is None:
                return
            wanted = max(wanted, others_wish)
        self._scale_in(target, service, policy, wanted, cause)

    def _compute_tracked(self, target: ScalableTarget, service: Service, policy: Policy) -> int | None:
        """The capacity a target tracking policy wants; None: "insufficient data", on which it does not act."""
        statistic, metric = self._find_metric(target, policy)
        value = self._read_newest(metric, statistic)
        if value is None:
            return None
        # "the actual running task count in a service is the value that Service Auto Scaling uses as its starting point"
        return compute_tracked_capacity(len(service.running()), value, float(policy.configuration["TargetValue"]))

    def _read_newest(self, metric: MetricName, statistic: str) -> float | None:
        """The newest value of the last five whole periods; a Sum as that of one simulated minute."""
        series = self._metrics.get(metric)
        if series is None:
            return None
        period = max(1, round(self._clock.metric_period))
        end = math.floor(self._clock.now() / period) * period
        points = list(series.aggregate(end - 5 * period, end, period, statistic))
        if not points:
            return None
        return points[-1][1] * (self._clock.metric_period / period if statistic == "Sum" else 1.0)

    def _step(self, target: ScalableTarget, service: Service, policy: Policy, alarm: Alarm, cause: str) -> None:
        stat = alarm.watched.get("MetricStat")
        if stat is None:
            return
        dimensions = {pair["Name"]: pair["Value"] for pair in stat["Metric"].get("Dimensions", [])}
        metric = MetricName.build(stat["Metric"]["Namespace"], stat["Metric"]["MetricName"], dimensions)
        series = self._metrics.get(metric)
        now, period = self._clock.now(), int(stat["Period"])
        points = list(series.aggregate(now - 5 * period, now, period, stat["Stat"])) if series is not None else []
        if not points:
            return
        running = len(service.running())
        breach = points[-1][1] - float(alarm.members["Threshold"])
        configuration = policy.configuration
        wanted = compute_step_capacity(running, breach, configuration, configuration.get("StepAdjustments", []))
        if wanted is None or wanted == running:
            return
        if wanted > running:
            self._scale_out(target, service, policy, wanted, cause)
        else:
            self._scale_in(target, service, policy, wanted, cause)

    # Scaling

    def _scale_out(self, target: ScalableTarget, service: Service, policy: Policy, wanted: int, cause: str) -> None:
        """Not while suspended; during a cooldown only to more than the scale-out that began it."""
        now = self._clock.now()
        if target.suspended.scale_out:
            return
        if service.desired_count >= target.max_capacity:
            self._note_not_scaled(target, cause, {"Code": "AlreadyAtMaxCapacity", "MaxCapacity": target.max_capacity})
            return
        wanted = min(max(wanted, target.min_capacity), target.max_capacity)
        cooling = now < target.scaled_out_at + self._cooldown(policy, "ScaleOutCooldown")
        if wanted <= service.desired_count or (cooling and wanted <= target.scaled_out_to):
            return
        target.scaled_out_at, target.scaled_out_to = now, wanted
        self._scale(target, service, wanted, cause, now)

    def _scale_in(self, target: ScalableTarget, service: Service, policy: Policy, wanted: int, cause: str) -> None:
        """Not while suspended, during a cooldown, or while a deployment is in progress."""
        now = self._clock.now()
        if target.suspended.scale_in or any(d.rollout_state == IN_PROGRESS for d in service.deployments):
            return
        if service.desired_count <= target.min_capacity:
            self._note_not_scaled(target, cause, {"Code": "AlreadyAtMinCapacity", "MinCapacity": target.min_capacity})
            return
        cooling_in = now < target.scaled_in_at + self._cooldown(policy, "ScaleInCooldown")
        cooling_out = now < target.scaled_out_at + self._cooldown(policy, "ScaleOutCooldown")
        wanted = min(max(wanted, target.min_capacity), target.max_capacity)
        if cooling_in or cooling_out or wanted >= service.desired_count:
            return
        target.scaled_in_at = now
        self._scale(target, service, wanted, cause, now)

    def _cooldown(self, policy: Policy, member: str) -> float:
        """In wall seconds."""
        configured = policy.configuration.get(member if policy.tracks else "Cooldown", DEFAULT_COOLDOWN_SECONDS)
        return self._clock.wall(float(configured))

    def _scale(self, target: ScalableTarget, service: Service, wanted: int, cause: str, now: float) -> None:
        self.review(now)
        for activity in self._find_open(target.resource_id):
            activity.status, activity.ended_at = "Overridden", now
        self.activities.appendleft(
            Activity(
                id=self._ecs.identifiers.uuid(),
                resource_id=target.resource_id,
                description=f"Setting desired count to {wanted}.",
                cause=cause,
                started_at=now,
                status="InProgress",
                message=f"Successfully set desired count to {wanted}. Waiting for change to be fulfilled by ecs.",
                capacity=wanted,
            )
        )
        self._set_desired_count(service, wanted, now)

    def _note_not_scaled(self, target: ScalableTarget, cause: str, reason: Json) -> None:
        """Once as long as nothing else happens: it would be so every minute."""
        newest = next((a for a in self.activities if a.resource_id == target.resource_id), None)
        if newest is not None and newest.not_scaled == reason and newest.cause == cause:
            return
        now = self._clock.now()
        self.activities.appendleft(
            Activity(
                id=self._ecs.identifiers.uuid(),
                resource_id=target.resource_id,
                description="Attempting to scale due to alarm triggered",
                cause=cause,
                started_at=now,
                status="Failed",
                ended_at=now,
                not_scaled=reason,
            )
        )

    def _find_open(self, resource_id: str) -> Iterable[Activity]:
        return [a for a in self.activities if a.resource_id == resource_id and a.status == "InProgress"]

    # Time

    def review(self, now: float) -> None:
        """Close the activities whose services run as many tasks as were set."""
        for activity in self.activities:
            if activity.status != "InProgress":
                continue
            service = self.find_service(activity.resource_id)
            if service is not None and len(service.running()) == activity.capacity == service.desired_count:
                activity.status, activity.ended_at = "Successful", now
                activity.message = (
                    f"Successfully set desired count to {activity.capacity}. Change successfully fulfilled by ecs."
                )

    def next_due(self) -> float | None:
        """Wall time of the next scheduled action; None: there is none."""
        times = (action.next_at for target in self.targets.values() for action in target.actions.values())
        return min((time for time in times if time is not None), default=None)

    def run_due(self, now: float) -> None:
        """Run the scheduled actions whose time has come."""
        for target in self.targets.values():
            for action in target.actions.values():
                if action.next_at is None or action.next_at > now:
                    continue
                self.plan(action, now)
                if not target.suspended.scheduled:
                    self._run(target, action, now)

    def plan(self, action: ScheduledAction, now: float) -> None:
        """When `action` runs next."""
        at = action.schedule.next_after(max(now, (action.start_at or now) - 1e-6))
        action.next_at = None if at is None or (action.end_at is not None and at > action.end_at) else at

    def _run(self, target: ScalableTarget, action: ScheduledAction, now: float) -> None:
        """ "if the current capacity is below the minimum capacity, Application Auto Scaling scales out to the minimum
        capacity", and above the maximum it scales in (API type ScheduledAction).
        """
        target.min_capacity = action.capacities.get("MinCapacity", target.min_capacity)
        target.max_capacity = action.capacities.get("MaxCapacity", target.max_capacity)
        self.pull_into_range(target, now, f"scheduled action name {action.name} was triggered")


def suspend(state: SuspendedState, changes: Json) -> SuspendedState:
    """`state` with what a SuspendedState structure of the API says."""
    return replace(
        state,
        scale_in=changes.get("DynamicScalingInSuspended", state.scale_in),
        scale_out=changes.get("DynamicScalingOutSuspended", state.scale_out),
        scheduled=changes.get("ScheduledScalingSuspended", state.scheduled),
    )
