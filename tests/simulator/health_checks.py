"""What load balancers and container agents find when they check the health of tasks, and when ECS acts on it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .behaviour import find_main_container
from .clock import Clock
from .conditions import includes
from .ecs import Ecs, Service, Task

HEALTHY_AFTER_SECONDS = 15.0
"""A task counts as healthy, and its deployment can settle, once it has passed checks this long. A new target needs to
pass one check only (Application Load Balancers guide, "Health checks for target groups")."""
ELB_UNHEALTHY_SECONDS = 60.0
"""UnhealthyThresholdCount 2 times HealthCheckIntervalSeconds 30, the defaults of an HTTP target group (same page)."""
PASSED = "200"
_ROUNDING = 1e-5
"""Wall seconds that rounding errors of times since the epoch stay below."""


@dataclass(frozen=True)
class Verdict:
    """A task whose checks fail: from when on it counts as unhealthy, when ECS stops it for that, and in what words.

    `events` are lines of the service event stream, `reason` is the task's stoppedReason.
    """

    unhealthy_at: float
    at: float
    events: tuple[str, ...]
    reason: str


class HealthChecks:
    """Evaluates the checks of tasks of services. Times are wall seconds, the durations of behaviours simulated ones."""

    def __init__(self, ecs: Ecs, clock: Clock) -> None:
        self._ecs = ecs
        self._clock = clock

    def is_checked(self, service: Service | None, task: Task) -> bool:
        """Whether anybody checks: a target group, or a health check in the task definition."""
        return bool(find_target_groups(service, task)) or _find_container_check(task) is not None

    def ask(self, service: Service | None, task: Task, at: float) -> str:
        """What a check gets `at` this time: a code, or `timeout`."""
        conditions = self._ecs.conditions
        if task.stuck_error_ratio is not None:
            return "timeout"
        if includes(conditions.impaired_zones, task.availability_zone or ""):
            return "timeout"
        if service is not None:
            groups = find_target_groups(service, task)
            if (answer := conditions.find_health_answer(service.cluster, service.name, groups)) is not None:
                return answer
        behaviour = task.task_definition.behaviour
        age = at - (task.container_started_at or at) + _ROUNDING
        if age < self._clock.wall(behaviour.ready_seconds):
            return "timeout"
        fails_after = behaviour.unhealthy_after_seconds
        if fails_after is not None and age >= self._clock.wall(fails_after):
            return "timeout"
        return behaviour.health_check

    def next_change(self, task: Task, after: float) -> float | None:
        """When the application's own answer changes next; None: not by itself."""
        if task.container_started_at is None:
            return None
        behaviour = task.task_definition.behaviour
        ages = (behaviour.ready_seconds, behaviour.unhealthy_after_seconds)
        times = [task.container_started_at + self._clock.wall(age) for age in ages if age is not None]
        return min((time for time in times if time > after), default=None)

    def judge(self, service: Service, task: Task) -> Verdict | None:
        """When and why ECS stops `task`, whose checks fail since `checks_changed_at`; None: nobody checks.

        healthCheckGracePeriodSeconds is the time during which "the Amazon ECS service scheduler ignores unhealthy"
        load balancer and container health checks "after a task has first started" (API type Service).
        """
        assert task.started_at is not None, "checks begin when the task runs"
        grace_ends = task.started_at + self._clock.wall(service.settings.get("healthCheckGracePeriodSeconds", 0))
        verdicts = []
        answer = self.ask(service, task, task.checks_changed_at)
        for group in find_target_groups(service, task):
            unhealthy_at = task.checks_changed_at + self._clock.wall(ELB_UNHEALTHY_SECONDS)
            verdicts.append(
                Verdict(unhealthy_at, max(unhealthy_at, grace_ends), *_describe_target(service, task, group, answer))
            )
        check = _find_container_check(task)
        if check is not None:
            started = task.container_started_at or task.started_at
            counted_from = max(task.checks_changed_at, started + self._clock.wall(check.get("startPeriod", 0)))
            patience = check.get("retries", 3) * check.get("interval", 30)
            unhealthy_at = counted_from + self._clock.wall(patience)
            event = f"(task {task.id}) failed container health checks."
            reason = "Task failed container health checks"
            verdicts.append(Verdict(unhealthy_at, max(unhealthy_at, grace_ends), (event,), reason))
        return min(verdicts, key=lambda verdict: (verdict.at, verdict.unhealthy_at), default=None)


def find_target_groups(service: Service | None, task: Task) -> tuple[str, ...]:
    """The ARNs of the target groups that `task` is registered in."""
    revision = service.revisions.get(task.revision_arn) if service is not None else None
    return revision.target_groups if revision is not None else ()


def has_container_check(task: Task) -> bool:
    """Whether its task definition has a health check; without one healthStatus stays UNKNOWN (API type Container)."""
    return _find_container_check(task) is not None


def _find_container_check(task: Task) -> Mapping[str, Any] | None:
    check: Mapping[str, Any] | None
    check = find_main_container(task.task_definition.contents["containerDefinitions"]).get("healthCheck")
    return check


def _describe_target(service: Service, task: Task, group: str, answer: str) -> tuple[tuple[str, ...], str]:
    """Developer guide, "Amazon ECS service unhealthy event messages", and "Stopped tasks error codes"."""
    cause = "Request timed out" if answer == "timeout" else f"Health checks failed with these codes: [{answer}]"
    balancers = service.revisions[task.revision_arn].workload.get("loadBalancers", [])
    port = next((balancer["containerPort"] for balancer in balancers if "containerPort" in balancer), 80)
    instance = f"(instance {task.container_instance}) " if task.container_instance is not None else ""
    events = (
        f"(task {task.id}) {instance}(port {port}) is unhealthy in (target-group {group}) due to (reason {cause}).",
        f"(task {task.id}) failed ELB health checks in (target-group {group}).",
    )
    return events, f"Task failed ELB health checks in (target-group {group})"
