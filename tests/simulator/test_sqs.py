"""SQS on a running simulator."""

import json
import threading
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .harness import CLUSTER, Json, Scene
from .sqs import hash_attributes, hash_body


class Box:
    """A queue and a client."""

    def __init__(self, scene: Scene, name: str = "box", **attributes: str) -> None:
        self.sqs = scene.client("sqs", read_timeout=25)
        self.url = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]

    def send(self, body: str, **options: Any) -> Json:
        sent: Json = self.sqs.send_message(QueueUrl=self.url, MessageBody=body, **options)
        return sent

    def receive(self, **options: Any) -> list[Json]:
        received: list[Json] = self.sqs.receive_message(
            **{"QueueUrl": self.url, "MaxNumberOfMessages": 10, **options}
        ).get("Messages", [])
        return received

    def attribute(self, name: str) -> str:
        attributes = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=[name])["Attributes"]
        return str(attributes[name])


@pytest.fixture
def box(scene: Scene) -> Box:
    return Box(scene)


def test_message_is_hidden_until_deleted_or_visible_again(box: Box) -> None:
    """Developer guide, "Amazon SQS visibility timeout"."""
    box.send("hello")
    [first] = box.receive(VisibilityTimeout=1, MessageSystemAttributeNames=["All"])
    assert (first["Body"], first["Attributes"]["ApproximateReceiveCount"]) == ("hello", "1")
    assert box.receive() == []
    assert (box.attribute("ApproximateNumberOfMessages"), box.attribute("ApproximateNumberOfMessagesNotVisible")) == (
        "0",
        "1",
    )
    [second] = box.receive(WaitTimeSeconds=3, MessageSystemAttributeNames=["ApproximateReceiveCount"])
    assert second["MessageId"] == first["MessageId"]
    assert second["Attributes"] == {"ApproximateReceiveCount": "2"}
    assert second["ReceiptHandle"] != first["ReceiptHandle"]
    box.sqs.change_message_visibility(QueueUrl=box.url, ReceiptHandle=second["ReceiptHandle"], VisibilityTimeout=0)
    [third] = box.receive()
    box.sqs.delete_message(QueueUrl=box.url, ReceiptHandle=second["ReceiptHandle"])
    assert box.attribute("ApproximateNumberOfMessagesNotVisible") == "1"
    box.sqs.delete_message(QueueUrl=box.url, ReceiptHandle=third["ReceiptHandle"])
    assert box.attribute("ApproximateNumberOfMessagesNotVisible") == "0"


def test_long_poll_ends_with_the_message_and_blocks_nobody(scene: Scene, box: Box) -> None:
    """ReceiveMessage: "If a message is available, the call returns sooner than WaitTimeSeconds"."""
    received: list[Json] = []
    started = time.monotonic()
    waiter = threading.Thread(target=lambda: received.extend(box.receive(WaitTimeSeconds=20)))
    waiter.start()
    deadline = time.monotonic() + 15
    while not scene.control.calls("ReceiveMessage") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert scene.ecs.describe_clusters(clusters=[CLUSTER])["clusters"]
    assert waiter.is_alive()
    box.send("now")
    waiter.join(timeout=5)
    assert [message["Body"] for message in received] == ["now"]
    assert time.monotonic() - started < 5


def test_empty_long_poll_takes_its_time(box: Box) -> None:
    """Short polls answer at once; WaitTimeSeconds of the queue counts where the call has none."""
    started = time.monotonic()
    assert box.receive() == []
    assert time.monotonic() - started < 0.5
    box.sqs.set_queue_attributes(QueueUrl=box.url, Attributes={"ReceiveMessageWaitTimeSeconds": "1"})
    assert box.receive() == []
    assert 1 <= time.monotonic() - started < 3


