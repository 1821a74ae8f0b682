"""What AWS says now of all that a plan acts on: read afresh, and only as far as the plan has to do with it."""

import asyncio
from collections.abc import Collection
from datetime import timedelta
from itertools import zip_longest

import structlog

from bokgu.api.fields import parse_duration
from bokgu.api.meta import Target
from bokgu.api.observed import (
    AwsError,
    CodeDeployment,
    DescribedDeployment,
    EcsService,
    ScalableTarget,
    ServiceRevision,
    Task,
    TaskDefinition,
)
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.vocabulary import Action, PlanPhase, RootCause
from bokgu.aws.autoscaling import fetch_scalable_target
from bokgu.aws.codedeploy import fetch_code_deployment
from bokgu.aws.ecs import fetch_service, fetch_service_deployment, fetch_service_revisions, fetch_task_definition
from bokgu.aws.elb import count_healthy_targets
from bokgu.aws.tasks import fetch_tasks
from bokgu.core.live_state import LiveState
from bokgu.core.operation import find_verified, in_flight
from bokgu.core.scaling_limits import scales
from bokgu.core.task_health import named_tasks
from bokgu.reconcile.context import Context
from bokgu.reconcile.owners import ask_stack
from bokgu.reconcile.runs import fetch_runs

log = structlog.get_logger()


async def fetch_live_state(
    context: Context,
    plan: RecoveryPlan,
    target: Target,
    protected: ProtectedService | None,
    *,
    unsent: Collection[str] = (),
) -> LiveState:
    """Read it, the service first and then all else at once, so that the read of the service does not grow old (S4).

    `unsent` are tokens of intents that were not sent. Raises AwsError: half a picture is none.
    """
    service, scalable = await asyncio.gather(
        fetch_service(context.aws, target, context.clock()), _scalable_target(context, plan, target)
    )
    # A stored intent needs no revisions any more; an undo asks no gates, and nothing may hold it up.
    sent, undoing = in_flight(plan), plan.status.phase is PlanPhase.ROLLING_BACK
    (deployment, revisions, stack_status, code_deployments), (tasks, definition, runs, healthy) = await asyncio.gather(
        asyncio.gather(
            _deployment(context, plan, target, service),
            _revisions(context, plan, target, service, needed=not sent),
            _stack_status(context, target, service, needed=not sent and not undoing),
            _code_deployments(context, plan, target),
        ),
        asyncio.gather(
            _tasks(context, plan, target, service, protected),
            _task_definition(context, plan, target),
            fetch_runs(context.aws, plan, target, unsent),
            _healthy_targets(context, plan, target, service),
        ),
    )
    return LiveState(
        service=service,
        deployment=deployment,
        revisions=revisions,
        healthy_targets=healthy,
        scalable_target=scalable,
        stack_status=stack_status,
        tasks=tasks,
        task_definition=definition,
        runs=runs[0],
        executions=runs[1],
        code_deployments=code_deployments,
    )


async def find_deployment(context: Context, target: Target, arn: str) -> DescribedDeployment | None:
    """The service deployment, or None while ECS does not describe it yet. Raises AwsError."""
    try:
        return await fetch_service_deployment(context.aws, target, arn)
    except AwsError as error:
        if error.code == "MISSING":
            return None
        raise


async def _scalable_target(context: Context, plan: RecoveryPlan, target: Target) -> ScalableTarget | None:
    """What Application Auto Scaling owns of the service, for plans that scale."""
    return await fetch_scalable_target(context.aws, target) if scales(plan) else None


async def _deployment(
    context: Context, plan: RecoveryPlan, target: Target, service: EcsService
) -> DescribedDeployment | None:
    """The service's deployment in full, where one is in flight, or a rollback is about it. None also while ECS does not
    describe a new one yet."""
    arn = service.current_service_deployment
    rolls_back = any(step.action is Action.ROLLBACK for step in plan.spec.steps)
    return await find_deployment(context, target, arn) if arn and (service.deploying or rolls_back) else None


