"""Which metrics are evidence: what the service, its load balancer, its API and its queue publish about the trouble."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from bokgu.api.detector import DetectorCondition
from bokgu.api.fields import parse_duration
from bokgu.api.observed import Metric
from bokgu.api.protected_service import ProtectedService, TargetGroup
from bokgu.api.vocabulary import ApiType
from bokgu.core.presets import ECS, ELB, HEALTHY_HOSTS, INSIGHTS
from bokgu.core.watch import Source, Watch

LOOKBACK = 60
"""Minutes before detection from which on metrics are evidence: a level before the trouble takes long to tell."""
LOG_LOOKBACK = 30
"""The same of log lines, of which those that are counted cost calls."""
LEAK_LOOKBACK = 12 * 60
"""Minutes of memory: a leak takes hours to show. Nothing is older evidence."""
LEAK_PERIOD = 5
"""Minutes of one datapoint of it."""
FINE_LOOKBACK = 3 * 60
"""Minutes for which CloudWatch keeps datapoints of less than a minute (API_GetMetricData)."""
NLB = "AWS/NetworkELB"


def begin_of_evidence(detected_at: datetime, now: datetime, minute: timedelta, lookback: int) -> datetime:
    """The moment so many minutes before detection; within bounds also where a clock is wrong."""
    return min(max(detected_at - lookback * minute, now - LEAK_LOOKBACK * minute), now - lookback * minute)


def choose_sources(
    protected: ProtectedService,
    watch: Watch | None,
    condition: DetectorCondition | None,
    *,
    detected_at: datetime,
    now: datetime,
    minute: timedelta,
) -> dict[Source, datetime]:
    """What to ask for, each with the moment from which on it is evidence.

    Of the watch all metrics, and the log patterns that the condition needs.
    """
    since = begin_of_evidence(detected_at, now, minute, LOOKBACK)
    counted = begin_of_evidence(detected_at, now, minute, LOG_LOOKBACK)
    found: dict[Source, datetime] = dict.fromkeys(_service_metrics(protected), since)
    if watch is not None:
        needed = _names(condition)
        found |= {s: since for s in watch.sources.values() if isinstance(s, Metric)}
        found |= {s: counted for name, s in watch.sources.items() if not isinstance(s, Metric) and name in needed}
    fine = any(timedelta(seconds=source.period) < minute for source in found)
    reach = (FINE_LOOKBACK if fine else LEAK_LOOKBACK) * minute
    period = int((LEAK_PERIOD * minute).total_seconds())
    found[_memory(protected, period)] = min(since, now - reach)
    return found


def _names(condition: DetectorCondition | None) -> frozenset[str]:
    """The queries that the condition measures."""
    if condition is None:
        return frozenset()
    ratio = condition.ratio
    return frozenset({ratio.numerator, ratio.denominator} if ratio else {condition.query or ""})


def _service_metrics(protected: ProtectedService) -> Iterator[Metric]:
    spec = protected.spec
    period = int(parse_duration(spec.detection.period).total_seconds())
    service = _service(protected)
    yield _metric(ECS, "CPUUtilization", service, "Average", period)
    yield _memory(protected, period)
    yield _metric(ECS, "EBSFilesystemUtilization", service, "Maximum", period)
    yield _metric(INSIGHTS, "EphemeralStorageUtilized", service, "Maximum", period)
    yield _metric(INSIGHTS, "EphemeralStorageReserved", service, "Maximum", period)
    for group in protected.status.service.target_groups if protected.status.service else ():
        if group.load_balancer:
            yield from _balancer_metrics(group, period)
    if api := spec.api_gateway:
        rest = api.type is ApiType.REST
        yield _metric("AWS/ApiGateway", "Count", api.dimensions, "SampleCount" if rest else "Sum", period)
        errors, stat = ("5XXError", "Average") if rest else ("5xx", "Sum")
        yield _metric("AWS/ApiGateway", errors, api.dimensions, stat, period)
    if queue := spec.detection.queue:
        named = {"QueueName": queue.name}
        yield _metric("AWS/SQS", "ApproximateAgeOfOldestMessage", named, "Maximum", period)
        yield _metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", named, "Maximum", period)
        yield _metric("AWS/SQS", "NumberOfMessagesSent", named, "Sum", period)


def _balancer_metrics(group: TargetGroup, period: int) -> Iterator[Metric]:
    """Of a target group, and of its load balancer where that serves nobody else.

    Network Load Balancers publish fewer, in a namespace of their own ("CloudWatch metrics for your Network Load
    Balancer").
    """
    balancer = {"LoadBalancer": group.load_balancer}
    target = balancer | {"TargetGroup": group.arn.rsplit(":", 1)[-1]}
    network = group.load_balancer.startswith("net/")
    namespace = NLB if network else ELB
    yield _metric(namespace, HEALTHY_HOSTS, target, "Maximum", period)
    yield _metric(namespace, "UnHealthyHostCount", target, "Minimum", period)
    if network:
        if not group.shared:
            yield _metric(namespace, "ActiveFlowCount", balancer, "Average", period)
            yield _metric(namespace, "NewFlowCount", balancer, "Sum", period)
        return
    yield _metric(namespace, "RequestCount", target, "Sum", period)
    yield _metric(namespace, "HTTPCode_Target_5XX_Count", target, "Sum", period)
    yield _metric(namespace, "TargetResponseTime", target, "p99", period)
    if not group.shared:
        yield _metric(namespace, "HTTPCode_ELB_5XX_Count", balancer, "Sum", period)
        yield _metric(namespace, "ActiveConnectionCount", balancer, "Sum", period)


def _service(protected: ProtectedService) -> dict[str, str]:
    ecs = protected.spec.ecs
    return {"ClusterName": ecs.cluster.rsplit("/", 1)[-1], "ServiceName": ecs.service}


def _memory(protected: ProtectedService, period: int) -> Metric:
    return _metric(ECS, "MemoryUtilization", _service(protected), "Maximum", period)


def _metric(namespace: str, name: str, dimensions: Mapping[str, str], stat: str, period: int) -> Metric:
    return Metric(namespace, name, tuple(sorted(dimensions.items())), stat, period)
