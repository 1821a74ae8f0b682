"""What each action asks of ECS, and how its effect is recognised.

One row an action: the request, whether repeating it is harmless, whether the service shows it, whether it is complete.
Everything is judged against what the service was `before` (S3): ECS is eventually consistent, so seeing nothing proves
nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bokgu.api.observed import EcsService, ServiceRevision
from bokgu.api.recovery_plan import AwsRequest, Before, OperationStatus, StepParameters
from bokgu.api.vocabulary import Action


def observe_before(service: EcsService) -> Before:
    """The service as an intent records it."""
    return Before(
        desired_count=service.desired_count,
        service_revision_arn=service.service_revision_arn,
        task_definition=service.task_definition,
        deployment_ids=service.deployment_ids[:16],
    )


def build_request(
    action: Action,
    parameters: StepParameters | None,
    *,
    cluster: str,
    service: str,
    revision: ServiceRevision | None,
    current: ServiceRevision | None,
) -> AwsRequest:
    """The UpdateService call of an action. `revision` is the one to restore, `current` the one in use, for rollbacks.

    A rollback restores the whole service revision: the task definition alone would leave network configuration, load
    balancers, platform version and capacity providers as the bad deployment set them. Raises ValueError where the
    parameters do not say enough.
    """
    arguments: dict[str, Any] = {"cluster": cluster, "service": service}
    match action:
        case Action.SCALE_OUT:
            if parameters is None or parameters.desired_count is None:
                raise ValueError("scale_out needs parameters.desiredCount")
            arguments["desiredCount"] = parameters.desired_count
        case Action.SERVICE_RESTART:
            arguments["forceNewDeployment"] = True
        case Action.ROLLBACK:
            if revision is None or current is None:
                raise ValueError("ECS does not describe the service revisions to restore and to leave")
            arguments |= {"taskDefinition": revision.task_definition, **find_difference(revision, current)}
        case Action.HEALTH_CHECK:
            raise ValueError("health_check sends nothing")
    text = json.dumps(arguments, sort_keys=True, separators=(",", ":"))
    return AwsRequest(service="ecs", operation="UpdateService", arguments=text)


def find_difference(revision: ServiceRevision, current: ServiceRevision) -> dict[str, Any]:
    """The settings that must change to come from `current` to `revision`; a list that only `current` has is emptied."""
    changed = {name: value for name, value in revision.settings.items() if current.settings.get(name) != value}
    gone: dict[str, Any] = {
        name: []
        for name, value in current.settings.items()
        if name not in revision.settings and isinstance(value, list)
    }
    return changed | gone


def request_arguments(request: AwsRequest) -> Mapping[str, Any]:
    """The arguments as a mapping."""
    arguments: dict[str, Any] = json.loads(request.arguments)
    return arguments


@dataclass(frozen=True)
class Effect:
    """What the service shows of an intent. `ambiguous`: more happened than the intent explains."""

    seen: bool
    ambiguous: bool = False
    deployment_id: str | None = None
    service_revision_arn: str | None = None


def find_effect(action: Action, before: Before, request: AwsRequest, service: EcsService) -> Effect:
    """Look for the effect of a request whose answer is not known."""
    arguments = request_arguments(request)
    fresh = [d for d in service.deployments if d.id not in before.deployment_ids]
    if action is Action.SCALE_OUT:
        wanted = arguments["desiredCount"]
        return Effect(seen=service.desired_count == wanted != before.desired_count, ambiguous=bool(fresh))
    if len(fresh) > 1:
        return Effect(seen=False, ambiguous=True)
    wanted = arguments.get("taskDefinition", before.task_definition)
    if fresh and fresh[0].task_definition == wanted:
        return Effect(True, False, fresh[0].id, service.service_revision_arn)
    return Effect(seen=False, ambiguous=bool(fresh))


def repeatable(action: Action) -> bool:
    """Whether sending the request again is harmless when it did happen after all.

    Absolute counts are; UpdateService with the task definition in use starts no deployment; forceNewDeployment starts
    another one each time.
    """
    return action is not Action.SERVICE_RESTART


def unchanged(before: Before, service: EcsService) -> bool:
    """Whether the service is exactly as it was found."""
    return observe_before(service) == before


@dataclass(frozen=True)
class Change:
    """How a service differs from what an operation set. `foreign`: somebody else did it, or ECS by itself."""

    message: str
    foreign: bool = True


def find_change(
    action: Action, operation: OperationStatus, service: EcsService, ours: frozenset[str] = frozenset()
) -> Change | None:
    """What has become different since the operation, or None while the service holds what it set.

    `ours` are deployments that the same plan made later: they are nobody else's change.
    """
    if operation.intent is None or operation.answer is None:
        return Change("nothing was set")
    arguments = request_arguments(operation.intent.request)
    if service.status != "ACTIVE":
        return Change(f"the service is {service.status}")
    if action is Action.SCALE_OUT:
        if service.desired_count != arguments["desiredCount"]:
            return Change(f"desiredCount is {service.desired_count}, not the {arguments['desiredCount']} that was set")
        return None
    primary = service.primary
    if primary is None or primary.id not in {operation.answer.deployment_id, *ours}:
        return Change(f"deployment {primary.id if primary else 'none'} replaced {operation.answer.deployment_id}")
    if primary.rollout_state == "FAILED":
        return Change(f"the deployment failed: {primary.rollout_state_reason}", foreign=False)
    return None


def complete(action: Action, operation: OperationStatus, service: EcsService) -> bool:
    """Whether ECS runs what was intended, completely: all tasks, on the intended revision."""
    return find_change(action, operation, service) is None and service.steady


def summarise(service: EcsService) -> str:
    """The service in one line, for people."""
    primary = service.primary
    state = f", deployment {primary.rollout_state}" if primary else ""
    definition = service.task_definition.rsplit("/", 1)[-1]
    return f"{service.running_count}/{service.desired_count} tasks running, {definition}{state}"


def took_effect(operation: OperationStatus) -> bool:
    """Whether the operation is known to have changed the service."""
    return operation.answer is not None and operation.answer.result in {"Accepted", "Adopted"}
