"""The ECS service scheduler: brings each service's tasks and deployments to what is asked, and no further.

A service is looked at only when something about it changed or falls due, so a thousand calm services cost nothing.
"""

import heapq
import math
from collections.abc import Iterable

from .aws_json import Json
from .clock import Clock
from .ecs import (
    FINISHED_STATUSES,
    IN_PROGRESS,
    Deployment,
    Ecs,
    Rollback,
    Service,
    ServiceDeployment,
    ServiceEvent,
    ServiceRevision,
    Task,
)

# Simulated seconds. AWS gives no figures for most of them; these are round numbers of what operators see on Fargate.
PROVISIONING_SHARE = 0.3
"""The part of a task's start-up spent before PENDING."""
HEALTHY_AFTER_SECONDS = 15.0
"""A task counts as healthy, and its deployment can settle, once it has been RUNNING this long."""
STOP_SECONDS = 10.0
"""From the request to stop a task to STOPPED: deregistration, SIGTERM and clean-up."""
STOPPED_TASK_SECONDS = 3600.0
"""DescribeTasks: "stopped tasks appear in the returned results for at least one hour"."""
START_JITTER = 0.1

# "Service throttle logic" of the developer guide: tasks that fail before RUNNING are started ever more slowly.
FREE_FAILED_STARTS = 10
FIRST_BACKOFF_SECONDS = 10.0
MAX_BACKOFF_SECONDS = 900.0


def compute_breaker_threshold(deployment_configuration: Json, desired_count: int) -> int:
    """How many failed tasks trip the deployment circuit breaker.

    Half of the desired count, at least 3 and at most 200 (API type ServiceDeploymentCircuitBreaker), unless
    `thresholdConfiguration` says COUNT, BOUNDED_PERCENT (same bounds) or UNBOUNDED_PERCENT.
    """
    configured = deployment_configuration.get("deploymentCircuitBreaker", {}).get("thresholdConfiguration", {})
    kind = configured.get("type", "BOUNDED_PERCENT")
    value: int = configured.get("value", 50)
    if kind == "COUNT":
        return value
    share = math.ceil(desired_count * value / 100)
    return max(1, share) if kind == "UNBOUNDED_PERCENT" else min(200, max(3, share))


