"""Accounts and regions: roles, sessions, and state that is kept apart."""

import json
import time

import pytest
from botocore.exceptions import ClientError

from .control import ControlError
from .harness import CLUSTER, Scene

OTHER = "210987654321"
ROLE = f"arn:aws:iam::{OTHER}:role/teams/bokgu"


def _code(caught: pytest.ExceptionInfo[ClientError]) -> str:
    return str(caught.value.response["Error"]["Code"])


def test_session_acts_in_the_account_of_its_role(scene: Scene) -> None:
    """STS AssumeRole: "credentials that you can use to access AWS resources in the account of the role"."""
    keys = scene.assume(ROLE, "plan-1")
    ecs = scene.client("ecs", **keys)
    assert ecs.describe_clusters(clusters=[CLUSTER])["failures"][0]["reason"] == "MISSING"
    arn = ecs.create_cluster(clusterName=CLUSTER)["cluster"]["clusterArn"]
    assert arn == f"arn:aws:ecs:us-east-1:{OTHER}:cluster/{CLUSTER}"
    call = scene.control.calls("CreateCluster")[-1]
    assert (call.account, call.region, call.role_session_name) == (OTHER, "us-east-1", "plan-1")
    assert [c.operation for c in scene.control.at(OTHER).calls()] == ["DescribeClusters", "CreateCluster"]


def test_regions_are_kept_apart(scene: Scene) -> None:
    """Signature Version 4: the credential scope names the region."""
    there = scene.client("ecs", region_name="eu-west-1")
    assert there.list_services(cluster=there.create_cluster(clusterName="eu")["cluster"]["clusterArn"])
    assert scene.ecs.describe_clusters(clusters=["eu"])["clusters"] == []
    metric = {"Namespace": "App", "MetricData": [{"MetricName": "orders", "Value": 1}]}
    scene.client("cloudwatch", region_name="eu-west-1").put_metric_data(**metric)
    assert scene.cloudwatch.list_metrics(Namespace="App")["Metrics"] == []


def test_control_reaches_any_account_and_region(scene: Scene) -> None:
    """What happens in one account and region is not felt in another."""
    there = scene.control.at(OTHER, "eu-west-1")
    there.set_load(CLUSTER, "web", 7)
    ecs = scene.client("ecs", region_name="eu-west-1", **scene.assume(ROLE))
    ecs.create_cluster(clusterName=CLUSTER)
    container = {"name": "app", "image": "app:1"}
    ecs.register_task_definition(family="web", containerDefinitions=[container])
    ecs.create_service(cluster=CLUSTER, serviceName="web", taskDefinition="web", desiredCount=1)
    assert there.service(CLUSTER, "web")["requestsPerSecond"] == 7
    with pytest.raises(ControlError, match="no service"):
        scene.control.service(CLUSTER, "web")


def test_role_that_wants_an_external_id(scene: Scene) -> None:
    """IAM user guide, "The confused deputy problem": without the right ExternalId it is AccessDenied."""
    scene.control.declare_role(ROLE, external_id="cluster-1/prod")
    for wrong in ({}, {"ExternalId": "cluster-1/dev"}):
        with pytest.raises(ClientError) as caught:
            scene.assume(ROLE, **wrong)
        assert _code(caught) == "AccessDenied"
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        assert f"is not authorized to perform: sts:AssumeRole on resource: {ROLE}" in str(caught.value)
    assert scene.assume(ROLE, ExternalId="cluster-1/prod")


def test_role_that_nobody_can_assume(scene: Scene) -> None:
    """A trust policy that does not name the caller: AccessDenied."""
    scene.control.declare_role(ROLE, assumable=False)
    with pytest.raises(ClientError) as caught:
        scene.assume(ROLE)
    assert _code(caught) == "AccessDenied"
    with pytest.raises(ControlError, match="not the ARN of a role"):
        scene.control.declare_role("bokgu")


def test_caller_identity(scene: Scene) -> None:
    """STS GetCallerIdentity, examples: the ARN of an assumed role has no path, the user ID ends in the session."""
    assert scene.client("sts").get_caller_identity()["Account"] == "123456789012"
    told = scene.client("sts", **scene.assume(ROLE, "plan-1")).get_caller_identity()
    assert told["Account"] == OTHER
    assert told["Arn"] == f"arn:aws:sts::{OTHER}:assumed-role/bokgu/plan-1"
    assert told["UserId"].startswith("AROA")
    assert told["UserId"].endswith(":plan-1")


