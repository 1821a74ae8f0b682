"""The queue of events of the simulated account, as docs/doors.md says: a rule, the queue and its dead-letter queue."""

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config

from tests.world.manifests import REGION

QUEUE, DEAD_LETTERS, RULE = "bokgu-events", "bokgu-events-dead", "bokgu-events"
EVENT_PATTERN = {
    "source": ["aws.cloudwatch", "aws.ecs"],
    "detail-type": [
        "CloudWatch Alarm State Change",
        "ECS Task State Change",
        "ECS Deployment State Change",
        "ECS Service Action",
    ],
}
VISIBILITY_SECONDS, MAX_RECEIVE_COUNT = 2, 5
"""A message that was not deleted comes back soon, and is given up soon. docs/doors.md names what is wise outside."""

Raw = dict[str, Any]


class EventQueue:
    """Whatever a person or AWS does with the queue."""

    def __init__(self, aws_url: str) -> None:
        self._aws_url = aws_url

    def create(self) -> None:
        """Make all there is to it; what is there already stays."""
        self.sqs.create_queue(QueueName=DEAD_LETTERS)
        redrive = {"deadLetterTargetArn": self.arn(DEAD_LETTERS), "maxReceiveCount": MAX_RECEIVE_COUNT}
        attributes = {"VisibilityTimeout": str(VISIBILITY_SECONDS), "RedrivePolicy": json.dumps(redrive)}
        self.sqs.create_queue(QueueName=QUEUE, Attributes=attributes)
        bus = self._client("events")
        bus.put_rule(Name=RULE, EventPattern=json.dumps(EVENT_PATTERN))
        bus.put_targets(Rule=RULE, Targets=[{"Id": "bokgu", "Arn": self.arn(QUEUE)}])

    def arn(self, name: str) -> str:
        """ARN of one of the queues."""
        answer = self.sqs.get_queue_attributes(QueueUrl=self.url_of(name), AttributeNames=["QueueArn"])
        return str(answer["Attributes"]["QueueArn"])

    def url_of(self, name: str) -> str:
        """URL of one of the queues."""
        return str(self.sqs.get_queue_url(QueueName=name)["QueueUrl"])

    @cached_property
    def url(self) -> str:
        """What BOKGU_EVENT_QUEUES names."""
        return self.url_of(QUEUE)

    def send(self, *bodies: Mapping[str, Any] | str) -> None:
        """Put messages into the queue, ten in a call, as if EventBridge had sent them."""
        texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
        for first in range(0, len(texts), 10):
            pack = texts[first : first + 10]
            entries = [{"Id": str(number), "MessageBody": text} for number, text in enumerate(pack)]
            self.sqs.send_message_batch(QueueUrl=self.url, Entries=entries)

    def left(self, name: str = QUEUE) -> int:
        """Messages in the queue, hidden ones too."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.sqs.get_queue_attributes(QueueUrl=self.url_of(name), AttributeNames=names)
        return sum(int(answer["Attributes"][each]) for each in names)

    def take_dead(self) -> list[str]:
        """Bodies of all dead letters, which are deleted."""
        url, found = self.url_of(DEAD_LETTERS), []
        while messages := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                found.append(str(message["Body"]))
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found

    @cached_property
    def sqs(self) -> Any:
        """A boto3 client, as a person at the AWS console would be one."""
        return self._client("sqs")

    def _client(self, service: str) -> Any:
        session = boto3.Session(aws_access_key_id="person", aws_secret_access_key="x", region_name=REGION)
        return session.client(service, endpoint_url=self._aws_url, config=Config(retries={"total_max_attempts": 1}))
