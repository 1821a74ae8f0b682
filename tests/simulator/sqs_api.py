"""The operations of the Amazon SQS API on Queues."""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from .aws_protocol import Json
from .clock import Clock
from .errors import AwsError
from .pages import cut_page
from .sqs import MAX_MESSAGES_PER_RECEIVE, Message, Queue, Queues, hash_attributes, hash_body

MAX_BATCH = 10
MAX_VISIBILITY_SECONDS = 43_200
LIST_PAGE = 1000
PURGE_SECONDS = 60.0
"""PurgeQueue: "The message deletion process takes up to 60 seconds"; a second one within them is refused."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}|[A-Za-z0-9_-]{1,75}\.fifo")
_ENTRY_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
_RANGES = {
    "DelaySeconds": (0, 900),
    "MaximumMessageSize": (1024, 1_048_576),
    "MessageRetentionPeriod": (60, 1_209_600),
    "ReceiveMessageWaitTimeSeconds": (0, 20),
    "VisibilityTimeout": (0, MAX_VISIBILITY_SECONDS),
    "KmsDataKeyReusePeriodSeconds": (60, 86_400),
}
_OTHER_ATTRIBUTES = frozenset(
    {
        "Policy",
        "RedrivePolicy",
        "RedriveAllowPolicy",
        "KmsMasterKeyId",
        "SqsManagedSseEnabled",
        "FifoQueue",
        "ContentBasedDeduplication",
        "DeduplicationScope",
        "FifoThroughputLimit",
    }
)
_COMPUTED_ATTRIBUTES = (
    "QueueArn",
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
)


def _error(shape: str, message: str, query_code: str | None = None) -> AwsError:
    return AwsError(shape, message, query_code=query_code)


def _invalid(message: str) -> AwsError:
    return _error("InvalidParameterValue", message, "InvalidParameterValue")


class SqsApi:
    """Each method answers one operation: request parameters in, members of the answer out, AwsError else.

    Call them without the simulation's lock: ReceiveMessage waits, and Queues has a lock of its own.
    """

    def __init__(self, queues: Queues, clock: Clock) -> None:
        self._queues = queues
        self._clock = clock
        operations: dict[str, Callable[[Json], Json]] = {
            "CreateQueue": self.create_queue,
            "DeleteQueue": self.delete_queue,
            "GetQueueUrl": self.get_queue_url,
            "ListQueues": self.list_queues,
            "ListDeadLetterSourceQueues": self.list_dead_letter_source_queues,
            "GetQueueAttributes": self.get_queue_attributes,
            "SetQueueAttributes": self.set_queue_attributes,
            "TagQueue": self.tag_queue,
            "UntagQueue": self.untag_queue,
            "ListQueueTags": self.list_queue_tags,
            "SendMessage": self.send_message,
            "SendMessageBatch": self.send_message_batch,
            "DeleteMessage": self.delete_message,
            "DeleteMessageBatch": self.delete_message_batch,
            "ChangeMessageVisibility": self.change_message_visibility,
            "ChangeMessageVisibilityBatch": self.change_message_visibility_batch,
            "PurgeQueue": self.purge_queue,
        }
        self.operations = {name: self._locked(operation) for name, operation in operations.items()}
        self.operations["ReceiveMessage"] = self.receive_message

    def _locked(self, operation: Callable[[Json], Json]) -> Callable[[Json], Json]:
        def perform(request: Json) -> Json:
            with self._queues.changed:
                return operation(request)

        return perform

    def _find(self, request: Json) -> Queue:
        queue = self._queues.find(request["QueueUrl"].rsplit("/", 1)[-1])
        if queue is None:
            raise _error(
                "QueueDoesNotExist",
                "The specified queue does not exist.",
                "AWS.SimpleQueueService.NonExistentQueue",
            )
        return queue

    # Queues

    def create_queue(self, request: Json) -> Json:
        """CreateQueue: the same name with the same attributes gives the queue there is."""
        name, attributes = request["QueueName"], request.get("Attributes", {})
        if not _NAME.fullmatch(name):
            raise _invalid("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
        if (attributes.get("FifoQueue") == "true") != name.endswith(".fifo"):
            raise _invalid(
                "The name of a FIFO queue can only include alphanumeric characters, hyphens, or "
                "underscores, must end with .fifo suffix and be 1 to 80 in length."
            )
        self._check_attributes(attributes)
        queue = self._queues.find(name)
        if queue is None:
            queue = self._queues.create(name, attributes, request.get("tags", {}))
        elif any(queue.attributes.get(key) != value for key, value in attributes.items()):
            raise _error(
                "QueueNameExists",
                "A queue already exists with the same name and a different value for attribute "
                f"{next(key for key, value in attributes.items() if queue.attributes.get(key) != value)}",
                "QueueAlreadyExists",
            )
        return {"QueueUrl": queue.url}

    def delete_queue(self, request: Json) -> Json:
        """DeleteQueue."""
        self._queues.delete(self._find(request))
        return {}

    def get_queue_url(self, request: Json) -> Json:
        """GetQueueUrl."""
        return {"QueueUrl": self._find({"QueueUrl": request["QueueName"]}).url}

    def list_queues(self, request: Json) -> Json:
        """ListQueues by prefix, a thousand or MaxResults a page."""
        prefix = request.get("QueueNamePrefix", "")
        urls = [queue.url for queue in self._queues.find_all() if queue.name.startswith(prefix)]
        page, token = cut_page(urls, request.get("NextToken"), request.get("MaxResults", LIST_PAGE))
        more = {"NextToken": token} if token and "MaxResults" in request else {}
        return {"QueueUrls": page, **more} if page else {}

    def list_dead_letter_source_queues(self, request: Json) -> Json:
        """ListDeadLetterSourceQueues."""
        arn = self._find(request).arn
        urls = [queue.url for queue in self._queues.find_all() if queue.redrive and queue.redrive[0] == arn]
        page, token = cut_page(urls, request.get("NextToken"), request.get("MaxResults", LIST_PAGE))
        return {"queueUrls": page, **({"NextToken": token} if token else {})}

    def get_queue_attributes(self, request: Json) -> Json:
        """GetQueueAttributes: those named, or All."""
        queue = self._find(request)
        visible, hidden, delayed = self._queues.count(queue)
        every = {
            **queue.attributes,
            "QueueArn": queue.arn,
            "ApproximateNumberOfMessages": str(visible),
            "ApproximateNumberOfMessagesNotVisible": str(hidden),
            "ApproximateNumberOfMessagesDelayed": str(delayed),
            "CreatedTimestamp": str(int(queue.created_at)),
            "LastModifiedTimestamp": str(int(queue.modified_at)),
        }
        names = request.get("AttributeNames", [])
        for name in names:
            if name not in ("All", *_RANGES, *_OTHER_ATTRIBUTES, *_COMPUTED_ATTRIBUTES):
                raise _error("InvalidAttributeName", f"Unknown Attribute {name}.", "InvalidAttributeName")
        chosen = {name: value for name, value in every.items() if "All" in names or name in names}
        return {"Attributes": chosen} if chosen else {}

    def set_queue_attributes(self, request: Json) -> Json:
        """SetQueueAttributes; an empty Policy or RedrivePolicy removes it."""
        queue = self._find(request)
        self._check_attributes(request["Attributes"])
        for name, value in request["Attributes"].items():
            if name == "FifoQueue" and value != queue.attributes.get("FifoQueue"):
                raise _error("InvalidAttributeName", f"Unknown Attribute {name}.", "InvalidAttributeName")
            if value == "":
                queue.attributes.pop(name, None)
            else:
                queue.attributes[name] = value
        queue.modified_at = self._clock.now()
        return {}

    def _check_attributes(self, attributes: dict[str, str]) -> None:
        for name, value in attributes.items():
            if name not in _RANGES and name not in _OTHER_ATTRIBUTES:
                raise _error("InvalidAttributeName", f"Unknown Attribute {name}.", "InvalidAttributeName")
            least, most = _RANGES.get(name, (0, 0))
            if name in _RANGES and not (value.isdecimal() and least <= int(value) <= most):
                raise _error(
                    "InvalidAttributeValue", f"Invalid value for the parameter {name}.", "InvalidAttributeValue"
                )
            if name == "RedrivePolicy" and value:
                self._check_redrive(value)

    def _check_redrive(self, text: str) -> None:
        try:
            policy = json.loads(text)
            arn, count = policy["deadLetterTargetArn"], int(policy["maxReceiveCount"])
        except (KeyError, TypeError, ValueError) as error:
            raise _invalid(
                f"Value {text} for parameter RedrivePolicy is invalid. Reason: Redrive policy is not a valid JSON map."
            ) from error
        if not 1 <= count <= 1000:
            raise _invalid(
                f"Value {text} for parameter RedrivePolicy is invalid. Reason: Invalid value for "
                f"maxReceiveCount: {count}, valid values are from 1 to 1000 both inclusive."
            )
        if self._queues.find_by_arn(arn) is None:
            raise _invalid(
                f"Value {text} for parameter RedrivePolicy is invalid. Reason: Dead letter target does not exist."
            )

    def tag_queue(self, request: Json) -> Json:
        """TagQueue."""
        self._find(request).tags.update(request["Tags"])
        return {}

    def untag_queue(self, request: Json) -> Json:
        """UntagQueue."""
        queue = self._find(request)
        for key in request["TagKeys"]:
            queue.tags.pop(key, None)
        return {}

    def list_queue_tags(self, request: Json) -> Json:
        """ListQueueTags."""
        tags = self._find(request).tags
        return {"Tags": dict(tags)} if tags else {}

    def purge_queue(self, request: Json) -> Json:
        """PurgeQueue, in flight or not; once a minute."""
        queue, now = self._find(request), self._clock.now()
        if queue.purged_at is not None and now - queue.purged_at < PURGE_SECONDS:
            raise _error(
                "PurgeQueueInProgress",
                f"Only one PurgeQueue operation on {queue.name} is allowed every 60 seconds.",
                "AWS.SimpleQueueService.PurgeQueueInProgress",
            )
        queue.purged_at = now
        queue.messages.clear()
        return {}

    # Messages

    def send_message(self, request: Json) -> Json:
        """SendMessage."""
        queue = self._find(request)
        message = self._send(queue, request)
        return _shape_sent(message)

    def _send(self, queue: Queue, entry: Json) -> Message:
        body, attributes = entry["MessageBody"], entry.get("MessageAttributes", {})
        if not body:
            raise _error("MissingParameter", "The request must contain the parameter MessageBody.", "MissingParameter")
        size = len(body.encode()) + sum(
            len(name) + len(a["DataType"]) + len(str(a.get("StringValue", a.get("BinaryValue", ""))))
            for name, a in attributes.items()
        )
        if size > queue.number("MaximumMessageSize"):
            raise _invalid(
                "One or more parameters are invalid. Reason: Message must be shorter than "
                f"{queue.attributes['MaximumMessageSize']} bytes."
            )
        delay = entry.get("DelaySeconds")
        if delay is not None and not 0 <= delay <= _RANGES["DelaySeconds"][1]:
            raise _invalid(
                f"Value {delay} for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900."
            )
        if queue.is_fifo and "MessageGroupId" not in entry:
            raise _error(
                "MissingParameter", "The request must contain the parameter MessageGroupId.", "MissingParameter"
            )
        deduplicated = "MessageDeduplicationId" in entry or queue.attributes.get("ContentBasedDeduplication") == "true"
        if queue.is_fifo and not deduplicated:
            raise _invalid(
                "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId "
                "provided explicitly"
            )
        trace = entry.get("MessageSystemAttributes", {}).get("AWSTraceHeader", {}).get("StringValue")
        return self._queues.send(
            queue,
            body,
            attributes=attributes,
            delay=delay,
            group_id=entry.get("MessageGroupId"),
            deduplication_id=entry.get("MessageDeduplicationId"),
            trace_header=trace,
        )

    def send_message_batch(self, request: Json) -> Json:
        """SendMessageBatch: each entry on its own, of at most ten."""
        queue = self._find(request)
        limit = queue.number("MaximumMessageSize")
        if sum(len(entry["MessageBody"].encode()) for entry in request["Entries"]) > limit:
            raise _error(
                "BatchRequestTooLong",
                f"Batch requests cannot be longer than {limit} bytes.",
                "AWS.SimpleQueueService.BatchRequestTooLong",
            )
        return _perform_batch(request["Entries"], lambda entry: _shape_sent(self._send(queue, entry)))

    def receive_message(self, request: Json) -> Json:
        """ReceiveMessage: long polling when WaitTimeSeconds, or the queue's attribute, is above 0."""
        queue = self._find(request)
        count = request.get("MaxNumberOfMessages", 1)
        if not 1 <= count <= MAX_MESSAGES_PER_RECEIVE:
            raise _invalid(
                f"Value {count} for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if "
                "provided."
            )
        wait = request.get("WaitTimeSeconds", queue.number("ReceiveMessageWaitTimeSeconds"))
        if not 0 <= wait <= _RANGES["ReceiveMessageWaitTimeSeconds"][1]:
            raise _invalid(
                f"Value {wait} for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided."
            )
        visibility = request.get("VisibilityTimeout", queue.number("VisibilityTimeout"))
        _check_visibility(visibility)
        messages = self._queues.receive(queue, count, visibility, wait)
        system = {*request.get("AttributeNames", []), *request.get("MessageSystemAttributeNames", [])}
        own = request.get("MessageAttributeNames", [])
        shaped = [_shape_message(message, system, own, self._queues.account) for message in messages]
        return {"Messages": shaped} if shaped else {}

    def delete_message(self, request: Json) -> Json:
        """DeleteMessage. Only the newest receipt handle deletes; an older one is accepted without effect.

        "If you receive a message more than once, the ReceiptHandle is different each time you receive a message. When
        you use the DeleteMessage action, you must provide the most recently received ReceiptHandle for the message
        (otherwise, the request succeeds, but the message will not be deleted)."
        """
        queue = self._find(request)
        message = self._find_received(queue, request["ReceiptHandle"])
        if message is not None and message.receipt_handle == request["ReceiptHandle"]:
            self._queues.remove(queue, message)
        return {}

    def delete_message_batch(self, request: Json) -> Json:
        """DeleteMessageBatch."""
        self._find(request)
        url = request["QueueUrl"]
        return _perform_batch(request["Entries"], lambda entry: self.delete_message({**entry, "QueueUrl": url}))

    def change_message_visibility(self, request: Json) -> Json:
        """ChangeMessageVisibility, counted from now."""
        queue = self._find(request)
        seconds = request.get("VisibilityTimeout", 0)
        _check_visibility(seconds)
        message = self._find_received(queue, request["ReceiptHandle"])
        if message is None:
            raise _invalid(
                f"Value {request['ReceiptHandle']} for parameter ReceiptHandle is invalid. Reason: Message does not "
                "exist or is not available for visibility timeout change."
            )
        if not message.in_flight(self._clock.now()):
            raise _error(
                "MessageNotInflight",
                "The specified message isn't in flight.",
                "AWS.SimpleQueueService.MessageNotInflight",
            )
        self._queues.hide(message, seconds)
        return {}

    def change_message_visibility_batch(self, request: Json) -> Json:
        """ChangeMessageVisibilityBatch."""
        self._find(request)
        url = request["QueueUrl"]
        return _perform_batch(
            request["Entries"], lambda entry: self.change_message_visibility({**entry, "QueueUrl": url})
        )

    def _find_received(self, queue: Queue, receipt_handle: str) -> Message | None:
        try:
            return self._queues.find_received(queue, receipt_handle)
        except ValueError as error:
            raise _error(
                "ReceiptHandleIsInvalid",
                f'The input receipt handle "{receipt_handle}" is not a valid receipt handle.',
                "ReceiptHandleIsInvalid",
            ) from error


