"""rollback_to_previous_version of a service that CodeDeploy deploys.

Its deployment in flight is stopped, and CodeDeploy gives the traffic back to the task set that was there before, which
runs until the deployment ends. ECS takes no other revision of such a service.
"""

from bokgu.api.observed import CodeDeployment, Deployment, EcsService
from bokgu.api.recovery_plan import Step, StepParameters
from bokgu.core.actions.action import Asked
from bokgu.core.live_state import LiveState
from bokgu.core.writes.write import build_request


def stops_code_deployment(step: Step) -> bool:
    """Whether the step stops a CodeDeploy deployment, whatever the service is."""
    return step.parameters is not None and step.parameters.code_deploy_deployment_id is not None


def ask_stop(step: Step, live: LiveState) -> Asked:
    """StopDeployment of exactly the deployment that the step names. Raises ValueError."""
    parameters = step.parameters or StepParameters()
    named = parameters.code_deploy_deployment_id or ""
    if (obstacle := find_obstacle(parameters, live.service, live.code_deployments.get(named))) is not None:
        raise ValueError(obstacle)
    request = build_request("codedeploy", "StopDeployment", {"deploymentId": named, "autoRollbackEnabled": True})
    return Asked(request, restores=parameters.task_definition)


def find_original(service: EcsService, deployment_id: str) -> Deployment | None:
    """The task set that CodeDeploy goes back to when it stops the deployment: the one beside that which the deployment
    made. None where these two are not all that there is."""
    made = [d for d in service.deployments if d.code_deployment_id == deployment_id]
    others = [d for d in service.deployments if d.code_deployment_id != deployment_id]
    return others[0] if len(made) == 1 and len(others) == 1 and others[0].status != "DRAINING" else None


def find_obstacle(parameters: StepParameters, service: EcsService, found: CodeDeployment | None) -> str | None:
    """Why stopping the deployment that the step names would not bring back what the step names, or None.

    `found` is the deployment as CodeDeploy tells it.
    """
    named = parameters.code_deploy_deployment_id
    if service.controller != "CODE_DEPLOY":
        return f"the step stops CodeDeploy deployment {named}, and CodeDeploy does not deploy the service"
    if found is None or found.id != named:
        return f"CodeDeploy does not describe {named}: the service's role needs codedeploy:GetDeployment"
    if not found.in_flight:
        return f"CodeDeploy deployment {named} is {found.status}: only one in flight can be stopped. Make a new plan"
    original = find_original(service, found.id)
    if original is None:
        return f"ECS does not show two task sets, one of {named} and one to go back to: what to do is decided later"
    if parameters.task_definition != original.task_definition:
        return f"CodeDeploy would go back to {original.task_definition}, not to {parameters.task_definition}"
    return None
