"""scale_in: fewer tasks once the trouble has gone, or the minimum of Application Auto Scaling given back."""

from bokgu.api.meta import Target
from bokgu.api.recovery_plan import Intent, Step
from bokgu.core.actions.action import Asked
from bokgu.core.live_state import LiveState
from bokgu.core.writes.desired_count import count_request
from bokgu.core.writes.scalable_target import register_request


class ScaleIn:
    """It has no undo: trouble that comes back is the incident's next rung."""

    def ask(self, step: Step, live: LiveState, target: Target) -> Asked:
        """RegisterScalableTarget with the minimum alone, or UpdateService with the count."""
        parameters = step.parameters
        if parameters and parameters.min_capacity is not None:
            if live.scalable_target is None:
                raise ValueError("the service has no scalable target, and the request would make one")
            return Asked(register_request(target, parameters.min_capacity))
        if parameters and parameters.desired_count:
            return Asked(count_request(target, parameters.desired_count))
        raise ValueError("scale_in needs parameters.desiredCount or parameters.minCapacity")

    def ask_undo(self, step: Step, forward: Intent, live: LiveState, target: Target) -> Asked:
        """There is none."""
        raise ValueError("nothing takes a scale_in back")
