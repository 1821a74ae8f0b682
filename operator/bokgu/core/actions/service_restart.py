"""service_restart: all tasks are replaced by new ones of the same revision."""

from bokgu.api.meta import Target
from bokgu.api.recovery_plan import Intent, Step
from bokgu.core.actions.action import Asked
from bokgu.core.live_state import LiveState
from bokgu.core.writes.write import build_request


class ServiceRestart:
    """It has no undo: it changes no revision."""

    def ask(self, step: Step, live: LiveState, target: Target) -> Asked:
        """UpdateService with forceNewDeployment."""
        arguments = {"cluster": target.cluster, "service": target.service, "forceNewDeployment": True}
        return Asked(build_request("ecs", "UpdateService", arguments))

    def ask_undo(self, step: Step, forward: Intent, live: LiveState, target: Target) -> Asked:
        """There is none."""
        raise ValueError("nothing takes a restart back")
