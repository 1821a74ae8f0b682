"""Which action of the vocabulary is which."""

from collections.abc import Mapping

from bokgu.api.vocabulary import Action
from bokgu.core.actions.action import AwsAction
from bokgu.core.actions.register_task_definition import RegisterTaskDefinition
from bokgu.core.actions.rollback import Rollback
from bokgu.core.actions.run_task import RunTask
from bokgu.core.actions.scale_in import ScaleIn
from bokgu.core.actions.scale_out import ScaleOut
from bokgu.core.actions.service_restart import ServiceRestart
from bokgu.core.actions.ssm_automation import SsmAutomation
from bokgu.core.actions.stop_unhealthy_tasks import StopUnhealthyTasks

AWS_ACTIONS: Mapping[Action, AwsAction] = {
    Action.SCALE_OUT: ScaleOut(),
    Action.SCALE_IN: ScaleIn(),
    Action.SERVICE_RESTART: ServiceRestart(),
    Action.ROLLBACK: Rollback(),
    Action.STOP_UNHEALTHY_TASKS: StopUnhealthyTasks(),
    Action.REGISTER: RegisterTaskDefinition(),
    Action.RUN_TASK: RunTask(),
    Action.AUTOMATION: SsmAutomation(),
}
"""Every action that writes."""
