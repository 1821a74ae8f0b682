"""Which action of the vocabulary is which."""

from collections.abc import Mapping

from bokgu.api.vocabulary import Action
from bokgu.core.actions.action import AwsAction
from bokgu.core.actions.rollback import Rollback
from bokgu.core.actions.scale_in import ScaleIn
from bokgu.core.actions.scale_out import ScaleOut
from bokgu.core.actions.service_restart import ServiceRestart

AWS_ACTIONS: Mapping[Action, AwsAction] = {
    Action.SCALE_OUT: ScaleOut(),
    Action.SCALE_IN: ScaleIn(),
    Action.SERVICE_RESTART: ServiceRestart(),
    Action.ROLLBACK: Rollback(),
}
"""Every action that writes."""
