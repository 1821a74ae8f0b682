"""Elastic Load Balancing: which load balancer a target group belongs to, and whether its targets are healthy."""

from collections import defaultdict
from typing import Any

from bokgu.api.observed import BalancedGroup
from bokgu.aws.client import AwsClient

PAGE = 400
"""Target groups of one page (API_DescribeTargetGroups)."""


async def fetch_target_groups(aws: AwsClient, *, region: str, role_arn: str | None) -> dict[str, BalancedGroup]:
    """All target groups by ARN, each with the load balancer that uses it and all target groups of that one.

    One listing for all services: ceil(target groups / 400) calls. Raises AwsError.
    """
    balancer_of: dict[str, str] = {}
    request: dict[str, Any] = {"PageSize": PAGE}
    while True:
        answer = await aws.read("elbv2", "DescribeTargetGroups", request, region=region, role_arn=role_arn, bulk=True)
        for group in answer["TargetGroups"]:
            balancer_of[group["TargetGroupArn"]] = next(iter(group.get("LoadBalancerArns", ())), "")
        if not (marker := answer.get("NextMarker")):
            break
        request["Marker"] = marker
    siblings: dict[str, set[str]] = defaultdict(set)
    for arn, balancer in balancer_of.items():
        siblings[balancer].add(arn)
    return {
        arn: BalancedGroup(
            arn, balancer.rpartition(":loadbalancer/")[2], frozenset(siblings[balancer]) if balancer else frozenset()
        )
        for arn, balancer in balancer_of.items()
    }


async def count_healthy_targets(
    aws: AwsClient, arn: str, *, region: str, role_arn: str | None, bulk: bool = True
) -> int:
    """How many targets of the target group are healthy now. `bulk`: let the reads of recoveries go first. Raises
    AwsError."""
    answer = await aws.read(
        "elbv2", "DescribeTargetHealth", {"TargetGroupArn": arn}, region=region, role_arn=role_arn, bulk=bulk
    )
    health = (target["TargetHealth"]["State"] for target in answer.get("TargetHealthDescriptions", ()))
    return sum(state == "healthy" for state in health)


async def fetch_healthy_zones(aws: AwsClient, arn: str, *, region: str, role_arn: str | None) -> frozenset[str]:
    """The Availability Zones in which the target group has a healthy target now. Raises AwsError."""
    answer = await aws.read("elbv2", "DescribeTargetHealth", {"TargetGroupArn": arn}, region=region, role_arn=role_arn)
    return frozenset(
        target["Target"]["AvailabilityZone"]
        for target in answer.get("TargetHealthDescriptions", ())
        if target["TargetHealth"]["State"] == "healthy" and "AvailabilityZone" in target["Target"]
    )
