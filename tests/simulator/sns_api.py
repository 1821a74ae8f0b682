"""The operations of the Amazon SNS API on Topics."""

import json
import re
from collections.abc import Callable

from .aws_protocol import Json
from .errors import AwsError
from .event_patterns import EventPatternError, parse_pattern
from .pages import cut_page
from .sns import MAX_SUBJECT, Subscription, Topic, Topics

MAX_MESSAGE_BYTES = 262_144
MAX_BATCH = 10
LIST_PAGE = 100
PENDING = "pending confirmation"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}")
_PROTOCOLS = ("sqs", "http", "https", "email", "email-json", "sms", "lambda", "application", "firehose")


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterException", f"Invalid parameter: {message}")


class SnsApi:
    """Each method answers one operation: request parameters in, members of the answer out, AwsError else."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self.operations: dict[str, Callable[[Json], Json]] = {
            "CreateTopic": self.create_topic,
            "DeleteTopic": self.delete_topic,
            "ListTopics": self.list_topics,
            "GetTopicAttributes": self.get_topic_attributes,
            "SetTopicAttributes": self.set_topic_attributes,
            "Subscribe": self.subscribe,
            "Unsubscribe": self.unsubscribe,
            "ListSubscriptions": self.list_subscriptions,
            "ListSubscriptionsByTopic": self.list_subscriptions_by_topic,
            "GetSubscriptionAttributes": self.get_subscription_attributes,
            "SetSubscriptionAttributes": self.set_subscription_attributes,
            "Publish": self.publish,
            "PublishBatch": self.publish_batch,
        }

    # Topics

    def _find(self, arn: str) -> Topic:
        topic = self._topics.topics.get(arn)
        if topic is None:
            raise AwsError("NotFoundException", "Topic does not exist", 404)
        return topic

    def create_topic(self, request: Json) -> Json:
        """CreateTopic; of a name that is known, it returns the topic there is."""
        if not _NAME.fullmatch(request["Name"]):
            raise _invalid("Topic Name")
        tags = {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}
        return {"TopicArn": self._topics.create(request["Name"], request.get("Attributes", {}), tags).arn}

    def delete_topic(self, request: Json) -> Json:
        """DeleteTopic, with its subscriptions; "deleting a topic that does not exist does not result in an error"."""
        self._topics.topics.pop(request["TopicArn"], None)
        return {}

    def list_topics(self, request: Json) -> Json:
        """ListTopics, a hundred a page."""
        page, token = cut_page(
            sorted(self._topics.topics), request.get("NextToken"), LIST_PAGE, "InvalidParameterException"
        )
        return {"Topics": [{"TopicArn": arn} for arn in page], **({"NextToken": token} if token else {})}

    def get_topic_attributes(self, request: Json) -> Json:
        """GetTopicAttributes."""
        topic = self._find(request["TopicArn"])
        confirmed = sum(subscription.confirmed for subscription in topic.subscriptions.values())
        return {
            "Attributes": {
                **topic.attributes,
                "TopicArn": topic.arn,
                "Owner": self._topics.account,
                "SubscriptionsConfirmed": str(confirmed),
                "SubscriptionsPending": str(len(topic.subscriptions) - confirmed),
                "SubscriptionsDeleted": "0",
            }
        }

    def set_topic_attributes(self, request: Json) -> Json:
        """SetTopicAttributes."""
        self._find(request["TopicArn"]).attributes[request["AttributeName"]] = request.get("AttributeValue", "")
        return {}

    # Subscriptions

    def subscribe(self, request: Json) -> Json:
        """Subscribe: queues are confirmed at once, email and HTTP endpoints never."""
        topic = self._find(request["TopicArn"])
        protocol, endpoint = request["Protocol"], request.get("Endpoint", "")
        if protocol not in _PROTOCOLS:
            raise _invalid(f"Does not support this protocol string: {protocol}")
        if protocol == "sqs" and not endpoint.startswith("arn:aws:sqs:"):
            raise _invalid("SQS endpoint ARN")
        attributes = request.get("Attributes", {})
        subscription = self._topics.subscribe(topic, protocol, endpoint, attributes, _read_policy(attributes))
        shown = subscription.confirmed or request.get("ReturnSubscriptionArn", False)
        return {"SubscriptionArn": subscription.arn if shown else PENDING}

    def unsubscribe(self, request: Json) -> Json:
        """Unsubscribe."""
        arn = request["SubscriptionArn"]
        topic = self._topics.topics.get(arn.rpartition(":")[0])
        if topic is not None:
            topic.subscriptions.pop(arn, None)
        return {}

    def list_subscriptions(self, request: Json) -> Json:
        """ListSubscriptions, a hundred a page."""
        topics = self._topics.topics
        found = [subscription for arn in sorted(topics) for subscription in topics[arn].subscriptions.values()]
        return self._page(found, request)

    def list_subscriptions_by_topic(self, request: Json) -> Json:
        """ListSubscriptionsByTopic, a hundred a page."""
        return self._page(list(self._find(request["TopicArn"]).subscriptions.values()), request)

    def _page(self, found: list[Subscription], request: Json) -> Json:
        page, token = cut_page(found, request.get("NextToken"), LIST_PAGE, "InvalidParameterException")
        shaped = [
            {
                "SubscriptionArn": subscription.arn if subscription.confirmed else "PendingConfirmation",
                "Owner": self._topics.account,
                "Protocol": subscription.protocol,
                "Endpoint": subscription.endpoint,
                "TopicArn": subscription.topic_arn,
            }
            for subscription in page
        ]
        return {"Subscriptions": shaped, **({"NextToken": token} if token else {})}

    def _find_subscription(self, arn: str) -> Subscription:
        subscription = self._topics.find_subscription(arn)
        if subscription is None:
            raise AwsError("NotFoundException", "Subscription does not exist", 404)
        return subscription

    def get_subscription_attributes(self, request: Json) -> Json:
        """GetSubscriptionAttributes."""
        subscription = self._find_subscription(request["SubscriptionArn"])
        return {
            "Attributes": {
                "RawMessageDelivery": "false",
                **subscription.attributes,
                "SubscriptionArn": subscription.arn,
                "TopicArn": subscription.topic_arn,
                "Owner": self._topics.account,
                "Protocol": subscription.protocol,
                "Endpoint": subscription.endpoint,
                "PendingConfirmation": str(not subscription.confirmed).lower(),
            }
        }

    def set_subscription_attributes(self, request: Json) -> Json:
        """SetSubscriptionAttributes: RawMessageDelivery, FilterPolicy, FilterPolicyScope and more."""
        subscription = self._find_subscription(request["SubscriptionArn"])
        attributes = {**subscription.attributes, request["AttributeName"]: request.get("AttributeValue", "")}
        subscription.filter_policy = _read_policy(attributes)
        subscription.attributes = attributes
        return {}

    # Messages

    def publish(self, request: Json) -> Json:
        """Publish to a topic."""
        arn = request.get("TopicArn") or request.get("TargetArn")
        if arn is None:
            raise _invalid("TopicArn or TargetArn Reason: no value for required parameter")
        return {"MessageId": self._publish(self._find(arn), request)}

    def publish_batch(self, request: Json) -> Json:
        """PublishBatch: at most ten messages, each on its own."""
        topic, entries = self._find(request["TopicArn"]), request["PublishBatchRequestEntries"]
        if not entries:
            raise AwsError("EmptyBatchRequestException", "The batch request doesn't contain any entries.")
        if len(entries) > MAX_BATCH:
            raise AwsError("TooManyEntriesInBatchRequestException", "The batch request contains more entries than 10.")
        if len({entry["Id"] for entry in entries}) != len(entries):
            raise AwsError("BatchEntryIdsNotDistinctException", "Two or more batch entries have the same Id.")
        done: list[Json] = []
        failed: list[Json] = []
        for entry in entries:
            try:
                done.append({"Id": entry["Id"], "MessageId": self._publish(topic, entry)})
            except AwsError as error:
                flaw = {"Code": "InvalidParameter", "Message": error.message, "SenderFault": True}
                failed.append({"Id": entry["Id"], **flaw})
        return {"Successful": done, "Failed": failed}

    def _publish(self, topic: Topic, request: Json) -> str:
        message, subject = request["Message"], request.get("Subject")
        if not message:
            raise _invalid("Empty message")
        if len(message.encode()) > MAX_MESSAGE_BYTES:
            raise _invalid("Message too long")
        if subject is not None and (not subject or len(subject) > MAX_SUBJECT or "\n" in subject):
            raise _invalid("Subject")
        by_protocol = None
        if request.get("MessageStructure") == "json":
            try:
                by_protocol = json.loads(message)
            except ValueError as error:
                raise _invalid("Message Structure - JSON message body failed to parse") from error
            if not isinstance(by_protocol, dict) or "default" not in by_protocol:
                raise _invalid("Message Structure - No default entry in JSON message body")
        attributes = request.get("MessageAttributes", {})
        return self._topics.publish(topic, message, subject, attributes, by_protocol)


def _read_policy(attributes: dict[str, str]) -> Json | None:
    text = attributes.get("FilterPolicy")
    if not text or text == "{}":
        return None
    try:
        return parse_pattern(text)
    except EventPatternError as error:
        raise _invalid(f"FilterPolicy: {error}") from error
