"""Presets on CloudWatch metrics: what a ProtectedService names, as queries and conditions.

Every preset is a function from the service to the part of a watch that it adds. Windows count datapoints, so they
stretch with `detection.period`. Thresholds and windows come from what AWS says about each metric: load balancers
publish only with traffic and error counts only with errors ("CloudWatch metrics for your Application Load Balancer"),
ECS only with running tasks ("Amazon ECS CloudWatch metrics").
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from bokgu.api.detector import (
    DatapointsToAlarm,
    DetectorCondition,
    Dimension,
    LogPattern,
    MinVolume,
    Query,
    Ratio,
    Thresholds,
)
from bokgu.api.fields import format_duration, parse_duration
from bokgu.api.protected_service import ProtectedService, ProtectedServiceSpec, TargetGroup
from bokgu.api.vocabulary import Comparison, IncidentType, MissingData, Preset, SourceKind
from bokgu.core.watch import Watch

ELB = "AWS/ApplicationELB"
ECS = "AWS/ECS"
INSIGHTS = "ECS/ContainerInsights"
HEALTHY_HOSTS = "HealthyHostCount"

ERROR_RATES = Thresholds(medium="0.05", high="0.1", critical="0.3")
"""Share of failed requests from where on it is an incident."""
CALM_ERROR_RATE = "0.02"
SOONER = DatapointsToAlarm(evaluation_periods=3, datapoints_to_alarm=2)
ENOUGH_REQUESTS, ENOUGH_ERRORS = "100", "10"
"""Least requests and errors in the evaluated periods: two errors of three requests at night wake nobody."""


@dataclass(frozen=True)
class Part:
    """What one preset adds to the watch."""

    queries: tuple[Query, ...]
    conditions: tuple[DetectorCondition, ...]


@dataclass(frozen=True)
class Subject:
    """What a preset is applied to: the service, and for load balancer presets one of its target groups.

    `suffix` tells the target groups of a blue/green pair apart in names; it is empty for the first.
    """

    spec: ProtectedServiceSpec
    target_group: TargetGroup | None = None
    suffix: str = ""

    @property
    def service(self) -> dict[str, str]:
        """Dimensions of the service's own metrics."""
        return {"ClusterName": self.spec.ecs.cluster.rsplit("/", 1)[-1], "ServiceName": self.spec.ecs.service}

    @property
    def target(self) -> dict[str, str]:
        """Dimensions of a target group's metrics."""
        if self.target_group is None:
            raise ValueError("a load balancer preset without a target group")
        return {
            "LoadBalancer": self.target_group.load_balancer,
            "TargetGroup": self.target_group.arn.rsplit(":", 1)[-1],
        }

    @property
    def api(self) -> dict[str, str]:
        """Dimensions of the metrics of its API Gateway API; admission sees to it that there is one."""
        return self.spec.api_gateway.dimensions if self.spec.api_gateway else {}

    def query(self, name: str, namespace: str, metric: str, dimensions: dict[str, str], stat: str = "Sum") -> Query:
        """A query at the pace of the presets."""
        return Query(
            name=name + self.suffix,
            namespace=namespace,
            metric_name=metric,
            dimensions=tuple(Dimension(name=n, value=v) for n, v in dimensions.items()),
            stat=stat,
            period=self.spec.detection.period,
        )

    def periods(self, number: int) -> str:
        """The length of that many datapoints."""
        return format_duration(number * parse_duration(self.spec.detection.period))

    def condition(
        self,
        name: str,
        type_: IncidentType,
        measured: Query | Ratio,
        thresholds: Thresholds,
        *,
        m_of_n: tuple[int, int],
        **more: Any,
    ) -> DetectorCondition:
        """A condition at the pace of the presets: over after five calm datapoints, unless `more` says otherwise."""
        usual: dict[str, Any] = {"clear_after": self.periods(5)}
        source = {"ratio": measured} if isinstance(measured, Ratio) else {"query": measured.name}
        datapoints, periods = m_of_n
        return DetectorCondition(
            name=name + self.suffix,
            type=type_,
            thresholds=thresholds,
            datapoints_to_alarm=datapoints,
            evaluation_periods=periods,
            **(source | usual | more),
        )

    def error_rate(self, name: str, rate: Query | Ratio, *volumes: MinVolume) -> DetectorCondition:
        """The condition on a share of failed requests: a ratio of two queries, or a query that already is a rate."""
        return self.condition(
            name,
            IncidentType.HIGH_ERROR_RATE,
            rate,
            ERROR_RATES,
            m_of_n=(3, 5),
            critical_evaluation=SOONER,
            min_volumes=volumes,
            clear_threshold=CALM_ERROR_RATE,
        )

    def error_ratio(self, name: str, errors: Query, requests: Query) -> DetectorCondition:
        """The same on two counts, of which there must be enough."""
        ratio = Ratio(numerator=errors.name, denominator=requests.name)
        enough = MinVolume(query=requests.name, sum=ENOUGH_REQUESTS), MinVolume(query=errors.name, sum=ENOUGH_ERRORS)
        return self.error_rate(name, ratio, *enough)


