"""A step of a runbook, made concrete by the module of its action."""

from collections.abc import Callable, Mapping

from bokgu.api.recovery_plan import Step
from bokgu.api.runbook import RunbookStep
from bokgu.api.vocabulary import Action
from bokgu.core.building.rollback import build_rollback
from bokgu.core.building.scale_out import build_scale_out
from bokgu.core.building.service_restart import build_restart
from bokgu.core.building.step import concrete_step, wait_for_deployment
from bokgu.core.building.stop_unhealthy_tasks import build_stops
from bokgu.core.building.wait import build_wait
from bokgu.core.planning_facts import NoPlan, PlanningFacts
from bokgu.core.support import find_unsupported


def _refuse(step: RunbookStep, _: PlanningFacts) -> NoPlan:
    return NoPlan("NotForRunbooks", f"{step.action} is not for runbooks: a person writes such a plan", wait=False)


_BUILDERS: Mapping[Action, Callable[[RunbookStep, PlanningFacts], tuple[Step, ...] | NoPlan]] = {
    Action.HEALTH_CHECK: lambda step, facts: (concrete_step(step, facts),),
    Action.MANUAL: lambda step, facts: (concrete_step(step, facts),),
    Action.SCALE_OUT: build_scale_out,
    Action.SCALE_IN: lambda *_: NoPlan("NoScaleIn", "a runbook has no scale_in of its own", wait=False),
    Action.WAIT: build_wait,
    Action.SERVICE_RESTART: build_restart,
    Action.ROLLBACK: build_rollback,
    Action.STOP_UNHEALTHY_TASKS: build_stops,
    **dict.fromkeys((Action.REGISTER, Action.RUN_TASK, Action.AUTOMATION), _refuse),
}
"""By action; every action has one."""

_WHILE_DEPLOYING = frozenset({Action.ROLLBACK})
"""Actions that may change a service while ECS is deploying it."""


ONLY_WHERE_IT_HELPS = frozenset({Action.STOP_UNHEALTHY_TASKS})
"""Actions that nobody is asked to allow where they cannot be done anyway."""


def build_step(step: RunbookStep, facts: PlanningFacts) -> tuple[Step, ...] | NoPlan:
    """The steps with the numbers of the service, or why they cannot be done there."""
    spec = facts.protected_service.spec
    if unsupported := find_unsupported(facts.service, step.action, opted_in=spec.rollback.code_deploy is not None):
        return NoPlan("ServiceUnsupported", unsupported.message, wait=False)
    if step.action in ONLY_WHERE_IT_HELPS and isinstance(built := _BUILDERS[step.action](step, facts), NoPlan):
        return built
    if step.action.writes and spec.mode.runs and step.action not in spec.allowed_actions:
        return NoPlan(
            "ActionNotAllowed",
            f"{step.action} would help: allow it in spec.allowedActions of ProtectedService"
            f" {facts.protected_service.metadata.name}",
            wait=True,
        )
    if step.action.writes and facts.service.desired_count == 0:
        return NoPlan("ScaledToZero", "the service is scaled to zero: somebody wants it so", wait=False)
    if step.action.writes and facts.service.deploying and step.action not in _WHILE_DEPLOYING:
        return wait_for_deployment()
    return _BUILDERS[step.action](step, facts)
