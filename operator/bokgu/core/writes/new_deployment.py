"""UpdateService that starts a deployment: of the revision in use (forceNewDeployment), or of another one."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from bokgu.api.observed import ServiceRevision
from bokgu.api.recovery_plan import Intent, OperationStatus
from bokgu.api.redaction import redact_quote
from bokgu.core.ecs_messages import ROLLS_BACK
from bokgu.core.live_state import LiveState
from bokgu.core.writes.write import DEPLOYMENT_FAILED, Change, Effect, Touches, request_arguments, summarise

BEGUN_WITHIN = timedelta(seconds=90)
"""A deployment of ours begins within so long of its intent: the call is made within ten seconds, and waited for as long
again; the rest is for clocks that differ. A later one is somebody else's."""


ROLLED_BACK_BY_ECS = "RolledBackByEcs"
"""Reason of a deployment of ours that ECS gave up by itself: its circuit breaker, or an alarm (API_Deployment)."""


class NewDeployment:
    """A deployment that was not there before, of the task definition asked for, is the effect."""

    touches = Touches.REVISION

    shown_for: timedelta | None = None

    def __init__(self, *, repeatable: bool) -> None:
        """UpdateService with what is in use already starts no deployment; forceNewDeployment starts another one each
        time (API_UpdateService)."""
        self.repeatable = repeatable

    def find_effect(self, intent: Intent, live: LiveState) -> Effect:
        """One new deployment of the wanted task definition; any other one is not explained."""
        before, service = intent.before, live.service
        fresh = [d for d in service.deployments if d.id not in before.deployment_ids]
        if len(fresh) > 1:
            return Effect(seen=False, ambiguous=True)
        wanted = request_arguments(intent.request).get("taskDefinition", before.task_definition)
        late = bool(fresh) and fresh[0].created_at > intent.written_at + BEGUN_WITHIN
        if fresh and fresh[0].task_definition == wanted and not late:
            return Effect(True, False, fresh[0].id, service.service_revision_arn)
        return Effect(seen=False, ambiguous=bool(fresh))

    def find_change(self, operation: OperationStatus, live: LiveState, ours: frozenset[str]) -> Change | None:
        """Another deployment has replaced ours, or ours has failed."""
        own = operation.answer.deployment_id if operation.answer else None
        primary = live.service.primary
        if primary is None or primary.id not in {own, *ours}:
            replaced = f"deployment {primary.id if primary else 'none'} replaced {own}"
            if why := _find_way_back(own, live):
                return Change(f"{replaced}: {why}", reason=ROLLED_BACK_BY_ECS)
            return Change(replaced)
        if primary.rollout_state == "FAILED":
            why = redact_quote(primary.rollout_state_reason)
            return Change(f"the deployment failed: {why}", foreign=False, reason=DEPLOYMENT_FAILED)
        return None

    def complete(self, operation: OperationStatus, live: LiveState) -> bool:
        """The deployment is complete and runs all tasks, and no task of another one is left."""
        return live.service.steady and operation.intent is not None and _runs_new(operation.intent, live)

    def describe(self, operation: OperationStatus, live: LiveState) -> str:
        """The task definition before and now."""
        return describe_revision(operation, live)


def _find_way_back(own: str | None, live: LiveState) -> str | None:
    """What ECS says where it gave up a deployment of ours and went back; None where somebody else has deployed."""
    primary = live.service.primary
    if primary and ROLLS_BACK.search(primary.rollout_state_reason):
        return redact_quote(primary.rollout_state_reason)
    failed = (d for d in live.service.deployments if d.id == own and d.rollout_state == "FAILED")
    return next((redact_quote(d.rollout_state_reason) or "it failed" for d in failed), None)


def _runs_new(intent: Intent, live: LiveState) -> bool:
    """Whether all tasks are of the revision that the deployment brought. ECS does not name it in its answer: it is none
    that was there before, and the one that the service deployment is about, where that is described."""
    service = live.service
    if not service.current_service_revisions:
        return True  # ECS says none, as of services older than service revisions.
    # Of no tasks at all none is of another revision.
    running, rollout = service.busy_revisions or service.current_service_revisions, live.deployment
    if running == (intent.before.service_revision_arn,):
        return False
    if rollout is None or rollout.arn != service.current_service_deployment or rollout.target_revision_arn is None:
        return True
    return running == (rollout.target_revision_arn,)


def describe_revision(operation: OperationStatus, live: LiveState) -> str:
    """The task definition before and now, and the service."""
    before = operation.intent.before.task_definition if operation.intent else "?"
    old, new = (arn.rsplit("/", 1)[-1] for arn in (before, live.service.task_definition))
    return f"task definition {old} → {new}; {summarise(live.service)}"


def find_difference(revision: ServiceRevision, current: ServiceRevision) -> Mapping[str, Any]:
    """The settings that must change to come from `current` to `revision`; a list that only `current` has is emptied,
    and Service Connect turned off."""
    changed = {name: value for name, value in revision.settings.items() if current.settings.get(name) != value}
    gone: dict[str, Any] = {
        name: []
        for name, value in current.settings.items()
        if name not in revision.settings and isinstance(value, list)
    }
    if "serviceConnectConfiguration" in current.settings and "serviceConnectConfiguration" not in revision.settings:
        gone["serviceConnectConfiguration"] = {"enabled": False}  # UpdateService leaves what is not named as it is.
    return changed | gone
