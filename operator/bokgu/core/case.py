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

from bokgu.api.observed import Deployment, EcsService, Metric, Series, StoppedContainer, StoppedTask
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

HERALD = timedelta(minutes=20)
"""How long before the onset log lines may already tell of its cause."""

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
        if self.evidence.onset is not None:
            return self.evidence.onset, self.evidence.period
        moved = [(m, s, move) for m, s in self.symptoms if (move := self.move(m)) is not None]
        felt = [each for each in moved if self._hurts(each[0])]
        dated = [(series.period, move.at) for _, series, move in felt or moved]
        if not dated:
            return None, self.evidence.period
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
        done = primary.rollout_state == "COMPLETED"
        others = [d for d in service.deployments if d is not primary]
        recent = not done or self.span(primary.created_at, self.evidence.detected_at) <= GIVEN_UP
        if recent and self._went_back(service, primary):
            failed = next((d for d in others if d.rollout_state == "FAILED"), primary)
            return Rollout(failed, failed.created_at, None, gone_back=True)
        if not others and len(self.evidence.task_definitions) < 2 and len(self.evidence.deployments) < 2:
            return None
        return Rollout(primary, primary.created_at, self._completed_at(primary) if done else None)

    def _completed_at(self, deployment: Deployment) -> datetime:
        """When the deployment was complete. Its updatedAt is that too, until a change of the count moves it."""
        updated = deployment.updated_at or deployment.created_at
        last = max(self.evidence.deployments, key=lambda d: d.created_at, default=None)
        if last is None or last.finished_at is None or last.finished_at < deployment.created_at:
            return updated
        return min(last.finished_at, updated)

    def _went_back(self, service: EcsService, primary: Deployment) -> bool:
        """Whether the primary deployment is a return to an older revision: by ECS, or by a person."""
        since = primary.created_at - RETURN
        reasons = [primary.rollout_state_reason, *(text for at, text in service.events if at >= since)]
        last = max(self.evidence.deployments, key=lambda d: d.created_at, default=None)
        returned = last is not None and last.status.startswith("ROLLBACK_")
        return returned or self._older_again or any(ROLLS_BACK.search(reason) for reason in reasons)

    @cached_property
    def _older_again(self) -> bool:
        """Whether the revision that the service is moving to, or has, is the older one of its family."""
        named = [definition.arn.rpartition(":") for definition in self.evidence.task_definitions[:2]]
        if len(named) < 2 or named[0][0] != named[1][0]:
            return False
        new, old = (number for _, _, number in named)
        return new.isdigit() and old.isdigit() and int(new) < int(old)

    @cached_property
    def given_up(self) -> Rollout | None:
        """The return to the revision before, where somebody or ECS went back and no task fails any more."""
        rollout = self.rollout
        back = rollout is not None and rollout.gone_back and self._older_again
        return rollout if back and not self.current_stops and not self.health_failures else None

    @cached_property
    def under_way(self) -> bool:
        """Whether the deployment is not complete."""
        return self.rollout is not None and self.rollout.ended is None

    @cached_property
    def changes(self) -> Mapping[str, tuple[Any, Any]]:
        """What the new revision changed: (before, after) by path, without names and dates; empty where the two are
        alike or not known. Settings of the service, such as its network, count where both are known."""
        found: dict[str, tuple[Any, Any]] = {}
        for pair in (self.evidence.task_definitions[:2], self.evidence.revisions[:2]):
            if len(pair) == 2:
                found |= dict(_compare(pair[1].settings, pair[0].settings, ""))
        return found

    def changed(self, *members: str) -> bool:
        """Whether one of these members changed, or something in it."""
        return any(not path_members(path).isdisjoint(members) for path in self.changes)

    @cached_property
    def is_new_revision(self) -> bool:
        """Whether the revision differs from the one before. Deploying the same again makes a service revision too, but
        no new one; where the two are not known, nothing is blamed on it."""
        return bool(self.changes) or self.uses_other_network

    @cached_property
    def _same_again(self) -> bool:
        """Whether it is known that the same revision was deployed again."""
        return len(self.evidence.task_definitions) > 1 and not self.is_new_revision

    @cached_property
    def uses_other_network(self) -> bool:
        """Whether the revision runs in other subnets or behind other security groups than the one before."""
        if self.changed("networkConfiguration"):
            return True
        service, rollout = self.evidence.service, self.rollout
        if service is None or rollout is None or not rollout.deployment.network:
            return False
        others = [d.network for d in service.deployments if d is not rollout.deployment and d.network]
        return any(network != rollout.deployment.network for network in others)

    @cached_property
    def starts(self) -> tuple[Start, ...]:
        """When new revisions began to be deployed, the latest first; the same revision again is none."""
        if self._same_again:
            return ()
        known = sorted(self.evidence.deployments, key=lambda d: d.created_at)
        if len(known) > 1:
            pairs = pairwise(known)
            new = [d for old, d in pairs if d.target_service_revision_arn != old.target_service_revision_arn]
            return tuple(
                Start(d.created_at, _last(d.target_service_revision_arn), d.status, d.finished_at)
                for d in reversed(new)
            )
        service = self.evidence.service
        deployment = self.rollout.deployment if self.rollout else service.primary if service else None
        if deployment is None:
            return ()
        ended = self._completed_at(deployment) if deployment.rollout_state == "COMPLETED" else None
        return (Start(deployment.created_at, _last(deployment.task_definition), deployment.rollout_state, ended),)

    def start_behind(self, moment: datetime | None) -> Start | None:
        """The deployment at whose door trouble is laid that began then: it began at most half an hour before."""
        if moment is None:
            return None
        period = self._onset[1]
        return next((s for s in self.starts if s.at - period < moment and self.span(s.at, moment) <= LOOKBACK), None)

    @cached_property
    def onset_after_rollout(self) -> bool:
        """Whether the symptoms began within half an hour of a deployment that may have brought a new revision."""
        return self.start_behind(self.onset) is not None

    @cached_property
    def onset_with_rollout(self) -> bool:
        """Whether they began while that revision took over, or right after: no coincidence."""
        return self.took_over(self.onset)

    @cached_property
    def blames_revision(self) -> bool:
        """Whether the symptoms began with a revision that is known to differ from the one before."""
        return self.onset_with_rollout and self.is_new_revision

    def took_over(self, moment: datetime | None) -> bool:
        """Whether a new revision took over at that moment, or had just done so."""
        start = self.start_behind(moment)
        if start is None or moment is None:
            return False
        return start.ended is None or moment <= start.ended or self.span(start.ended, moment) <= AFTERMATH

    def only_new_tasks(self, tasks: tuple[StoppedTask, ...]) -> bool:
        """Whether all of these tasks are of the new revision, and began to fail with its deployment."""
        if self.rollout is None or not tasks or not self.is_new_revision:
            return False
        new = self.rollout.deployment
        if self.rollout.gone_back and self.evidence.service:
            return all(task.task_definition != self.evidence.service.task_definition for task in tasks)
        mine = all(t.started_by == new.id if t.started_by else t.task_definition == new.task_definition for t in tasks)
        first = min(task.stopped_at for task in tasks)
        return mine and first >= self.rollout.began and (self.under_way or self.start_behind(first) is not None)

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
        """How requests grew: the level since the onset by the level before it; None where nobody counts them.

        Those of all target groups are added up: traffic that moves from one to another is no growth. Requests per
        target grow too where targets are lost: they count only where nothing else does and all tasks run.
        """
        named, onset = self.evidence.requests, self.evidence.onset
        if named is not None and named.name not in _REQUEST_NAMES and (found := self.evidence.metrics.get(named)):
            return find_growth(found, onset)
        for name in REQUEST_COUNTS:
            counted = [series for _, series in self.series(name)]
            if counted:
                return find_growth(_add_up(counted), onset)
        service = self.evidence.service
        if service is None or service.running_count < service.desired_count:
            return None
        growths = (find_growth(series, onset) for _, series in self.series(REQUESTS_PER_TARGET))
        return max((growth for growth in growths if growth is not None), default=None)

    @cached_property
    def work_growth(self) -> float | None:
        """How anything that makes work grew: requests, connections, messages."""
        growths = [find_growth(s, self.evidence.onset) for _, s in self.series(*WORK_COUNTS)]
        return max((growth for growth in [self.load_growth, *growths] if growth is not None), default=None)

    @cached_property
    def signs(self) -> tuple[LogSign, ...]:
        """What the log lines show."""
        now, onset = self.evidence.detected_at, self.onset
        return read_signs(
            line
            for line in self.evidence.logs
            if line.at is None
            or (self.span(line.at, now) <= LOG_AGE and (onset is None or self.span(line.at, onset) <= HERALD))
        )

    def shown(self, *signs: Sign) -> tuple[LogSign, ...]:
        """The log lines that show one of the signs."""
        return tuple(found for found in self.signs if found.sign in signs)