def _check_visibility(seconds: int) -> None:
    if not 0 <= seconds <= MAX_VISIBILITY_SECONDS:
        raise _invalid(
            f"Value {seconds} for parameter VisibilityTimeout is invalid. Reason: VisibilityTimeout must be an integer "
            f"between 0 and {MAX_VISIBILITY_SECONDS}."
        )


def _perform_batch(entries: list[Json], perform: Callable[[Json], Json]) -> Json:
    """Successful and Failed entries; AwsError when the batch as such is wrong."""
    if not entries:
        raise _error(
            "EmptyBatchRequest",
            "There should be at least one SendMessageBatchRequestEntry in the request.",
            "AWS.SimpleQueueService.EmptyBatchRequest",
        )
    if len(entries) > MAX_BATCH:
        raise _error(
            "TooManyEntriesInBatchRequest",
            f"Maximum number of entries per request are {MAX_BATCH}. You have sent {len(entries)}.",
            "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
        )
    ids = [entry["Id"] for entry in entries]
    if len(set(ids)) != len(ids):
        repeated = next(id_ for id_ in ids if ids.count(id_) > 1)
        raise _error(
            "BatchEntryIdsNotDistinct", f"Id {repeated} repeated.", "AWS.SimpleQueueService.BatchEntryIdsNotDistinct"
        )
    if not all(_ENTRY_ID.fullmatch(id_) for id_ in ids):
        raise _error(
            "InvalidBatchEntryId",
            "A batch entry id can only contain alphanumeric characters, hyphens and "
            "underscores. It can be at most 80 letters long.",
            "AWS.SimpleQueueService.InvalidBatchEntryId",
        )
    done: list[Json] = []
    failed: list[Json] = []
    for entry in entries:
        try:
            done.append({"Id": entry["Id"], **perform(entry)})
        except AwsError as error:
            failed.append(
                {
                    "Id": entry["Id"],
                    "SenderFault": error.status < 500,
                    "Code": error.query_code or error.code,
                    "Message": error.message,
                }
            )
    return {"Successful": done, "Failed": failed}


