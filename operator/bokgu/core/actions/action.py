"""What every action must say."""

from dataclasses import dataclass
from typing import Protocol

from bokgu.api.meta import Target
from bokgu.api.recovery_plan import AwsRequest, Intent, Step
from bokgu.core.live_state import LiveState


@dataclass(frozen=True)
class Asked:
    """A request to AWS, and `restores`: the service revision that must be running afterwards, where that is known; of a
    CodeDeploy deployment that is stopped, the task definition."""

    request: AwsRequest
    restores: str | None = None


class AlreadyOver(ValueError):
    """What would be stopped has ended by itself: nothing is left to take back."""


class NotSeen(ValueError):
    """AWS does not show, or not yet, what would be stopped."""


class AwsAction(Protocol):
    """An action that changes something in AWS. Both methods raise ValueError, with a sentence for people, where the
    step or the world does not say enough."""

    def ask(self, step: Step, live: LiveState, target: Target) -> Asked:
        """The request of the step, in the world as it is now."""

    def ask_undo(self, step: Step, forward: Intent, live: LiveState, target: Target) -> Asked:
        """The request that takes the step back to what `forward` found."""
