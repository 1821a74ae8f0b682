"""register_task_definition: a copy of a task definition that was deregistered, so that a rollback can deploy it."""

from bokgu.api.meta import Target
from bokgu.api.recovery_plan import Intent, Step
from bokgu.core.actions.action import Asked
from bokgu.core.live_state import LiveState
from bokgu.core.writes.write import build_request


class RegisterTaskDefinition:
    """It has no undo: a revision that nothing uses changes nothing."""

    def ask(self, step: Step, live: LiveState, target: Target) -> Asked:
        """RegisterTaskDefinition with all that the named one holds.

        The request names it instead of repeating it: a task definition never changes, has up to 64 KiB, and its
        environment may hold secrets, which must not stand in a status.
        """
        definition = step.parameters.task_definition if step.parameters else None
        if definition is None:
            raise ValueError("register_task_definition needs parameters.taskDefinition")
        return Asked(build_request("ecs", "RegisterTaskDefinition", {"copyOf": definition, "tags": []}))

    def ask_undo(self, step: Step, forward: Intent, live: LiveState, target: Target) -> Asked:
        """There is none."""
        raise ValueError("nothing takes a registered task definition back, and nothing needs to")
