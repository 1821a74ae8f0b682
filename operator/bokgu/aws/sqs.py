"""Amazon SQS: receive and delete messages of a queue."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bokgu.aws.client import AwsClient

MAX_MESSAGES = 10
"""Messages of one ReceiveMessage or DeleteMessageBatch call (API_ReceiveMessage, API_DeleteMessageBatch)."""
LONGEST_POLL = 20
"""Seconds for which ReceiveMessage waits for a message (API_ReceiveMessage, WaitTimeSeconds)."""


@dataclass(frozen=True)
class Message:
    """A message that was received, and stays hidden until it is deleted or the queue's visibility timeout is over.

    `receipt` is what deletes it; `receive_count` says how often it was received so far.
    """

    id: str
    receipt: str
    body: str
    sent_at: datetime
    receive_count: int


async def receive_messages(aws: AwsClient, url: str, *, region: str) -> tuple[Message, ...]:
    """Up to ten messages; waits up to 20 s for the first one. Raises AwsError."""
    answer = await aws.poll(
        "sqs",
        "ReceiveMessage",
        {
            "QueueUrl": url,
            "MaxNumberOfMessages": MAX_MESSAGES,
            "WaitTimeSeconds": LONGEST_POLL,
            "MessageSystemAttributeNames": ["SentTimestamp", "ApproximateReceiveCount"],
        },
        region=region,
        seconds=LONGEST_POLL,
    )
    return tuple(
        Message(
            id=raw["MessageId"],
            receipt=raw["ReceiptHandle"],
            body=raw["Body"],
            sent_at=datetime.fromtimestamp(int(raw["Attributes"]["SentTimestamp"]) / 1000, UTC),
            receive_count=int(raw["Attributes"]["ApproximateReceiveCount"]),
        )
        for raw in answer.get("Messages", ())
    )


async def delete_messages(aws: AwsClient, url: str, messages: Sequence[Message], *, region: str) -> dict[str, str]:
    """Delete up to ten messages; why some were not, by id of the message. Raises AwsError."""
    entries = [{"Id": str(number), "ReceiptHandle": message.receipt} for number, message in enumerate(messages)]
    request = {"QueueUrl": url, "Entries": entries}
    answer = await aws.read("sqs", "DeleteMessageBatch", request, region=region, role_arn=None)
    return {messages[int(failed["Id"])].id: failed.get("Code", "Unknown") for failed in answer.get("Failed", ())}
