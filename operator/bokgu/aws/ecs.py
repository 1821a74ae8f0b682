"""Amazon ECS: what a service is, what was deployed on it, and the one write."""

import json
from datetime import UTC, datetime
from typing import Any

from bokgu.api.meta import Target
from bokgu.api.observed import AwsError, Deployment, EcsService, ServiceDeployment, ServiceRevision
from bokgu.api.recovery_plan import AwsRequest
from bokgu.aws.client import AwsClient

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
        raise AwsError(
            "DescribeServices", reason, f"no service {target.service} in cluster {target.cluster}", sent=False
        )
    return _service(answer["services"][0], now)


def _service(raw: dict[str, Any], now: datetime) -> EcsService:
    return EcsService(
        arn=raw["serviceArn"],
        status=raw["status"],
        desired_count=raw["desiredCount"],
        running_count=raw["runningCount"],
        pending_count=raw["pendingCount"],
        task_definition=raw.get("taskDefinition", "none"),
        controller=raw.get("deploymentController", {}).get("type", "ECS"),
        scheduling_strategy=raw.get("schedulingStrategy", "REPLICA"),
        current_service_deployment=raw.get("currentServiceDeployment"),
        current_service_revisions=tuple(r["arn"] for r in raw.get("currentServiceRevisions", ())),
        deployments=tuple(_deployment(d) for d in raw.get("deployments", ())),
        events=tuple((e["createdAt"], e["message"]) for e in raw.get("events", ())),
        tags={t["key"]: t.get("value", "") for t in raw.get("tags", ())},
        read_at=now,
    )


def _deployment(raw: dict[str, Any]) -> Deployment:
    return Deployment(
        id=raw["id"],
        status=raw["status"],
        task_definition=raw.get("taskDefinition", "none"),
        desired_count=raw["desiredCount"],
        running_count=raw["runningCount"],
        pending_count=raw["pendingCount"],
        failed_tasks=raw.get("failedTasks", 0),
        rollout_state=raw.get("rolloutState", "COMPLETED"),
        rollout_state_reason=raw.get("rolloutStateReason", ""),
        created_at=raw["createdAt"],
    )


async def fetch_service_deployments(aws: AwsClient, target: Target) -> tuple[ServiceDeployment, ...]:
    """The latest service deployments, at most 20, newest first (ListServiceDeployments; AWS keeps 90 days)."""
    answer = await aws.read(
        "ecs",
        "ListServiceDeployments",
        {"cluster": target.cluster, "service": target.service, "maxResults": 20},
        region=target.region,
        role_arn=target.role_arn,
    )
    return tuple(
        ServiceDeployment(
            arn=raw["serviceDeploymentArn"],
            status=raw["status"],
            target_service_revision_arn=raw["targetServiceRevisionArn"],
            created_at=raw["createdAt"],
            finished_at=raw.get("finishedAt"),
        )
        for raw in answer["serviceDeployments"]
    )


async def fetch_service_revisions(aws: AwsClient, target: Target, arns: tuple[str, ...]) -> dict[str, ServiceRevision]:
    """Those service revisions, by ARN, at most 20 (DescribeServiceRevisions). Unknown ones are left out."""
    if not arns:
        return {}
    answer = await aws.read(
        "ecs",
        "DescribeServiceRevisions",
        {"serviceRevisionArns": list(arns[:20])},
        region=target.region,
        role_arn=target.role_arn,
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


async def send_request(
    aws: AwsClient, target: Target, request: AwsRequest, session_name: str, deadline: float
) -> EcsService:
    """Send a stored request and return the service that AWS answers with. Raises AwsError.

    `deadline` is monotonic time: a call that cannot begin before it is not made (code TooLate).
    """
    now = datetime.now(UTC)
    answer = await aws.write(
        request.service,
        request.operation,
        json.loads(request.arguments),
        region=target.region,
        role_arn=target.role_arn,
        session_name=session_name,
        deadline=deadline,
    )
    return _service(answer["service"], now)
