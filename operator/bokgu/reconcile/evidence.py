"""Gathers what AWS says about an incident: once, in few calls, all at the same time.

What cannot be had is left out and named: a missing permission makes a diagnosis less sure, and never stops it.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import structlog

from bokgu.api.incident import Incident
from bokgu.api.observed import (
    AwsError,
    EcsService,
    LogLine,
    LogMetric,
    Metric,
    Series,
    ServiceDeployment,
    ServiceRevision,
    StoppedTask,
    TaskDefinition,
)
from bokgu.api.protected_service import ProtectedService
from bokgu.api.vocabulary import IncidentType
from bokgu.aws.cloudtrail import fetch_api_calls
from bokgu.aws.ecs import (
    fetch_service_deployments,
    fetch_service_revisions,
    fetch_task_definition,
)
from bokgu.aws.elb import fetch_healthy_zones
from bokgu.aws.logs import fetch_lines
from bokgu.aws.series import fetch_sources
from bokgu.aws.tasks import fetch_stopped_tasks
from bokgu.core.callers import choose_operation, name_callers
from bokgu.core.classification import seen_at
from bokgu.core.detection import find_onset, measure_condition
from bokgu.core.ecs_event import ended_abnormally
from bokgu.core.error_lines import ERROR_PATTERN, choose_lines
from bokgu.core.evidence import NO_LOG_GROUP, Evidence
from bokgu.core.evidence_metrics import LOG_LOOKBACK, LOOKBACK, begin_of_evidence, choose_sources
from bokgu.core.recent_stops import remember_tasks
from bokgu.core.task_definitions import find_previous_definition, guess_previous_definition, name_revisions
from bokgu.core.watch import Source
from bokgu.reconcile.context import Context
from bokgu.reconcile.watches import Measured

PATIENCE = 15.0
"""Seconds for AWS to answer all of it: an incident does not wait for an API that hangs."""

T = TypeVar("T")

log = structlog.get_logger()


@dataclass(frozen=True)
class _Deployed:
    """What was deployed, in the order of `Evidence`."""

    deployments: tuple[ServiceDeployment, ...]
    definitions: tuple[TaskDefinition, ...]
    revisions: tuple[ServiceRevision, ...]


@dataclass
class _Inquiry:
    """Asks about one incident until a moment of the loop's time. `missing` names what gave no answer, and why."""

    context: Context
    incident: Incident
    protected: ProtectedService
    service: EcsService
    measured: Measured | None
    now: datetime
    until: float
    missing: dict[str, None] = field(default_factory=dict)

    @property
    def detected_at(self) -> datetime:
        """When the trouble was seen; where it came back, when it last did."""
        return seen_at(self.incident) or self.now

    @property
    def begin(self) -> datetime:
        """From when on logs are evidence."""
        return begin_of_evidence(self.detected_at, self.now, self.context.settings.minute, LOG_LOOKBACK)

    @property
    def metrics_begin(self) -> datetime:
        """From when on metrics are evidence."""
        return begin_of_evidence(self.detected_at, self.now, self.context.settings.minute, LOOKBACK)

    async def ask(self, operation: str, call: Awaitable[T], otherwise: T, *, optional: bool = False) -> T:
        """The answer, or `otherwise` where there is none in time. What is `optional` is not missed."""
        try:
            async with asyncio.timeout_at(self.until):
                return await call
        except AwsError as error:
            problem = error
        except TimeoutError:
            problem = AwsError(operation, "NoAnswer", "it took too long", sent=True)
        except Exception:  # An answer of an unknown shape must not leave the incident without a diagnosis.
            log.exception("evidence cannot be read", operation=operation)
            problem = AwsError(operation, "Unreadable", "an answer of an unknown shape", sent=True)
        if optional:
            log.info("optional evidence is not there", error=str(problem))
        else:
            self.miss(problem)
        return otherwise

    def miss(self, error: AwsError) -> None:
        """Note an answer that is none."""
        self.missing[f"{error.operation}: {error.code}"] = None


