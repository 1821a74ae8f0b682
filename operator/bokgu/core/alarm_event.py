"""CloudWatch alarms: an "Alarm State Change" event to what the alarm says about which service.

Shapes: "Alarm events and EventBridge" (Amazon CloudWatch User Guide). Dimensions: the metric pages of Elastic Load
Balancing, Amazon ECS, Amazon API Gateway and Amazon SQS.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal

from pydantic import Field

from bokgu.api.fields import bounded, format_decimal
from bokgu.api.incident import IncidentMetric, IncidentSource
from bokgu.api.protected_service import AlarmReference, ProtectedService
from bokgu.api.vocabulary import DetectionState, IncidentType, Severity, SourceKind
from bokgu.core.event import Event, Moment, WireModel, lives_in, read_model, short_name
from bokgu.core.finding import Finding
from bokgu.core.statement import Statement

DETAIL_TYPE = "CloudWatch Alarm State Change"
OF_AUTO_SCALING = "TargetTracking-"
"""Alarms that Application Auto Scaling makes for its policies: the low one idles in ALARM, which means no trouble."""

BALANCERS = frozenset({"AWS/ApplicationELB", "AWS/NetworkELB"})
OF_SERVICES = frozenset({"AWS/ECS", "ECS/ContainerInsights"})

TYPE_OF_METRIC: Mapping[str, IncidentType] = {
    "HTTPCode_Target_5XX_Count": IncidentType.HIGH_ERROR_RATE,
    "5XXError": IncidentType.HIGH_ERROR_RATE,
    "5xx": IncidentType.HIGH_ERROR_RATE,
    "HTTPCode_ELB_5XX_Count": IncidentType.SERVICE_DOWN,
    "HTTPCode_ELB_500_Count": IncidentType.SERVICE_DOWN,
    "HTTPCode_ELB_502_Count": IncidentType.SERVICE_DOWN,
    "HTTPCode_ELB_503_Count": IncidentType.SERVICE_DOWN,
    "HTTPCode_ELB_504_Count": IncidentType.SERVICE_DOWN,
    "HealthyHostCount": IncidentType.SERVICE_DOWN,
    "UnHealthyHostCount": IncidentType.SERVICE_DOWN,
    "RunningTaskCount": IncidentType.SERVICE_DOWN,
    "RestartCount": IncidentType.SERVICE_DOWN,
    "CPUUtilization": IncidentType.RESOURCE_EXHAUSTION,
    "MemoryUtilization": IncidentType.RESOURCE_EXHAUSTION,
    "EBSFilesystemUtilization": IncidentType.RESOURCE_EXHAUSTION,
    "TargetResponseTime": IncidentType.RESOURCE_EXHAUSTION,
    "Latency": IncidentType.RESOURCE_EXHAUSTION,
    "IntegrationLatency": IncidentType.RESOURCE_EXHAUSTION,
    "ApproximateAgeOfOldestMessage": IncidentType.RESOURCE_EXHAUSTION,
}
"""What an alarm on the metric means, where no `spec.detection.alarms` says."""


class AlarmMetric(WireModel):
    """The metric of one query."""

    namespace: str
    name: str = Field(min_length=1)
    dimensions: dict[str, str] = Field(default_factory=dict)


class MetricStat(WireModel):
    """A metric and how it is aggregated."""

    metric: AlarmMetric


class AlarmQuery(WireModel):
    """One query of the alarm; a metric or, without `metric_stat`, an expression."""

    metric_stat: MetricStat | None = None
    return_data: bool = True


class AlarmConfiguration(WireModel):
    """What the alarm watches; composite alarms have no metrics."""

    metrics: tuple[AlarmQuery, ...] = ()


class AlarmState(WireModel):
    """The state that the alarm has come to. `timestamp` has milliseconds, where the event's time has none."""

    value: Literal["ALARM", "OK", "INSUFFICIENT_DATA"]
    reason: str = ""
    reason_data: str | None = None
    timestamp: Moment


class AlarmChange(WireModel):
    """`detail` of the event."""

    alarm_name: str = Field(min_length=1, max_length=255)
    configuration: AlarmConfiguration = AlarmConfiguration()
    state: AlarmState


class ReasonData(WireModel):
    """What of `state.reasonData` an incident shows. Composite alarms have another shape, with none of it."""

    recent_datapoints: tuple[float | None, ...] = ()
    threshold: float | None = None
    unit: str | None = None


_STATES = {
    "ALARM": DetectionState.FIRING,
    "OK": DetectionState.CLEAR,
    "INSUFFICIENT_DATA": DetectionState.UNKNOWN,
}
"""What the states of an alarm say of its trouble (API_MetricAlarm of Amazon CloudWatch)."""


def parse_alarm(event: Event) -> AlarmChange:
    """The alarm's part of the event. Raises MalformedMessage."""
    return read_model(AlarmChange, event.detail, f"not what {DETAIL_TYPE} has in its detail")


