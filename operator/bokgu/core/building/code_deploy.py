"""rollback_to_previous_version of a service that CodeDeploy deploys: its one deployment in flight is stopped."""

from bokgu.api.observed import AwsError
from bokgu.api.recovery_plan import Step, StepParameters
from bokgu.api.runbook import RunbookStep
from bokgu.core.actions.code_deploy import find_obstacle, find_original
from bokgu.core.building.step import concrete_step, short_name
from bokgu.core.planning_facts import NoPlan, PlanningFacts


def build_stop(step: RunbookStep, facts: PlanningFacts) -> tuple[Step, ...] | NoPlan:
    """The step that names the deployment, or why none is stopped."""
    if not facts.classification.new_revision_at_fault:
        return NoPlan("RevisionNotAtFault", "no new revision is known to be at fault: nothing goes back", wait=False)
    found = facts.code_deployments
    if isinstance(found, AwsError):
        allow = "allow codedeploy:ListDeployments and codedeploy:GetDeployment"
        message = f"whether a CodeDeploy deployment is in flight cannot be read: {allow}. {found}"
        return NoPlan("CodeDeployUnread", message, wait=True)
    if not found:
        message = "no CodeDeploy deployment is in flight that could be stopped: deploy the good revision in CodeDeploy"
        return NoPlan("NoCodeDeployment", message, wait=False)
    if any(one.rolls_back or one.rollback_id for one in found):
        message = "CodeDeploy is rolling back by itself: what to do is decided when that has ended"
        return NoPlan("CodeDeployRollsBack", message, wait=True)
    if len(found) > 1:
        message = f"{', '.join(one.id for one in found)} are in flight in CodeDeploy: which one to stop is not known"
        return NoPlan("DeploymentInProgress", message, wait=True)
    original = find_original(facts.service, found[0].id)
    returns_to = original.task_definition if original else None
    parameters = StepParameters(code_deploy_deployment_id=found[0].id, task_definition=returns_to)
    if (obstacle := find_obstacle(parameters, facts.service, found[0])) is not None:
        return NoPlan("DeploymentInProgress", obstacle, wait=True)
    stops = (
        f"CodeDeploy deployment {found[0].id} is stopped, and CodeDeploy goes back to {short_name(returns_to or '')} by"
        " itself; nothing takes that back."
    )
    return (concrete_step(step, facts, parameters=parameters, remark=stops),)
