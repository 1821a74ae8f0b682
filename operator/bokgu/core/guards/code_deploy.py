"""The deployment that a step stops in CodeDeploy: exactly the one that people have approved, and no other."""

from bokgu.api.meta import Gate
from bokgu.api.observed import CodeDeployment
from bokgu.api.recovery_plan import StepParameters
from bokgu.core.actions.code_deploy import find_obstacle
from bokgu.core.guards.facts import GuardFacts
from bokgu.core.guards.gate import build_gate


def check_not_rolling_back(name: str, facts: GuardFacts) -> Gate:
    """CodeDeploy rolls back by itself, after an alarm for example: nothing is done against that."""
    found = _find_deployment(facts)
    if found is None:
        message = "CodeDeploy does not describe the deployment in flight: whether it rolls back is not known"
        return build_gate(name, "DeploymentUnreadable", False, message=message)
    rollback = found.id if found.rolls_back else found.rollback_id
    return build_gate(
        name,
        "CodeDeployRollsBack",
        rollback is None,
        value=found.status,
        message=f"CodeDeploy is already rolling back ({rollback}): what to do is decided when that has ended",
    )


def check_is_the_one(name: str, facts: GuardFacts) -> Gate:
    """The deployment in flight is the one that the step names, of the group that the ProtectedService names."""
    parameters, found = facts.step.parameters or StepParameters(), _find_deployment(facts)
    message = "not known while ECS does not describe the service"
    if facts.service is not None:
        message = find_obstacle(parameters, facts.service, found) or _find_other_group(found, facts) or ""
    value = f"{found.id} {found.status}" if found else ""
    return build_gate(name, "NotTheDeployment", not message, value=value, message=message)


def _find_deployment(facts: GuardFacts) -> CodeDeployment | None:
    named = facts.step.parameters.code_deploy_deployment_id if facts.step.parameters else None
    return facts.live.code_deployments.get(named or "") if facts.live else None


def _find_other_group(found: CodeDeployment | None, facts: GuardFacts) -> str | None:
    group = facts.protected_service.spec.rollback.code_deploy if facts.protected_service else None
    named = (group.application_name, group.deployment_group_name) if group else None
    if found is not None and named == (found.application, found.group):
        return None
    where = f"{found.application} / {found.group}" if found else "an unknown group"
    return f"the deployment is one of {where}: spec.rollback.codeDeploy of the ProtectedService does not name that"