async def gather_evidence(
    context: Context,
    incident: Incident,
    protected: ProtectedService,
    service: EcsService,
    measured: Measured | None,
) -> Evidence:
    """What the service, its tasks, deployments, metrics and logs say about the incident. `service` was just described.

    Usually nine calls; docs/diagnosis.md lists them. Raises nothing that AWS does.
    """
    until = asyncio.get_running_loop().time() + PATIENCE
    inquiry = _Inquiry(context, incident, protected, service, measured, context.clock(), until)
    tasks, deployed, series, logs = await asyncio.gather(
        _fetch_tasks(inquiry),
        _fetch_deployed(inquiry),
        _fetch_metrics(inquiry),
        _fetch_logs(inquiry),
    )
    return Evidence(
        incident_type=incident.spec.type,
        detected_at=inquiry.detected_at,
        onset=_find_onset(inquiry, series),
        service=service,
        stopped_tasks=tasks.stopped,
        task_definitions=deployed.definitions,
        revisions=deployed.revisions,
        deployments=deployed.deployments,
        metrics={source: answer for source, answer in series.items() if isinstance(source, Metric)},
        requests=_find_requests(measured),
        period=measured.watch.period(measured.condition) if measured else context.settings.minute,
        logs=logs,
        zones=tasks.zones,
        callers=tasks.callers,
        minute=context.settings.minute,
        missing=tuple(inquiry.missing),
    )


@dataclass(frozen=True)
class _Tasks:
    """Stopped tasks, and what they give reason to ask."""

    stopped: tuple[StoppedTask, ...]
    zones: frozenset[str]
    callers: tuple[str, ...]


async def _fetch_tasks(inquiry: _Inquiry) -> _Tasks:
    """Stopped tasks, also those that ECS has forgotten, and what they give reason to ask."""
    protected = inquiry.protected
    described = await inquiry.ask("ListTasks", fetch_stopped_tasks(inquiry.context.aws, protected.spec.target), ())
    stopped = remember_tasks(described, protected.status.recent_stops)
    zones, callers = await asyncio.gather(_fetch_zones(inquiry, stopped), _fetch_callers(inquiry, stopped))
    return _Tasks(stopped, zones, callers)


async def _fetch_zones(inquiry: _Inquiry, tasks: Sequence[StoppedTask]) -> frozenset[str]:
    """The Availability Zones with healthy targets, where all tasks that failed were in one zone."""
    aws, spec, observed = inquiry.context.aws, inquiry.protected.spec, inquiry.protected.status.service
    groups = observed.target_groups if observed else ()
    failed = [task.zone for task in tasks if ended_abnormally(task.stop_code, task.reason)]
    if len(failed) < 2 or len(set(failed)) > 1:
        return frozenset()
    asked = (
        inquiry.ask(
            "DescribeTargetHealth",
            fetch_healthy_zones(aws, group.arn, region=spec.region, role_arn=spec.role_arn),
            frozenset[str](),
        )
        for group in groups
    )
    return frozenset().union(*await asyncio.gather(*asked))


async def _fetch_callers(inquiry: _Inquiry, tasks: Sequence[StoppedTask]) -> tuple[str, ...]:
    """Who did it, where it was done by hand. The permission is optional: without an answer nothing is missing."""
    target, operation = inquiry.protected.spec.target, choose_operation(inquiry.service, tasks)
    if operation is None:
        return ()

    async def name() -> tuple[str, ...]:
        calls = await fetch_api_calls(inquiry.context.aws, target, operation, (inquiry.begin, inquiry.now))
        return name_callers(calls, target, tasks)

    return await inquiry.ask("LookupEvents", name(), (), optional=True)


