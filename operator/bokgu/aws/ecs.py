"""Amazon ECS: what a service is, and what was deployed on it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from bokgu.api.meta import Target
from bokgu.api.observed import (
    AwsError,
    Deployment,
    DescribedDeployment,
    EcsService,
    ServiceDeployment,
    ServiceRevision,
    TaskDefinition,
)
from bokgu.aws.client import AwsClient

MAX_SERVICES = 10
"""Services of one DescribeServices call (API_DescribeServices)."""

_RESTORABLE = (
    "networkConfiguration",
    "platformVersion",
    "loadBalancers",
    "serviceRegistries",
    "capacityProviderStrategy",
    "serviceConnectConfiguration",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
)
"""Members of API_ServiceRevision that UpdateService takes under the same name."""


async def fetch_service(aws: AwsClient, target: Target, now: datetime) -> EcsService:
    """DescribeServices of one service, with its tags. Raises AwsError; code MISSING where there is no such service.

    `now` must be taken before the call: a fact is never younger than it says.
    """
    answer = await aws.read(
        "ecs",
        "DescribeServices",
        {"cluster": target.cluster, "services": [target.service], "include": ["TAGS"]},
        region=target.region,
        role_arn=target.role_arn,
    )
    if not answer["services"]:
        reason = (answer.get("failures") or [{}])[0].get("reason", "MISSING")
        raise _no_service(reason, target.service, target.cluster)
    return parse_service(answer["services"][0], now)


async def fetch_services(
    aws: AwsClient, cluster: str, names: Sequence[str], now: datetime, *, region: str, role_arn: str | None
) -> dict[str, EcsService | AwsError]:
    """Those services of one cluster by name, ten in a call (DescribeServices), an AwsError in the place of those that
    ECS did not describe. `now` as for `fetch_service`."""
    packs = [list(names[i : i + MAX_SERVICES]) for i in range(0, len(names), MAX_SERVICES)]

    async def fetch(pack: list[str]) -> dict[str, EcsService | AwsError]:
        request = {"cluster": cluster, "services": pack, "include": ["TAGS"]}
        try:
            answer = await aws.read("ecs", "DescribeServices", request, region=region, role_arn=role_arn, bulk=True)
        except AwsError as error:
            if error.code != "InvalidParameterException" or len(pack) == 1:
                return dict.fromkeys(pack, error)
            half = len(pack) // 2  # One name that ECS cannot read must not hide nine others.
            return await fetch(pack[:half]) | await fetch(pack[half:])
        found: dict[str, EcsService | AwsError] = {name: _no_service("MISSING", name, cluster) for name in pack}
        return found | {raw["serviceName"]: parse_service(raw, now) for raw in answer["services"]}

    answers: dict[str, EcsService | AwsError] = {}
    for part in await asyncio.gather(*(fetch(pack) for pack in packs)):
        answers |= part
    return answers


async def fetch_task_definition(aws: AwsClient, target: Target, name: str) -> TaskDefinition:
    """A task definition by its ARN or `family:revision`, also an INACTIVE one, or the latest ACTIVE one of a family,
    with its tags. Raises AwsError; code ClientException where there is none (API_DescribeTaskDefinition)."""
    request = {"taskDefinition": name, "include": ["TAGS"]}
    answer = await aws.read("ecs", "DescribeTaskDefinition", request, region=target.region, role_arn=target.role_arn)
    return parse_task_definition(answer["taskDefinition"], answer.get("tags", ()))


def parse_task_definition(raw: dict[str, Any], tags: Sequence[Mapping[str, str]] = ()) -> TaskDefinition:
    """A task definition from its API_TaskDefinition."""
    named = {tag["key"]: tag.get("value", "") for tag in tags}
    return TaskDefinition(raw["taskDefinitionArn"], raw.get("registeredAt"), raw, named)


def _no_service(reason: str, service: str, cluster: str) -> AwsError:
    return AwsError("DescribeServices", reason, f"no service {service} in cluster {cluster}", sent=False)


def parse_service(raw: dict[str, Any], now: datetime) -> EcsService:
    """A service from its API_Service, read at `now`."""
    configuration = raw.get("deploymentConfiguration", {})
    controller = _controller(raw)
    task_sets = tuple(_task_set(t) for t in raw.get("taskSets", ())) if controller == "CODE_DEPLOY" else ()
    serving = next((t.task_definition for t in task_sets if t.status == "PRIMARY"), None)
    return EcsService(
        arn=raw["serviceArn"],
        status=raw["status"],
        desired_count=raw["desiredCount"],
        running_count=raw["runningCount"],
        pending_count=raw["pendingCount"],
        task_definition=serving or raw.get("taskDefinition", "none"),
        controller=controller,
        scheduling_strategy=raw.get("schedulingStrategy", "REPLICA"),
        current_service_deployment=raw.get("currentServiceDeployment"),
        current_service_revisions=tuple(r["arn"] for r in raw.get("currentServiceRevisions", ())),
        deployments=task_sets or tuple(_deployment(d, _rollout_state(d, raw)) for d in raw.get("deployments", ())),
        events=tuple((e["createdAt"], e["message"]) for e in raw.get("events", ())),
        tags={t["key"]: t.get("value", "") for t in raw.get("tags", ())},
        read_at=now,
        grace_seconds=raw.get("healthCheckGracePeriodSeconds", 0),
        target_groups=_target_groups(raw),
        target_pairs=_target_pairs(raw),
        running_by_revision={r["arn"]: r.get("runningTaskCount", 0) for r in raw.get("currentServiceRevisions", ())},
        minimum_healthy_percent=configuration.get("minimumHealthyPercent"),
        strategy=configuration.get("strategy", "ROLLING"),
        pauses=_pauses(configuration),
        resource_management_type=raw.get("resourceManagementType", "CUSTOMER"),
        launch=_launch(raw),
    )


def _pauses(configuration: dict[str, Any]) -> tuple[str, ...]:
    """Lifecycle stages at which a deployment waits for ContinueServiceDeployment (API_DeploymentLifecycleHook)."""
    hooks = (h for h in configuration.get("lifecycleHooks", ()) if h.get("targetType") == "PAUSE")
    return tuple(stage for hook in hooks for stage in hook.get("lifecycleStages", ()))


def _launch(raw: dict[str, Any]) -> dict[str, Any]:
    """RunTask takes a launch type or a strategy, not both."""
    how = "capacityProviderStrategy" if raw.get("capacityProviderStrategy") else "launchType"
    return {name: raw[name] for name in (how, "networkConfiguration") if raw.get(name)}


def _target_groups(raw: dict[str, Any]) -> tuple[str, ...]:
    """ARNs of all target groups that may take the service's traffic, sorted: blue/green swaps a pair of them, and task
    sets name their own."""
    return tuple(sorted(_named_groups(raw) | _target_pairs(raw).keys()))


def _named_groups(raw: dict[str, Any]) -> set[str]:
    sets = (b for t in raw.get("taskSets", ()) for b in t.get("loadBalancers", ()))
    return {b["targetGroupArn"] for b in (*raw.get("loadBalancers", ()), *sets) if "targetGroupArn" in b}


def _target_pairs(raw: dict[str, Any]) -> dict[str, str]:
    """The other half of each target group of a blue/green pair, both ways: as the service names it
    (API_AdvancedConfiguration), or the two between which CodeDeploy moves the traffic (API_TargetGroupPairInfo)."""
    named = _named_groups(raw)
    if len(named) == 2 and _controller(raw) == "CODE_DEPLOY":
        one, other = named
        return {one: other, other: one}
    pairs: dict[str, str] = {}
    for balancer in raw.get("loadBalancers", ()):
        one = balancer.get("targetGroupArn")
        other = balancer.get("advancedConfiguration", {}).get("alternateTargetGroupArn")
        if one and other:
            pairs |= {one: other, other: one}
    return pairs


def _controller(raw: dict[str, Any]) -> str:
    return str(raw.get("deploymentController", {}).get("type", "ECS"))


def _rollout_state(deployment: dict[str, Any], service: dict[str, Any]) -> str:
    """Where the rollout stands. ECS says it of rolling updates only, and not behind a Classic Load Balancer
    (API_Deployment): there it shows in the tasks, and a primary deployment that has not all of its own, or not yet
    alone, is on its way."""
    said: str | None = deployment.get("rolloutState")
    if said is not None:
        return said
    others = (d for d in service.get("deployments", ()) if d["id"] != deployment["id"])
    alone = not any(d["status"] == "ACTIVE" or d["runningCount"] for d in others)
    complete = alone and deployment["runningCount"] == deployment["desiredCount"]
    return "COMPLETED" if complete or deployment["status"] != "PRIMARY" else "IN_PROGRESS"


def _deployment(raw: dict[str, Any], rollout_state: str) -> Deployment:
    return Deployment(
        id=raw["id"],
        status=raw["status"],
        task_definition=raw.get("taskDefinition", "none"),
        desired_count=raw["desiredCount"],
        running_count=raw["runningCount"],
        pending_count=raw["pendingCount"],
        failed_tasks=raw.get("failedTasks", 0),
        rollout_state=rollout_state,
        rollout_state_reason=raw.get("rolloutStateReason", ""),
        created_at=raw["createdAt"],
        updated_at=raw.get("updatedAt"),
        network=raw.get("networkConfiguration", {}),
    )


def _task_set(raw: dict[str, Any]) -> Deployment:
    """A task set that CodeDeploy deploys. The PRIMARY one has the production traffic, so that the service has reached
    it; any other comes or goes (API_TaskSet)."""
    state = "COMPLETED" if raw["status"] == "PRIMARY" else "IN_PROGRESS"
    deployment = _deployment({**raw, "desiredCount": raw["computedDesiredCount"]}, state)
    return replace(deployment, code_deployment_id=raw.get("externalId"))


async def fetch_service_deployments(
    aws: AwsClient, target: Target, *, bulk: bool = False
) -> tuple[ServiceDeployment, ...]:
    """The latest service deployments, at most 20, newest first (ListServiceDeployments; AWS keeps 90 days).

    `bulk`: let the reads of recoveries go first. Raises AwsError.
    """
    answer = await aws.read(
        "ecs",
        "ListServiceDeployments",
        {"cluster": target.cluster, "service": target.service, "maxResults": 20},
        region=target.region,
        role_arn=target.role_arn,
        bulk=bulk,
    )
    found = (
        ServiceDeployment(
            arn=raw["serviceDeploymentArn"],
            status=raw["status"],
            target_service_revision_arn=raw["targetServiceRevisionArn"],
            created_at=raw["createdAt"],
            finished_at=raw.get("finishedAt"),
        )
        for raw in answer["serviceDeployments"]
    )
    # API_ListServiceDeployments names no order.
    return tuple(sorted(found, key=lambda deployment: deployment.created_at, reverse=True))


async def fetch_service_deployment(
    aws: AwsClient, target: Target, arn: str, *, bulk: bool = False
) -> DescribedDeployment:
    """One service deployment in full (DescribeServiceDeployments). `bulk` as for `fetch_service_deployments`.

    Raises AwsError; code MISSING where ECS knows none of that ARN: it keeps them for 90 days, and a new one shows late.
    """
    answer = await aws.read(
        "ecs",
        "DescribeServiceDeployments",
        {"serviceDeploymentArns": [arn]},
        region=target.region,
        role_arn=target.role_arn,
        bulk=bulk,
    )
    if not answer["serviceDeployments"]:
        reason = (answer.get("failures") or [{}])[0].get("reason", "MISSING")
        raise AwsError("DescribeServiceDeployments", reason, f"no service deployment {arn}", sent=False)
    return parse_service_deployment(answer["serviceDeployments"][0])


def parse_service_deployment(raw: dict[str, Any]) -> DescribedDeployment:
    """A service deployment from its API_ServiceDeployment."""
    rollback = raw.get("rollback", {})
    return DescribedDeployment(
        arn=raw["serviceDeploymentArn"],
        status=raw["status"],
        status_reason=raw.get("statusReason", ""),
        source_revision_arns=tuple(source["arn"] for source in raw.get("sourceServiceRevisions", ())),
        target_revision_arn=raw.get("targetServiceRevision", {}).get("arn"),
        rollback_revision_arn=rollback.get("serviceRevisionArn"),
        rollback_reason=rollback.get("reason", ""),
        waiting_hook=_waiting_hook(raw),
        lifecycle_stage=raw.get("lifecycleStage", ""),
        created_at=raw["createdAt"],
        finished_at=raw.get("finishedAt"),
    )


def _waiting_hook(raw: dict[str, Any]) -> str | None:
    for hook in raw.get("lifecycleHookDetails", ()):
        if hook.get("status") == "AWAITING_ACTION":
            return f"{hook.get('targetType', 'hook')} hook {hook['hookId']} in {raw.get('lifecycleStage', '?')}"
    return None


async def fetch_service_revisions(
    aws: AwsClient, target: Target, arns: tuple[str, ...], *, bulk: bool = False
) -> dict[str, ServiceRevision]:
    """Those service revisions, by ARN, at most 20 (DescribeServiceRevisions). Unknown ones are left out.

    `bulk` as for `fetch_service_deployments`. Raises AwsError.
    """
    if not arns:
        return {}
    answer = await aws.read(
        "ecs",
        "DescribeServiceRevisions",
        {"serviceRevisionArns": list(arns[:20])},
        region=target.region,
        role_arn=target.role_arn,
        bulk=bulk,
    )
    return {
        raw["serviceRevisionArn"]: ServiceRevision(
            arn=raw["serviceRevisionArn"],
            task_definition=raw["taskDefinition"],
            created_at=raw["createdAt"],
            settings={name: raw[name] for name in _RESTORABLE if raw.get(name)},
        )
        for raw in answer["serviceRevisions"]
    }
