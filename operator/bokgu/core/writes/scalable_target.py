"""RegisterScalableTarget: the range that Application Auto Scaling keeps the desired count within.

"Any parameters that you don't specify are not changed", and a count outside the range is brought into it
(API_RegisterScalableTarget).
"""

from datetime import timedelta

from bokgu.api.meta import Target
from bokgu.api.observed import ScalableTarget
from bokgu.api.recovery_plan import AwsRequest, Intent, OperationStatus, ScalableRange
from bokgu.core.live_state import LiveState
from bokgu.core.writes.write import Change, Effect, Touches, build_request, request_arguments, summarise


def register_request(target: Target, minimum: int, maximum: int | None = None) -> AwsRequest:
    """The request for that minimum, and that maximum where it is to change."""
    arguments = {
        "ServiceNamespace": "ecs",
        "ResourceId": target.scaling_resource,
        "ScalableDimension": "ecs:service:DesiredCount",
        "MinCapacity": minimum,
        **({} if maximum is None else {"MaxCapacity": maximum}),
    }
    return build_request("application-autoscaling", "RegisterScalableTarget", arguments)


class RegisteredRange:
    """Sent twice, it is the same as sent once. What tasks there are within the range is no part of it: policies and
    scheduled actions move them."""

    touches = Touches.COUNT
    repeatable = True
    shown_for: timedelta | None = None

    def find_effect(self, intent: Intent, live: LiveState) -> Effect:
        """The range is as asked, and was not before."""
        wanted, before = _asked(intent), intent.before.scalable_target
        return Effect(seen=_range(live.scalable_target) == wanted and _recorded(before) != wanted)

    def find_change(self, operation: OperationStatus, live: LiveState, ours: frozenset[str]) -> Change | None:
        """Somebody, or a scheduled action, has set another range."""
        wanted = _asked(operation.intent) if operation.intent else None
        now = _range(live.scalable_target)
        if now is None:
            return Change("Application Auto Scaling does not own the service's count any more")
        if wanted is None or now != wanted:
            return Change(
                f"the range of Application Auto Scaling is {_shown(now)}, not the {_shown(wanted)} that was set"
            )
        return None

    def complete(self, operation: OperationStatus, live: LiveState) -> bool:
        """At least the minimum is wanted, and all tasks run."""
        wanted = _asked(operation.intent) if operation.intent else None
        return wanted is not None and live.service.desired_count >= wanted[0] and live.service.steady

    def describe(self, operation: OperationStatus, live: LiveState) -> str:
        """The range before and now."""
        before = _recorded(operation.intent.before.scalable_target) if operation.intent else None
        now = _range(live.scalable_target)
        return f"range of Application Auto Scaling {_shown(before)} → {_shown(now)}; {summarise(live.service)}"


def _asked(intent: Intent) -> tuple[int, int | None]:
    """Minimum and maximum as they must be afterwards."""
    arguments, before = request_arguments(intent.request), intent.before.scalable_target
    return arguments["MinCapacity"], arguments.get("MaxCapacity", before.max_capacity if before else None)


def _range(target: ScalableTarget | None) -> tuple[int, int | None] | None:
    return None if target is None else (target.minimum, target.maximum)


def _recorded(found: ScalableRange | None) -> tuple[int, int | None] | None:
    return None if found is None else (found.min_capacity, found.max_capacity)


def _shown(found: tuple[int, int | None] | None) -> str:
    return "none" if found is None else f"{found[0]} to {found[1]}"