def test_message_received_too_often_goes_to_the_dead_letter_queue(scene: Scene) -> None:
    """Developer guide, "Using dead-letter queues": "When the ReceiveCount exceeds the maxReceiveCount"."""
    dead = Box(scene, "dead")
    policy = json.dumps({"deadLetterTargetArn": dead.attribute("QueueArn"), "maxReceiveCount": "2"})
    box = Box(scene, "box", RedrivePolicy=policy, VisibilityTimeout="0")
    sent = box.send("poison")
    assert len(box.receive()) == 1
    assert len(box.receive()) == 1
    assert box.receive() == []
    [message] = dead.receive(MessageSystemAttributeNames=["DeadLetterQueueSourceArn"])
    assert (message["MessageId"], message["Body"]) == (sent["MessageId"], "poison")
    assert message["Attributes"]["DeadLetterQueueSourceArn"].endswith(":box")
    assert dead.sqs.list_dead_letter_source_queues(QueueUrl=dead.url)["queueUrls"] == [box.url]


def test_delayed_messages(box: Box) -> None:
    """SendMessage.DelaySeconds: "become available for processing after the delay period is finished"."""
    box.send("later", DelaySeconds=1)
    assert box.receive() == []
    assert box.attribute("ApproximateNumberOfMessagesDelayed") == "1"
    assert [message["Body"] for message in box.receive(WaitTimeSeconds=4)] == ["later"]


def test_digests_and_message_attributes(box: Box) -> None:
    """Developer guide, "Calculating the MD5 message digest for message attributes"."""
    attributes = {
        "kind": {"DataType": "String", "StringValue": "alarm"},
        "raw": {"DataType": "Binary", "BinaryValue": b"\x00\x01"},
        "size": {"DataType": "Number", "StringValue": "12"},
    }
    sent = box.send("hello", MessageAttributes=attributes)
    assert sent["MD5OfMessageBody"] == "5d41402abc4b2a76b9719d911017c592"
    assert sent["MD5OfMessageAttributes"] == hash_attributes(attributes)
    [message] = box.receive(MessageAttributeNames=["All"], VisibilityTimeout=0)
    assert (message["MessageAttributes"], message["MD5OfBody"]) == (attributes, hash_body("hello"))
    [message] = box.receive(MessageAttributeNames=["ki.*"], VisibilityTimeout=0)
    assert message["MessageAttributes"].keys() == {"kind"}
    assert "MessageAttributes" not in box.receive()[0]


def test_digest_of_attributes_is_that_of_aws() -> None:
    """The digest of `{"timestamp": Number 1493147359900}`, as AWS's SDKs have it in their tests."""
    attribute = {"DataType": "Number", "StringValue": "1493147359900"}
    assert hash_attributes({"timestamp": attribute}) == "235c5c510d26fb653d073faed50ae77c"


def test_batches_succeed_and_fail_one_by_one(box: Box) -> None:
    """SendMessageBatch, DeleteMessageBatch: at most ten, with ids of their own."""
    entries = [{"Id": str(number), "MessageBody": f"m{number}"} for number in range(10)]
    entries[3]["DelaySeconds"] = 901  # type: ignore[assignment]
    sent = box.sqs.send_message_batch(QueueUrl=box.url, Entries=entries)
    assert ([e["Id"] for e in sent["Failed"]], len(sent["Successful"])) == (["3"], 9)
    received = box.receive()
    assert [message["Body"] for message in received] == [f"m{number}" for number in range(10) if number != 3]
    deletions = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(received)]
    deletions[0]["ReceiptHandle"] = "nonsense"
    deleted = box.sqs.delete_message_batch(QueueUrl=box.url, Entries=deletions)
    assert [(e["Id"], e["Code"]) for e in deleted["Failed"]] == [("0", "ReceiptHandleIsInvalid")]
    for bad, code in (
        ([], "EmptyBatchRequest"),
        ([{"Id": str(n), "MessageBody": "m"} for n in range(11)], "TooManyEntriesInBatchRequest"),
        ([{"Id": "same", "MessageBody": "m"}] * 2, "BatchEntryIdsNotDistinct"),
    ):
        with pytest.raises(ClientError) as caught:
            box.sqs.send_message_batch(QueueUrl=box.url, Entries=bad)
        assert caught.value.response["Error"]["Code"] == f"AWS.SimpleQueueService.{code}"


