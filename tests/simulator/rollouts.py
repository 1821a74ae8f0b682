"""Service deployments from request to end: their stages, hooks, traffic, failures and rollbacks.

Tasks are the scheduler's: this module says which deployment wants how many, and judges by the tasks it sees.
"""

import math
from typing import Any

from .aws_json import Json
from .clock import Clock
from .ecs import (
    IN_PROGRESS,
    Deployment,
    Ecs,
    LifecycleHook,
    Rollback,
    Service,
    ServiceDeployment,
    ServiceRevision,
    Task,
)
from .ecs_notifications import EcsNotifications
from .failure_detection import (
    FailureCause,
    detect_failure,
    end_monitoring,
    explain_hook,
    explain_stop,
    start_monitoring,
)
from .lifecycle_stages import (
    DEFAULT_HOOK_TIMEOUT_MINUTES,
    UNSCALED_STAGES,
    Stage,
    build_rollback_stages,
    build_stages,
)
from .service_events import ServiceEvents

# Simulated seconds. AWS gives no figures for them.
REQUEST_SECONDS = 2.0
"""How long a service deployment stays ROLLBACK_REQUESTED or STOP_REQUESTED."""
LAMBDA_SECONDS = 5.0
"""How long the simulated Lambda function of a hook takes to answer."""
ALARM_POLL_SECONDS = 10.0

NO_CANDIDATE = "No rollback candidate was found to run the rollback."
"""`statusReason` of a rollback that has nowhere to go."""


