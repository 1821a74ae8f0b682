"""scale_out: more tasks, to an absolute count."""

from bokgu.api.meta import Target
from bokgu.api.recovery_plan import Intent, Step
from bokgu.core.actions.action import Asked
from bokgu.core.live_state import LiveState
from bokgu.core.writes.write import build_request


class ScaleOut:
    """Nothing takes it back: fewer tasks while the incident is open would make it worse."""

    def ask(self, step: Step, live: LiveState, target: Target) -> Asked:
        """UpdateService with the count."""
        if step.parameters is None or step.parameters.desired_count is None:
            raise ValueError("scale_out needs parameters.desiredCount")
        arguments = {
            "cluster": target.cluster,
            "service": target.service,
            "desiredCount": step.parameters.desired_count,
        }
        return Asked(build_request("ecs", "UpdateService", arguments))

    def ask_undo(self, step: Step, forward: Intent, live: LiveState, target: Target) -> Asked:
        """There is none."""
        raise ValueError("nothing takes a scale_out back")
