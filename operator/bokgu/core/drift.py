"""Whether somebody sets back what a completed plan had set, until its incident is resolved."""

from collections.abc import Iterable
from datetime import timedelta

from bokgu.api.fields import bounded
from bokgu.api.incident import Incident
from bokgu.api.meta import UidReference
from bokgu.api.observed import EcsService
from bokgu.api.protected_service import Reversal
from bokgu.api.recovery_plan import OperationStatus, RecoveryPlan
from bokgu.api.vocabulary import PlanPhase
from bokgu.core.lifecycle import is_over
from bokgu.core.owners import find_owner
from bokgu.core.writes.table import write_of
from bokgu.core.writes.write import Touches, request_arguments, took_effect


def find_watched(plans: Iterable[RecoveryPlan], incidents: Iterable[Incident]) -> RecoveryPlan | None:
    """The plan of a service whose effect must still be there: the last one that began, which completed, and whose
    incident is open. A plan that began later changes the service by right."""
    begun = [(plan.status.started_at, plan) for plan in plans if plan.status.started_at]
    _, latest = max(begun, key=lambda entry: entry[0], default=(None, None))
    if latest is None or latest.status.phase is not PlanPhase.COMPLETED:
        return None
    open_ = {incident.metadata.uid for incident in incidents if not is_over(incident)}
    return latest if latest.spec.incident_ref.uid in open_ else None


def watch_reversal(
    old: Reversal | None, plan: RecoveryPlan | None, service: EcsService, settle: timedelta
) -> Reversal | None:
    """What is set back of the plan, with the moment since when; None where nothing is. `settle` is how long ECS may
    show the service as it was before a change."""
    message = find_reversal(plan, service, settle) if plan else None
    if plan is None or message is None:
        return None
    reference = UidReference(name=plan.metadata.name, uid=plan.metadata.uid)
    since = old.at if old and old.plan == reference else service.read_at
    return Reversal(plan=reference, at=since, message=message)


def find_reversal(plan: RecoveryPlan, service: EcsService, settle: timedelta) -> str | None:
    """What somebody has set back of that which the plan had set, in words, or None.

    A count is set back when it went towards where it was, a revision when the task definition from before is deployed
    again. A count that went further, or a third revision, is another change, and no reversal; of several counts of the
    plan the last one is what it has set.
    """
    found = None
    done = [(write_of(o.intent.request).touches, o) for o in plan.status.steps if o.intent and took_effect(o)]
    effects = [operation for touches, operation in done if touches is not Touches.NOTHING]
    counts = [operation for touches, operation in done if touches is Touches.COUNT]
    for operation in effects:
        if operation.answer and operation not in counts[:-1]:
            seen_after = service.read_at >= operation.answer.at + settle
            found = (_set_back(operation, service) if seen_after else None) or found
    if found is None:
        return None
    owner = find_owner(service)
    who = f" {owner.name} owns the service and sets it {owner.reverts}." if owner else ""
    return bounded(f"{found} after plan {plan.metadata.name}.{who}")


def _set_back(operation: OperationStatus, service: EcsService) -> str | None:
    if operation.intent is None:
        return None
    before, arguments = operation.intent.before, request_arguments(operation.intent.request)
    count = arguments.get("desiredCount")
    if count is not None:
        now, was = service.desired_count, before.desired_count
        back = now < count if count > was else now > count
        return f"desiredCount is {now} again, not the {count} that was set" if back else None
    stopped = arguments.get("serviceDeploymentArn")  # A rollback stays in the deployment that was stopped.
    goes_to = operation.intent.restores if "deploymentId" in arguments else arguments.get("taskDefinition")
    restored = stopped or (goes_to or before.task_definition) != before.task_definition
    if not restored or (stopped and stopped == service.current_service_deployment):
        return None
    if service.task_definition != before.task_definition:
        return None
    return f"{before.task_definition.rsplit('/', 1)[-1]} was deployed again, which had been rolled back,"
