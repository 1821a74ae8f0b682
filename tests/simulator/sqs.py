"""The state of simulated Amazon SQS: queues whose messages hide when received and come back when not deleted.

Durations given through the API (visibility time-out, delay, wait time, retention) are wall seconds whatever the speed
of the simulation: they are a contract with a client that lives in wall time, and so does its work on a message.
"""

import hashlib
import json
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from .aws_protocol import Json
from .clock import Clock

MAX_MESSAGES_PER_RECEIVE = 10
DEDUPLICATION_SECONDS = 300.0
"""FIFO: "deduplication interval" of 5 minutes."""

QUEUE_DEFAULTS = {
    "VisibilityTimeout": "30",
    "MaximumMessageSize": "1048576",
    "MessageRetentionPeriod": "345600",
    "DelaySeconds": "0",
    "ReceiveMessageWaitTimeSeconds": "0",
    "SqsManagedSseEnabled": "true",
}
"""CreateQueue, with the defaults it names."""


@dataclass
class Message:
    """A message. Times are wall seconds; it is hidden from receivers until `visible_at`."""

    id: str
    body: str
    attributes: Json
    sent_at: float
    visible_at: float
    group_id: str | None = None
    deduplication_id: str | None = None
    sequence_number: str | None = None
    receive_count: int = 0
    first_received_at: float | None = None
    receipt_handle: str | None = None
    source_queue_arn: str | None = None
    trace_header: str | None = None

    def in_flight(self, now: float) -> bool:
        """Received, and neither deleted nor visible again."""
        return self.receive_count > 0 and self.visible_at > now


@dataclass
class Counts:
    """What happened in a queue since the last publication of its metrics."""

    sent: int = 0
    sent_bytes: list[int] = field(default_factory=list)
    received: int = 0
    deleted: int = 0
    empty_receives: int = 0


@dataclass
class Queue:
    """A queue. `attributes` are those that can be set, as strings; messages are in the order they were sent in."""

    name: str
    arn: str
    url: str
    created_at: float
    modified_at: float
    attributes: dict[str, str]
    tags: dict[str, str]
    messages: dict[str, Message] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)
    purged_at: float | None = None
    recent_ids: dict[str, tuple[float, Message]] = field(default_factory=dict)
    next_sequence: int = 1

    @property
    def is_fifo(self) -> bool:
        """Its name ends with `.fifo`."""
        return self.name.endswith(".fifo")

    def number(self, attribute: str) -> int:
        """An attribute that holds a number."""
        return int(self.attributes[attribute])

    @property
    def redrive(self) -> tuple[str, int] | None:
        """ARN of the dead-letter queue, and maxReceiveCount; None without a RedrivePolicy."""
        policy = json.loads(self.attributes.get("RedrivePolicy") or "{}")
        return (policy["deadLetterTargetArn"], int(policy["maxReceiveCount"])) if policy else None


