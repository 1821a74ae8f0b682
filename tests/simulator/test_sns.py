"""SNS on a running simulator: topics, and what their queues get."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .harness import Json, Scene


class Channel:
    """A topic with a queue subscribed to it."""

    def __init__(self, scene: Scene, **attributes: str) -> None:
        self.sns, self.sqs = scene.client("sns"), scene.client("sqs")
        self.url = self.sqs.create_queue(QueueName="inbox")["QueueUrl"]
        self.topic = self.sns.create_topic(Name="alerts")["TopicArn"]
        self.subscription = self.sns.subscribe(
            TopicArn=self.topic,
            Protocol="sqs",
            Endpoint="arn:aws:sqs:us-east-1:123456789012:inbox",
            Attributes=attributes,
        )["SubscriptionArn"]

    def publish(self, message: str, **options: Any) -> str:
        return str(self.sns.publish(TopicArn=self.topic, Message=message, **options)["MessageId"])

    def receive(self) -> list[Json]:
        received: list[Json] = self.sqs.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages", [])
        return received


def test_queue_gets_the_envelope(scene: Scene) -> None:
    """Developer guide, "Amazon SNS message delivery to Amazon SQS": JSON with Type Notification."""
    channel = Channel(scene)
    attribute = {"kind": {"DataType": "String", "StringValue": "page"}}
    message_id = channel.publish("Service web is down", Subject="Incident", MessageAttributes=attribute)
    [message] = channel.receive()
    envelope = json.loads(message["Body"])
    assert envelope.pop("Timestamp").endswith("Z")
    assert envelope.pop("UnsubscribeURL").endswith(channel.subscription)
    assert envelope.keys() >= {"Signature", "SigningCertURL"}
    assert {name: envelope[name] for name in ("Type", "MessageId", "TopicArn", "Subject", "Message")} == {
        "Type": "Notification",
        "MessageId": message_id,
        "TopicArn": "arn:aws:sns:us-east-1:123456789012:alerts",
        "Subject": "Incident",
        "Message": "Service web is down",
    }
    assert envelope["MessageAttributes"] == {"kind": {"Type": "String", "Value": "page"}}


def test_raw_delivery(scene: Scene) -> None:
    """Developer guide, "Amazon SNS raw message delivery": the message itself, with its attributes as SQS's."""
    channel = Channel(scene, RawMessageDelivery="true")
    attribute = {"kind": {"DataType": "String", "StringValue": "page"}}
    channel.publish("plain", MessageAttributes=attribute)
    [message] = channel.receive()
    assert (message["Body"], message["MessageAttributes"]) == ("plain", attribute)


@pytest.mark.parametrize(
    ("scope", "policy", "expected"),
    [
        ("MessageAttributes", {"severity": ["critical"]}, ["2"]),
        ("MessageAttributes", {"severity": [{"anything-but": "critical"}]}, ["1"]),
        ("MessageBody", {"level": [{"numeric": [">", 1]}]}, ["2"]),
    ],
)
def test_filter_policy(scene: Scene, scope: str, policy: Json, expected: list[str]) -> None:
    """Developer guide, "Amazon SNS subscription filter policies"."""
    channel = Channel(scene, FilterPolicy=json.dumps(policy), FilterPolicyScope=scope, RawMessageDelivery="true")
    for level, severity in ((1, "low"), (2, "critical")):
        attributes = {"severity": {"DataType": "String", "StringValue": severity}}
        channel.publish(json.dumps({"level": level}), MessageAttributes=attributes)
    assert [str(json.loads(message["Body"])["level"]) for message in channel.receive()] == expected


def test_message_structure(scene: Scene) -> None:
    """Publish.MessageStructure: a text per protocol, and a default."""
    channel = Channel(scene, RawMessageDelivery="true")
    channel.publish(json.dumps({"default": "short", "sqs": "for queues"}), MessageStructure="json")
    channel.publish(json.dumps({"default": "short"}), MessageStructure="json")
    assert [message["Body"] for message in channel.receive()] == ["for queues", "short"]


def test_subscriptions_are_listed_and_ended(scene: Scene) -> None:
    """Subscribe twice gives one; email waits for its owner; Unsubscribe ends deliveries."""
    channel = Channel(scene)
    again = channel.sns.subscribe(
        TopicArn=channel.topic, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:123456789012:inbox"
    )
    assert again["SubscriptionArn"] == channel.subscription
    mail = channel.sns.subscribe(TopicArn=channel.topic, Protocol="email", Endpoint="a@example.com")
    assert mail["SubscriptionArn"] == "pending confirmation"
    listed = channel.sns.list_subscriptions_by_topic(TopicArn=channel.topic)["Subscriptions"]
    assert [(s["Protocol"], s["SubscriptionArn"]) for s in listed] == [
        ("sqs", channel.subscription),
        ("email", "PendingConfirmation"),
    ]
    assert channel.sns.get_topic_attributes(TopicArn=channel.topic)["Attributes"]["SubscriptionsPending"] == "1"
    channel.sns.set_subscription_attributes(
        SubscriptionArn=channel.subscription, AttributeName="RawMessageDelivery", AttributeValue="true"
    )
    channel.publish("raw now")
    channel.sns.unsubscribe(SubscriptionArn=channel.subscription)
    channel.publish("unheard")
    assert [message["Body"] for message in channel.receive()] == ["raw now"]
    channel.sns.delete_topic(TopicArn=channel.topic)
    assert channel.sns.list_topics().get("Topics", []) == []


def test_batch(scene: Scene) -> None:
    """PublishBatch: each entry on its own."""
    channel = Channel(scene, RawMessageDelivery="true")
    answer = channel.sns.publish_batch(
        TopicArn=channel.topic,
        PublishBatchRequestEntries=[{"Id": "a", "Message": "one"}, {"Id": "b", "Message": "x" * 300_000}],
    )
    assert [entry["Id"] for entry in answer["Successful"]] == ["a"]
    assert [(entry["Id"], entry["Code"]) for entry in answer["Failed"]] == [("b", "InvalidParameter")]
    assert [message["Body"] for message in channel.receive()] == ["one"]


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda sns: sns.publish(TopicArn="arn:aws:sns:us-east-1:123456789012:gone", Message="x"), "NotFound"),
        (lambda sns: sns.create_topic(Name="no spaces"), "InvalidParameter"),
        (
            lambda sns: sns.publish(TopicArn=sns.create_topic(Name="t")["TopicArn"], Message="x" * 262_145),
            "InvalidParameter",
        ),
        (
            lambda sns: sns.subscribe(
                TopicArn=sns.create_topic(Name="t")["TopicArn"], Protocol="pigeon", Endpoint="roof"
            ),
            "InvalidParameter",
        ),
    ],
)
def test_bad_requests_are_refused(scene: Scene, call: Callable[[Any], None], code: str) -> None:
    """Amazon SNS API reference; 256 KiB a message."""
    with pytest.raises(ClientError) as caught:
        call(scene.client("sns"))
    assert caught.value.response["Error"]["Code"] == code
