"""The ECS service scheduler: brings each service's tasks and deployments to what is asked, and no further.

A service is looked at only when something about it changed or falls due, so a thousand calm services cost nothing.
"""

import heapq
import math
from collections.abc import Iterable

from .aws_json import Json
from .clock import Clock
from .ecs import Ecs, Service, Task, TaskSet, TaskSource
from .ecs_notifications import EcsNotifications
from .ecs_tasks import TaskLifecycle
from .rollouts import Rollouts
from .service_events import START_IMPAIRED, ServiceEvents

# "Service throttle logic" of the developer guide: tasks that fail before RUNNING are started ever more slowly.
FREE_FAILED_STARTS = 10
FIRST_BACKOFF_SECONDS = 10.0
MAX_BACKOFF_SECONDS = 900.0


class Scheduler:
    """Reconciles services when they are due. Not thread safe: the owner holds a lock around every use."""

    def __init__(self, ecs: Ecs, clock: Clock) -> None:
        self._ecs = ecs
        self._clock = clock
        self._tasks = TaskLifecycle(
            ecs,
            clock,
            on_failed=self._note_failed_task,
            on_healthy=self._note_healthy_task,
            on_refused=self._note_refused_task,
        )
        self._events = ServiceEvents(ecs, clock)
        self.notifications = EcsNotifications(ecs)
        self.rollouts = Rollouts(ecs, clock, self._events, self.notifications)
        self._heap: list[tuple[float, tuple[str, str]]] = []
        self._due: dict[tuple[str, str], float] = {}

    @property
    def tasks(self) -> TaskLifecycle:
        """The life of its tasks, and of those of RunTask."""
        return self._tasks

    # Due times

    def touch(self, service: Service) -> None:
        """Something about `service` changed: show it to readers and reconcile it at once."""
        now = self._clock.now()
        self._ecs.record(service, now)
        self._wake(service, now)

    def next_due(self) -> float | None:
        """Wall time at which the next service has to be looked at; None: nothing is under way."""
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def run_due(self, now: float) -> None:
        """Reconcile every service whose time has come."""
        while (due := self.next_due()) is not None and due <= now:
            _, key = heapq.heappop(self._heap)
            del self._due[key]
            if (service := self._ecs.services.get(key)) is not None:
                self._reconcile(service, now)

    def _wake(self, service: Service, at: float) -> None:
        if at < self._due.get(service.key, math.inf):
            self._due[service.key] = at
            heapq.heappush(self._heap, (at, service.key))

    # What the API asks for

    def deploy(self, service: Service, workload: Json, now: float) -> None:
        """Start a new deployment of `workload`."""
        self.rollouts.deploy(service, workload, now)
        self._wake(service, now)

    def set_desired_count(self, service: Service, count: int, now: float) -> None:
        """Scale `service`: no deployment, but the PRIMARY one counts as updated."""
        if count == service.desired_count:
            return
        service.desired_count = count
        for source in service.sources[:1]:
            source.updated_at = now
        service.steady = False
        self.touch(service)

    # One pass over one service

    def _reconcile(self, service: Service, now: float) -> None:
        self._tasks.advance(service, now)
        if service.status == "ACTIVE":
            if service.settings["schedulingStrategy"] == "DAEMON":
                self._follow_container_instances(service, now)
            if service.controller == "ECS":
                self.rollouts.advance(service, now)
            self._converge(service, now)
            self.rollouts.drop_empty_deployments(service)
            self._drop_drained_task_sets(service)
            self._announce_steady_state(service, now)
        elif service.status == "DRAINING":
            self.stop_tasks(service, _alive(service.tasks.values()), now, self._scaling_reason(service))
            if all(task.last_status == "STOPPED" for task in service.tasks.values()):
                service.status = "INACTIVE"
        self._tasks.forget_old(service, now)
        self._ecs.record(service, now)
        due = [task.transition_at for task in service.tasks.values() if task.transition_at is not None]
        due += [
            self._tasks.forgets_at(task.stopped_at) for task in service.tasks.values() if task.stopped_at is not None
        ]
        if service.status == "ACTIVE":
            due += [source.start_not_before for source in service.sources if source.start_not_before > now]
            due += [task.protected_until for task in _alive(service.tasks.values()) if task.protected_until > now]
            if service.controller == "ECS" and (at := self.rollouts.next_due(service, now)) is not None:
                due.append(at)
        if due:
            self._wake(service, min(due))

    # What became of tasks

    def _note_failed_task(self, service: Service, task: Task, at: float) -> None:
        """`task` ended by itself. It counts against its deployment unless it had become healthy before."""
        service.steady = False
        source = _find_source(service, task.deployment_id)
        if task.was_healthy or source is None:
            return
        source.failed_tasks += 1
        source.updated_at = at
        if task.started_at is None:
            self._slow_down(service, source, at)

    def _note_refused_task(self, service: Service, source: TaskSource, at: float) -> None:
        """A task "is considered a failure if the service scheduler can't launch the task" (Deployment.failedTasks)."""
        service.steady = False
        source.failed_tasks += 1
        source.updated_at = at
        source.start_not_before = at + self._clock.wall(FIRST_BACKOFF_SECONDS)
        self._slow_down(service, source, at)

    def _slow_down(self, service: Service, source: TaskSource, at: float) -> None:
        source.failed_starts += 1
        excess = source.failed_starts - FREE_FAILED_STARTS
        if excess < 0:
            return
        backoff = min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2**excess)
        source.start_not_before = at + self._clock.wall(backoff)
        told = self._events.tell_once(
            service,
            "is unable to consistently start tasks successfully. For more information, see the Troubleshooting "
            "section of the Amazon ECS Developer Guide.",
            at,
            cause=START_IMPAIRED,
        )
        if told:
            self.notifications.act(service, "SERVICE_TASK_START_IMPAIRED", at)

    def _note_healthy_task(self, service: Service, task: Task, _at: float) -> None:
        """A healthy task resets the count of failures (DeploymentCircuitBreaker.resetOnHealthyTask, default true)."""
        source = _find_source(service, task.deployment_id)
        if source is None:
            return
        source.failed_starts, source.start_not_before = 0, 0.0
        self._events.resolve(service, START_IMPAIRED)
        configuration = service.settings["deploymentConfiguration"]
        if service.service_deployments:
            configuration = service.service_deployments[0].deployment_configuration
        if configuration.get("deploymentCircuitBreaker", {}).get("resetOnHealthyTask", True):
            source.failed_tasks = 0

    def stop_tasks(
        self,
        service: Service,
        tasks: list[Task],
        now: float,
        reason: str,
        stop_code: str = "ServiceSchedulerInitiated",
    ) -> None:
        """Ask `tasks` to stop; tasks behind a load balancer are deregistered first.

        The scheduler does not stop protected tasks: UpdateTaskProtection protects "from termination during scale-in
        events from Service Autoscaling or deployments".
        """
        if stop_code == "ServiceSchedulerInitiated" and service.status == "ACTIVE":
            tasks = self._leave_protected(service, tasks, now)
        if not tasks:
            return
        for task in tasks:
            self._tasks.request_stop(task, now, reason, stop_code)
        service.steady = False
        if stop_code == "ServiceSchedulerInitiated":
            self._events.tell(service, f"has stopped {len(tasks)} running tasks: {_name(tasks)}.", now)
            self.notifications.act(service, "TASKS_STOPPED", now)

    def _leave_protected(self, service: Service, tasks: list[Task], now: float) -> list[Task]:
        """Those of `tasks` that may be stopped; an event tells of others."""
        free = [task for task in tasks if task.protected_until <= now]
        for task in tasks:
            if task not in free:
                message = (
                    f"was unable to reach steady state because task set ({task.deployment_id}) was unable to scale in. "
                    "Reason: The number of protected tasks are more than the desired count of tasks."
                )
                self._events.tell_once(service, message, now)
        return free

    # Convergence

    def _follow_container_instances(self, service: Service, now: float) -> None:
        """DAEMON "deploys exactly one task on each active container instance" (CreateService): one instance a zone."""
        lacks_all = (self._ecs.conditions.instance_lacks or {}).get(service.cluster) == "NONE"
        count = 0 if lacks_all else len(self._tasks.placements.zones)
        if count != service.desired_count:
            service.desired_count, service.steady = count, False
            self.notifications.act(service, "SERVICE_DESIRED_COUNT_UPDATED", now)

    def _converge(self, service: Service, now: float) -> None:
        if service.controller != "ECS":
            wanted: dict[str, int] | None = {
                task_set.id: task_set.compute_desired_count(service.desired_count) for task_set in service.task_sets
            }
        else:
            wanted = self.rollouts.decide_wanted(service)
        if wanted is not None:
            self._converge_to(service, wanted, now)
        else:
            self._stop_surplus(service, now)
            self._start_missing(service, now)

    def _converge_to(self, service: Service, wanted: dict[str, int], now: float) -> None:
        """Bring each deployment or task set to its own number of tasks, whatever the others have."""
        surplus = [task for task in _alive(service.tasks.values()) if task.deployment_id not in wanted]
        for source in service.sources:
            surplus += self._rank(service, source)[wanted.get(source.id, 0) :]
        self.stop_tasks(service, surplus, now, self._scaling_reason(service))
        for source in service.sources:
            self._start(service, source, wanted.get(source.id, 0) - len(self._live(service, source)), now)

    def _drop_drained_task_sets(self, service: Service) -> None:
        left = {task.deployment_id for task in service.tasks.values() if task.last_status != "STOPPED"}
        service.task_sets = [s for s in service.task_sets if s.status != "DRAINING" or s.id in left]

    def _live(self, service: Service, source: TaskSource) -> list[Task]:
        return [task for task in _alive(service.tasks.values()) if task.deployment_id == source.id]

    def _rank(self, service: Service, source: TaskSource) -> list[Task]:
        """The live tasks of `source`, those worth keeping first."""
        tasks = self._live(service, source)
        now = self._clock.now()

        def worth(task: Task) -> tuple[bool, bool, bool, float]:
            return (task.protected_until <= now, task.last_status != "RUNNING", not task.healthy, task.created_at)

        return sorted(tasks, key=worth)

    def _limits(self, service: Service) -> tuple[int, int]:
        """Least healthy and most live tasks: the lower limit rounds up, the upper down (DeploymentConfiguration)."""
        configuration = service.settings["deploymentConfiguration"]
        lower = math.ceil(service.desired_count * configuration["minimumHealthyPercent"] / 100)
        upper = math.floor(service.desired_count * configuration["maximumPercent"] / 100)
        return lower, upper

    def _stop_surplus(self, service: Service, now: float) -> None:
        primary = service.primary
        new = self._rank(service, primary)
        old = [task for task in _alive(service.tasks.values()) if task.deployment_id != primary.id]
        failed = {d.id for d in service.deployments[1:] if d.rollout_state == "FAILED"}
        useless = [task for task in old if task.last_status != "RUNNING" or task.deployment_id in failed]
        serving = [task for task in old if task not in useless]
        serving.sort(key=lambda task: task.protected_until > now)
        if primary.rollout_state == "FAILED":
            # It replaces nobody any more, and its own tasks stay only where old ones are missing.
            kept = [task for task in new if task.healthy][: max(0, service.desired_count - len(serving))]
            useless += [task for task in new if task not in kept] + serving[service.desired_count :]
            self.stop_tasks(service, useless, now, self._scaling_reason(service))
            return
        healthy = sum(task.healthy for task in new[: service.desired_count])
        lower, _ = self._limits(service)
        surplus = serving[: max(0, healthy + len(serving) - lower)]
        self.stop_tasks(service, new[service.desired_count :], now, self._scaling_reason(service))
        self.stop_tasks(service, useless + surplus, now, self._scaling_reason(service))

    def _start_missing(self, service: Service, now: float) -> None:
        primary = service.primary
        if primary.rollout_state == "FAILED":
            return
        _, upper = self._limits(service)
        missing = service.desired_count - len(self._live(service, primary))
        allowed = upper - len(_alive(service.tasks.values()))
        if min(missing, allowed) > 0:
            self._start(service, primary, min(missing, allowed), now)
        elif missing > 0 and not any(task.transition_at is not None for task in service.tasks.values()):
            self._events.tell_once(
                service,
                "was unable to stop or start tasks during a deployment because of the service deployment "
                "configuration. Update the minimumHealthyPercent or maximumPercent value and try again.",
                now,
            )

    def _start(self, service: Service, source: TaskSource, count: int, now: float) -> None:
        """Start `count` tasks, unless failed starts hold `source` back."""
        if count <= 0 or now < source.start_not_before:
            return
        created = (self._tasks.create(service, source, now) for _ in range(count))
        tasks = [task for task in created if task is not None]
        service.steady = False
        source.updated_at = now
        if tasks:
            self._events.tell(service, f"has started {len(tasks)} tasks: {_name(tasks)}.", now)

    # Announcements

    def _announce_steady_state(self, service: Service, now: float) -> None:
        for task_set in service.task_sets:
            self._announce_steady_task_set(service, task_set, now)
        if service.steady or (service.deployments and service.primary.rollout_state != "COMPLETED"):
            return
        unfinished = [task for task in service.tasks.values() if task.last_status != "STOPPED"]
        if service.controller == "ECS":
            wanted = service.desired_count
        else:
            wanted = sum(task_set.compute_desired_count(service.desired_count) for task_set in service.task_sets)
        if len(unfinished) == wanted and all(task.healthy for task in unfinished):
            service.steady = True
            self._events.resolve(service)
            self._events.tell(service, "has reached a steady state.", now)
            self.notifications.act(service, "SERVICE_STEADY_STATE", now)

    def _announce_steady_task_set(self, service: Service, task_set: TaskSet, now: float) -> None:
        unfinished = [
            task
            for task in service.tasks.values()
            if task.last_status != "STOPPED" and task.deployment_id == task_set.id
        ]
        wanted = task_set.compute_desired_count(service.desired_count)
        steady = len(unfinished) == wanted and all(task.healthy for task in unfinished)
        if steady and not task_set.steady:
            self._events.tell(service, f"(task set {task_set.id}) has reached a steady state.", now)
            self.notifications.act(service, "TASKSET_STEADY_STATE", now, taskSetArns=[task_set.arn])
        if steady != task_set.steady:
            task_set.steady, task_set.stability_at = steady, now

    def _scaling_reason(self, service: Service) -> str:
        if not service.sources:
            return "Scaling activity initiated by the service scheduler"
        kind = "deployment" if service.deployments else "task-set"
        return f"Scaling activity initiated by ({kind} {service.sources[0].id})"


def _alive(tasks: Iterable[Task]) -> list[Task]:
    return [task for task in tasks if task.desired_status == "RUNNING"]


def _find_source(service: Service, id_: str) -> TaskSource | None:
    return next((source for source in service.sources if source.id == id_), None)


def _name(tasks: list[Task]) -> str:
    return " ".join(f"(task {task.id})" for task in tasks)