class Queues:
    """All queues of one account and region. Thread-safe: it has a lock of its own, as receivers wait in it."""

    def __init__(self, account: str, region: str, clock: Clock, make_id: Callable[[], str]) -> None:
        """`make_id` gives 32 hexadecimal digits, anew at each call."""
        self.account = account
        self.region = region
        self._clock = clock
        self._make_id = make_id
        self.changed = threading.Condition(threading.RLock())
        """The lock around every use of a Queue; notified when a message may have become visible."""
        self._queues: dict[str, Queue] = {}
        self._closed = False

    def close(self) -> None:
        """Send all waiting receivers home."""
        with self.changed:
            self._closed = True
            self.changed.notify_all()

    def arn(self, name: str) -> str:
        """The ARN of a queue of this name."""
        return f"arn:aws:sqs:{self.region}:{self.account}:{name}"

    def find(self, name: str) -> Queue | None:
        """The queue of this name."""
        with self.changed:
            return self._queues.get(name)

    def find_by_arn(self, arn: str) -> Queue | None:
        """The queue with this ARN."""
        queue = self.find(arn.rsplit(":", 1)[-1])
        return queue if queue is not None and queue.arn == arn else None

    def find_all(self) -> list[Queue]:
        """All queues, by name."""
        with self.changed:
            return [self._queues[name] for name in sorted(self._queues)]

    def create(self, name: str, attributes: Mapping[str, str], tags: Mapping[str, str]) -> Queue:
        """A new queue; the caller has seen that there is none of this name."""
        now = self._clock.now()
        url = f"https://sqs.{self.region}.amazonaws.com/{self.account}/{name}"
        queue = Queue(name, self.arn(name), url, now, now, {**QUEUE_DEFAULTS, **attributes}, dict(tags))
        with self.changed:
            self._queues[name] = queue
        return queue

    def delete(self, queue: Queue) -> None:
        """Delete a queue and its messages."""
        with self.changed:
            self._queues.pop(queue.name, None)
            self.changed.notify_all()

    # Messages

    def send(
        self,
        queue: Queue,
        body: str,
        *,
        attributes: Json | None = None,
        delay: float | None = None,
        group_id: str | None = None,
        deduplication_id: str | None = None,
        trace_header: str | None = None,
    ) -> Message:
        """Add a message; of a FIFO queue's duplicates within five minutes, the first is returned instead."""
        with self.changed:
            now = self._clock.now()
            if queue.is_fifo and deduplication_id is None:
                deduplication_id = hashlib.sha256(body.encode()).hexdigest()
            if queue.is_fifo and deduplication_id is not None:
                sent = queue.recent_ids.get(deduplication_id)
                if sent is not None and now - sent[0] < DEDUPLICATION_SECONDS:
                    return sent[1]
            wait = queue.number("DelaySeconds") if delay is None else delay
            message = Message(
                str(UUID(self._make_id())), body, attributes or {}, now, now + wait, group_id, deduplication_id
            )
            message.trace_header = trace_header
            if queue.is_fifo and deduplication_id is not None:
                message.sequence_number = f"{queue.next_sequence:020d}"
                queue.next_sequence += 1
                queue.recent_ids[deduplication_id] = (now, message)
            queue.messages[message.id] = message
            queue.counts.sent += 1
            queue.counts.sent_bytes.append(len(body.encode()))
            self.changed.notify_all()
            return message

    def receive(self, queue: Queue, count: int, visibility: float, wait: float) -> list[Message]:
        """Up to `count` messages, hidden for `visibility` seconds; waits up to `wait` seconds for the first one.

        Ends early when the queue is deleted or the simulation ends. Must not be called under another lock.
        """
        with self.changed:
            deadline = self._clock.now() + wait
            while True:
                now = self._clock.now()
                found = self._take(queue, count, visibility, now)
                if found or now >= deadline or self._closed or self._queues.get(queue.name) is not queue:
                    queue.counts.received += len(found)
                    queue.counts.empty_receives += not found
                    return found
                due = min((m.visible_at for m in queue.messages.values() if m.visible_at > now), default=deadline)
                self.changed.wait(min(deadline, due) - now)

    def _take(self, queue: Queue, count: int, visibility: float, now: float) -> list[Message]:
        self._expire(queue, now)
        taken: list[Message] = []
        blocked = {m.group_id for m in queue.messages.values() if m.in_flight(now)} if queue.is_fifo else set()
        for message in list(queue.messages.values()):
            if len(taken) == count:
                break
            if message.visible_at > now or (queue.is_fifo and message.group_id in blocked):
                continue
            if self._bury(queue, message, now):
                continue
            message.receive_count += 1
            message.first_received_at = message.first_received_at or now
            message.visible_at = now + visibility
            message.receipt_handle = f"{self._make_id()}{self._make_id()}#{message.id}"
            taken.append(message)
        return taken

    def _bury(self, queue: Queue, message: Message, now: float) -> bool:
        """Move a message that was received too often to the dead-letter queue; whether it was.

        "When the ReceiveCount for a message exceeds the maxReceiveCount for a queue, Amazon SQS moves the message to
        the dead-letter-queue." Its age there counts from the first enqueueing (standard queues).
        """
        redrive = queue.redrive
        if redrive is None or message.receive_count < redrive[1]:
            return False
        target = self.find_by_arn(redrive[0])
        if target is None:
            return False
        del queue.messages[message.id]
        message.receive_count, message.visible_at, message.receipt_handle = 0, now, None
        message.source_queue_arn = queue.arn
        target.messages[message.id] = message
        self.changed.notify_all()
        return True

    def _expire(self, queue: Queue, now: float) -> None:
        retention = queue.number("MessageRetentionPeriod")
        for id_ in [m.id for m in queue.messages.values() if now - m.sent_at > retention]:
            del queue.messages[id_]
        if queue.is_fifo:
            old = [id_ for id_, (at, _) in queue.recent_ids.items() if now - at >= DEDUPLICATION_SECONDS]
            for id_ in old:
                del queue.recent_ids[id_]

    def find_received(self, queue: Queue, receipt_handle: str) -> Message | None:
        """The message of a receipt handle, of whichever receive; None when it is deleted. ValueError: no handle."""
        _, mark, id_ = receipt_handle.partition("#")
        if not mark:
            raise ValueError(receipt_handle)
        return queue.messages.get(id_)

    def remove(self, queue: Queue, message: Message) -> None:
        """Delete a message."""
        with self.changed:
            if queue.messages.pop(message.id, None) is not None:
                queue.counts.deleted += 1
                # The next message of a FIFO group may go out.
                self.changed.notify_all()

    def hide(self, message: Message, seconds: float) -> None:
        """Let a message become visible in `seconds`."""
        with self.changed:
            message.visible_at = self._clock.now() + seconds
            self.changed.notify_all()

    # What is in a queue

    def count(self, queue: Queue) -> tuple[int, int, int]:
        """How many messages can be received, are in flight, and are delayed."""
        with self.changed:
            now = self._clock.now()
            self._expire(queue, now)
            messages = queue.messages.values()
            hidden = sum(message.in_flight(now) for message in messages)
            delayed = sum(message.visible_at > now and not message.receive_count for message in messages)
            return len(messages) - hidden - delayed, hidden, delayed

    def measure(self) -> list[tuple[str, str, str, float]]:
        """(queue, metric, unit, value) of all AWS/SQS metrics since the last call.

        Developer guide, "Available CloudWatch metrics for Amazon SQS". The age is in simulated seconds. A message in
        a dead-letter queue has the age of its first enqueueing. A queue that nobody has used publishes nothing in AWS;
        here every queue does, from its creation on.
        """
        with self.changed:
            now = self._clock.now()
            measured: list[tuple[str, str, str, float]] = []
            for queue in self._queues.values():
                visible, hidden, delayed = self.count(queue)
                oldest = max((now - message.sent_at for message in queue.messages.values()), default=0.0)
                counts, queue.counts = queue.counts, Counts()
                numbers = {
                    "ApproximateNumberOfMessagesVisible": visible,
                    "ApproximateNumberOfMessagesNotVisible": hidden,
                    "ApproximateNumberOfMessagesDelayed": delayed,
                    "NumberOfMessagesSent": counts.sent,
                    "NumberOfMessagesReceived": counts.received,
                    "NumberOfMessagesDeleted": counts.deleted,
                    "NumberOfEmptyReceives": counts.empty_receives,
                }
                measured.append((queue.name, "ApproximateAgeOfOldestMessage", "Seconds", oldest * self._clock.speed))
                measured.extend((queue.name, name, "Count", float(value)) for name, value in numbers.items())
                measured.extend((queue.name, "SentMessageSize", "Bytes", float(size)) for size in counts.sent_bytes)
            return measured


def hash_body(body: str) -> str:
    """MD5 of a message body, in hexadecimal digits."""
    return hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()


def hash_attributes(attributes: Json) -> str:
    """MD5 of message attributes.

    Developer guide, "Calculating the MD5 message digest for message attributes": sorted by name; length and bytes of
    name and type, a byte for the kind (1 string, 2 binary), length and bytes of the value; lengths in four bytes.
    """
    digest = hashlib.md5(usedforsecurity=False)
    for name, attribute in sorted(attributes.items()):
        binary = "BinaryValue" in attribute
        value = attribute["BinaryValue"] if binary else attribute.get("StringValue", "").encode()
        for part in (name.encode(), attribute["DataType"].encode()):
            digest.update(struct.pack(">I", len(part)) + part)
        digest.update((b"\x02" if binary else b"\x01") + struct.pack(">I", len(value)) + value)
    return digest.hexdigest()