async def _revisions(
    context: Context, plan: RecoveryPlan, target: Target, service: EcsService, *, needed: bool
) -> dict[str, ServiceRevision]:
    """The service revision in use and those that the plan may restore; nothing for plans that restore none."""
    if not needed or all(step.action is not Action.ROLLBACK for step in plan.spec.steps):
        return {}
    wanted = {
        service.service_revision_arn,
        *(s.parameters.service_revision_arn for s in plan.spec.steps if s.parameters),
        *(s.intent.before.service_revision_arn for s in plan.status.steps if s.intent),
    }
    return await fetch_service_revisions(context.aws, target, tuple(sorted(arn for arn in wanted if arn)))


async def _stack_status(
    context: Context, target: Target, service: EcsService, *, needed: bool
) -> str | AwsError | None:
    return await ask_stack(context.aws, target, service) if needed else None


async def _code_deployments(context: Context, plan: RecoveryPlan, target: Target) -> dict[str, CodeDeployment]:
    """The CodeDeploy deployments that the plan stops, and their rollbacks, by id. What cannot be read is left out: then
    its step waits."""
    found: dict[str, CodeDeployment] = {}
    named = (s.parameters.code_deploy_deployment_id for s in plan.spec.steps if s.parameters)
    for id_ in dict.fromkeys(id_ for id_ in named if id_):
        try:
            found[id_] = await fetch_code_deployment(context.aws, target, id_)
            if (rollback := found[id_].rollback_id) is not None:
                found[rollback] = await fetch_code_deployment(context.aws, target, rollback)
        except AwsError as error:
            log.warning("CodeDeploy deployment not read", plan=plan.metadata.name, deployment=id_, error=str(error))
    return found


async def _tasks(
    context: Context, plan: RecoveryPlan, target: Target, service: EcsService, protected: ProtectedService | None
) -> dict[str, Task] | None:
    """The service's tasks and those that the plan stops; None for plans that stop none."""
    named = named_tasks(plan.spec.steps)
    if not named:
        return None
    period = parse_duration(protected.spec.detection.period) if protected else timedelta(minutes=1)
    disks = plan.spec.preconditions.root_cause is RootCause.DISK_EXHAUSTED
    now = context.clock()
    return await fetch_tasks(context.aws, target, service, named=named, disks=disks, period=period, now=now)


async def _task_definition(context: Context, plan: RecoveryPlan, target: Target) -> TaskDefinition | None:
    """The task definition that the plan's step under way has registered, or the latest one of the family; before it
    was asked for, the one to copy. None also while ECS does not describe it yet, or not at all."""
    undoing = plan.status.phase is PlanPhase.ROLLING_BACK
    for step, status in zip_longest(plan.spec.steps, plan.status.steps):  # One that has not begun has no status.
        copied = step.parameters.task_definition if step.parameters else None
        if step.action is not Action.REGISTER or copied is None or (status and status.finished_at):
            continue
        intent = status.intent if status else None
        if intent is None and undoing:  # It will register nothing more.
            continue
        family = copied.rpartition("/")[2].partition(":")[0]
        made = status.answer.made if status and status.answer else ()
        try:
            name = family if intent else copied
            return await fetch_task_definition(context.aws, target, made[0] if made else name)
        except AwsError as error:
            if error.code == "ClientException":
                return None
            raise
    return None


async def _healthy_targets(
    context: Context, plan: RecoveryPlan, target: Target, service: EcsService
) -> dict[str, int] | None:
    """How many targets are healthy in each target group of the service, while a step is verified. None where nobody
    asks, and where the load balancer does not say."""
    if not service.target_groups or not service.steady or find_verified(plan) is None:
        return None
    try:
        return {
            arn: await count_healthy_targets(
                context.aws, arn, region=target.region, role_arn=target.role_arn, bulk=False
            )
            for arn in service.target_groups
        }
    except AwsError as error:
        log.warning("target health not read", plan=plan.metadata.name, error=str(error))
        return None
