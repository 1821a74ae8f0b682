"""The operations of the CloudWatch Logs API on Logs."""

from collections.abc import Callable, Sequence

from .aws_protocol import Json
from .errors import AwsError
from .log_patterns import LogPatternError, Match, compile_pattern
from .logs import LogEvent, LogGroup, Logs, LogStream
from .pages import cut_page

MAX_EVENTS_PER_PAGE = 10_000
MAX_SCANNED_PER_PAGE = 50_000
"""FilterLogEvents stops looking after some time, so pages can be short or empty and still have a token."""
MAX_BATCH_EVENTS = 10_000
MAX_BATCH_BYTES = 1_048_576
EVENT_OVERHEAD_BYTES = 26
MAX_BATCH_SPAN_MS = 24 * 3600 * 1000
MAX_FUTURE_MS = 2 * 3600 * 1000
MAX_PAST_MS = 14 * 86_400_000
"""PutLogEvents, its list of constraints."""
MAX_FILTERS_PER_GROUP = 100
LIST_PAGE = 50
RETENTION_DAYS = frozenset(
    (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
)
_BAD_TOKEN = "InvalidParameterException"


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterException", message)


class LogsApi:
    """Each method answers one operation: request parameters in, members of the answer out, AwsError else."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs
        self.operations: dict[str, Callable[[Json], Json]] = {
            "CreateLogGroup": self.create_log_group,
            "DeleteLogGroup": self.delete_log_group,
            "DescribeLogGroups": self.describe_log_groups,
            "PutRetentionPolicy": self.put_retention_policy,
            "DeleteRetentionPolicy": self.delete_retention_policy,
            "CreateLogStream": self.create_log_stream,
            "DeleteLogStream": self.delete_log_stream,
            "DescribeLogStreams": self.describe_log_streams,
            "PutLogEvents": self.put_log_events,
            "GetLogEvents": self.get_log_events,
            "FilterLogEvents": self.filter_log_events,
            "PutMetricFilter": self.put_metric_filter,
            "DeleteMetricFilter": self.delete_metric_filter,
            "DescribeMetricFilters": self.describe_metric_filters,
            "TestMetricFilter": self.test_metric_filter,
        }

    # Groups and streams

    def _find(self, request: Json) -> LogGroup:
        name = request.get("logGroupName") or request.get("logGroupIdentifier")
        if name is None:
            raise _invalid("Either logGroupName or logGroupIdentifier must be specified.")
        if name.startswith("arn:"):
            name = name.partition(":log-group:")[2].removesuffix(":*")
        group = self._logs.groups.get(name)
        if group is None:
            raise AwsError("ResourceNotFoundException", "The specified log group does not exist.")
        return group

    def _find_stream(self, group: LogGroup, name: str) -> LogStream:
        stream = group.streams.get(name)
        if stream is None:
            raise AwsError("ResourceNotFoundException", "The specified log stream does not exist.")
        return stream

    def create_log_group(self, request: Json) -> Json:
        """CreateLogGroup."""
        name = request["logGroupName"]
        if name in self._logs.groups:
            raise AwsError("ResourceAlreadyExistsException", "The specified log group already exists")
        self._logs.create_group(name).tags.update(request.get("tags", {}))
        return {}

    def delete_log_group(self, request: Json) -> Json:
        """DeleteLogGroup, with all that is in it."""
        del self._logs.groups[self._find(request).name]
        return {}

    def describe_log_groups(self, request: Json) -> Json:
        """DescribeLogGroups by prefix or by a part of the name; at most fifty a page."""
        groups = self._logs.groups
        found = [
            groups[name]
            for name in sorted(groups)
            if name.startswith(request.get("logGroupNamePrefix", "")) and request.get("logGroupNamePattern", "") in name
        ]
        page, token = cut_page(found, request.get("nextToken"), request.get("limit", LIST_PAGE), _BAD_TOKEN)
        return {"logGroups": [_shape_group(group) for group in page], **({"nextToken": token} if token else {})}

    def put_retention_policy(self, request: Json) -> Json:
        """PutRetentionPolicy."""
        group, days = self._find(request), request["retentionInDays"]
        if days not in RETENTION_DAYS:
            raise _invalid(f"retentionInDays must be one of {', '.join(map(str, sorted(RETENTION_DAYS)))}.")
        group.retention_days = days
        return {}

    def delete_retention_policy(self, request: Json) -> Json:
        """DeleteRetentionPolicy."""
        self._find(request).retention_days = None
        return {}

    def create_log_stream(self, request: Json) -> Json:
        """CreateLogStream."""
        group, name = self._find(request), request["logStreamName"]
        if name in group.streams:
            raise AwsError("ResourceAlreadyExistsException", "The specified log stream already exists")
        self._logs.create_stream(group, name)
        return {}

    def delete_log_stream(self, request: Json) -> Json:
        """DeleteLogStream, with its events."""
        group = self._find(request)
        stream = self._find_stream(group, request["logStreamName"])
        del group.streams[stream.name]
        group.events = [event for event in group.events if event.stream != stream.name]
        return {}

    def describe_log_streams(self, request: Json) -> Json:
        """DescribeLogStreams by name, or by the time of the last event; at most fifty a page."""
        group = self._find(request)
        by_time = request.get("orderBy") == "LastEventTime"
        if by_time and "logStreamNamePrefix" in request:
            raise _invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
        found = [s for s in group.streams.values() if s.name.startswith(request.get("logStreamNamePrefix", ""))]
        found.sort(key=lambda stream: stream.name)
        if by_time:
            found.sort(key=lambda stream: stream.last_event_at or 0)
        if request.get("descending"):
            found.reverse()
        page, token = cut_page(found, request.get("nextToken"), request.get("limit", LIST_PAGE), _BAD_TOKEN)
        return {"logStreams": [_shape_stream(stream) for stream in page], **({"nextToken": token} if token else {})}

    # Events

    def put_log_events(self, request: Json) -> Json:
        """PutLogEvents: a batch in order of time, of at most a day; events too old or too new are told and left out."""
        group = self._find(request)
        stream = self._find_stream(group, request["logStreamName"])
        events = request["logEvents"]
        _check_batch(events)
        now = self._logs.now_ms()
        too_old = sum(event["timestamp"] < now - MAX_PAST_MS for event in events)
        expired = 0
        if group.retention_days is not None:
            expired = sum(event["timestamp"] < now - group.retention_days * 86_400_000 for event in events)
        too_new = sum(event["timestamp"] > now + MAX_FUTURE_MS for event in events)
        for event in events[max(too_old, expired) : len(events) - too_new]:
            self._logs.append(group, stream, event["timestamp"], event["message"])
        rejected: Json = {}
        if too_new:
            rejected["tooNewLogEventStartIndex"] = len(events) - too_new
        if too_old:
            rejected["tooOldLogEventEndIndex"] = too_old
        if expired > too_old:
            rejected["expiredLogEventEndIndex"] = expired
        return {"nextSequenceToken": "0", **({"rejectedLogEventsInfo": rejected} if rejected else {})}

    def get_log_events(self, request: Json) -> Json:
        """GetLogEvents of one stream, from `startTime` to before `endTime`; tokens lead forth and back."""
        group = self._find(request)
        stream = self._find_stream(group, request["logStreamName"])
        chosen = group.select(request.get("startTime", 0), request.get("endTime", 2**62) - 1)
        events = [event for event in chosen if event.stream == stream.name]
        limit = request.get("limit", MAX_EVENTS_PER_PAGE)
        token = request.get("nextToken", "f/0:0" if request.get("startFromHead") else f"b/{2**62}:0")
        position = _read_position(token[2:])
        if token.startswith("f/"):
            page = [event for event in events if event.position > position][:limit]
        else:
            page = [event for event in events if event.position < position][-limit:]
        # "If you have reached the end of the stream, it returns the same token you passed in."
        before, after = (page[0].position, page[-1].position) if page else (position, position)
        return {
            "events": [
                {"timestamp": event.timestamp, "message": event.message, "ingestionTime": event.ingested_at}
                for event in page
            ],
            "nextForwardToken": f"f/{_write_position(after)}",
            "nextBackwardToken": f"b/{_write_position(before)}",
        }

    def filter_log_events(self, request: Json) -> Json:
        """FilterLogEvents over the streams of a group, oldest first; `startTime` and `endTime` are included."""
        group = self._find(request)
        names, prefix = request.get("logStreamNames"), request.get("logStreamNamePrefix")
        if names is not None and prefix is not None:
            raise _invalid("logStreamNamePrefix and logStreamNames cannot both be specified.")
        for name in names or []:
            self._find_stream(group, name)
        match = _compile(request.get("filterPattern", ""))
        limit = request.get("limit", MAX_EVENTS_PER_PAGE)
        if not 1 <= limit <= MAX_EVENTS_PER_PAGE:
            raise _invalid(f"limit must be within 1 and {MAX_EVENTS_PER_PAGE}.")
        chosen = group.select(request.get("startTime", 0), request.get("endTime", 2**62))
        backwards = request.get("startFromHead") is False
        if backwards:
            chosen.reverse()
        if "nextToken" in request:
            position = _read_position(request["nextToken"])
            chosen = [e for e in chosen if (e.position < position if backwards else e.position > position)]
        found: list[LogEvent] = []
        token = None
        for scanned, event in enumerate(chosen, 1):
            in_stream = (names is None or event.stream in names) and event.stream.startswith(prefix or "")
            if in_stream and match(event.message) is not None:
                found.append(event)
            if (len(found) == limit or scanned == MAX_SCANNED_PER_PAGE) and scanned < len(chosen):
                token = _write_position(event.position)
                break
        shaped = [
            {
                "logStreamName": event.stream,
                "timestamp": event.timestamp,
                "message": event.message,
                "ingestionTime": event.ingested_at,
                "eventId": event.id,
            }
            for event in found
        ]
        return {"events": shaped, "searchedLogStreams": [], **({"nextToken": token} if token else {})}

    # Metric filters

    def put_metric_filter(self, request: Json) -> Json:
        """PutMetricFilter: for events to come; at most a hundred a group, with one transformation each."""
        group, name = self._find(request), request["filterName"]
        transformations = request["metricTransformations"]
        if len(transformations) != 1:
            raise _invalid("Exactly one metric transformation is needed.")
        transformation = transformations[0]
        if "defaultValue" in transformation and transformation.get("dimensions"):
            raise _invalid(
                "Invalid metric transformation: dimensions and default value are mutually exclusive properties."
            )
        if len(transformation.get("dimensions", {})) > 3:
            raise _invalid("A metric filter can have at most three dimensions.")
        _check_value(transformation["metricValue"])
        if name not in group.filters and len(group.filters) >= MAX_FILTERS_PER_GROUP:
            raise AwsError("LimitExceededException", "Resource limit exceeded.")
        try:
            self._logs.put_filter(group, name, request["filterPattern"], transformation)
        except LogPatternError as error:
            raise _invalid(f"Invalid filter pattern: {error}") from error
        return {}

    def delete_metric_filter(self, request: Json) -> Json:
        """DeleteMetricFilter."""
        if self._find(request).filters.pop(request["filterName"], None) is None:
            raise AwsError("ResourceNotFoundException", "The specified metric filter does not exist.")
        return {}

    def describe_metric_filters(self, request: Json) -> Json:
        """DescribeMetricFilters of one group, or of all; by prefix, or by metric."""
        groups = [self._find(request)] if "logGroupName" in request else list(self._logs.groups.values())
        found = [
            {
                "filterName": metric_filter.name,
                "filterPattern": metric_filter.pattern,
                "metricTransformations": [metric_filter.transformation],
                "creationTime": metric_filter.created_at,
                "logGroupName": group.name,
            }
            for group in groups
            for metric_filter in group.filters.values()
            if metric_filter.name.startswith(request.get("filterNamePrefix", ""))
            and request.get("metricName") in (None, metric_filter.transformation["metricName"])
            and request.get("metricNamespace") in (None, metric_filter.transformation["metricNamespace"])
        ]
        found.sort(key=lambda shaped: str(shaped["filterName"]))
        page, token = cut_page(found, request.get("nextToken"), request.get("limit", LIST_PAGE), _BAD_TOKEN)
        return {"metricFilters": page, **({"nextToken": token} if token else {})}

    def test_metric_filter(self, request: Json) -> Json:
        """TestMetricFilter: the messages that match, and what is extracted from them."""
        match = _compile(request["filterPattern"])
        matches = []
        for number, message in enumerate(request["logEventMessages"], 1):
            fields = match(message)
            if fields is not None:
                extracted = {name: str(value) for name, value in fields.items() if name.startswith("$")}
                matches.append({"eventNumber": number, "eventMessage": message, "extractedValues": extracted})
        return {"matches": matches}


def _compile(pattern: str) -> Match:
    try:
        return compile_pattern(pattern)
    except LogPatternError as error:
        raise _invalid(f"Invalid filter pattern: {error}") from error


def _check_value(text: str) -> None:
    try:
        float("0" if text.startswith("$") else text)
    except ValueError as error:
        raise _invalid("Invalid metric transformation: metricValue must be a number or a field.") from error


def _check_batch(events: Sequence[Json]) -> None:
    """PutLogEvents: order, span, number and size."""
    times = [event["timestamp"] for event in events]
    if times != sorted(times):
        raise _invalid("Log events in a single PutLogEvents request must be in chronological order.")
    if times[-1] - times[0] > MAX_BATCH_SPAN_MS:
        raise _invalid("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
    if len(events) > MAX_BATCH_EVENTS:
        raise _invalid(f"A batch has at most {MAX_BATCH_EVENTS} log events.")
    size = sum(len(event["message"].encode()) + EVENT_OVERHEAD_BYTES for event in events)
    if size > MAX_BATCH_BYTES:
        raise _invalid(f"Upload too large: {size} bytes exceeds limit of {MAX_BATCH_BYTES}")


def _write_position(position: tuple[int, int]) -> str:
    return f"{position[0]}:{position[1]}"


def _read_position(token: str) -> tuple[int, int]:
    """Time stamp and sequence of the event that a token stands at."""
    timestamp, _, sequence = token.partition(":")
    try:
        return int(timestamp), int(sequence)
    except ValueError as error:
        raise _invalid("The specified nextToken is invalid.") from error


def _shape_group(group: LogGroup) -> Json:
    retention = {} if group.retention_days is None else {"retentionInDays": group.retention_days}
    return {
        "logGroupName": group.name,
        "creationTime": group.created_at,
        **retention,
        "metricFilterCount": len(group.filters),
        "arn": f"{group.arn}:*",
        "logGroupArn": group.arn,
        "storedBytes": group.stored_bytes,
        "logGroupClass": "STANDARD",
    }


def _shape_stream(stream: LogStream) -> Json:
    times = {
        "firstEventTimestamp": stream.first_event_at,
        "lastEventTimestamp": stream.last_event_at,
        "lastIngestionTime": stream.ingested_at,
    }
    return {
        "logStreamName": stream.name,
        "creationTime": stream.created_at,
        **{name: time for name, time in times.items() if time is not None},
        "uploadSequenceToken": "0",
        "arn": stream.arn,
        "storedBytes": 0,
    }
