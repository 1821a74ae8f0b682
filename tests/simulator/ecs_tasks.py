"""The life of one task: start-up, health, restarts, failure, stop. What follows from it for a deployment is the
scheduler's.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from .aws_json import Json
from .behaviour import find_main_container
from .clock import Clock
from .container_logs import ContainerLogs
from .ecs import ContainerEnd, Ecs, Service, Task, TaskSource
from .ecs_notifications import EcsNotifications
from .health_checks import HEALTHY_AFTER_SECONDS, PASSED, HealthChecks, find_target_groups, has_container_check
from .placement import Placement, Placements, Refusal
from .restart_policy import restarts_in_place
from .service_events import PLACEMENT, ServiceEvents
from .start_failures import find_initialization_failure, find_provisioning_failure, find_pull_failure, runs_on_fargate
from .task_shapes import shape_task_event

# Simulated seconds. AWS gives no figures for most of them; these are round numbers of what operators see on Fargate.
PROVISIONING_SHARE = 0.3
"""The part of a task's start-up spent before PENDING."""
ACTIVATING_SECONDS = 1.0
"""Registration in target groups (developer guide, "Amazon ECS task lifecycle")."""
DEACTIVATING_SECONDS = 3.0
"""Deregistration from load balancers, which is not waited for as long as a deregistration delay may ask."""
DEPROVISIONING_SECONDS = 2.0
"""The network interface goes."""
DEFAULT_STOP_TIMEOUT_SECONDS = 30.0
"""From SIGTERM to SIGKILL unless stopTimeout of the container says else (API type ContainerDefinition)."""
SPOT_NOTICE_SECONDS = 120.0
"""A Fargate Spot task is told two minutes ahead (developer guide, "Fargate Spot termination notices")."""
STOPPED_TASK_SECONDS = 3600.0
"""DescribeTasks: "stopped tasks appear in the returned results for at least one hour"."""
START_JITTER = 0.1
SIGKILL_EXIT_CODE = 137
OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"

TaskObserver = Callable[[Service, Task, float], None]
"""Told of a change of a task and the wall time it was due."""
RefusalObserver = Callable[[Service, TaskSource, float], None]
"""Told that a task of a deployment could not be placed, and the wall time."""


def _ignore_refusal(_service: Service, _source: TaskSource, _at: float) -> None:
    """For owners that do not mind."""


@dataclass(frozen=True)
class TaskEnd:
    """How a task ended by itself: stopCode, stoppedReason and its containers; whether that counts as a failure."""

    stop_code: str
    reason: str
    containers: dict[str, ContainerEnd] = field(default_factory=dict)
    counts: bool = True