def _alb_target_5xx(subject: Subject) -> Part:
    requests = subject.query("requests", ELB, "RequestCount", subject.target)
    errors = subject.query("errors", ELB, "HTTPCode_Target_5XX_Count", subject.target)
    return Part((requests, errors), (subject.error_ratio("error_rate", errors, requests),))


def _alb_elb_5xx(subject: Subject) -> Part:
    """The load balancer's own 5XX: all that is left when no target takes requests. It counts per load balancer."""
    balancer = {"LoadBalancer": subject.target["LoadBalancer"]}
    requests = subject.query("balancer_requests", ELB, "RequestCount", balancer)
    errors = subject.query("balancer_errors", ELB, "HTTPCode_ELB_5XX_Count", balancer)
    share = Ratio(numerator=errors.name, denominator=requests.name, include_numerator=True, min_denominator="20")
    limits = Thresholds(high="0.1", critical="0.3")
    condition = subject.condition("balancer_error_rate", IncidentType.SERVICE_DOWN, share, limits, m_of_n=(2, 3))
    return Part((requests, errors), (condition,))


def _alb_no_target(subject: Subject) -> Part:
    healthy = subject.query("healthy", ELB, HEALTHY_HOSTS, subject.target, "Maximum")
    condition = subject.condition(
        "healthy_targets",
        IncidentType.SERVICE_DOWN,
        healthy,
        Thresholds(critical="0"),
        m_of_n=(2, 2),
        comparison=Comparison.LESS_THAN_OR_EQUAL,
    )
    return Part((healthy,), (condition,))


def _alb_unhealthy(subject: Subject) -> Part:
    unhealthy = subject.query("unhealthy", ELB, "UnHealthyHostCount", subject.target, "Minimum")
    healthy = subject.query("healthy", ELB, HEALTHY_HOSTS, subject.target, "Maximum")
    half = Ratio(numerator=unhealthy.name, denominator=healthy.name, include_numerator=True)
    judged: tuple[tuple[str, Query | Ratio, Thresholds], ...] = (
        ("unhealthy_targets", unhealthy, Thresholds(medium="1")),
        ("unhealthy_share", half, Thresholds(high="0.5")),
    )
    conditions = tuple(
        subject.condition(
            name,
            IncidentType.SERVICE_DOWN,
            measured,
            limits,
            m_of_n=(3, 3),
            comparison=Comparison.GREATER_THAN_OR_EQUAL,
        )
        for name, measured, limits in judged
    )
    return Part((unhealthy, healthy), conditions)


def _alb_latency(subject: Subject) -> Part:
    latency = subject.query("latency", ELB, "TargetResponseTime", subject.target, "p99")
    limit = Thresholds(medium=subject.spec.detection.latency_limit)
    return Part((latency,), (_exhaustion(subject, "latency_p99", latency, limit, m_of_n=(5, 5)),))


def _apigw_rest(subject: Subject) -> Part:
    """`5XXError` has the average as its rate already (API Gateway Developer Guide, "dimensions and metrics")."""
    rate = subject.query("api_errors", "AWS/ApiGateway", "5XXError", subject.api, "Average")
    count = subject.query("api_requests", "AWS/ApiGateway", "Count", subject.api, "SampleCount")
    enough = MinVolume(query=count.name, sum=ENOUGH_REQUESTS)
    return Part((rate, count), (subject.error_rate("api_error_rate", rate, enough),))