class Scheduler:
    """Reconciles services when they are due. Not thread safe: the owner holds a lock around every use."""

    def __init__(self, ecs: Ecs, clock: Clock) -> None:
        self._ecs = ecs
        self._clock = clock
        self._heap: list[tuple[float, tuple[str, str]]] = []
        self._due: dict[tuple[str, str], float] = {}

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

    # Deployments, as the API asks for them

    def deploy(self, service: Service, workload: Json, now: float) -> None:
        """Start a new deployment of `workload`: new revision, new service deployment, new deployment id."""
        current = service.service_deployments[0] if service.service_deployments else None
        if current is not None and current.status not in FINISHED_STATUSES:
            current.status, current.stopped_at = "STOPPED", now
            current.finished_at = current.updated_at = now
            current.status_reason = "A newer service deployment took its place."
        sources = {d.revision.arn for d in service.deployments if self._live(service, d)}
        if service.deployments and not sources:
            sources = {service.primary.revision.arn}
        names = self._ecs.identifiers
        path = f"{service.cluster}/{service.name}"
        revision = ServiceRevision(self._ecs.arn(f"service-revision/{path}/{names.digits()}"), workload, now)
        service.revisions[revision.arn] = revision
        configuration = service.settings["deploymentConfiguration"]
        enabled = configuration.get("deploymentCircuitBreaker", {}).get("enable", False)
        service.service_deployments.insert(
            0,
            ServiceDeployment(
                arn=self._ecs.arn(f"service-deployment/{path}/{names.word()}"),
                source_revisions=tuple(sorted(sources)),
                target_revision=revision.arn,
                created_at=now,
                updated_at=now,
                deployment_configuration=dict(configuration),
                breaker_status="MONITORING" if enabled else "DISABLED",
            ),
        )
        self._make_primary(service, self._new_deployment(revision, now), now)

    def _new_deployment(self, revision: ServiceRevision, now: float) -> Deployment:
        id_ = f"ecs-svc/{self._ecs.identifiers.digits()}"
        reason = f"ECS deployment {id_} in progress."
        return Deployment(id_, revision, now, now, rollout_state_reason=reason)

    def _make_primary(self, service: Service, deployment: Deployment, now: float) -> None:
        service.deployments = [deployment, *(d for d in service.deployments if d is not deployment)]
        service.steady = False
        self._wake(service, now)

    # One pass over one service

    def _reconcile(self, service: Service, now: float) -> None:
        for task in list(service.tasks.values()):
            self._advance(service, task, now)
        if service.status == "ACTIVE":
            self._judge(service, now)
            self._stop_surplus(service, now)
            self._start_missing(service, now)
            self._announce_steady_state(service, now)
        elif service.status == "DRAINING":
            self.stop_tasks(service, _alive(service.tasks.values()), now, self._scaling_reason(service))
            if all(task.last_status == "STOPPED" for task in service.tasks.values()):
                service.status = "INACTIVE"
        oldest = now - self._clock.wall(STOPPED_TASK_SECONDS)
        for task in [t for t in service.tasks.values() if t.stopped_at is not None and t.stopped_at < oldest]:
            del service.tasks[task.id]
        self._ecs.record(service, now)
        due = [task.transition_at for task in service.tasks.values() if task.transition_at is not None]
        if service.status == "ACTIVE" and service.primary.start_not_before > now:
            due.append(service.primary.start_not_before)
        if due:
            self._wake(service, min(due))

    # Tasks

    def _advance(self, service: Service, task: Task, now: float) -> None:
        while task.transition_at is not None and task.transition_at <= now:
            at, task.transition_at = task.transition_at, None
            self._step(service, task, at)

    def _step(self, service: Service, task: Task, at: float) -> None:
        """Move `task` to its next state, which was due `at`."""
        behaviour = task.task_definition.behaviour
        task.version += 1
        if task.desired_status == "STOPPED":
            task.last_status, task.stopped_at = "STOPPED", at
            task.exit_code = 0 if task.started_at is not None else None
        elif task.last_status == "PROVISIONING":
            start_up = self._clock.wall(behaviour.start_seconds * (1 - PROVISIONING_SHARE))
            task.last_status, task.transition_at = "PENDING", at + start_up
        elif task.last_status == "PENDING" and behaviour.pull_fails:
            image = task.task_definition.contents["containerDefinitions"][0]["image"]
            reason = f"CannotPullContainerError: pull image manifest has been retried 1 time(s): {image}: not found"
            self._fail(service, task, at, "TaskFailedToStart", reason)
        elif task.last_status == "PENDING":
            task.last_status, task.started_at = "RUNNING", at
            task.transition_at = self._next_while_running(task, at)
        elif self._exit_at(task) == at:
            task.exit_code = behaviour.exit_code
            self._fail(service, task, at, "EssentialContainerExited", "Essential container in task exited")
        else:
            task.healthy = True
            self._note_healthy_task(service, task)
            task.transition_at = self._exit_at(task)

    def _exit_at(self, task: Task) -> float | None:
        after = task.task_definition.behaviour.exit_after_seconds
        return None if after is None or task.started_at is None else task.started_at + self._clock.wall(after)

    def _next_while_running(self, task: Task, started_at: float) -> float:
        healthy_at = started_at + self._clock.wall(HEALTHY_AFTER_SECONDS)
        exit_at = self._exit_at(task)
        return healthy_at if exit_at is None else min(healthy_at, exit_at)

    def _fail(self, service: Service, task: Task, at: float, stop_code: str, reason: str) -> None:
        """`task` ended by itself. It counts against its deployment unless it had become healthy before."""
        task.last_status = task.desired_status = "STOPPED"
        task.stopping_at = task.stopped_at = at
        task.stop_code, task.stopped_reason = stop_code, reason
        service.steady = False
        deployment = _find_deployment(service, task.deployment_id)
        if task.healthy or deployment is None:
            return
        deployment.failed_tasks += 1
        deployment.updated_at = at
        if task.started_at is None:
            self._slow_down(service, deployment, at)

    def _slow_down(self, service: Service, deployment: Deployment, at: float) -> None:
        deployment.failed_starts += 1
        excess = deployment.failed_starts - FREE_FAILED_STARTS
        if excess >= 0:
            backoff = min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2**excess)
            deployment.start_not_before = at + self._clock.wall(backoff)
        if excess == 0:
            self._tell(
                service,
                "is unable to consistently start tasks successfully. For more information, see the Troubleshooting "
                "section of the Amazon ECS Developer Guide.",
                at,
            )

    def _note_healthy_task(self, service: Service, task: Task) -> None:
        """A healthy task resets the count of failures (DeploymentCircuitBreaker.resetOnHealthyTask, default true)."""
        deployment = _find_deployment(service, task.deployment_id)
        breaker = service.settings["deploymentConfiguration"].get("deploymentCircuitBreaker", {})
        if deployment is not None:
            deployment.failed_starts, deployment.start_not_before = 0, 0.0
            if breaker.get("resetOnHealthyTask", True):
                deployment.failed_tasks = 0

    def stop_tasks(
        self,
        service: Service,
        tasks: list[Task],
        now: float,
        reason: str,
        stop_code: str = "ServiceSchedulerInitiated",
    ) -> None:
        """Ask `tasks` to stop; tasks behind a load balancer are deregistered first."""
        if not tasks:
            return
        for task in tasks:
            task.desired_status = "STOPPED"
            task.last_status = "DEACTIVATING" if task.last_status == "RUNNING" else "STOPPING"
            task.stopping_at, task.stop_code, task.stopped_reason = now, stop_code, reason
            task.healthy = False
            task.version += 1
            task.transition_at = now + self._clock.wall(STOP_SECONDS)
        service.steady = False
        if stop_code == "ServiceSchedulerInitiated":
            self._tell(service, f"has stopped {len(tasks)} running tasks: {_name(tasks)}.", now)

    # Convergence

    def _live(self, service: Service, deployment: Deployment) -> list[Task]:
        return [task for task in _alive(service.tasks.values()) if task.deployment_id == deployment.id]

    def _limits(self, service: Service) -> tuple[int, int]:
        """Least healthy and most live tasks: the lower limit rounds up, the upper down (DeploymentConfiguration)."""
        configuration = service.settings["deploymentConfiguration"]
        lower = math.ceil(service.desired_count * configuration["minimumHealthyPercent"] / 100)
        upper = math.floor(service.desired_count * configuration["maximumPercent"] / 100)
        return lower, upper

    def _stop_surplus(self, service: Service, now: float) -> None:
        primary = service.primary
        new = self._live(service, primary)
        old = [task for task in _alive(service.tasks.values()) if task.deployment_id != primary.id]
        failed = {d.id for d in service.deployments[1:] if d.rollout_state == "FAILED"}
        new.sort(key=lambda task: (task.last_status == "RUNNING", task.healthy, -task.created_at), reverse=True)
        self.stop_tasks(service, new[service.desired_count :], now, self._scaling_reason(service))
        useless = [task for task in old if task.last_status != "RUNNING" or task.deployment_id in failed]
        serving = [task for task in old if task not in useless]
        healthy = sum(task.healthy for task in new[: service.desired_count])
        lower, _ = self._limits(service)
        # A primary that failed for good replaces nobody: the old tasks stay, as many as are desired.
        least = service.desired_count if primary.rollout_state == "FAILED" else lower
        surplus = serving[: max(0, healthy + len(serving) - least)]
        self.stop_tasks(service, useless + surplus, now, self._scaling_reason(service))

    def _start_missing(self, service: Service, now: float) -> None:
        primary = service.primary
        if primary.rollout_state == "FAILED" or now < primary.start_not_before:
            return
        new = self._live(service, primary)
        alive = _alive(service.tasks.values())
        _, upper = self._limits(service)
        missing = service.desired_count - len(new)
        count = min(missing, upper - len(alive))
        if count > 0:
            tasks = [self._start(service, primary, now) for _ in range(count)]
            service.steady = False
            primary.updated_at = now
            self._tell(service, f"has started {len(tasks)} tasks: {_name(tasks)}.", now)
        elif missing > 0 and not any(task.transition_at is not None for task in service.tasks.values()):
            self._tell_once(
                service,
                "was unable to stop or start tasks during a deployment because of the service deployment "
                "configuration. Update the minimumHealthyPercent or maximumPercent value and try again.",
                now,
            )

    def _start(self, service: Service, deployment: Deployment, now: float) -> Task:
        definition = self._ecs.find_task_definition(deployment.revision.workload["taskDefinition"])
        assert definition is not None, "task definitions are never deleted"
        id_ = self._ecs.identifiers.hex_id()
        start_up = definition.behaviour.start_seconds * self._ecs.identifiers.jitter(START_JITTER)
        task = Task(
            id=id_,
            arn=self._ecs.arn(f"task/{service.cluster}/{id_}"),
            deployment_id=deployment.id,
            revision_arn=deployment.revision.arn,
            task_definition=definition,
            created_at=now,
            transition_at=now + self._clock.wall(start_up * PROVISIONING_SHARE),
        )
        service.tasks[id_] = task
        return task

    # The state of the rollout

    def _judge(self, service: Service, now: float) -> None:
        """Move the current deployment on: roll back if asked, fail by the circuit breaker, or complete."""
        primary, record = service.primary, service.service_deployments[0]
        if record.status == "PENDING":
            record.status, record.started_at, record.updated_at = IN_PROGRESS, now, now
        if record.status == "ROLLBACK_REQUESTED":
            self._roll_back(service, record, now, "Service deployment was stopped by the user.", None)
            return
        if primary.rollout_state != IN_PROGRESS:
            return
        record.failure_count = max(record.failure_count, primary.failed_tasks)
        breaker = record.deployment_configuration.get("deploymentCircuitBreaker", {})
        threshold = compute_breaker_threshold(record.deployment_configuration, service.desired_count)
        if breaker.get("enable") and primary.failed_tasks >= threshold:
            self._trip_breaker(service, record, now, rollback=breaker.get("rollback", False))
        elif self._is_complete(service):
            self._complete(service, record, now)

    def _is_complete(self, service: Service) -> bool:
        unfinished = [task for task in service.tasks.values() if task.last_status != "STOPPED"]
        healthy = sum(task.healthy for task in unfinished if task.deployment_id == service.primary.id)
        old = any(task.deployment_id != service.primary.id for task in unfinished)
        return healthy >= service.desired_count and not old

    def _complete(self, service: Service, record: ServiceDeployment, now: float) -> None:
        primary = service.primary
        primary.rollout_state, primary.updated_at = "COMPLETED", now
        primary.rollout_state_reason = f"ECS deployment {primary.id} completed."
        del service.deployments[1:]
        service.last_successful_revision = primary.revision.arn
        record.status = "SUCCESSFUL" if record.rollback is None else "ROLLBACK_SUCCESSFUL"
        record.finished_at = record.updated_at = now
        if record.breaker_status == "MONITORING":
            record.breaker_status = "MONITORING_COMPLETE"
        self._tell(service, f"(deployment {primary.id}) deployment completed.", now)

    def _trip_breaker(self, service: Service, record: ServiceDeployment, now: float, *, rollback: bool) -> None:
        reason = "ECS deployment circuit breaker: tasks failed to start."
        record.breaker_status, record.updated_at = "TRIGGERED", now
        self._tell(service, f"(deployment {service.primary.id}) deployment failed: tasks failed to start.", now)
        if record.rollback is not None:
            self._fail_deployment(service, record, now, reason, "ROLLBACK_FAILED")
        elif rollback and service.last_successful_revision is not None:
            self._roll_back(service, record, now, reason, service.last_successful_revision)
        else:
            # Without a COMPLETED deployment to return to, "the deployment is stalled" (developer guide).
            self._fail_deployment(service, record, now, reason, "STOPPED")

    def _fail_deployment(
        self, service: Service, record: ServiceDeployment, now: float, reason: str, status: str
    ) -> None:
        primary = service.primary
        primary.rollout_state, primary.rollout_state_reason, primary.updated_at = "FAILED", reason, now
        record.status, record.status_reason = status, reason
        record.finished_at = record.updated_at = now
        if status == "STOPPED":
            record.stopped_at = now
        self.stop_tasks(service, self._live(service, primary), now, self._scaling_reason(service))

    def _roll_back(
        self, service: Service, record: ServiceDeployment, now: float, reason: str, revision_arn: str | None
    ) -> None:
        """Return to `revision_arn`, else to the previous revision, inside the same service deployment.

        AWS creates no new service revision. The deployment that still runs the old revision becomes PRIMARY again.
        """
        sources = record.source_revisions
        if revision_arn is None and sources:
            last = service.last_successful_revision
            revision_arn = last if last in sources else sources[0]
        if revision_arn is None:
            self._fail_deployment(service, record, now, "No service revision to go back to.", "ROLLBACK_FAILED")
            return
        failed = service.primary
        failed.rollout_state, failed.rollout_state_reason, failed.updated_at = "FAILED", reason, now
        record.status, record.status_reason, record.updated_at = "ROLLBACK_IN_PROGRESS", reason, now
        record.rollback = Rollback(reason, now, revision_arn)
        previous = next((d for d in service.deployments[1:] if d.revision.arn == revision_arn), None)
        target = previous or self._new_deployment(service.revisions[revision_arn], now)
        target.rollout_state, target.updated_at, target.failed_tasks = IN_PROGRESS, now, 0
        by_breaker = record.breaker_status == "TRIGGERED"
        origin = "ECS deployment circuit breaker" if by_breaker else "ECS deployment stopped"
        target.rollout_state_reason = f"{origin}: rolling back to deploymentId {target.id}."
        self._make_primary(service, target, now)
        self._tell(service, f"rolling back to deployment {target.id}.", now)

    def _announce_steady_state(self, service: Service, now: float) -> None:
        unfinished = [task for task in service.tasks.values() if task.last_status != "STOPPED"]
        if service.steady or service.primary.rollout_state != "COMPLETED":
            return
        if len(unfinished) == service.desired_count and all(task.healthy for task in unfinished):
            service.steady = True
            self._tell(service, "has reached a steady state.", now)

    # Events

    def _tell(self, service: Service, message: str, now: float) -> None:
        event = ServiceEvent(self._ecs.identifiers.uuid(), now, f"(service {service.name}) {message}")
        service.events.appendleft(event)

    def _tell_once(self, service: Service, message: str, now: float) -> None:
        if not service.events or not service.events[0].message.endswith(message):
            self._tell(service, message, now)

    def _scaling_reason(self, service: Service) -> str:
        return f"Scaling activity initiated by (deployment {service.primary.id})"


def _alive(tasks: Iterable[Task]) -> list[Task]:
    return [task for task in tasks if task.desired_status == "RUNNING"]


def _find_deployment(service: Service, id_: str) -> Deployment | None:
    return next((deployment for deployment in service.deployments if deployment.id == id_), None)


def _name(tasks: list[Task]) -> str:
    return " ".join(f"(task {task.id})" for task in tasks)