async def _fetch_deployed(inquiry: _Inquiry) -> _Deployed:
    """The service deployments, and task definitions and service revisions of the present one and of the one before."""
    aws, target, service = inquiry.context.aws, inquiry.protected.spec.target, inquiry.service

    async def describe(name: str | None) -> TaskDefinition | None:
        if name is None:
            return None
        return await inquiry.ask("DescribeTaskDefinition", fetch_task_definition(aws, target, name), None)

    async def describe_revisions(arns: tuple[str, ...]) -> dict[str, ServiceRevision]:
        if len(arns) < 2:
            return {}
        return await inquiry.ask("DescribeServiceRevisions", fetch_service_revisions(aws, target, arns), {})

    known = find_previous_definition(service)

    async def list_deployments() -> tuple[ServiceDeployment, ...] | None:
        # Other controllers have none (UnsupportedFeatureException): nothing is missing where task sets show both.
        if service.controller != "ECS" and known is not None:
            return None
        return await inquiry.ask("ListServiceDeployments", fetch_service_deployments(aws, target), None)

    listed, present = await asyncio.gather(
        list_deployments(),
        describe(service.primary.task_definition if service.primary else service.task_definition),
    )
    good = inquiry.protected.status.last_known_good
    names = name_revisions(listed or ())
    if known is None and listed is None:
        known = guess_previous_definition(service, good)
    described, previous = await asyncio.gather(describe_revisions(names), describe(known))
    if known is None and names[1:] and names[1] in described:
        previous = await describe(described[names[1]].task_definition)
    return _Deployed(
        deployments=listed or (),
        definitions=tuple(definition for definition in (present, previous) if definition),
        revisions=tuple(described[name] for name in names if name in described),
    )


async def _fetch_metrics(inquiry: _Inquiry) -> dict[Source, Series]:
    """Datapoints of each metric that CloudWatch answered, in two calls where it does not page."""
    spec, measured, now = inquiry.protected.spec, inquiry.measured, inquiry.now
    starts = choose_sources(
        inquiry.protected,
        measured.watch if measured else None,
        measured.condition if measured else None,
        detected_at=inquiry.detected_at,
        now=now,
        minute=inquiry.context.settings.minute,
    )
    asked = fetch_sources(inquiry.context.aws, starts, now, region=spec.region, role_arn=spec.role_arn, bulk=False)
    found = {}
    for source, answer in (await inquiry.ask("GetMetricData", asked, {})).items():
        if isinstance(answer, AwsError):
            inquiry.miss(answer)
        else:
            found[source] = answer.since(starts[source])  # A call has one start for all.
    return found


async def _fetch_logs(inquiry: _Inquiry) -> tuple[LogLine, ...]:
    """Lines that look like errors; of corrupted data those that tell of it."""
    spec = inquiry.protected.spec
    if spec.log_group is None:
        inquiry.missing[NO_LOG_GROUP] = None
        return ()
    sign = spec.detection.corruption if inquiry.incident.spec.type is IncidentType.DATA_CORRUPTION else None
    pattern = sign.pattern if sign and sign.pattern else ERROR_PATTERN
    asked = fetch_lines(inquiry.context.aws, spec.target, spec.log_group, pattern, (inquiry.begin, inquiry.now))

    async def choose() -> tuple[LogLine, ...]:
        return choose_lines(await asked)

    return await inquiry.ask("FilterLogEvents", choose(), ())


def _find_onset(inquiry: _Inquiry, series: dict[Source, Series]) -> datetime | None:
    """Start of the period in which the trouble began, where the condition that measures it says so."""
    measured = inquiry.measured
    if measured is None:
        return None
    by_name = {name: series[source] for name, source in measured.watch.sources.items() if source in series}
    counted = any(isinstance(source, LogMetric) for source in measured.watch.sources.values() if source in series)
    begin = inquiry.begin if counted else inquiry.metrics_begin
    points = measure_condition(measured.watch, measured.condition, by_name, begin, inquiry.now)
    return find_onset(measured.condition, points, inquiry.detected_at)


def _find_requests(measured: Measured | None) -> Metric | None:
    """The metric that counts requests: the denominator of the ratio that is measured."""
    ratio = measured.condition.ratio if measured else None
    source = measured.watch.sources.get(ratio.denominator) if measured and ratio else None
    return source if isinstance(source, Metric) else None
