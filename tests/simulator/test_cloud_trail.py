"""CloudTrail: who did it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .accounts import Accounts
from .cloud_trail import CloudTrail
from .harness import CLUSTER, Scene
from .journal import Journal
from .manual_ecs import ManualClock


def _look(scene: Scene, **filters: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = scene.client("cloudtrail").lookup_events(**filters)["Events"]
    return found


def _wait(scene: Scene, key: str, value: str) -> dict[str, Any]:
    """The newest event with this attribute; 300 simulated seconds are half a second here."""
    attribute = {"AttributeKey": key, "AttributeValue": value}
    deadline = datetime.now(UTC) + timedelta(seconds=10)
    while not (found := _look(scene, LookupAttributes=[attribute])):
        assert datetime.now(UTC) < deadline, f"no event with {key} {value}"
    return found[0]


def test_session_name_tells_who_scaled_to_zero(scene: Scene) -> None:
    """CloudTrail user guide, "CloudTrail userIdentity element": the ARN of an assumed role ends in the session
    name."""
    scene.create_stable()
    person = scene.client("ecs", **scene.assume("arn:aws:iam::123456789012:role/admin", "alice@example.com"))
    person.update_service(cluster=CLUSTER, service="web", desiredCount=0)
    event = _wait(scene, "Username", "alice@example.com")
    assert (event["EventName"], event["EventSource"], event["ReadOnly"]) == (
        "UpdateService",
        "ecs.amazonaws.com",
        "false",
    )
    assert {r["ResourceType"]: r["ResourceName"] for r in event["Resources"]}["AWS::ECS::Service"] == "web"
    record = json.loads(event["CloudTrailEvent"])
    assert record["userIdentity"]["arn"].endswith("assumed-role/admin/alice@example.com")
    assert record["requestParameters"]["desiredCount"] == 0
    assert "errorCode" not in record


def test_events_come_late() -> None:
    """CloudTrail user guide: "within an average of about 5 minutes of an API call"."""
    clock = ManualClock()
    accounts, journal = Accounts(clock, 1), Journal()
    caller = accounts.identify(None)
    call = journal.open(
        clock.now(),
        caller,
        region="us-east-1",
        service="ecs",
        operation="UpdateService",
        parameters={"service": "web"},
        access_key_id=None,
    )
    call.effect = True
    trail = CloudTrail(journal, accounts, clock)
    seen = []
    for _ in range(3):
        seen.append(len(trail.lookup_events({}, caller, "us-east-1")["Events"]))
        clock.time += 150
    assert seen == [0, 0, 1]
    assert trail.lookup_events({}, caller, "eu-west-1")["Events"] == []


def test_refused_calls_are_kept_and_lost_ones_are_not(scene: Scene) -> None:
    """A call that AWS denied has its error code; one that never arrived is nobody's."""
    scene.create_stable()
    scene.control.deny("UpdateService")
    with pytest.raises(ClientError):
        scene.update(desiredCount=1)
    scene.control.throttle("UpdateService")
    with pytest.raises(ClientError):
        scene.update(desiredCount=2)
    event = _wait(scene, "EventName", "UpdateService")
    assert json.loads(event["CloudTrailEvent"])["errorCode"] == "AccessDeniedException"
    updates = _look(scene, LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "UpdateService"}])
    assert len(updates) == 1


def test_pages_and_times(scene: Scene) -> None:
    """LookupEvents: "The default number of results returned is 50, with a maximum of 50 possible"."""
    for _ in range(60):
        scene.ecs.describe_clusters()
    scene.ecs.tag_resource(
        resourceArn=f"arn:aws:ecs:us-east-1:123456789012:cluster/{CLUSTER}", tags=[{"key": "a", "value": "b"}]
    )
    _wait(scene, "EventName", "TagResource")
    pages = list(scene.client("cloudtrail").get_paginator("lookup_events").paginate())
    assert [len(page["Events"]) for page in pages[:1]] == [50]
    assert sum(page_event["EventName"] == "DescribeClusters" for p in pages for page_event in p["Events"]) == 60
    now = datetime.now(UTC)
    assert _look(scene, StartTime=now - timedelta(hours=2), EndTime=now - timedelta(hours=1)) == []
    with pytest.raises(ClientError, match="InvalidTimeRangeException"):
        _look(scene, StartTime=now, EndTime=now - timedelta(hours=1))


def test_metrics_and_messages_are_no_management_events(scene: Scene) -> None:
    """CloudTrail user guide, "Management events" and "Data events"."""
    scene.cloudwatch.put_metric_data(Namespace="App", MetricData=[{"MetricName": "orders", "Value": 1}])
    scene.ecs.create_cluster(clusterName="later")
    _wait(scene, "EventName", "CreateCluster")
    assert "PutMetricData" not in {event["EventName"] for event in _look(scene)}