def test_queues_are_found_and_deleted(box: Box) -> None:
    """CreateQueue is idempotent for the same attributes; GetQueueUrl, ListQueues, PurgeQueue, DeleteQueue."""
    assert box.sqs.create_queue(QueueName="box")["QueueUrl"] == box.url
    with pytest.raises(box.sqs.exceptions.QueueNameExists):
        box.sqs.create_queue(QueueName="box", Attributes={"VisibilityTimeout": "5"})
    box.sqs.create_queue(QueueName="other")
    assert box.sqs.list_queues(QueueNamePrefix="b")["QueueUrls"] == [box.url]
    assert box.sqs.get_queue_url(QueueName="box")["QueueUrl"] == box.url
    box.send("gone")
    box.sqs.purge_queue(QueueUrl=box.url)
    assert box.receive() == []
    with pytest.raises(box.sqs.exceptions.PurgeQueueInProgress):
        box.sqs.purge_queue(QueueUrl=box.url)
    box.sqs.delete_queue(QueueUrl=box.url)
    with pytest.raises(box.sqs.exceptions.QueueDoesNotExist) as caught:
        box.receive()
    assert caught.value.response["Error"]["Code"] == "AWS.SimpleQueueService.NonExistentQueue"


@pytest.mark.parametrize(
    "options",
    [{"WaitTimeSeconds": 21}, {"MaxNumberOfMessages": 11}, {"VisibilityTimeout": 43_201}, {"MaxNumberOfMessages": 0}],
)
def test_limits_of_receive(box: Box, options: Json) -> None:
    """ReceiveMessage: 1 to 10 messages, up to 20 seconds, up to 12 hours."""
    with pytest.raises(ClientError) as caught:
        box.receive(**options)
    assert caught.value.response["Error"]["Code"] == "InvalidParameterValue"


def test_fifo_keeps_order_within_groups_and_drops_duplicates(scene: Scene) -> None:
    """Developer guide, "FIFO queue delivery logic": a group waits while one of its messages is in flight."""
    box = Box(scene, "box.fifo", FifoQueue="true", ContentBasedDeduplication="true")
    for body in ("a1", "a2", "a1"):
        box.send(body, MessageGroupId="a")
    box.send("b1", MessageGroupId="b")
    [first] = box.receive(MaxNumberOfMessages=1)
    assert first["Body"] == "a1"
    assert [message["Body"] for message in box.receive()] == ["b1"]
    received: list[Json] = []
    waiter = threading.Thread(target=lambda: received.extend(box.receive(WaitTimeSeconds=20)))
    waiter.start()
    box.sqs.delete_message(QueueUrl=box.url, ReceiptHandle=first["ReceiptHandle"])
    waiter.join(timeout=5)
    assert [message["Body"] for message in received] == ["a2"]


def test_queue_metrics(minute_a_second: Scene) -> None:
    """Developer guide, "Available CloudWatch metrics for Amazon SQS": with QueueName; the age in simulated seconds."""
    box = Box(minute_a_second)
    box.send("old")

    def read(name: str, stat: str) -> float:
        now = time.time()
        found = minute_a_second.cloudwatch.get_metric_statistics(
            Namespace="AWS/SQS",
            MetricName=name,
            Dimensions=[{"Name": "QueueName", "Value": "box"}],
            StartTime=now - 60,
            EndTime=now + 1,
            Period=60,
            Statistics=[stat],
        )["Datapoints"]
        return max((point[stat] for point in found), default=0.0)

    deadline = time.monotonic() + 6
    while read("ApproximateAgeOfOldestMessage", "Maximum") < 90:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert read("NumberOfMessagesSent", "Sum") == 1
    assert read("ApproximateNumberOfMessagesVisible", "Maximum") == 1


def test_waiting_receivers_do_not_hold_up_the_end(scene: Scene, box: Box) -> None:
    """Closing the simulator sends them home."""
    waiter = threading.Thread(target=lambda: box.receive(WaitTimeSeconds=20))
    waiter.start()
    deadline = time.monotonic() + 15
    while not scene.control.calls("ReceiveMessage") and time.monotonic() < deadline:
        time.sleep(0.01)
    with scene.server.simulation.visit() as place:
        place.observability.close()
    waiter.join(timeout=2)
    assert not waiter.is_alive()