class Rollouts:
    """Moves the newest service deployment of a service on. Not thread safe, as its owner, the scheduler, is not."""

    def __init__(self, ecs: Ecs, clock: Clock, events: ServiceEvents, notifications: EcsNotifications) -> None:
        self._ecs = ecs
        self._clock = clock
        self._events = events
        self._notifications = notifications

    # Beginnings

    def deploy(self, service: Service, workload: Json, now: float) -> None:
        """Start a new deployment of `workload`: new revision, new service deployment, new deployment id."""
        current = service.service_deployments[0] if service.service_deployments else None
        if current is not None and not current.is_finished:
            self._stop(current, now, "A newer service deployment took its place.")
        sources = self._find_sources(service)
        configuration = service.settings["deploymentConfiguration"]
        shifts_traffic = configuration.get("strategy", "ROLLING") != "ROLLING"
        names = self._ecs.identifiers
        path = f"{service.cluster}/{service.name}"
        serving = service.revisions[sources[0]].target_groups if sources else ()
        revision = ServiceRevision(
            self._ecs.arn(f"service-revision/{path}/{names.digits()}"),
            workload,
            now,
            _choose_target_groups(workload, serving, swap=shifts_traffic),
        )
        service.revisions[revision.arn] = revision
        record = ServiceDeployment(
            arn=self._ecs.arn(f"service-deployment/{path}/{names.word()}"),
            source_revisions=sources,
            target_revision=revision.arn,
            created_at=now,
            updated_at=now,
            deployment_configuration=dict(configuration),
            production_share=0.0 if shifts_traffic else None,
        )
        start_monitoring(self._ecs, record)
        service.service_deployments.insert(0, record)
        deployment = self._new_deployment(revision, now)
        self._make_primary(service, deployment)
        self._notify(service, deployment, "SERVICE_DEPLOYMENT_IN_PROGRESS", now)
        self._enter(service, record, 0, now)

    def _find_sources(self, service: Service) -> tuple[str, ...]:
        """The revisions of a service that have tasks, the one with most production traffic first."""
        shares = service.production_shares() if service.service_deployments else {}
        alive = {task.deployment_id for task in service.tasks.values() if task.desired_status == "RUNNING"}
        arns = {deployment.revision.arn for deployment in service.deployments if deployment.id in alive}
        if service.deployments and not arns:
            arns = {service.primary.revision.arn}
        return tuple(sorted(arns, key=lambda arn: (-shares.get(arn, 0.0), arn)))

    def _new_deployment(self, revision: ServiceRevision, now: float) -> Deployment:
        id_ = f"ecs-svc/{self._ecs.identifiers.digits()}"
        return Deployment(id_, revision, now, now, rollout_state_reason=f"ECS deployment {id_} in progress.")

    def _make_primary(self, service: Service, deployment: Deployment) -> None:
        service.deployments = [deployment, *(d for d in service.deployments if d is not deployment)]
        service.steady = False

    # Requests of the API

    def request_stop(self, record: ServiceDeployment, stop_type: str, now: float) -> None:
        """StopServiceDeployment of a service deployment under way: `stop_type` is ROLLBACK or ABORT."""
        if record.stop_requested_at is None and record.rollback is None:
            record.status = "ROLLBACK_REQUESTED" if stop_type == "ROLLBACK" else "STOP_REQUESTED"
            record.stop_requested_at = record.updated_at = now

    def resolve_hook(self, service: Service, record: ServiceDeployment, hook: LifecycleHook, now: float) -> None:
        """A hook got the status it now has: tell EventBridge."""
        record.updated_at = now
        self._notifications.change_hook(service, record, hook, now)

    # One pass

    def advance(self, service: Service, now: float) -> None:
        """Move the newest service deployment as far as tasks, hooks, alarms and time allow."""
        record = service.service_deployments[0]
        if record.is_finished:
            return
        if record.status == "PENDING":
            record.status, record.started_at, record.updated_at = IN_PROGRESS, now, now
        if record.stop_requested_at is not None:
            if now < record.stop_requested_at + self._clock.wall(REQUEST_SECONDS):
                return
            self._carry_out_stop(service, record, now)
        else:
            cause = detect_failure(self._ecs, service, record) or self._run_hooks(service, record, now)
            if cause is not None:
                self._fail(service, record, cause, now)
        if not record.is_finished:
            self._walk(service, record, now)

    def next_due(self, service: Service, now: float) -> float | None:
        """Wall time at which `advance` has something to do by itself; None: not before something else changes."""
        if not service.service_deployments or service.service_deployments[0].is_finished:
            return None
        record = service.service_deployments[0]
        times = [record.stage_ends_at]
        if record.stop_requested_at is not None:
            times.append(record.stop_requested_at + self._clock.wall(REQUEST_SECONDS))
        for hook in record.hooks:
            if hook.status in ("AWAITING_ACTION", IN_PROGRESS):
                times += [hook.answer_at, hook.expires_at]
        if record.alarm_status == "MONITORING":
            times.append(now + self._clock.wall(ALARM_POLL_SECONDS))
        return min((at for at in times if at is not None and at > now), default=None)

    def decide_wanted(self, service: Service) -> dict[str, int] | None:
        """How many tasks each deployment id should have, old and new side by side; None: a rolling replacement.

        Deployments not named should have none.
        """
        record = service.service_deployments[0]
        unscaled = record.lifecycle_stage in UNSCALED_STAGES and record.status == IN_PROGRESS
        if not record.shifts_traffic and not unscaled:
            return None
        shares = service.production_shares()
        wanted: dict[str, int] = {}
        for deployment in service.deployments:
            live = sum(1 for task in service.tasks.values() if _lives(task, deployment))
            if deployment.rollout_state == "FAILED":
                # It launches nothing, but serves on as long as it has traffic.
                wanted[deployment.id] = live if shares.get(deployment.revision.arn, 0.0) > 0 else 0
            elif deployment is service.primary:
                wanted[deployment.id] = 0 if unscaled else service.desired_count
            elif record.source_revisions[:1] == (deployment.revision.arn,):
                cleaning = record.lifecycle_stage == "CLEAN_UP"
                wanted[deployment.id] = 0 if cleaning else service.desired_count
            else:
                wanted[deployment.id] = live if unscaled and not record.shifts_traffic else 0
        return wanted

    # Stages

    def _walk(self, service: Service, record: ServiceDeployment, now: float) -> None:
        """Leave every stage that is over; after the last one the service deployment is complete."""
        stages = _list_stages(record)
        while self._is_over(service, record, stages[record.stage_position], now):
            if record.stage_position + 1 == len(stages):
                self._complete(service, record, now)
                return
            self._enter(service, record, record.stage_position + 1, now)

    def _enter(self, service: Service, record: ServiceDeployment, position: int, now: float) -> None:
        stage = _list_stages(record)[position]
        record.stage_position, record.lifecycle_stage, record.updated_at = position, stage.name, now
        record.stage_ends_at = now + self._clock.wall(stage.seconds) if stage.seconds else None
        if stage.production_share is not None:
            record.production_share = stage.production_share
        if stage.test_share is not None:
            record.test_share = stage.test_share
        if record.rollback is None:
            for order in record.deployment_configuration.get("lifecycleHooks", []):
                if stage.name in order.get("lifecycleStages", []):
                    self._start_hook(service, record, order, now)

    def _is_over(self, service: Service, record: ServiceDeployment, stage: Stage, now: float) -> bool:
        if record.stage_ends_at is not None and now < record.stage_ends_at:
            return False
        if any(hook.status in ("AWAITING_ACTION", IN_PROGRESS) for hook in record.hooks):
            return False
        if stage.name == "SCALE_UP":
            return _is_scaled(service, record)
        return stage.name != "CLEAN_UP" or not _has_old_tasks(service)

    def _start_hook(self, service: Service, record: ServiceDeployment, order: Json, now: float) -> None:
        kind = order.get("targetType", "AWS_LAMBDA")
        timeout = order.get("timeoutConfiguration", {})
        minutes = timeout.get("timeoutInMinutes", DEFAULT_HOOK_TIMEOUT_MINUTES)
        details: Any = order.get("hookDetails")
        answer = details.get("hookStatus", "SUCCEEDED") if isinstance(details, dict) else "SUCCEEDED"
        answers = kind == "AWS_LAMBDA" and answer != IN_PROGRESS
        names = self._ecs.identifiers
        assert record.lifecycle_stage is not None
        hook = LifecycleHook(
            id=f"ecs-{'pause' if kind == 'PAUSE' else 'lambda'}-{names.word()}{names.word()}",
            stage=record.lifecycle_stage,
            target_type=kind,
            target_arn=order.get("hookTargetArn"),
            status="AWAITING_ACTION" if kind == "PAUSE" else IN_PROGRESS,
            expires_at=now + self._clock.wall(60.0 * minutes),
            timeout_action=timeout.get("action", "ROLLBACK"),
            answer_at=now + self._clock.wall(LAMBDA_SECONDS) if answers else None,
            answer=answer,
        )
        record.hooks.append(hook)
        self._notifications.change_hook(service, record, hook, now)

    def _run_hooks(self, service: Service, record: ServiceDeployment, now: float) -> FailureCause | None:
        """Take answers and time-outs of the hooks of the present stage; the failure one of them caused."""
        if record.rollback is not None:
            return None
        for hook in record.hooks:
            if hook.status in ("AWAITING_ACTION", IN_PROGRESS):
                if hook.answer_at is not None and now >= hook.answer_at:
                    hook.status = hook.answer
                elif now >= hook.expires_at:
                    hook.status = "TIMED_OUT"
                else:
                    continue
                self.resolve_hook(service, record, hook, now)
        for hook in record.hooks:
            timed_out = hook.status == "TIMED_OUT" and hook.timeout_action == "ROLLBACK"
            if hook.status == "FAILED" or timed_out:
                return explain_hook(hook.stage, hook.target_arn, hook.status)
        return None

    # Ends

    def _complete(self, service: Service, record: ServiceDeployment, now: float) -> None:
        primary = service.primary
        primary.rollout_state, primary.updated_at = "COMPLETED", now
        primary.rollout_state_reason = f"ECS deployment {primary.id} completed."
        self.drop_empty_deployments(service)
        service.last_successful_revision = primary.revision.arn
        record.status = "SUCCESSFUL" if record.rollback is None else "ROLLBACK_SUCCESSFUL"
        record.finished_at = record.updated_at = now
        end_monitoring(record)
        self._events.tell(service, f"(deployment {primary.id}) deployment completed.", now)
        self._notify(service, primary, "SERVICE_DEPLOYMENT_COMPLETED", now)

    def drop_empty_deployments(self, service: Service) -> None:
        """Forget the deployments that a COMPLETED one replaced, once their last task has stopped."""
        if service.deployments and service.primary.rollout_state == "COMPLETED":
            left = {task.deployment_id for task in service.tasks.values() if task.last_status != "STOPPED"}
            service.deployments[1:] = [d for d in service.deployments[1:] if d.id in left]

    def _fail(self, service: Service, record: ServiceDeployment, cause: FailureCause, now: float) -> None:
        failed = service.primary
        record.updated_at = now
        self._events.tell(service, f"(deployment {failed.id}) deployment failed: {cause.event}", now)
        failed.rollout_state_reason = cause.rollout_reason
        self._notify(service, failed, "SERVICE_DEPLOYMENT_FAILED", now)
        if record.rollback is not None:
            self._give_up(service, record, f"The rollback failed because {cause.because}", "ROLLBACK_FAILED", now)
        elif not cause.rolls_back or (cause.needs_completed and service.last_successful_revision is None):
            # Without a COMPLETED deployment to return to, "the deployment is stalled" (developer guide).
            reason = NO_CANDIDATE if cause.rolls_back else f"Service deployment stopped because {cause.because}"
            self._give_up(service, record, reason, "STOPPED", now)
        else:
            self._roll_back(service, record, cause, now)

    def _carry_out_stop(self, service: Service, record: ServiceDeployment, now: float) -> None:
        record.stop_requested_at = None
        cause = explain_stop()
        if record.status == "STOP_REQUESTED":
            service.primary.rollout_state_reason = cause.rollout_reason
            self._give_up(service, record, f"Service deployment stopped because {cause.because}", "STOPPED", now)
        else:
            self._roll_back(service, record, cause, now)

    def _stop(self, record: ServiceDeployment, now: float, reason: str) -> None:
        record.status, record.status_reason, record.stopped_at = "STOPPED", reason, now
        record.finished_at = record.updated_at = now
        record.stop_requested_at = record.stage_ends_at = None
        for hook in record.hooks:
            if hook.status in ("AWAITING_ACTION", IN_PROGRESS):
                hook.status = "FAILED"
        end_monitoring(record)

    def _give_up(self, service: Service, record: ServiceDeployment, reason: str, status: str, now: float) -> None:
        """End without success: the PRIMARY deployment is FAILED and "doesn't launch any new tasks"."""
        service.primary.rollout_state, service.primary.updated_at = "FAILED", now
        self._stop(record, now, reason)
        if status != "STOPPED":
            record.status, record.stopped_at = status, None

    def _roll_back(self, service: Service, record: ServiceDeployment, cause: FailureCause, now: float) -> None:
        """Return to an earlier revision inside the same service deployment.

        AWS creates no new service revision. The deployment that still runs the old revision becomes PRIMARY again.
        """
        revision_arn = _choose_rollback_revision(service, record, cause)
        failed = service.primary
        failed.rollout_state_reason = cause.rollout_reason
        if revision_arn is None:
            self._give_up(service, record, NO_CANDIDATE, "ROLLBACK_FAILED", now)
            return
        failed.rollout_state, failed.updated_at = "FAILED", now
        record.status, record.status_reason = "ROLLBACK_IN_PROGRESS", cause.rollback_reason
        record.rollback = Rollback(cause.rollback_reason, now, revision_arn)
        for hook in record.hooks:
            if hook.status in ("AWAITING_ACTION", IN_PROGRESS):
                hook.status = "FAILED"
                self.resolve_hook(service, record, hook, now)
        previous = next((d for d in service.deployments[1:] if d.revision.arn == revision_arn), None)
        target = previous or self._new_deployment(service.revisions[revision_arn], now)
        target.rollout_state, target.updated_at, target.failed_tasks = IN_PROGRESS, now, 0
        target.rollout_state_reason = f"{cause.origin}: rolling back to deploymentId {target.id}."
        self._make_primary(service, target)
        self._enter(service, record, 0, now)
        if record.alarm_status == "MONITORING":
            record.alarm_status = "MONITORING_COMPLETE"
        self._events.tell(service, f"rolling back to deployment {target.id}.", now)
        self._notify(service, target, "SERVICE_DEPLOYMENT_IN_PROGRESS", now)

    def _notify(self, service: Service, deployment: Deployment, event_name: str, now: float) -> None:
        reason = deployment.rollout_state_reason
        self._notifications.change_deployment(service, event_name, deployment.id, reason, now)


