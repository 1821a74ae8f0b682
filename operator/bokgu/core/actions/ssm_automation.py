"""ssm_automation: an Automation document of Systems Manager is executed once."""

from typing import Any

from bokgu.api.meta import Target
from bokgu.api.recovery_plan import Intent, Step
from bokgu.core.actions.action import AlreadyOver, Asked, NotSeen
from bokgu.core.live_state import LiveState
from bokgu.core.writes.automation import OVER, execution_of
from bokgu.core.writes.write import build_request


class SsmAutomation:
    """What the execution did is not taken back; its undo stops it while it runs."""

    def ask(self, step: Step, live: LiveState, target: Target) -> Asked:
        """StartAutomationExecution."""
        parameters = step.parameters
        if parameters is None or parameters.document_name is None or parameters.document_version is None:
            raise ValueError("ssm_automation needs parameters.documentName and documentVersion")
        arguments: dict[str, Any] = {
            "DocumentName": parameters.document_name,
            "DocumentVersion": parameters.document_version,
        }
        if parameters.document_parameters:
            arguments["Parameters"] = {n: list(values) for n, values in parameters.document_parameters.items()}
        return Asked(build_request("ssm", "StartAutomationExecution", arguments))

    def ask_undo(self, step: Step, forward: Intent, live: LiveState, target: Target) -> Asked:
        """StopAutomationExecution. Raises AlreadyOver where the execution has ended, NotSeen where it is not read."""
        execution = execution_of(forward.request, live)
        if execution is None:
            raise NotSeen("Systems Manager does not describe the execution that was started")
        if execution.status in OVER:
            raise AlreadyOver(f"execution {execution.id} was {execution.status}; what it did is not taken back")
        arguments = {"AutomationExecutionId": execution.id, "Type": "Cancel"}
        return Asked(build_request("ssm", "StopAutomationExecution", arguments))
