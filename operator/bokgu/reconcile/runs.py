"""What became of tasks and executions that a plan has started."""

from bokgu.api.meta import Target
from bokgu.api.observed import AutomationExecution, Task
from bokgu.api.recovery_plan import RecoveryPlan, StepStatus
from bokgu.api.vocabulary import Action, OperationPhase
from bokgu.aws.automations import fetch_execution, find_executions
from bokgu.aws.client import AwsClient
from bokgu.aws.tasks import fetch_run, list_tasks
from bokgu.core.undo import UNDO_OVER
from bokgu.core.writes.automation import find_tag
from bokgu.core.writes.write import request_arguments


async def fetch_runs(
    aws: AwsClient, plan: RecoveryPlan, target: Target
) -> tuple[dict[str, Task], dict[str, AutomationExecution]]:
    """Tasks by ARN, and executions by id and by the key of their tag, of the steps that may have started one and are
    neither done nor undone. Raises AwsError."""
    tasks: dict[str, Task] = {}
    executions: dict[str, AutomationExecution] = {}
    for step, status in zip(plan.spec.steps, plan.status.steps, strict=False):
        if status.intent is None or not is_followed(status):
            continue
        role = status.intent.role_arn
        own = target.model_copy(update={"role_arn": role}) if role else target
        if step.action is Action.RUN_TASK:
            tasks |= {task.arn: task for task in await _fetch_tasks(aws, own, status)}
        if step.action is Action.AUTOMATION:
            executions |= await _fetch_executions(aws, own, status)
    return tasks, executions


def is_followed(status: StepStatus) -> bool:
    """Whether what the step started still matters. One that was skipped may still run, and then its undo stops it."""
    undone = status.rollback is not None and status.rollback.phase in UNDO_OVER
    return status.intent is not None and status.phase is not OperationPhase.COMPLETED and not undone


async def _fetch_tasks(aws: AwsClient, target: Target, status: StepStatus) -> tuple[Task, ...]:
    made = status.answer.made if status.answer else ()
    if status.intent and not made:
        token = request_arguments(status.intent.request)["startedBy"]
        running = await list_tasks(aws, target, startedBy=token, desiredStatus="RUNNING")
        stopped = await list_tasks(aws, target, startedBy=token, desiredStatus="STOPPED")
        made = (*running, *stopped)
    return await fetch_run(aws, target, made) if made else ()


async def _fetch_executions(aws: AwsClient, target: Target, status: StepStatus) -> dict[str, AutomationExecution]:
    tag = find_tag(status.intent.request) if status.intent else None
    made = status.answer.made if status.answer else ()
    if made:
        found = [await fetch_execution(aws, target, id_) for id_ in made]
    else:
        found = list(await find_executions(aws, target, tag)) if tag else []
    executions = {one.id: one for one in found}
    return executions | ({tag: found[0]} if tag and found else {})
