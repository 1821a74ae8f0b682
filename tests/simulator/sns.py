"""The state of simulated Amazon SNS: topics, subscriptions, and deliveries to SQS."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from .aws_protocol import Json
from .clock import Clock
from .event_patterns import matches

MAX_SUBJECT = 100
UNCONFIRMED_PROTOCOLS = ("http", "https", "email", "email-json")
"""Subscribe: "the endpoint owner must run the ConfirmSubscription action" for these."""
_SIGNATURE = "U2ltdWxhdGVkOiBub3Qgc2lnbmVkLg=="


@dataclass
class Subscription:
    """A subscription. `filter_policy` is the parsed FilterPolicy of `attributes`."""

    arn: str
    topic_arn: str
    protocol: str
    endpoint: str
    attributes: dict[str, str]
    confirmed: bool
    filter_policy: Json | None = None

    @property
    def is_raw(self) -> bool:
        """RawMessageDelivery is on."""
        return self.attributes.get("RawMessageDelivery") == "true"


@dataclass
class Topic:
    """A topic, with its subscriptions by ARN."""

    name: str
    arn: str
    attributes: dict[str, str]
    tags: dict[str, str]
    subscriptions: dict[str, Subscription] = field(default_factory=dict)


@dataclass(frozen=True)
class Notification:
    """A published message. `attributes` are MessageAttributes; `body(protocol)` is what a protocol gets."""

    id: str
    message: str
    subject: str | None
    attributes: Json
    by_protocol: Json | None

    def body(self, protocol: str) -> str:
        """With MessageStructure json, the text for `protocol`, or the default one."""
        if self.by_protocol is None:
            return self.message
        return str(self.by_protocol.get(protocol, self.by_protocol["default"]))


class Topics:
    """All topics of one account and region. Not thread safe: the owner holds a lock around every use."""

    def __init__(
        self,
        account: str,
        region: str,
        clock: Clock,
        make_id: Callable[[], str],
        send: Callable[[str, str, Json], bool],
    ) -> None:
        """`make_id` gives 32 hexadecimal digits. `send(queue_arn, body, attributes)`: whether there is such a queue."""
        self.account = account
        self.region = region
        self._clock = clock
        self._make_id = make_id
        self._send = send
        self.topics: dict[str, Topic] = {}
        """By ARN."""

    def arn(self, name: str) -> str:
        """The ARN of a topic of this name."""
        return f"arn:aws:sns:{self.region}:{self.account}:{name}"

    def create(self, name: str, attributes: dict[str, str], tags: dict[str, str]) -> Topic:
        """The topic of this name, made if there is none."""
        arn = self.arn(name)
        return self.topics.setdefault(arn, Topic(name, arn, dict(attributes), dict(tags)))

    def subscribe(
        self, topic: Topic, protocol: str, endpoint: str, attributes: dict[str, str], filter_policy: Json | None
    ) -> Subscription:
        """The subscription of this endpoint, made if there is none."""
        for known in topic.subscriptions.values():
            if (known.protocol, known.endpoint) == (protocol, endpoint):
                return known
        arn = f"{topic.arn}:{UUID(self._make_id())}"
        confirmed = protocol not in UNCONFIRMED_PROTOCOLS
        made = Subscription(arn, topic.arn, protocol, endpoint, dict(attributes), confirmed, filter_policy)
        topic.subscriptions[arn] = made
        return made

    def find_subscription(self, arn: str) -> Subscription | None:
        """The subscription with this ARN."""
        topic = self.topics.get(arn.rpartition(":")[0])
        return None if topic is None else topic.subscriptions.get(arn)

    def publish(
        self,
        topic: Topic,
        message: str,
        subject: str | None = None,
        attributes: Json | None = None,
        by_protocol: Json | None = None,
    ) -> str:
        """Deliver a message to the topic's queues; its id. Endpoints that are no queues get nothing."""
        notification = Notification(str(UUID(self._make_id())), message, subject, attributes or {}, by_protocol)
        for subscription in topic.subscriptions.values():
            if subscription.protocol == "sqs" and _wants(subscription, notification):
                if subscription.is_raw:
                    self._send(subscription.endpoint, notification.body("sqs"), notification.attributes)
                else:
                    self._send(subscription.endpoint, json.dumps(self._wrap(subscription, notification)), {})
        return notification.id

    def _wrap(self, subscription: Subscription, notification: Notification) -> Json:
        """Developer guide, "Amazon SNS message delivery to Amazon SQS": the JSON around a message that is not raw."""
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        host = f"https://sns.{self.region}.amazonaws.com"
        envelope: Json = {
            "Type": "Notification",
            "MessageId": notification.id,
            "TopicArn": subscription.topic_arn,
            "Message": notification.body("sqs"),
            "Timestamp": f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}Z",
            "SignatureVersion": "1",
            "Signature": _SIGNATURE,
            "SigningCertURL": f"{host}/SimpleNotificationService-0000000000000000000000.pem",
            "UnsubscribeURL": f"{host}/?Action=Unsubscribe&SubscriptionArn={subscription.arn}",
        }
        if notification.subject is not None:
            envelope["Subject"] = notification.subject
        if notification.attributes:
            envelope["MessageAttributes"] = {
                name: {"Type": given["DataType"], "Value": _read_text(given)}
                for name, given in notification.attributes.items()
            }
        return envelope


def _read_text(attribute: Json) -> str:
    value = attribute.get("StringValue", attribute.get("BinaryValue", ""))
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _wants(subscription: Subscription, notification: Notification) -> bool:
    """Whether the FilterPolicy lets the message through, by its attributes or, in scope MessageBody, by its body."""
    if subscription.filter_policy is None:
        return True
    if subscription.attributes.get("FilterPolicyScope") == "MessageBody":
        try:
            body = json.loads(notification.message)
        except ValueError:
            return False
        return matches(subscription.filter_policy, body)
    values: Json = {}
    for name, attribute in notification.attributes.items():
        text = _read_text(attribute)
        if attribute["DataType"] == "Number":
            values[name] = float(text)
        elif attribute["DataType"] == "String.Array":
            values[name] = json.loads(text)
        else:
            values[name] = text
    return matches(subscription.filter_policy, values)