def build_statements(
    event: Event, alarm: AlarmChange, services: Iterable[ProtectedService], now: datetime
) -> tuple[Statement, ...]:
    """What the alarm says, about each service that it is about: mostly one, or none.

    INSUFFICIENT_DATA neither begins nor ends trouble: the alarm knows no more. `services` are all there are.
    """
    if alarm.alarm_name.startswith(OF_AUTO_SCALING):
        return ()
    here = [service for service in services if lives_in(service, event)]
    state = _STATES[alarm.state.value]
    return tuple(
        Statement(_build_finding(alarm, protected, reference, now), state)
        for protected, reference in _find_references(alarm, here)
    )


def _find_references(
    alarm: AlarmChange, services: list[ProtectedService]
) -> list[tuple[ProtectedService, AlarmReference]]:
    """The services that name the alarm, else the one that its metrics are about."""
    named = [(s, r) for s in services for r in s.spec.detection.alarms if r.name == alarm.alarm_name]
    if named:
        return named
    metrics = _find_metrics(alarm)
    types = {TYPE_OF_METRIC.get(metric.name) for metric in metrics} - {None}
    subjects = [found for metric in metrics if (found := find_subjects(metric, services))]
    if len(types) != 1 or not subjects or any(found != subjects[0] for found in subjects):
        return []
    type_ = next(t for t in types if t)
    reference = AlarmReference(name=alarm.alarm_name, type=type_, severity=Severity.HIGH)
    return [(service, reference) for service in subjects[0]]


def _find_metrics(alarm: AlarmChange) -> list[AlarmMetric]:
    """The metric that the alarm watches; of one on an expression, all that go into it."""
    queries = alarm.configuration.metrics
    watched = [q.metric_stat.metric for q in queries if q.metric_stat and q.return_data]
    return watched or [q.metric_stat.metric for q in queries if q.metric_stat]


def find_subjects(metric: AlarmMetric, services: list[ProtectedService]) -> list[ProtectedService]:
    """The services whose metric it is: several where several namespaces protect one, none where it cannot be told."""
    names = metric.dimensions
    if metric.namespace in OF_SERVICES:
        wanted = (names.get("ClusterName"), names.get("ServiceName"))
        return [s for s in services if (short_name(s.spec.ecs.cluster), s.spec.ecs.service) == wanted]
    if metric.namespace in BALANCERS:
        return _behind_balancer(names, services)
    if metric.namespace == "AWS/ApiGateway":
        return [s for s in services if _has_api(s, names)]
    if metric.namespace == "AWS/SQS":
        queue = names.get("QueueName")
        return [s for s in services if s.spec.detection.queue and s.spec.detection.queue.name == queue]
    return []


def _behind_balancer(names: Mapping[str, str], services: list[ProtectedService]) -> list[ProtectedService]:
    """Those with the target group, as ECS named it last; a load balancer alone tells only if it serves one of them."""
    group, balancer = names.get("TargetGroup"), names.get("LoadBalancer")
    groups = [(s, g) for s in services if s.status.service for g in s.status.service.target_groups]
    if group:
        return _unique(s for s, g in groups if g.arn.endswith(f":{group}"))
    behind = [(s, g) for s, g in groups if balancer and g.load_balancer == balancer]
    found = _unique(s for s, _ in behind)
    return found if len(found) == 1 and not any(g.shared for _, g in behind) else []


def _has_api(protected: ProtectedService, names: Mapping[str, str]) -> bool:
    """Whether the metric is of its API, of the same stage where both name one."""
    api = protected.spec.api_gateway
    if api is None or (api.stage and names.get("Stage", api.stage) != api.stage):
        return False
    if "ApiId" in names:
        return names["ApiId"] == api.id
    return "ApiName" in names and names["ApiName"] in {api.dimensions.get("ApiName"), api.name}


def _unique(services: Iterable[ProtectedService]) -> list[ProtectedService]:
    return list({service.key: service for service in services}.values())


def _build_finding(
    alarm: AlarmChange, protected: ProtectedService, reference: AlarmReference, now: datetime
) -> Finding:
    return Finding(
        namespace=protected.metadata.namespace,
        service=protected.metadata.name,
        type=reference.type,
        severity=reference.severity,
        source=IncidentSource(kind=SourceKind.ALARM, name=bounded(alarm.alarm_name, 255)),
        description=f"alarm {alarm.alarm_name} is in {alarm.state.value}: {alarm.state.reason}",
        # One wrong clock must not make all that follows seem old.
        at=min(alarm.state.timestamp, now),
        metrics=_measured(alarm),
        resources=(protected.spec.ecs.service,),
    )


def _measured(alarm: AlarmChange) -> tuple[IncidentMetric, ...]:
    """The datapoint that the alarm judged last, where the event tells it; nothing else was measured."""
    metrics = _find_metrics(alarm)
    if alarm.state.reason_data is None or len(metrics) != 1:
        return ()
    try:
        data = ReasonData.model_validate_json(alarm.state.reason_data)
    except ValueError:
        return ()  # CloudWatch cuts long reason data off; the reason for people says the same.
    known = [value for value in data.recent_datapoints if value is not None and math.isfinite(value)]
    if not known or data.threshold is None or not math.isfinite(data.threshold):
        return ()
    measured = IncidentMetric(
        name=bounded(metrics[0].name, 63),
        value=format_decimal(known[-1]),
        unit=bounded(data.unit or "None", 63),
        threshold=format_decimal(data.threshold),
    )
    return (measured,)
