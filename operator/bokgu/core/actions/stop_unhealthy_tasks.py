"""stop_unhealthy_tasks: one task that is not well is stopped, and ECS starts a new one in its place."""

from bokgu.api.meta import Target
from bokgu.api.recovery_plan import Intent, Step
from bokgu.core.actions.action import Asked
from bokgu.core.live_state import LiveState
from bokgu.core.writes.write import build_request


class StopUnhealthyTasks:
    """Nothing takes it back: a new task has taken the place of the one that was stopped."""

    def ask(self, step: Step, live: LiveState, target: Target) -> Asked:
        """StopTask of the one task that the step names."""
        task = step.parameters.task if step.parameters else None
        if task is None:
            raise ValueError("stop_unhealthy_tasks needs parameters.task")
        arguments = {"cluster": target.cluster, "task": task, "reason": "Bokgu replaces a task that is not well"}
        return Asked(build_request("ecs", "StopTask", arguments))

    def ask_undo(self, step: Step, forward: Intent, live: LiveState, target: Target) -> Asked:
        """There is none."""
        raise ValueError("a task that was stopped does not come back: a new one has taken its place")
