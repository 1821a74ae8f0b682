"""The case: the evidence of an incident weighed by time, so that rules see what counts now.

What happened before the last healthy state is no evidence; what a deployment that is under way does is told apart from
what the revision before it does.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import pairwise
from typing import Any

from bokgu.api.observed import Deployment, Metric, Series, StoppedContainer, StoppedTask
from bokgu.api.vocabulary import IncidentType
from bokgu.core.ecs_messages import FORCED_OFF, HEALTH, LOST_HOST, LOST_HOST_CODES, ROLLS_BACK, ROUTINE, STEADY
from bokgu.core.evidence import Evidence
from bokgu.core.log_signs import LogSign, Sign, read_signs
from bokgu.core.trends import LATELY, Move, find_growth, find_move, latest

LOOKBACK = timedelta(minutes=30)
"""How long after the begin of a deployment trouble is laid at its door."""

AFTERMATH = timedelta(minutes=3)
"""How long after a deployment is complete trouble still begins with it: the last tasks take over, metrics are late."""

RECENT = timedelta(minutes=30)
"""How long a crash counts though ECS has replaced the task and reached a steady state since: crashes recur."""

GIVEN_UP = timedelta(hours=2)
"""How long after a return to an older revision trouble is still that of the one given up."""

RETURN = timedelta(minutes=1)
"""How long before the deployment that goes back ECS may say that it does."""

LOG_AGE = timedelta(hours=3)
"""Log lines older than this tell of another time."""

SIGKILL, SIGTERM = 137, 143
"""Exit codes of a process that was killed, or asked to end, from outside: 128 + the number of the signal."""

_IDENTITY = frozenset({"taskDefinitionArn", "revision", "registeredAt", "registeredBy", "deregisteredAt", "status"})


@dataclass(frozen=True)
class Failure:
    """One thing that went wrong, in ECS's words."""

    at: datetime
    text: str
    source: str
    task: StoppedTask | None = None


@dataclass(frozen=True)
class Rollout:
    """A deployment of a new revision: the one that is under way, or the last one.

    `gone_back`: ECS has returned to the revision before, or is about to.
    """

    deployment: Deployment
    began: datetime
    ended: datetime | None
    gone_back: bool = False


@dataclass(frozen=True)
class Start:
    """The begin of a deployment of a new revision, and what became of it."""

    at: datetime
    revision: str
    state: str
    ended: datetime | None


