"""Amazon SNS: publish to a topic."""

import re
from collections.abc import Mapping

from bokgu.aws.client import AwsClient

LONGEST_SUBJECT = 100
"""Characters of a Subject: ASCII, no line breaks (API_Publish)."""
LARGEST_MESSAGE = 256 * 1024
"""Bytes of a message with its attributes (Amazon SNS endpoints and quotas)."""

_TOPIC = re.compile(r"arn:aws[\w-]*:sns:([a-z0-9-]+):\d{12}:[\w-]{1,256}(?:\.fifo)?")


def topic_region(arn: str) -> str | None:
    """The region of an SNS topic; None of what is no ARN of one."""
    found = _TOPIC.fullmatch(arn)
    return found[1] if found else None


async def publish(
    aws: AwsClient, topic: str, *, subject: str, message: str, key: str, group: str, attributes: Mapping[str, str]
) -> None:
    """Publish. Raises AwsError; ValueError where `topic` is no ARN of a topic.

    Of a FIFO topic `group` keeps the order, and within five minutes it drops a second message with the same `key`
    (Amazon SNS developer guide, "Message deduplication for FIFO topics").
    """
    region = topic_region(topic)
    if region is None:
        raise ValueError("no ARN of an SNS topic")
    plain = subject.encode("ascii", "replace").decode().replace("\n", " ")
    request = {
        "TopicArn": topic,
        "Subject": plain[:LONGEST_SUBJECT],
        "Message": message.encode()[: LARGEST_MESSAGE // 2].decode(errors="ignore"),
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": value} for name, value in attributes.items() if value
        },
    }
    if topic.endswith(".fifo"):
        request |= {"MessageGroupId": group[:128], "MessageDeduplicationId": key[:128]}
    # What is published twice is no harm: that is why it has a key.
    await aws.read("sns", "Publish", request, region=region, role_arn=None)