def test_web_identity_needs_no_keys(scene: Scene) -> None:
    """STS AssumeRoleWithWebIdentity: "Calling AssumeRoleWithWebIdentity does not require the use of AWS security
    credentials"."""
    answer = scene.client("sts").assume_role_with_web_identity(
        RoleArn=ROLE, RoleSessionName="pod", WebIdentityToken="header.payload.signature"
    )
    assert answer["AssumedRoleUser"]["Arn"].endswith("assumed-role/bokgu/pod")


def test_chained_session_lasts_an_hour_at_most(scene: Scene) -> None:
    """IAM user guide, "Role chaining": "limits your AWS CLI or AWS API role session to a maximum of one hour"."""
    sts = scene.client("sts", **scene.assume(ROLE))
    with pytest.raises(ClientError, match="1 hour session limit"):
        sts.assume_role(RoleArn=ROLE, RoleSessionName="longer", DurationSeconds=7200)
    assert scene.assume(ROLE, DurationSeconds=7200), "not chained"


def test_session_that_is_over(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """ECS API reference, "Common Errors": ExpiredTokenException."""
    ecs = scene.client("ecs", **scene.assume(ROLE, DurationSeconds=900))
    ecs.describe_clusters()
    now = time.time()
    monkeypatch.setattr(scene.server.simulation.clock, "now", lambda: now + 901)
    with pytest.raises(ClientError) as caught:
        ecs.describe_clusters()
    assert _code(caught) == "ExpiredTokenException"


def test_moto_keeps_accounts_apart(scene: Scene) -> None:
    """Services that moto answers see the account of the session, too."""
    dynamodb = scene.client("dynamodb", read_timeout=30.0, **scene.assume(ROLE))
    table = dynamodb.create_table(
        TableName="incidents",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )["TableDescription"]
    assert table["TableArn"] == f"arn:aws:dynamodb:us-east-1:{OTHER}:table/incidents"
    assert scene.client("dynamodb").list_tables()["TableNames"] == []


def test_events_of_one_account_reach_a_queue_in_another(scene: Scene) -> None:
    """EventBridge user guide, "Sending events to an AWS service in another account": one queue for all."""
    queue = scene.client("sqs").create_queue(QueueName="all-events")["QueueUrl"]
    keys = scene.assume(ROLE)
    events = scene.client("events", region_name="eu-west-1", **keys)
    events.put_rule(Name="ecs", EventPattern='{"source": ["aws.ecs"]}')
    target = {"Id": "queue", "Arn": "arn:aws:sqs:us-east-1:123456789012:all-events"}
    events.put_targets(Rule="ecs", Targets=[target, {"Id": "gone", "Arn": "arn:aws:sqs:us-east-1:111111111111:gone"}])
    ecs = scene.client("ecs", region_name="eu-west-1", **keys)
    ecs.create_cluster(clusterName=CLUSTER)
    ecs.register_task_definition(family="web", containerDefinitions=[{"name": "app", "image": "app:1"}])
    ecs.create_service(cluster=CLUSTER, serviceName="web", taskDefinition="web", desiredCount=1, launchType="FARGATE")
    message = scene.client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"][0]
    event = json.loads(message["Body"])
    assert (event["source"], event["account"], event["region"]) == ("aws.ecs", OTHER, "eu-west-1")


def test_consistency_delay_holds_in_every_account(scene: Scene) -> None:
    """Also in those that are used for the first time later."""
    scene.control.set_consistency_delay(600)
    ecs = scene.client("ecs", **scene.assume(ROLE))
    ecs.create_cluster(clusterName=CLUSTER)
    ecs.register_task_definition(family="web", containerDefinitions=[{"name": "app", "image": "app:1"}])
    ecs.create_service(cluster=CLUSTER, serviceName="web", taskDefinition="web", desiredCount=0)
    assert ecs.describe_services(cluster=CLUSTER, services=["web"])["services"] == []