CPU = "AWS/ECS CPUUtilization"
MEMORY = "AWS/ECS MemoryUtilization"
REQUEST_COUNTS = (
    "AWS/ApplicationELB RequestCount",
    "AWS/ApiGateway Count",
    "AWS/NetworkELB NewFlowCount",
)
_REQUEST_NAMES = frozenset(name.split()[1] for name in REQUEST_COUNTS)
REQUESTS_PER_TARGET = "AWS/ApplicationELB RequestCountPerTarget"
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
    r"|\bfs-[0-9a-f]{8,}|(?<![\w.-])[\w.-]{1,255}\.dkr\.ecr\.[\w.-]+/[\w./-]+(?::[\w.-]+)?|\bparameter /[\w./-]+"
    r"|(?<![\w./-])[\w./-]{1,512}\.env\b"
)


def _add_up(counted: list[Series]) -> Series:
    """One series with the sums of each period."""
    sums: dict[datetime, float] = {}
    for series in counted:
        for at, value in series.points:
            sums[at] = sums.get(at, 0.0) + value
    return Series(tuple(sorted(sums.items())), counted[0].period)


def _last(arn: str) -> str:
    return arn.rsplit("/", 1)[-1]


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


def path_members(path: str) -> frozenset[str]:
    """The members on a path, without the names in brackets, which people choose."""
    return frozenset(re.sub(r"\[[^\]]*\]", "", path).split("."))


def _named(items: list[Any]) -> dict[str, Any]:
    """Items by name, as environments, secrets, containers and volumes are; empty where they have none."""
    if items and all(isinstance(item, Mapping) and "name" in item for item in items):
        return {item["name"]: item for item in items}
    return {}
