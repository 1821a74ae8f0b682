"""EventBridge on a running simulator: rules, targets, transformed input, and deliveries out of order."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .clock import Clock
from .event_bus import EventBus, EventDisorder, Rule, Target, build_input
from .event_patterns import parse_pattern
from .harness import Json, Scene


class Route:
    """A rule to a queue."""

    def __init__(self, scene: Scene, pattern: Json, **target: object) -> None:
        self.sqs, self.events = scene.client("sqs"), scene.client("events")
        self.url = self.sqs.create_queue(QueueName="events")["QueueUrl"]
        attributes = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])["Attributes"]
        self.arn = attributes["QueueArn"]
        self.events.put_rule(Name="to-queue", EventPattern=json.dumps(pattern))
        self.events.put_targets(Rule="to-queue", Targets=[{"Id": "queue", "Arn": self.arn, **target}])

    def put(self, source: str = "app", **detail: object) -> None:
        """PutEvents."""
        entry = {"Source": source, "DetailType": "Order", "Detail": json.dumps(detail)}
        assert self.events.put_events(Entries=[entry])["FailedEntryCount"] == 0

    def receive(self, wait: int = 4) -> list[str]:
        """The bodies of up to ten messages."""
        answer = self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10, WaitTimeSeconds=wait)
        return [message["Body"] for message in answer.get("Messages", [])]


def test_matching_events_reach_the_queue(scene: Scene) -> None:
    """User guide, "Events": the envelope; only what the pattern matches is delivered."""
    route = Route(scene, {"source": ["app"], "detail": {"state": [{"prefix": "FAIL"}]}})
    route.put(state="OK")
    route.put(source="other", state="FAILED")
    route.put(state="FAILED", number=1)
    [body] = route.receive()
    event = json.loads(body)
    assert event.keys() == {
        *("version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"),
    }
    assert (event["detail-type"], event["detail"]) == ("Order", {"state": "FAILED", "number": 1})
    assert (event["version"], event["account"], event["region"]) == ("0", "123456789012", "us-east-1")


def test_disabled_rules_and_removed_targets_deliver_nothing(scene: Scene) -> None:
    """DisableRule, EnableRule, RemoveTargets, DeleteRule: "you must remove all targets, using RemoveTargets"."""
    route = Route(scene, {"source": ["app"]})
    route.events.disable_rule(Name="to-queue")
    route.put(number=1)
    route.events.enable_rule(Name="to-queue")
    route.put(number=2)
    assert [json.loads(body)["detail"]["number"] for body in route.receive()] == [2]
    with pytest.raises(ClientError, match="ValidationException"):
        route.events.delete_rule(Name="to-queue")
    route.events.remove_targets(Rule="to-queue", Ids=["queue"])
    route.put(number=3)
    assert route.receive(wait=0) == []
    route.events.delete_rule(Name="to-queue")
    assert route.events.list_rules()["Rules"] == []


def test_rules_are_listed_and_replaced(scene: Scene) -> None:
    """PutRule "creates or updates"; ListRules by prefix, in pages; the targets stay."""
    route = Route(scene, {"source": ["app"]})
    route.events.put_rule(Name="to-queue", EventPattern='{"source": ["other"]}', Description="Changed")
    route.events.put_rule(Name="unlike", EventPattern='{"source": ["x"]}')
    [rule] = route.events.list_rules(NamePrefix="to-")["Rules"]
    assert (rule["EventPattern"], rule["State"], rule["Description"]) == ('{"source": ["other"]}', "ENABLED", "Changed")
    assert [target["Id"] for target in route.events.list_targets_by_rule(Rule="to-queue")["Targets"]] == ["queue"]
    assert route.events.list_rule_names_by_target(TargetArn=route.arn)["RuleNames"] == ["to-queue"]
    first = route.events.list_rules(Limit=1)
    assert [rule["Name"] for rule in route.events.list_rules(NextToken=first["NextToken"])["Rules"]] == ["unlike"]


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda events: events.put_rule(Name="r", EventPattern='{"a": 1}'), "InvalidEventPatternException"),
        (lambda events: events.put_rule(Name="r"), "ValidationException"),
        (lambda events: events.describe_rule(Name="r"), "ResourceNotFoundException"),
        (lambda events: events.put_targets(Rule="r", Targets=[{"Id": "i", "Arn": "a"}]), "ResourceNotFoundException"),
        (lambda events: events.put_events(Entries=[{"Source": "a"}] * 11), "ValidationException"),
    ],
)
def test_bad_requests_are_refused(scene: Scene, call: Callable[[Any], None], code: str) -> None:
    """EventBridge API reference."""
    with pytest.raises(ClientError) as caught:
        call(scene.client("events"))
    assert caught.value.response["Error"]["Code"] == code


def test_entries_fail_one_by_one(scene: Scene) -> None:
    """PutEvents: an index of the answer is that of the request; sources of AWS are not for users."""
    good = {"Source": "app", "DetailType": "Order", "Detail": "{}"}
    answer = scene.client("events").put_events(
        Entries=[good, {**good, "Detail": "{"}, {**good, "Source": "aws.ecs"}, {**good, "DetailType": ""}]
    )
    assert answer["FailedEntryCount"] == 3
    assert [entry.get("ErrorCode") for entry in answer["Entries"]] == [
        None,
        "MalformedDetail",
        "NotAuthorizedForSourceException",
        "InvalidArgument",
    ]


def test_events_of_ecs_arrive(scene: Scene) -> None:
    """ECS developer guide, "Amazon ECS events": a deployment that completes is told."""
    route = Route(scene, {"source": ["aws.ecs"], "detail": {"eventName": ["SERVICE_DEPLOYMENT_COMPLETED"]}})
    scene.create_stable()
    event = json.loads(route.receive()[0])
    assert event["detail-type"] == "ECS Deployment State Change"
    assert event["resources"] == [scene.describe()["serviceArn"]]


def test_events_go_on_to_a_bus_elsewhere(scene: Scene) -> None:
    """User guide, "Sending and receiving events between AWS Regions": the event keeps its region and account."""
    far = scene.client("events", region_name="eu-west-1")
    far.create_event_bus(Name="central")
    sqs = scene.client("sqs", region_name="eu-west-1")
    url = sqs.create_queue(QueueName="far")["QueueUrl"]
    far.put_rule(Name="all", EventBusName="central", EventPattern='{"source": ["app"]}')
    queue = {"Id": "queue", "Arn": "arn:aws:sqs:eu-west-1:123456789012:far"}
    far.put_targets(Rule="all", EventBusName="central", Targets=[queue])
    near = Route(scene, {"source": ["app"]})
    bus = {"Id": "bus", "Arn": "arn:aws:events:eu-west-1:123456789012:event-bus/central"}
    near.events.put_targets(Rule="to-queue", Targets=[bus])
    near.put(number=1)
    [message] = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=4)["Messages"]
    assert json.loads(message["Body"]) == json.loads(near.receive()[0])
    assert json.loads(message["Body"])["region"] == "us-east-1"


EVENT = {
    "id": "1",
    "time": "2024-01-01T00:00:00Z",
    "detail": {"state": "ALARM", "count": 3, "list": [{"name": "a"}], "quoted": 'say "hi"'},
}
RULE = Rule("r", "arn:rule", "default", None, None, None, "ENABLED", None, None, {})


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({}, json.dumps(EVENT)),
        ({"Input": '{"a": 1}'}, '{"a": 1}'),
        ({"InputPath": "$.detail.list[0].name"}, '"a"'),
        ({"InputPath": "$.detail.missing"}, "null"),
        (
            {"InputTransformer": {"InputPathsMap": {"s": "$.detail.state"}, "InputTemplate": '"state is <s>"'}},
            '"state is ALARM"',
        ),
        (
            {
                "InputTransformer": {
                    "InputPathsMap": {"s": "$.detail.state", "n": "$.detail.count", "l": "$.detail.list"},
                    "InputTemplate": '{"state": <s>, "count": <n>, "all": <l>, "text": "<n> of <s>", "rule": '
                    '<aws.events.rule-name>, "other": "<unknown>"}',
                }
            },
            '{"state": "ALARM", "count": 3, "all": [{"name": "a"}], "text": "3 of ALARM", "rule": "r", '
            '"other": "<unknown>"}',
        ),
        (
            {"InputTransformer": {"InputPathsMap": {"q": "$.detail.quoted"}, "InputTemplate": '{"q": <q>}'}},
            '{"q": "say \\"hi\\""}',
        ),
    ],
)
def test_input_of_a_target(target: Json, expected: str) -> None:
    """User guide, "Amazon EventBridge input transformation", and PutTargets: Input, InputPath, InputTransformer."""
    assert build_input(target, EVENT, RULE) == expected


class _StoppedClock(Clock):
    time = 1_800_000_000.0

    def now(self) -> float:
        return self.time


def _make_bus(seed: str, disorder: EventDisorder) -> tuple[EventBus, list[int]]:
    received: list[int] = []

    def deliver(_arn: str, body: str, _target: Json) -> bool:
        received.append(json.loads(body)["detail"]["n"])
        return True

    bus = EventBus("123456789012", "us-east-1", _StoppedClock(60), deliver, seed)
    bus.set_disorder(disorder)
    rule = Rule("r", "arn:rule", "default", "", parse_pattern('{"source": ["app"]}'), None, "ENABLED", None, None, {})
    rule.targets["t"] = Target("t", "arn:queue", {})
    bus.buses["default"]["r"] = rule
    return bus, received


def test_deliveries_come_twice_and_out_of_order() -> None:
    """User guide: EventBridge delivers "at least once" and in no particular order; the same for the same seed."""
    outcomes = []
    for seed in ("1", "1", "2"):
        bus, received = _make_bus(seed, EventDisorder(duplicate_share=0.5, max_delay=60))
        for number in range(20):
            bus.publish("app", "Order", [], {"n": number}, 1_800_000_000.0)
        assert received == []
        assert bus.next_due() is not None
        bus.run_due(1_800_000_000.0 + 2.1)
        assert bus.next_due() is None
        outcomes.append(received)
    assert set(outcomes[0]) == set(range(20))
    assert 20 < len(outcomes[0]) < 40
    assert outcomes[0] != sorted(outcomes[0])
    assert outcomes[0] == outcomes[1] != outcomes[2]


def test_disorder_is_switched_on_from_outside(scene: Scene) -> None:
    """Scenario 71: events duplicated and reordered."""
    route = Route(scene, {"source": ["app"]})
    scene.control.disorder_events(duplicate_share=1.0, max_delay=60)
    route.put(number=1)
    deadline = time.monotonic() + 15
    bodies: list[str] = []
    while len(bodies) < 2 and time.monotonic() < deadline:
        bodies += route.receive(wait=1)
    assert bodies[0] == bodies[1]