class TaskLifecycle:
    """Moves tasks from state to state as their times come. Not thread safe, as its owner, the scheduler, is not.

    `on_failed` hears of each task of a service that ended by itself or failed its health checks, `on_healthy` of each
    that became healthy, `on_refused` of each that found no place.
    """

    def __init__(
        self,
        ecs: Ecs,
        clock: Clock,
        *,
        on_failed: TaskObserver,
        on_healthy: TaskObserver,
        on_refused: RefusalObserver = _ignore_refusal,
    ) -> None:
        self.placements = Placements(ecs)
        self._ecs = ecs
        self._clock = clock
        self._on_failed = on_failed
        self._on_healthy = on_healthy
        self._on_refused = on_refused
        self._events = ServiceEvents(ecs, clock)
        self._notifications = EcsNotifications(ecs)
        self._checks = HealthChecks(ecs, clock)
        self.logs = ContainerLogs(ecs, clock)

    # Start

    def create(self, service: Service, source: TaskSource, now: float) -> Task | None:
        """Start a task of `source`: PROVISIONING, and in `service.tasks`.

        None when it finds no place, which a service event and SERVICE_TASK_PLACEMENT_FAILURE tell, or when
        the source must not start tasks yet.
        """
        if now < source.start_not_before:
            return None
        workload = source.revision.workload
        definition = self._ecs.find_task_definition(workload["taskDefinition"])
        assert definition is not None, "task definitions are never deleted"
        others = [
            task
            for task in service.tasks.values()
            if task.revision_arn == source.revision.arn and task.desired_status == "RUNNING"
        ]
        place = self.placements.choose(service.cluster, workload, definition, others)
        if isinstance(place, Refusal):
            self._refuse(service, source, place, now)
            return None
        id_ = self._ecs.identifiers.hex_id()
        task = Task(
            id=id_,
            arn=self._ecs.arn(f"task/{service.cluster}/{id_}"),
            deployment_id=source.id,
            revision_arn=source.revision.arn,
            task_definition=definition,
            created_at=now,
            transition_at=None,
            cluster=service.cluster,
            group=f"service:{service.name}",
            workload=workload,
        )
        service.tasks[id_] = task
        self.begin(task, place, now)
        return task

    def begin(self, task: Task, place: Placement, now: float) -> None:
        """Let `task` start at its `place`."""
        task.availability_zone, task.subnet = place.zone, place.subnet
        task.capacity_provider, task.container_instance = place.provider, place.instance
        start_up = task.task_definition.behaviour.start_seconds * self._ecs.identifiers.jitter(START_JITTER)
        task.transition_at = now + self._clock.wall(start_up * PROVISIONING_SHARE)
        self._publish(task, now)

    def _refuse(self, service: Service, source: TaskSource, refusal: Refusal, now: float) -> None:
        self._events.tell_once(service, refusal.event, now, cause=PLACEMENT)
        members: Json = {"reason": refusal.reason}
        if refusal.provider is not None:
            members["capacityProviderArns"] = [self._ecs.arn(f"capacity-provider/{refusal.provider}")]
        self._notifications.act(service, refusal.event_name, now, **members)
        self._on_refused(service, source, now)

    # Stop

    def request_stop(self, task: Task, now: float, reason: str, stop_code: str, *, notice_seconds: float = 0.0) -> None:
        """Ask `task` to stop; it runs on for `notice_seconds` (simulated), is deregistered, and then gets SIGTERM."""
        task.desired_status = "STOPPED"
        task.stopping_at, task.stop_code, task.stopped_reason = now, stop_code, reason
        if task.last_status == "RUNNING" and notice_seconds > 0:
            task.transition_at = now + self._clock.wall(notice_seconds)
        elif task.last_status == "RUNNING":
            self._deactivate(task, now)
        else:
            task.last_status = "STOPPING"
            task.transition_at = now + self._clock.wall(DEACTIVATING_SECONDS)
        self._change(task, now)

    def _deactivate(self, task: Task, at: float) -> None:
        task.last_status, task.healthy = "DEACTIVATING", False
        task.transition_at = at + self._clock.wall(DEACTIVATING_SECONDS)

    def _wind_down(self, task: Task, at: float) -> None:
        """The next step of a task that was asked to stop."""
        if task.last_status == "RUNNING":
            self._deactivate(task, at)
        elif task.last_status == "DEACTIVATING":
            task.last_status = "STOPPING"
            task.transition_at = at + self._clock.wall(min(self._stop_seconds(task), self._stop_timeout(task)))
        elif task.last_status == "STOPPING":
            self._end_containers(task, at)
            task.last_status = "DEPROVISIONING"
            task.transition_at = at + self._clock.wall(DEPROVISIONING_SECONDS)
        else:
            task.last_status, task.stopped_at = "STOPPED", at

    def _stop_seconds(self, task: Task) -> float:
        return task.task_definition.behaviour.stop_seconds

    def _stop_timeout(self, task: Task) -> float:
        container = find_main_container(task.task_definition.contents["containerDefinitions"])
        return float(container.get("stopTimeout", DEFAULT_STOP_TIMEOUT_SECONDS))

    def _end_containers(self, task: Task, at: float) -> None:
        """SIGTERM, and SIGKILL for a main container that takes too long. One that never ran has no exit code."""
        if task.started_at is None:
            return
        task.execution_stopped_at = at
        containers = task.task_definition.contents["containerDefinitions"]
        task.ends = {container["name"]: ContainerEnd(0) for container in containers}
        if self._stop_seconds(task) > self._stop_timeout(task):
            task.ends[find_main_container(containers)["name"]] = ContainerEnd(SIGKILL_EXIT_CODE)

    def lose(self, service: Service | None, task: Task, now: float, reason: str) -> None:
        """The host of `task` is gone, and the task with it: no exit codes (stop code InfrastructureHealth)."""
        self._end(service, task, now, TaskEnd("InfrastructureHealth", reason, counts=False))

    def kill_for_memory(self, service: Service | None, task: Task, now: float) -> None:
        """The main container of `task` exceeded its memory."""
        self._exit_main_container(service, task, now, ContainerEnd(SIGKILL_EXIT_CODE, OUT_OF_MEMORY))
        self._replan(service, task, now)

    # Time

    def advance(self, service: Service, now: float) -> None:
        """Carry out every change of the service's tasks that is due by `now`."""
        for task in list(service.tasks.values()):
            self.advance_task(service, task, now)

    def advance_task(self, service: Service | None, task: Task, now: float) -> None:
        """Carry out every change of `task`, of `service` or of none, that is due by `now`."""
        while task.transition_at is not None and task.transition_at <= now:
            at, task.transition_at = task.transition_at, None
            self._step(service, task, at)

    def reconsider(self, service: Service | None, task: Task, now: float) -> None:
        """The conditions changed: look at the health checks of a running `task` again."""
        if task.last_status == "RUNNING" and task.desired_status == "RUNNING":
            self._observe_checks(service, task, now)
            self._replan(service, task, now)

    def get_stuck(self, service: Service, task: Task, error_ratio: float, now: float) -> None:
        """`task` fails its checks from now on, and ECS leaves it."""
        task.stuck_error_ratio = error_ratio
        self.reconsider(service, task, now)

    def forget_old(self, service: Service, now: float) -> None:
        """Drop tasks that stopped longer ago than AWS shows them."""
        for task in [task for task in service.tasks.values() if self.is_forgotten(task, now)]:
            del service.tasks[task.id]

    def is_forgotten(self, task: Task, now: float) -> bool:
        """Whether AWS does not show `task` any longer."""
        return task.stopped_at is not None and self.forgets_at(task.stopped_at) <= now

    def forgets_at(self, stopped_at: float) -> float:
        """When AWS shows a task no longer that stopped then."""
        return stopped_at + self._clock.wall(STOPPED_TASK_SECONDS)

    def _step(self, service: Service | None, task: Task, at: float) -> None:
        """Move `task` to its next state, which was due `at`."""
        if task.desired_status == "STOPPED":
            self._wind_down(task, at)
            self._change(task, at)
        elif task.last_status == "RUNNING":
            self._live_on(service, task, at)
        else:
            self._start_up(service, task, at)

    def _start_up(self, service: Service | None, task: Task, at: float) -> None:
        start_seconds = task.task_definition.behaviour.start_seconds
        if task.last_status == "PROVISIONING":
            if (reason := find_provisioning_failure(self._ecs, task)) is not None:
                self._end(service, task, at, TaskEnd("TaskFailedToStart", reason))
                return
            task.last_status, task.pull_started_at = "PENDING", at
            task.transition_at = at + self._clock.wall(start_seconds * (1 - PROVISIONING_SHARE))
        elif task.last_status == "PENDING":
            if (reason := find_initialization_failure(self._ecs, task)) is not None:
                self._end(service, task, at, TaskEnd("TaskFailedToStart", reason))
                return
            if ends := find_pull_failure(self._ecs, task):
                first = next(iter(ends.values())).reason or ""
                reason = first if runs_on_fargate(task) else "Task failed to start"
                self._end(service, task, at, TaskEnd("TaskFailedToStart", reason, ends))
                return
            task.pull_stopped_at = at
            if find_target_groups(service, task):
                task.last_status, task.transition_at = "ACTIVATING", at + self._clock.wall(ACTIVATING_SECONDS)
            else:
                self._run(service, task, at)
        else:
            self._run(service, task, at)
        self._change(task, at)

    def _run(self, service: Service | None, task: Task, at: float) -> None:
        task.last_status = "RUNNING"
        task.started_at = task.container_started_at = at
        if service is not None:
            self._events.resolve(service, PLACEMENT)
        self.logs.catch_up(task, at)
        self._observe_checks(service, task, at)
        self._replan(service, task, at)

    # While it runs

    def _live_on(self, service: Service | None, task: Task, at: float) -> None:
        """Something about a RUNNING task is due: its exit, a change of its health, or its end for bad health."""
        exit_at = self._exit_at(task)
        if exit_at is not None and exit_at <= at:
            end = ContainerEnd(task.task_definition.behaviour.exit_code)
            self._exit_main_container(service, task, at, end)
        else:
            self._observe_checks(service, task, at)
            self._apply_checks(service, task, at)
        self._replan(service, task, at)

    def _exit_at(self, task: Task) -> float | None:
        after = task.task_definition.behaviour.exit_after_seconds
        if after is None or task.container_started_at is None:
            return None
        return task.container_started_at + self._clock.wall(after)

    def _observe_checks(self, service: Service | None, task: Task, at: float) -> None:
        passes = not self._checks.is_checked(service, task) or self._checks.ask(service, task, at) == PASSED
        if passes != task.checks_pass:
            task.checks_pass, task.checks_changed_at = passes, at

    def _healthy_at(self, task: Task) -> float:
        return task.checks_changed_at + self._clock.wall(HEALTHY_AFTER_SECONDS)

    def _apply_checks(self, service: Service | None, task: Task, at: float) -> None:
        if task.checks_pass:
            if not task.healthy and self._healthy_at(task) <= at:
                self._become_healthy(service, task, at)
            return
        verdict = self._checks.judge(service, task) if service is not None else None
        if service is None or verdict is None or verdict.unhealthy_at > at:
            return
        was_healthy, task.healthy = task.healthy, False
        if has_container_check(task):
            task.health_status = "UNHEALTHY"
        if task.stuck_error_ratio is not None:
            # ECS says what the load balancer finds, also where it does not come to stopping the task.
            if was_healthy and find_target_groups(service, task):
                self._events.tell(service, verdict.events[0], at)
            return
        if verdict.at > at:
            return
        for event in verdict.events:
            self._events.tell(service, event, at)
        self._events.tell(service, f"has stopped 1 running tasks: (task {task.id}).", at)
        self._notifications.act(service, "TASKS_STOPPED", at)
        self._on_failed(service, task, at)
        self.request_stop(task, at, verdict.reason, "ServiceSchedulerInitiated")

    def _become_healthy(self, service: Service | None, task: Task, at: float) -> None:
        task.healthy = task.was_healthy = True
        if has_container_check(task):
            task.health_status = "HEALTHY"
        if service is not None:
            self._on_healthy(service, task, at)

    def _replan(self, service: Service | None, task: Task, at: float) -> None:
        """When something about a RUNNING task is due next."""
        if task.last_status != "RUNNING" or task.desired_status != "RUNNING":
            return
        times = [self._exit_at(task), self._checks.next_change(task, at)]
        if task.checks_pass and not task.healthy:
            times.append(self._healthy_at(task))
        if not task.checks_pass and service is not None and (verdict := self._checks.judge(service, task)) is not None:
            times += [time for time in (verdict.unhealthy_at, verdict.at) if time > at]
        task.transition_at = min((time for time in times if time is not None), default=None)

    def _exit_main_container(self, service: Service | None, task: Task, at: float, end: ContainerEnd) -> None:
        """It starts again in place if its restart policy says so, else the task ends."""
        self.logs.note_exit(task, at)
        assert task.container_started_at is not None, "it ran"
        containers = task.task_definition.contents["containerDefinitions"]
        main = find_main_container(containers)
        ran_seconds = (at - task.container_started_at) * self._clock.speed
        # A rounding error of the clock must not decide.
        if restarts_in_place(main, end.exit_code or 0, ran_seconds + 0.001):
            self._restart(service, task, at)
            return
        ends = {container["name"]: ContainerEnd(0) for container in containers} | {main["name"]: end}
        self._end(service, task, at, TaskEnd("EssentialContainerExited", "Essential container in task exited", ends))

    def _restart(self, service: Service | None, task: Task, at: float) -> None:
        """The container starts again; the task stays RUNNING, and its checks begin anew."""
        task.restarts += 1
        task.container_started_at = at
        task.healthy, task.checks_pass = False, None
        if has_container_check(task):
            task.health_status = "UNKNOWN"
        self.logs.catch_up(task, at)
        self._observe_checks(service, task, at)
        self._change(task, at)

    # Ends

    def _end(self, service: Service | None, task: Task, at: float, end: TaskEnd) -> None:
        """`task` ended by itself. Where it counts, the owner hears of it while `task.healthy` is as it was."""
        task.last_status = task.desired_status = "STOPPED"
        task.stopping_at = task.stopped_at = at
        task.transition_at = None
        task.stop_code, task.stopped_reason, task.ends = end.stop_code, end.reason, end.containers
        if task.started_at is not None:
            task.execution_stopped_at = at
        if service is not None:
            service.steady = False
            if end.counts:
                self._on_failed(service, task, at)
            if end.stop_code == "TaskFailedToStart" and runs_on_fargate(task):
                self._tell_failed_start(service, end.reason, at)
        task.healthy = False
        self._change(task, at)

    def _tell_failed_start(self, service: Service, reason: str, at: float) -> None:
        """On Fargate the service event has the reason of the task, as services show that cannot pull their image."""
        kind = reason.partition(":")[0]
        self._events.tell_once(
            service, f"was unable to place a task. Reason: {reason.rstrip('.')}.", at, f"{PLACEMENT}: {kind}"
        )

    def _change(self, task: Task, at: float) -> None:
        """A change that makes an event: "Each time a resource changes state, this version is incremented"."""
        task.version += 1
        self._publish(task, at)

    def _publish(self, task: Task, at: float) -> None:
        self._ecs.publish("ECS Task State Change", [task.arn], shape_task_event(self._ecs, task, at))
