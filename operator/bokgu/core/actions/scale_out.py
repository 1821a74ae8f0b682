"""scale_out: more tasks, to an absolute count.

Where Application Auto Scaling owns the count, its minimum is raised: a count that is set beside it, it sets back.
"""

from bokgu.api.meta import Target
from bokgu.api.recovery_plan import Intent, Step
from bokgu.core.actions.action import Asked
from bokgu.core.live_state import LiveState
from bokgu.core.writes.desired_count import count_request
from bokgu.core.writes.scalable_target import register_request


class ScaleOut:
    """Nothing takes it back: fewer tasks while the incident is open would make it worse."""

    def ask(self, step: Step, live: LiveState, target: Target) -> Asked:
        """RegisterScalableTarget where the step says how far its range must go, else UpdateService."""
        parameters = step.parameters
        if parameters is None or parameters.desired_count is None:
            raise ValueError("scale_out needs parameters.desiredCount")
        if parameters.min_capacity is None:
            return Asked(count_request(target, parameters.desired_count))
        if live.scalable_target is None:
            raise ValueError("the service has no scalable target, and the request would make one")
        return Asked(register_request(target, parameters.min_capacity, parameters.max_capacity))

    def ask_undo(self, step: Step, forward: Intent, live: LiveState, target: Target) -> Asked:
        """There is none."""
        raise ValueError("nothing takes a scale_out back")
