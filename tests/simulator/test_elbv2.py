"""Elastic Load Balancing: what an operator asks it about the target groups of a service."""

import pytest
from botocore.exceptions import ClientError

from .harness import TARGET_GROUP_ARN, Scene

BALANCERS = [{"targetGroupArn": TARGET_GROUP_ARN, "containerName": "app", "containerPort": 8080}]
BALANCER_ARN = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/web/73e2d6bc24d8a067"


def test_load_balancer_of_a_target_group(scene: Scene) -> None:
    """DescribeTargetGroups, LoadBalancerArns: "The Amazon Resource Name (ARN) of the load balancer that routes traffic
    to this target group"; its end is the LoadBalancer dimension of the metrics (ALB user guide)."""
    scene.create_stable(loadBalancers=BALANCERS)
    elb = scene.client("elbv2")
    group = elb.describe_target_groups(TargetGroupArns=[TARGET_GROUP_ARN])["TargetGroups"][0]
    assert group["LoadBalancerArns"] == [BALANCER_ARN]
    assert (group["TargetGroupName"], group["Port"], group["TargetType"]) == ("web", 8080, "ip")
    assert elb.describe_target_groups(LoadBalancerArn=BALANCER_ARN)["TargetGroups"] == [group]
    assert elb.describe_target_groups(Names=["web"])["TargetGroups"] == [group]
    balancer = elb.describe_load_balancers(LoadBalancerArns=[BALANCER_ARN])["LoadBalancers"][0]
    assert (balancer["LoadBalancerName"], balancer["State"], balancer["Type"]) == (
        "web",
        {"Code": "active"},
        "application",
    )
    delay = {
        a["Key"]: a["Value"]
        for a in elb.describe_target_group_attributes(TargetGroupArn=TARGET_GROUP_ARN)["Attributes"]
    }
    assert delay["deregistration_delay.timeout_seconds"] == "300"


def test_shared_load_balancer(scene: Scene) -> None:
    """Declared through the control API, whether services use its target groups yet or not."""
    other = TARGET_GROUP_ARN.replace("/web/", "/api/")
    shared = scene.control.share_load_balancer("edge", [TARGET_GROUP_ARN, other])
    elb = scene.client("elbv2")
    groups = elb.describe_target_groups(LoadBalancerArn=shared["loadBalancerArn"])["TargetGroups"]
    assert sorted(group["TargetGroupArn"] for group in groups) == sorted([TARGET_GROUP_ARN, other])
    assert [b["LoadBalancerName"] for b in elb.describe_load_balancers()["LoadBalancers"]] == ["edge"]
    listeners = elb.describe_listeners(LoadBalancerArn=shared["loadBalancerArn"])["Listeners"]
    assert [listener["ListenerArn"] for listener in listeners] == [shared["listenerArn"]]


def test_target_health_follows_the_tasks(minute_a_second: Scene) -> None:
    """DescribeTargetHealth, API type TargetHealth: healthy; draining while a task is deregistered."""
    scene = minute_a_second
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    scene.create_stable(loadBalancers=BALANCERS, networkConfiguration=network)
    elb = scene.client("elbv2")

    def states() -> list[str]:
        found = elb.describe_target_health(TargetGroupArn=TARGET_GROUP_ARN)["TargetHealthDescriptions"]
        return sorted(target["TargetHealth"]["State"] for target in found)

    assert states() == ["healthy"] * 3
    target = elb.describe_target_health(TargetGroupArn=TARGET_GROUP_ARN)["TargetHealthDescriptions"][0]
    assert target["HealthCheckPort"] == "8080"
    addresses = [task["containers"][0]["networkInterfaces"][0]["privateIpv4Address"] for task in scene.tasks()]
    assert target["Target"]["Id"] in addresses
    only = elb.describe_target_health(TargetGroupArn=TARGET_GROUP_ARN, Targets=[{"Id": target["Target"]["Id"]}])
    assert len(only["TargetHealthDescriptions"]) == 1
    (gone,) = elb.describe_target_health(TargetGroupArn=TARGET_GROUP_ARN, Targets=[{"Id": "10.9.9.9"}])[
        "TargetHealthDescriptions"
    ]
    assert (gone["TargetHealth"]["State"], gone["TargetHealth"]["Reason"]) == ("unused", "Target.NotRegistered")
    scene.update(desiredCount=0)
    seen: set[str] = set()
    while (now := states()) != []:
        seen.update(now)
    assert "draining" in seen


def test_task_that_has_not_passed_its_checks(scene: Scene) -> None:
    """API type TargetHealth, Reason: Elb.InitialHealthChecking, later Target.Timeout."""
    scene.register(READY_SECONDS=100_000)
    scene.create(count=1, healthCheckGracePeriodSeconds=100_000, loadBalancers=BALANCERS)
    scene.wait(lambda service: service["runningCount"] == 1)
    elb = scene.client("elbv2")
    seen: list[str] = []
    while not seen or seen[-1] != "Target.Timeout":
        found = elb.describe_target_health(TargetGroupArn=TARGET_GROUP_ARN)["TargetHealthDescriptions"]
        reason = found[0]["TargetHealth"]["Reason"]
        if reason not in seen:
            seen.append(reason)
    assert seen == ["Elb.InitialHealthChecking", "Target.Timeout"]


def test_unhealthy_target_says_why(scene: Scene) -> None:
    """API type TargetHealth, Reason: Target.ResponseCodeMismatch, with the code."""
    scene.create_stable(count=1, healthCheckGracePeriodSeconds=100_000, loadBalancers=BALANCERS)
    scene.control.set_conditions(failingHealthChecks={TARGET_GROUP_ARN: "404"})
    elb, health = scene.client("elbv2"), {"State": "healthy"}
    while health["State"] == "healthy":
        found = elb.describe_target_health(TargetGroupArn=TARGET_GROUP_ARN)["TargetHealthDescriptions"]
        health = found[0]["TargetHealth"]
    assert health == {
        "State": "unhealthy",
        "Reason": "Target.ResponseCodeMismatch",
        "Description": "Health checks failed with these codes: [404]",
    }


@pytest.mark.parametrize(
    ("operation", "filters", "code"),
    [
        ("describe_target_groups", {"TargetGroupArns": [TARGET_GROUP_ARN]}, "TargetGroupNotFound"),
        ("describe_target_groups", {"LoadBalancerArn": BALANCER_ARN}, "LoadBalancerNotFound"),
        ("describe_load_balancers", {"Names": ["web"]}, "LoadBalancerNotFound"),
        ("describe_target_health", {"TargetGroupArn": TARGET_GROUP_ARN}, "TargetGroupNotFound"),
        ("describe_load_balancers", {"PageSize": 500}, "ValidationError"),
    ],
)
def test_what_is_not_there(scene: Scene, operation: str, filters: dict[str, object], code: str) -> None:
    """API reference, Errors."""
    with pytest.raises(ClientError) as caught:
        getattr(scene.client("elbv2"), operation)(**filters)
    assert caught.value.response["Error"]["Code"] == code


def test_pages(scene: Scene) -> None:
    """DescribeTargetGroups: Marker and PageSize, NextMarker "is null" on the last page."""
    arns = [TARGET_GROUP_ARN.replace("/web/", f"/web{number}/") for number in range(5)]
    scene.control.share_load_balancer("edge", arns)
    pages = scene.client("elbv2").get_paginator("describe_target_groups").paginate(PaginationConfig={"PageSize": 2})
    found = [[group["TargetGroupArn"] for group in page["TargetGroups"]] for page in pages]
    assert found == [arns[:2], arns[2:4], arns[4:]]