def _choose_target_groups(workload: Json, serving: tuple[str, ...], *, swap: bool) -> tuple[str, ...]:
    """The target groups for a new revision, given those that serve now.

    `swap`: of each pair with an alternate, the one that does not serve; else the one that does.
    """
    chosen = []
    for balancer in workload.get("loadBalancers", []):
        first = balancer.get("targetGroupArn")
        alternate = balancer.get("advancedConfiguration", {}).get("alternateTargetGroupArn")
        if first is None:
            continue
        if alternate is None or not {first, alternate}.intersection(serving):
            chosen.append(first)
        else:
            chosen.append(alternate if (first in serving) == swap else first)
    return tuple(chosen)


def _choose_rollback_revision(service: Service, record: ServiceDeployment, cause: FailureCause) -> str | None:
    """Where a rollback goes; None: nowhere.

    The failure monitors go back "to the last deployment that completed successfully" (DeploymentCircuitBreaker,
    DeploymentAlarms), StopServiceDeployment "to the previous service revision": they differ when the previous one never
    completed. Where traffic is shifted it is what serves now.
    """
    previous = next(iter(record.source_revisions), None)
    last = service.last_successful_revision
    if last is None or record.shifts_traffic or (cause.to_previous and last not in record.source_revisions):
        return previous
    return last


