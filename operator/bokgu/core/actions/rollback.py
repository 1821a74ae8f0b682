"""rollback_to_previous_version: back to a service revision that served well.

While the deployment that brought the trouble is in flight, ECS itself holds what it replaces and returns there within
seconds. Afterwards the whole service revision is restored: the task definition alone would leave network configuration,
load balancers, platform version and capacity providers as the bad deployment set them.
"""

from collections.abc import Mapping
from types import MappingProxyType

from bokgu.api.meta import Target, name_ecs_service
from bokgu.api.observed import DescribedDeployment, ServiceRevision
from bokgu.api.recovery_plan import Intent, Step
from bokgu.core.actions.action import Asked
from bokgu.core.actions.code_deploy import ask_stop, stops_code_deployment
from bokgu.core.live_state import LiveState
from bokgu.core.writes.new_deployment import find_difference
from bokgu.core.writes.stop_deployment import IN_FLIGHT
from bokgu.core.writes.write import build_request


class Rollback:
    """Its undo restores the revision that it found, which is one that Bokgu itself replaced."""

    def ask(self, step: Step, live: LiveState, target: Target) -> Asked:
        """StopServiceDeployment while the deployment is in flight, else UpdateService. StopDeployment of CodeDeploy
        where the step names a deployment of that."""
        if stops_code_deployment(step):
            return ask_stop(step, live)
        wanted = step.parameters.service_revision_arn if step.parameters else None
        if wanted is None:
            raise ValueError("rollback_to_previous_version needs parameters.serviceRevisionArn")
        _check_shown(step, wanted, live, target)
        if live.deployment is not None and live.deployment.status in IN_FLIGHT:
            if (elsewhere := returns_elsewhere(live.deployment, wanted)) is not None:
                raise ValueError(elsewhere)
            arguments = {"serviceDeploymentArn": live.deployment.arn, "stopType": "ROLLBACK"}
            return Asked(build_request("ecs", "StopServiceDeployment", arguments), restores=wanted)
        current = live.revisions.get(live.service.service_revision_arn or "")
        return _restore(live.revisions.get(wanted), current, target, live.copies)

    def ask_undo(self, step: Step, forward: Intent, live: LiveState, target: Target) -> Asked:
        """UpdateService with the revision that was there before."""
        found = live.revisions.get(forward.before.service_revision_arn or "")
        set_by_step = step.parameters.service_revision_arn if step.parameters else None
        return _restore(found, live.revisions.get(live.service.service_revision_arn or set_by_step or ""), target)


def _check_shown(step: Step, wanted: str, live: LiveState, target: Target) -> None:
    """What people have read is what is restored: a revision of this service, with the task definition that is named
    beside it. Raises ValueError."""
    path = f":service-revision/{name_ecs_service(target.cluster, target.service)}/"
    if path not in wanted:
        raise ValueError(f"{wanted} is no service revision of {target.service}")
    shown, found = step.parameters.task_definition if step.parameters else None, live.revisions.get(wanted)
    if shown is not None and (found is None or found.task_definition != shown):
        known = found.task_definition if found else "what ECS does not tell"
        raise ValueError(f"parameters.taskDefinition is {shown}, and {wanted} has {known}")


def returns_elsewhere(deployment: DescribedDeployment, wanted: str) -> str | None:
    """Why stopping the deployment would not bring the wanted service revision back, or None."""
    if wanted in deployment.source_revision_arns:
        return None
    known = ", ".join(deployment.source_revision_arns) or "nothing"
    return f"the deployment in flight replaces {known}, not {wanted}: ECS would not return there"


def _restore(
    revision: ServiceRevision | None,
    current: ServiceRevision | None,
    target: Target,
    copies: Mapping[str, str] = MappingProxyType({}),
) -> Asked:
    """UpdateService to the revision, with the copy of its task definition where the plan registered one."""
    if revision is None or current is None:
        raise ValueError("ECS does not describe the service revisions to restore and to leave")
    arguments = {
        "cluster": target.cluster,
        "service": target.service,
        "taskDefinition": copies.get(revision.task_definition, revision.task_definition),
        **find_difference(revision, current),
    }
    return Asked(build_request("ecs", "UpdateService", arguments))
