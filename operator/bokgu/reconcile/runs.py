"""What became of tasks and executions that a plan has started."""

from collections.abc import Collection

import structlog

from bokgu.api.meta import Target
from bokgu.api.observed import AutomationExecution, AwsError, Task
from bokgu.api.recovery_plan import RecoveryPlan, StepStatus
from bokgu.api.vocabulary import Action, OperationPhase
from bokgu.aws.automations import fetch_execution, find_executions
from bokgu.aws.client import AwsClient
from bokgu.aws.tasks import fetch_run, find_run
from bokgu.core.undo import UNDO_OVER
from bokgu.core.writes.automation import find_tag
from bokgu.core.writes.write import request_arguments

log = structlog.get_logger()


async def fetch_runs(
    aws: AwsClient, plan: RecoveryPlan, target: Target, unsent: Collection[str]
) -> tuple[dict[str, Task], dict[str, AutomationExecution]]:
    """Tasks by ARN, and executions by id and by the key of their tag, of the steps that may have started one and are
    neither done nor undone. `unsent` are tokens of intents that were not sent.

    What cannot be read is left out: then its own step waits, and nothing else of the plan does (S1)."""
    tasks: dict[str, Task] = {}
    executions: dict[str, AutomationExecution] = {}
    for step, status in zip(plan.spec.steps, plan.status.steps, strict=False):
        if status.intent is None or not is_followed(status, unsent):
            continue
        role = status.intent.role_arn
        own = target.model_copy(update={"role_arn": role}) if role else target
        try:
            if step.action is Action.RUN_TASK:
                tasks |= {task.arn: task for task in await _fetch_tasks(aws, own, status)}
            if step.action is Action.AUTOMATION:
                executions |= await _fetch_executions(aws, own, status)
        except AwsError as error:
            log.warning("run not read", plan=plan.metadata.name, step=step.name, role=role, error=str(error))
    return tasks, executions


def is_followed(status: StepStatus, unsent: Collection[str]) -> bool:
    """Whether the step may have started something that still matters. One that was skipped may still run, and then its
    undo stops it."""
    if status.intent is None or status.intent.token in unsent:
        return False
    if status.answer and status.answer.result in {"Refused", "NotSent"}:
        return False
    undone = status.rollback is not None and status.rollback.phase in UNDO_OVER
    return status.phase is not OperationPhase.COMPLETED and not undone


async def _fetch_tasks(aws: AwsClient, target: Target, status: StepStatus) -> tuple[Task, ...]:
    made = status.answer.made if status.answer else ()
    if status.intent and not made:
        arguments = request_arguments(status.intent.request)
        family = arguments["taskDefinition"].rpartition("/")[2].partition(":")[0]
        made = await find_run(aws, target, family=family, started_by=arguments["startedBy"])
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