def _apigw_http(subject: Subject) -> Part:
    errors = subject.query("api_errors", "AWS/ApiGateway", "5xx", subject.api)
    count = subject.query("api_requests", "AWS/ApiGateway", "Count", subject.api)
    return Part((errors, count), (subject.error_ratio("api_error_rate", errors, count),))


def _exhaustion(
    subject: Subject, name: str, measured: Query | Ratio, limits: Thresholds, *, m_of_n: tuple[int, int]
) -> DetectorCondition:
    return subject.condition(name, IncidentType.RESOURCE_EXHAUSTION, measured, limits, m_of_n=m_of_n)


def _ecs_cpu(subject: Subject) -> Part:
    cpu = subject.query("cpu", ECS, "CPUUtilization", subject.service, "Average")
    limits = Thresholds(medium="85", high="95")
    return Part((cpu,), (_exhaustion(subject, "cpu_utilization", cpu, limits, m_of_n=(5, 5)),))


def _ecs_memory(subject: Subject) -> Part:
    memory = subject.query("memory", ECS, "MemoryUtilization", subject.service, "Maximum")
    limits = Thresholds(medium="90", high="95")
    return Part((memory,), (_exhaustion(subject, "memory_utilization", memory, limits, m_of_n=(3, 5)),))


def _ecs_disk(subject: Subject) -> Part:
    """Volumes publish a percentage, ephemeral storage the two figures; both only where they are switched on."""
    volume = subject.query("volume", ECS, "EBSFilesystemUtilization", subject.service, "Maximum")
    used = subject.query("disk_used", INSIGHTS, "EphemeralStorageUtilized", subject.service, "Maximum")
    size = subject.query("disk_size", INSIGHTS, "EphemeralStorageReserved", subject.service, "Maximum")
    share = Ratio(numerator=used.name, denominator=size.name)
    percent, part = Thresholds(medium="85", high="95"), Thresholds(medium="0.85", high="0.95")
    return Part(
        (volume, used, size),
        (
            _exhaustion(subject, "volume_utilization", volume, percent, m_of_n=(3, 5)),
            _exhaustion(subject, "disk_utilization", share, part, m_of_n=(3, 5)),
        ),
    )


def _ecs_restart_in_place(subject: Subject) -> Part:
    """A container restart policy leaves no stopped tasks: only Container Insights with enhanced observability tells."""
    restarts = subject.query("restarts", INSIGHTS, "RestartCount", subject.service)
    condition = subject.condition(
        "container_restarts",
        IncidentType.SERVICE_DOWN,
        restarts,
        Thresholds(medium="1"),
        m_of_n=(3, 10),
        comparison=Comparison.GREATER_THAN_OR_EQUAL,
        treat_missing_data=MissingData.NOT_BREACHING,
        clear_after=subject.periods(10),
    )
    return Part((restarts,), (condition,))


def _sqs_age(subject: Subject) -> Part:
    queue = subject.spec.detection.queue
    if queue is None:
        return Part((), ())
    limit = int(parse_duration(queue.max_age).total_seconds())
    age = subject.query("message_age", "AWS/SQS", "ApproximateAgeOfOldestMessage", {"QueueName": queue.name}, "Maximum")
    limits = Thresholds(medium=str(limit), high=str(2 * limit))
    return Part((age,), (_exhaustion(subject, "oldest_message", age, limits, m_of_n=(5, 5)),))


def _log_corruption(subject: Subject) -> Part:
    """One sign is enough, also in a minute that came late or was skipped."""
    sign = subject.spec.detection.corruption
    if sign is None:
        return Part((), ())
    if sign.pattern is not None:
        log = LogPattern(log_group=subject.spec.log_group or "", pattern=sign.pattern)
        query = Query(name="corruption", log=log, period=subject.spec.detection.period)
    else:
        query = subject.query("corruption", sign.namespace or "", sign.metric_name or "", {})
    condition = subject.condition(
        "corruption_signs",
        IncidentType.DATA_CORRUPTION,
        query,
        Thresholds(high="1"),
        m_of_n=(1, 5),
        comparison=Comparison.GREATER_THAN_OR_EQUAL,
        treat_missing_data=MissingData.NOT_BREACHING,
    )
    return Part((query,), (condition,))