def _shape_sent(message: Message) -> Json:
    shaped = {"MD5OfMessageBody": hash_body(message.body), "MessageId": message.id}
    if message.attributes:
        shaped["MD5OfMessageAttributes"] = hash_attributes(message.attributes)
    if message.trace_header is not None:
        system = {"AWSTraceHeader": {"DataType": "String", "StringValue": message.trace_header}}
        shaped["MD5OfMessageSystemAttributes"] = hash_attributes(system)
    if message.sequence_number is not None:
        shaped["SequenceNumber"] = message.sequence_number
    return shaped


def _shape_message(message: Message, system: set[str], own: Iterable[str], sender: str) -> Json:
    every: dict[str, Any] = {
        "SenderId": sender,
        "SentTimestamp": str(round(message.sent_at * 1000)),
        "ApproximateReceiveCount": str(message.receive_count),
        "ApproximateFirstReceiveTimestamp": str(round((message.first_received_at or 0) * 1000)),
        "MessageGroupId": message.group_id,
        "MessageDeduplicationId": message.deduplication_id,
        "SequenceNumber": message.sequence_number,
        "AWSTraceHeader": message.trace_header,
        "DeadLetterQueueSourceArn": message.source_queue_arn,
    }
    shaped: Json = {
        "MessageId": message.id,
        "ReceiptHandle": message.receipt_handle,
        "MD5OfBody": hash_body(message.body),
        "Body": message.body,
    }
    chosen = {name: value for name, value in every.items() if value is not None and system & {"All", name}}
    if chosen:
        shaped["Attributes"] = chosen
    attributes = {name: value for name, value in message.attributes.items() if _is_wanted(name, own)}
    if attributes:
        shaped["MessageAttributes"] = attributes
        shaped["MD5OfMessageAttributes"] = hash_attributes(attributes)
    return shaped


def _is_wanted(name: str, wanted: Iterable[str]) -> bool:
    """By its name, `All`, `.*`, or a prefix that ends with `.*`."""
    return any(
        pattern in ("All", ".*", name) or (pattern.endswith(".*") and name.startswith(pattern[:-2]))
        for pattern in wanted
    )
