"""RegisterTaskDefinition: a new revision of the family, which nothing runs yet."""

from datetime import timedelta

from bokgu.api.observed import TaskDefinition
from bokgu.api.recovery_plan import Intent, OperationStatus
from bokgu.core.live_state import LiveState
from bokgu.core.writes.token import INTENT_TAG
from bokgu.core.writes.write import Change, Effect, Touches, request_arguments, summarise


class RegisterTaskDefinition:
    """Sent twice it leaves a revision that nothing uses, which is harmless."""

    touches = Touches.NOTHING
    repeatable = True
    shown_for: timedelta | None = None

    def find_effect(self, intent: Intent, live: LiveState) -> Effect:
        """The latest revision of the family has the intent's tag."""
        tags = {tag["key"]: tag["value"] for tag in request_arguments(intent.request)["tags"]}
        latest, token = live.task_definition, tags.get(INTENT_TAG)
        if latest is None or token is None or latest.tags.get(INTENT_TAG) != token:
            return Effect(seen=False)
        return Effect(seen=True, made=(latest.arn,))

    def find_change(self, operation: OperationStatus, live: LiveState, ours: frozenset[str]) -> Change | None:
        """Somebody deregisters it again."""
        made = _made_one(operation, live)
        return Change(f"{made.arn} was deregistered") if made and not made.active else None

    def complete(self, operation: OperationStatus, live: LiveState) -> bool:
        """ECS describes it."""
        return _made_one(operation, live) is not None

    def describe(self, operation: OperationStatus, live: LiveState) -> str:
        """Of what it is a copy."""
        if operation.intent is None:
            return summarise(live.service)
        old = request_arguments(operation.intent.request)["copyOf"]
        made = operation.answer.made if operation.answer else ()
        old, new = (arn.rpartition("/")[2] for arn in (old, made[0] if made else ""))
        return f"{new} is a copy of {old}; nothing runs it yet"


def _made_one(operation: OperationStatus, live: LiveState) -> TaskDefinition | None:
    made = operation.answer.made if operation.answer else ()
    found = live.task_definition
    return found if found and found.arn in made else None
