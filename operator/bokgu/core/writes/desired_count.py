"""UpdateService with an absolute desired count."""

from datetime import timedelta

from bokgu.api.meta import Target
from bokgu.api.recovery_plan import AwsRequest, Intent, OperationStatus
from bokgu.core.live_state import LiveState
from bokgu.core.writes.write import Change, Effect, Touches, build_request, request_arguments, summarise


def count_request(target: Target, count: int) -> AwsRequest:
    """The request for that count."""
    arguments = {"cluster": target.cluster, "service": target.service, "desiredCount": count}
    return build_request("ecs", "UpdateService", arguments)


class DesiredCount:
    """Sent twice, it is the same as sent once."""

    touches = Touches.COUNT
    repeatable = True
    shown_for: timedelta | None = None

    def find_effect(self, intent: Intent, live: LiveState) -> Effect:
        """The count is as asked, and was not before. A deployment is no effect of it."""
        before, service = intent.before, live.service
        wanted = request_arguments(intent.request)["desiredCount"]
        fresh = [d for d in service.deployments if d.id not in before.deployment_ids]
        return Effect(seen=service.desired_count == wanted != before.desired_count, ambiguous=bool(fresh))

    def find_change(self, operation: OperationStatus, live: LiveState, ours: frozenset[str]) -> Change | None:
        """Somebody has set another count."""
        wanted = request_arguments(intent.request)["desiredCount"] if (intent := operation.intent) else None
        if live.service.desired_count != wanted:
            return Change(f"desiredCount is {live.service.desired_count}, not the {wanted} that was set")
        return None

    def complete(self, operation: OperationStatus, live: LiveState) -> bool:
        """All tasks run."""
        return live.service.steady

    def describe(self, operation: OperationStatus, live: LiveState) -> str:
        """The count before and now."""
        before = operation.intent.before.desired_count if operation.intent else "?"
        return f"desired count {before} → {live.service.desired_count}; {summarise(live.service)}"