class Case:
    """What the evidence shows. All members are derived, and computed once."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence

    def span(self, begin: datetime, end: datetime) -> timedelta:
        """The time between two moments, in ordinary minutes however fast the world runs."""
        return (end - begin) * (timedelta(minutes=1) / self.evidence.minute)

    @cached_property
    def steady_at(self) -> datetime | None:
        """When ECS last said that the service had reached a steady state."""
        events = self.evidence.service.events if self.evidence.service else ()
        return max((at for at, text in events if STEADY.search(text)), default=None)

    @cached_property
    def onset(self) -> datetime | None:
        """When the trouble began: a detection says, or users felt it, or the first symptom moved."""
        return self._onset[0]

    @cached_property
    def _onset(self) -> tuple[datetime | None, timedelta]:
        """The start of the period in which the trouble began, and how long that is: the finest symptoms tell best."""
        finest = timedelta(seconds=min((series.period for series in self.evidence.metrics.values()), default=60))
        if self.evidence.onset is not None:
            return self.evidence.onset, finest
        moved = [(m, s, move) for m, s in self.symptoms if (move := self.move(m)) is not None]
        felt = [each for each in moved if self._hurts(each[0])]
        dated = [(series.period, move.at) for _, series, move in felt or moved]
        if not dated:
            return None, finest
        period, at = min(dated)
        return at, timedelta(seconds=period)

    def _hurts(self, metric: Metric) -> bool:
        """Whether users feel it: errors and latency; of wrong data whatever measures that."""
        if self.evidence.incident_type is IncidentType.DATA_CORRUPTION:
            return not metric.namespace.startswith(_PUBLISHED)
        return _FELT.search(metric.name) is not None

    @cached_property
    def symptoms(self) -> tuple[tuple[Metric, Series], ...]:
        """The metrics whose move says when the trouble began."""
        known = tuple(self.series(*_SYMPTOMS))
        own = ((m, s) for m, s in self.evidence.metrics.items() if not m.namespace.startswith(_PUBLISHED) and s.points)
        return (*known, *((m, s) for m, s in own if m.name not in _SYMPTOMS))

    def _is_current(self, at: datetime) -> bool:
        return self.steady_at is None or at > self.steady_at

    @cached_property
    def stops(self) -> tuple[StoppedTask, ...]:
        """Tasks that ended otherwise than by routine, and whose end counts now."""
        now = self.evidence.detected_at
        return tuple(
            task
            for task in self.evidence.stopped_tasks
            if not ROUTINE.search(task.reason)
            and (self._is_current(task.stopped_at) or self.span(task.stopped_at, now) <= RECENT)
        )

    @cached_property
    def current_stops(self) -> tuple[StoppedTask, ...]:
        """Those of them after which the service has not been steady again."""
        return tuple(task for task in self.stops if self._is_current(task.stopped_at))

    @cached_property
    def events(self) -> tuple[tuple[datetime, str], ...]:
        """Service events since the last steady state, the latest first."""
        events = self.evidence.service.events if self.evidence.service else ()
        return tuple((at, text) for at, text in events if self._is_current(at) and not STEADY.search(text))

    @cached_property
    def failures(self) -> tuple[Failure, ...]:
        """What current stops and events say, the latest first."""
        told = [
            Failure(task.stopped_at, _task_text(task), "stored events" if task.stored else "DescribeTasks", task)
            for task in self.current_stops
        ]
        told += [Failure(at, text, "DescribeServices") for at, text in self.events]
        return tuple(sorted(told, key=lambda f: f.at, reverse=True))

    @cached_property
    def crashes(self) -> tuple[tuple[StoppedTask, StoppedContainer], ...]:
        """Containers that ended with an error of their own: neither well nor by a signal from outside."""
        return tuple(
            (task, container)
            for task in self.stops
            if task.started_at is not None or task.stop_code == "EssentialContainerExited"
            for container in task.containers
            if container.exit_code not in {None, 0, SIGKILL, SIGTERM}
        )

    @cached_property
    def health_failures(self) -> tuple[Failure, ...]:
        """Current failures of health checks."""
        return tuple(failure for failure in self.failures if HEALTH.search(failure.text))

    @cached_property
    def lost_hosts(self) -> tuple[StoppedTask, ...]:
        """Tasks whose machine went away, with no steady state since."""
        return tuple(
            task for task in self.current_stops if task.stop_code in LOST_HOST_CODES or LOST_HOST.search(task.reason)
        )

    @cached_property
    def forced_off(self) -> tuple[StoppedTask, ...]:
        """Tasks that ended because somebody took their instance away."""
        return tuple(task for task in self.current_stops if FORCED_OFF.search(task.reason))

    @cached_property
    def stopped_by_hand(self) -> tuple[StoppedTask, ...]:
        """Tasks that somebody stopped with StopTask."""
        return tuple(task for task in self.current_stops if task.stop_code == "UserInitiated")

    @cached_property
    def rollout(self) -> Rollout | None:
        """The last deployment; None where there is none, or where the first revision ever is being deployed."""
        service = self.evidence.service
        primary = service.primary if service else None
        if service is None or primary is None:
            return None
        others = [d for d in service.deployments if d is not primary]
        failed = next((d for d in others if d.rollout_state == "FAILED"), None)
        since = primary.created_at - RETURN
        reasons = [primary.rollout_state_reason, *(text for at, text in service.events if at >= since)]
        last = self.evidence.deployments[0] if self.evidence.deployments else None
        returned = last is not None and last.status.startswith("ROLLBACK_")
        back = returned or self._older_again or any(ROLLS_BACK.search(reason) for reason in reasons)
        if back and self.span(primary.created_at, self.evidence.detected_at) <= GIVEN_UP:
            return Rollout(failed or primary, (failed or primary).created_at, None, gone_back=True)
        if not others and len(self.evidence.task_definitions) < 2 and len(self.evidence.deployments) < 2:
            return None
        done = primary.rollout_state == "COMPLETED"
        return Rollout(primary, primary.created_at, primary.updated_at if done else None)

    @cached_property
    def _older_again(self) -> bool:
        """Whether somebody went back: the revision that the service is moving to, or has, is the older one."""
        numbers = [_number(definition.arn) for definition in self.evidence.task_definitions[:2]]
        return len(numbers) == 2 and None not in numbers and numbers[0] < numbers[1]  # type: ignore[operator]

    @cached_property
    def given_up(self) -> Rollout | None:
        """The return to the revision before, where somebody or ECS went back and no task fails any more."""
        rollout = self.rollout
        back = rollout is not None and rollout.gone_back and self._older_again
        return rollout if back and not self.current_stops and not self.health_failures else None

    @cached_property
    def under_way(self) -> bool:
        """Whether the deployment is not complete."""
        return self.rollout is not None and (self.rollout.ended is None or self.rollout.gone_back)

    @cached_property
    def changes(self) -> Mapping[str, tuple[Any, Any]]:
        """What the new task definition changed: (before, after) by path, without names and dates; empty where the two
        are alike or not known."""
        if len(self.evidence.task_definitions) < 2:
            return {}
        new, old = (definition.settings for definition in self.evidence.task_definitions[:2])
        return dict(_compare(old, new, ""))

    def changed(self, *words: str) -> bool:
        """Whether a change has one of the words in its path."""
        return any(re.search(rf"\b{word}\b", path) for path in self.changes for word in words)

    @cached_property
    def starts(self) -> tuple[Start, ...]:
        """When new revisions began to be deployed, the latest first; the same revision again is none."""
        known = sorted(self.evidence.deployments, key=lambda d: d.created_at)
        if len(known) > 1:
            pairs = pairwise(known)
            new = [d for old, d in pairs if d.target_service_revision_arn != old.target_service_revision_arn]
            return tuple(
                Start(d.created_at, _last(d.target_service_revision_arn), d.status, d.finished_at)
                for d in reversed(new)
            )
        if self.rollout is None:
            return ()
        deployment = self.rollout.deployment
        return (
            Start(self.rollout.began, _last(deployment.task_definition), deployment.rollout_state, self.rollout.ended),
        )

    def start_behind(self, moment: datetime | None) -> Start | None:
        """The deployment at whose door trouble is laid that began then: it began at most half an hour before."""
        if moment is None:
            return None
        period = self._onset[1]
        return next((s for s in self.starts if s.at - period < moment and self.span(s.at, moment) <= LOOKBACK), None)

    @cached_property
    def onset_after_rollout(self) -> bool:
        """Whether the symptoms began within half an hour of the deployment of a new revision."""
        return self.start_behind(self.onset) is not None

    @cached_property
    def onset_with_rollout(self) -> bool:
        """Whether they began while that revision took over, or right after: no coincidence."""
        return self.took_over(self.onset)

    def took_over(self, moment: datetime | None) -> bool:
        """Whether a new revision took over at that moment, or had just done so."""
        start = self.start_behind(moment)
        if start is None or moment is None:
            return False
        return start.ended is None or moment <= start.ended or self.span(start.ended, moment) <= AFTERMATH

    def only_new_tasks(self, tasks: tuple[StoppedTask, ...]) -> bool:
        """Whether all of these tasks are of the new revision, and began to fail with its deployment."""
        if self.rollout is None or not tasks or not self._is_new_revision:
            return False
        new = self.rollout.deployment
        if self.rollout.gone_back and self.evidence.service:
            return all(task.task_definition != self.evidence.service.task_definition for task in tasks)
        mine = all(t.started_by == new.id if t.started_by else t.task_definition == new.task_definition for t in tasks)
        first = min(task.stopped_at for task in tasks)
        return mine and first >= self.rollout.began and (self.under_way or self.start_behind(first) is not None)

    @cached_property
    def _is_new_revision(self) -> bool:
        return bool(self.changes) or len(self.evidence.task_definitions) < 2

    @cached_property
    def text_of_definitions(self) -> tuple[str, ...]:
        """Both task definitions as text, to look for names in."""
        return tuple(json.dumps(d.settings, default=str) for d in self.evidence.task_definitions[:2])

    def named_before(self, text: str) -> bool | None:
        """Whether the resource that a message names (a secret, a parameter, a file system, an image) stood in the
        revision before already; None where the message names none that either revision knows."""
        if len(self.text_of_definitions) < 2:
            return None
        new, old = self.text_of_definitions
        names = [name for name in _NAMES.findall(text) if name in new]
        return all(name in old for name in names) if names else None

    def series(self, *names: str) -> Iterator[tuple[Metric, Series]]:
        """The metrics of that name, or `namespace name`."""
        for metric, series in self.evidence.metrics.items():
            if series.points and (metric.name in names or f"{metric.namespace} {metric.name}" in names):
                yield metric, series

    def move(self, metric: Metric) -> Move | None:
        """How the metric moved."""
        return find_move(self.evidence.metrics[metric], FLOORS.get(metric.name, 0.0))

    def level(self, *names: str) -> float | None:
        """The highest level now among the metrics of that name."""
        return max((value for _, s in self.series(*names) if (value := latest(s)) is not None), default=None)

    def top(self, *names: str) -> float | None:
        """The highest of the last datapoints since the onset among the metrics of that name: what still rises is told
        in time. None where nothing was measured since."""
        since = self.onset
        lately = (s.points[-LATELY:] for _, s in self.series(*names))
        return max((value for points in lately for t, value in points if since is None or t >= since), default=None)

    @cached_property
    def load_growth(self) -> float | None:
        """How requests grew: the level since the onset by the level before it; None where nobody counts them."""
        named = self.evidence.requests
        if named is not None and (series := self.evidence.metrics.get(named)) is not None:
            return find_growth(series, self.evidence.onset)
        growths = (find_growth(s, self.evidence.onset) for _, s in self.series(*REQUEST_COUNTS))
        return max((growth for growth in growths if growth is not None), default=None)

    @cached_property
    def work_growth(self) -> float | None:
        """How anything that makes work grew: requests, connections, messages."""
        growths = [find_growth(s, self.evidence.onset) for _, s in self.series(*WORK_COUNTS)]
        return max((growth for growth in [self.load_growth, *growths] if growth is not None), default=None)

    @cached_property
    def signs(self) -> tuple[LogSign, ...]:
        """What the log lines show."""
        now = self.evidence.detected_at
        return read_signs(x for x in self.evidence.logs if x.at is None or self.span(x.at, now) <= LOG_AGE)

    def shown(self, *signs: Sign) -> tuple[LogSign, ...]:
        """The log lines that show one of the signs."""
        return tuple(found for found in self.signs if found.sign in signs)


CPU = "AWS/ECS CPUUtilization"
MEMORY = "AWS/ECS MemoryUtilization"
REQUEST_COUNTS = (
    "AWS/ApplicationELB RequestCount",
    "AWS/ApplicationELB RequestCountPerTarget",
    "AWS/ApiGateway Count",
    "AWS/NetworkELB NewFlowCount",
)
WORK_COUNTS = (
    "AWS/ApplicationELB ActiveConnectionCount",
    "AWS/ApplicationELB NewConnectionCount",
    "AWS/NetworkELB ActiveFlowCount",
    "AWS/SQS NumberOfMessagesSent",
    "AWS/Kinesis IncomingRecords",
)

FLOORS = {"CPUUtilization": 20.0, "MemoryUtilization": 10.0}
"""Changes below these, in percent, are no move, however small the level was."""

_FELT = re.compile(r"[45]xx|_50[234]_|error|fail|latency|ResponseTime|HealthyHost", re.IGNORECASE)

_PUBLISHED = ("AWS/", "ECS/")
"""Namespaces of AWS itself: what else is measured, somebody watches for its own sake."""

_SYMPTOMS = (
    "HTTPCode_Target_5XX_Count", "HTTPCode_ELB_5XX_Count", "HTTPCode_ELB_502_Count", "HTTPCode_ELB_503_Count",
    "HTTPCode_ELB_504_Count", "HTTPCode_ELB_4XX_Count", "HTTPCode_Target_4XX_Count", "5XXError", "5xx",
    "TargetResponseTime", CPU, MEMORY, "HealthyHostCount",
    "UnHealthyHostCount", "RestartCount", "AWS/SQS ApproximateNumberOfMessagesVisible", "AWS/RDS DatabaseConnections",
)  # fmt: skip
"""Metrics of AWS whose move says when the trouble began."""

_NAMES = re.compile(
    r"arn:aws[\w-]*:(?:secretsmanager|ssm|kms|s3|logs|elasticfilesystem):[^\s,'\"]+?(?=[\s,;'\")\]]|:\s|\.\s|$)"
    r"|\bfs-[0-9a-f]{8,}|[\w.-]+\.dkr\.ecr\.[\w.-]+/[\w./-]+(?::[\w.-]+)?|\bparameter /[\w./-]+|[\w./-]+\.env\b"
)


def _last(arn: str) -> str:
    return arn.rsplit("/", 1)[-1]


def _number(arn: str) -> int | None:
    number = arn.rsplit(":", 1)[-1]
    return int(number) if number.isdigit() else None


def _task_text(task: StoppedTask) -> str:
    reasons = dict.fromkeys([task.reason, *(container.reason for container in task.containers)])
    return "; ".join(reason for reason in reasons if reason)


def _compare(old: Any, new: Any, path: str) -> Iterator[tuple[str, tuple[Any, Any]]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            if path or key not in _IDENTITY:
                yield from _compare(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif isinstance(old, list) and isinstance(new, list) and _named(old) and _named(new):
        was, now = _named(old), _named(new)
        for name in sorted({*was, *now}):
            yield from _compare(was.get(name), now.get(name), f"{path}[{name}]")
    elif old != new:
        yield path, (old, new)


def _named(items: list[Any]) -> dict[str, Any]:
    """Items by name, as environments, secrets, containers and volumes are; empty where they have none."""
    if items and all(isinstance(item, Mapping) and "name" in item for item in items):
        return {item["name"]: item for item in items}
    return {}
