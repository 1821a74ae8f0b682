"""rollback_to_previous_version: the last known good service revision, where going back there changes anything."""

from bokgu.api.fields import format_timestamp, parse_duration
from bokgu.api.observed import DescribedDeployment, EcsService
from bokgu.api.protected_service import KnownRevision
from bokgu.api.recovery_plan import Step, StepParameters, Undo
from bokgu.api.runbook import RunbookStep
from bokgu.api.vocabulary import Action
from bokgu.core.actions.rollback import returns_elsewhere
from bokgu.core.building.code_deploy import build_stop
from bokgu.core.building.step import concrete_step, short_name, wait_for_deployment
from bokgu.core.planning_facts import NoPlan, PlanningFacts
from bokgu.core.writes.new_deployment import find_difference
from bokgu.core.writes.stop_deployment import IN_FLIGHT


def build_rollback(step: RunbookStep, facts: PlanningFacts) -> tuple[Step, ...] | NoPlan:
    """The step, or why there is no way back."""
    if facts.service.controller == "CODE_DEPLOY":
        return build_stop(step, facts)
    good = facts.protected_service.status.last_known_good
    if good is None or good.service_revision_arn == facts.service.service_revision_arn:
        return NoPlan("NoLastKnownGood", "no earlier service revision is known to have served well", wait=False)
    parameters = StepParameters(service_revision_arn=good.service_revision_arn, task_definition=good.task_definition)
    if (no_plan := _too_old(good, facts)) is not None:
        return no_plan
    if facts.service.deploying:  # What ECS leaves half way is nothing to come back to.
        stops = "The deployment in flight is stopped, and ECS returns by itself; nothing takes that back."
        cannot = _cannot_stop(good, facts.deployment)
        return cannot or (concrete_step(step, facts, parameters=parameters, remark=stops),)
    if len(facts.service.current_service_revisions) > 1:
        message = (
            "tasks of two service revisions are there and ECS deploys neither, so that a rollback could not be undone:"
            " let ECS end its deployment, or deploy"
        )
        return NoPlan("RevisionsMixed", message, wait=True)
    if (no_plan := _restores_nothing(good, facts)) is not None:
        return no_plan
    register = _register_copy(step, good, facts)
    if isinstance(register, NoPlan):
        return register
    return (*register, concrete_step(step, facts, parameters=parameters, undo=Undo(action=Action.ROLLBACK)))


def _register_copy(step: RunbookStep, good: KnownRevision, facts: PlanningFacts) -> tuple[Step, ...] | NoPlan:
    """The step before the rollback, where ECS does not deploy the task definition as it is ("TaskDefinition is
    inactive"), or why no copy may be registered."""
    if facts.good_definition is None or facts.good_definition.active:
        return ()
    protected = facts.protected_service
    if not protected.spec.rollback.reregister:
        message = (
            f"{short_name(good.task_definition)} is INACTIVE, and ECS deploys no such task definition: set"
            f" spec.rollback.reregister of ProtectedService {protected.metadata.name}, so that a copy may be registered"
        )
        return NoPlan("TaskDefinitionInactive", message, wait=True)
    parameters = StepParameters(task_definition=good.task_definition)
    before = RunbookStep(name=f"{step.name[:54].rstrip('-')}-register", action=Action.REGISTER)
    return (concrete_step(before, facts, parameters=parameters),)


def _cannot_stop(good: KnownRevision, deployment: DescribedDeployment | None) -> NoPlan | None:
    """Why stopping the deployment in flight is no way back to the good revision, or None."""
    if deployment is None or deployment.status not in IN_FLIGHT:
        return wait_for_deployment()
    elsewhere = returns_elsewhere(deployment, good.service_revision_arn)
    return wait_for_deployment(elsewhere) if elsewhere else None


def _too_old(good: KnownRevision, facts: PlanningFacts) -> NoPlan | None:
    limit = facts.protected_service.spec.rollback.max_age
    if good.served_until is None or good.served_until >= facts.now - parse_duration(limit):
        return None
    return NoPlan(
        "LastKnownGoodTooOld",
        f"{good.service_revision_arn} last served at {format_timestamp(good.served_until)}, longer than {limit} ago",
        wait=False,
    )


def needs_comparison(good: KnownRevision | None, service: EcsService) -> bool:
    """Whether only the settings of the service revisions say that a rollback would change anything."""
    return (
        good is not None
        and good.service_revision_arn != service.service_revision_arn
        and good.task_definition == service.task_definition
    )


def _restores_nothing(good: KnownRevision, facts: PlanningFacts) -> NoPlan | None:
    """A forced deployment makes a service revision that differs in nothing: there is nothing to go back to."""
    if not needs_comparison(good, facts.service):
        return None
    shown = short_name(good.task_definition)
    restored = facts.revisions.get(good.service_revision_arn)
    current = facts.revisions.get(facts.service.service_revision_arn or "")
    if restored is None or current is None:
        message = f"both service revisions have {shown}, and ECS does not describe what else they differ in"
        return NoPlan("RevisionsUnknown", message, wait=True)
    if find_difference(restored, current):
        return None
    message = f"the last known good service revision has {shown} and all settings of the one in use"
    return NoPlan("NothingToRestore", message, wait=False)