def _list_stages(record: ServiceDeployment) -> list[Stage]:
    if record.rollback is not None:
        return build_rollback_stages(record.deployment_configuration)
    watches = record.alarm_status != "DISABLED"
    return build_stages(record.deployment_configuration, len(record.source_revisions), watches_alarms=watches)


def _lives(task: Task, deployment: Deployment) -> bool:
    return task.deployment_id == deployment.id and task.desired_status == "RUNNING"


def _has_old_tasks(service: Service) -> bool:
    return any(t.last_status != "STOPPED" and t.deployment_id != service.primary.id for t in service.tasks.values())


def _is_scaled(service: Service, record: ServiceDeployment) -> bool:
    """Whether the PRIMARY deployment has the healthy tasks it needs, and the old ones are gone if they have to be."""
    healthy = sum(task.healthy for task in service.tasks.values() if task.deployment_id == service.primary.id)
    criteria = record.deployment_configuration.get("earlySuccessCriteria", {})
    if record.shifts_traffic:
        return healthy >= service.desired_count
    if criteria.get("enable") and record.rollback is None:
        enough = healthy >= math.ceil(service.desired_count * criteria["healthyPercent"] / 100)
        return enough and (criteria["sourceServiceRevisionCleanup"] == "DEFERRED" or not _has_old_tasks(service))
    return healthy >= service.desired_count and not _has_old_tasks(service)
