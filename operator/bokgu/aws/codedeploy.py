"""AWS CodeDeploy: deployments of services whose deployment controller is CODE_DEPLOY."""

from typing import Any

from bokgu.api.meta import Target
from bokgu.api.observed import CODE_DEPLOY_IN_FLIGHT, CodeDeployment
from bokgu.api.protected_service import CodeDeployGroup
from bokgu.aws.client import AwsClient


async def list_in_flight(aws: AwsClient, target: Target, group: CodeDeployGroup) -> tuple[str, ...]:
    """Ids of the group's deployments that have not ended (ListDeployments, its first page). Raises AwsError."""
    request = {
        "applicationName": group.application_name,
        "deploymentGroupName": group.deployment_group_name,
        "includeOnlyStatuses": sorted(CODE_DEPLOY_IN_FLIGHT),
    }
    answer = await aws.read("codedeploy", "ListDeployments", request, region=target.region, role_arn=target.role_arn)
    return tuple(answer.get("deployments", ()))


async def fetch_code_deployment(aws: AwsClient, target: Target, id_: str) -> CodeDeployment:
    """One deployment (GetDeployment). Raises AwsError; code DeploymentDoesNotExistException where there is none."""
    request = {"deploymentId": id_}
    answer = await aws.read("codedeploy", "GetDeployment", request, region=target.region, role_arn=target.role_arn)
    return _parse(answer["deploymentInfo"])


def _parse(raw: dict[str, Any]) -> CodeDeployment:
    rollback, error = raw.get("rollbackInfo", {}), raw.get("errorInformation", {})
    return CodeDeployment(
        id=raw["deploymentId"],
        application=raw["applicationName"],
        group=raw["deploymentGroupName"],
        status=raw["status"],
        rollback_id=rollback.get("rollbackDeploymentId"),
        rolls_back=rollback.get("rollbackTriggeringDeploymentId"),
        error=error.get("message", ""),
    )