Build = Callable[[Subject], Part]
BALANCER_PRESETS: dict[Preset, Build] = {
    Preset.ALB_TARGET_5XX: _alb_target_5xx,
    Preset.ALB_NO_TARGET: _alb_no_target,
    Preset.ALB_UNHEALTHY: _alb_unhealthy,
    Preset.ALB_LATENCY: _alb_latency,
    Preset.ALB_ELB_5XX: _alb_elb_5xx,
}
"""Applied to each target group, both of a blue/green pair: a bad canary shows on its own target group only."""

SERVICE_PRESETS: dict[Preset, Build] = {
    Preset.APIGW_REST: _apigw_rest,
    Preset.APIGW_HTTP: _apigw_http,
    Preset.ECS_CPU: _ecs_cpu,
    Preset.ECS_MEMORY: _ecs_memory,
    Preset.ECS_DISK: _ecs_disk,
    Preset.ECS_RESTART_IN_PLACE: _ecs_restart_in_place,
    Preset.SQS_AGE: _sqs_age,
    Preset.LOG_CORRUPTION: _log_corruption,
}

STATE_PRESETS = frozenset({Preset.ECS_RUNNING, Preset.ECS_DEPLOYMENT, Preset.ECS_CRASH_LOOP})
"""Those that look at the service itself; `core.service_state` evaluates them."""


def build_watch(protected: ProtectedService, target_groups: tuple[TargetGroup, ...]) -> Watch:
    """The watch that the presets of a ProtectedService ask for, possibly without queries."""
    spec = protected.spec
    presets = tuple(dict.fromkeys(spec.detection.presets))
    parts = [SERVICE_PRESETS[p](Subject(spec)) for p in presets if p in SERVICE_PRESETS]
    balancers: set[str] = set()
    for group, suffix in _suffixed(target_groups):
        subject = Subject(spec, group, suffix)
        for preset in presets:
            if preset not in BALANCER_PRESETS or not group.load_balancer:
                continue
            if preset is Preset.ALB_ELB_5XX and (group.shared or group.load_balancer in balancers):
                continue  # A shared load balancer's errors prove nothing about this service; one is asked once.
            parts.append(BALANCER_PRESETS[preset](subject))
        balancers.add(group.load_balancer)
    queries = {query.name: query for part in parts for query in part.queries}
    conditions = tuple(condition for part in parts for condition in part.conditions)
    return replace(
        empty_watch(protected),
        queries=tuple(queries.values()),
        conditions=conditions,
        halves=_halves({c.name for c in conditions}, target_groups),
    )


def empty_watch(protected: ProtectedService) -> Watch:
    """The watch of a ProtectedService that asks CloudWatch nothing: only the service's state is looked at."""
    detection = protected.spec.detection
    return Watch(
        kind=SourceKind.PRESET,
        name=protected.metadata.name,
        namespace=protected.metadata.namespace,
        service=protected.metadata.name,
        interval=parse_duration(detection.interval),
        settle=parse_duration(detection.settle),
        queries=(),
        conditions=(),
    )


def _halves(names: set[str], target_groups: tuple[TargetGroup, ...]) -> dict[str, str]:
    """The conditions of a blue/green pair, each with the same one on the other half."""
    suffixes = {g.arn: suffix for g, suffix in _suffixed(target_groups)}
    base = {name.rpartition("_")[0] if name.rpartition("_")[2].isdecimal() else name for name in names}
    found: dict[str, str] = {}
    for group in target_groups:
        if group.pair in suffixes:
            mine, other = suffixes[group.arn], suffixes[group.pair]
            found |= {n + mine: n + other for n in base if {n + mine, n + other} <= names}
    return found


def _suffixed(target_groups: tuple[TargetGroup, ...]) -> list[tuple[TargetGroup, str]]:
    """The target groups in a fixed order, with what tells them apart in names."""
    ordered = sorted(target_groups, key=lambda g: g.arn)
    return [(group, "" if number == 1 else f"_{number}") for number, group in enumerate(ordered, start=1)]


def find_inapplicable(presets: Iterable[Preset], target_groups: tuple[TargetGroup, ...]) -> dict[Preset, str]:
    """The presets that see nothing of this service, and why."""
    reached = [group for group in target_groups if group.load_balancer]
    found = {}
    for preset in presets:
        if preset in BALANCER_PRESETS and not reached:
            found[preset] = "the service has no target group of a load balancer"
        elif preset is Preset.ALB_ELB_5XX and all(group.shared for group in reached):
            found[preset] = "its load balancer serves other services too"
    return found
