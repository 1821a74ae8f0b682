"""What run_task and ssm_automation may start, and with which role: what a ProtectedService lists, and nothing else."""

from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import Step
from bokgu.api.vocabulary import Action


def find_own_role(action: Action, protected: ProtectedService | None) -> str | None:
    """The IAM role that the ProtectedService names for the calls of the action; None: that of the service."""
    spec = protected.spec if protected else None
    if spec and action is Action.RUN_TASK and spec.run_task:
        return spec.run_task.role_arn
    if spec and action is Action.AUTOMATION and spec.automation:
        return spec.automation.role_arn
    return None


def find_named_role(step: Step) -> str | None:
    """The IAM role that the step names for its calls, which people have approved; None: that of the service."""
    return step.parameters.role_arn if step.action.runs and step.parameters else None


def listed(action: Action, protected: ProtectedService | None) -> tuple[str, ...]:
    """What the ProtectedService lets the action start."""
    spec = protected.spec if protected else None
    if spec and action is Action.RUN_TASK and spec.run_task:
        return spec.run_task.task_definitions
    if spec and action is Action.AUTOMATION and spec.automation:
        return spec.automation.documents
    return ()


def find_unlisted(step: Step, protected: ProtectedService | None) -> str | None:
    """Why the step may not start what it names, with the role that it names, or None."""
    if not step.action.runs:
        return None
    task = step.action is Action.RUN_TASK
    field = "spec.runTask.taskDefinitions" if task else "spec.automation.documents"
    parameters = step.parameters
    wanted = (parameters.task_definition if task else parameters.document_name) if parameters else None
    if wanted not in listed(step.action, protected):
        return f"{wanted} is not in {field} of the ProtectedService: list it beside the roleArn that may start it"
    named, role = find_named_role(step), find_own_role(step.action, protected)
    if named is None or named != role:
        return f"parameters.roleArn is {named}, and {field.rpartition('.')[0]}.roleArn is {role}: make a new plan"
    return None
