"""Amazon CloudWatch Logs: how many events match a pattern, and which."""

from collections import Counter
from datetime import UTC, datetime

from bokgu.api.meta import Target
from bokgu.api.observed import AwsError, LogLine, LogMetric, Series
from bokgu.aws.client import AwsClient

MAX_PAGES = 10
"""Pages of one count: five calls a second serve a whole account."""
ENOUGH = 10_000
"""Matches that are reason enough where there are more pages."""

LINE_PAGES, LINES_A_PAGE = 2, 1000
"""Pages of one search for lines, and lines of a page."""


async def count_matches(
    aws: AwsClient,
    metric: LogMetric,
    start: datetime,
    end: datetime,
    *,
    region: str,
    role_arn: str | None,
    bulk: bool,
) -> Series:
    """Matching events in each period of [start, end) that has any, oldest first.

    Raises AwsError; code Incomplete where most pages were searched in vain (API_FilterLogEvents: a page ends when
    enough was searched, found or not): what was not searched is not free of matches.
    """
    counts: Counter[int] = Counter()
    request = {
        "logGroupName": metric.log_group,
        "filterPattern": metric.pattern,
        "startTime": int(start.timestamp() * 1000),
        "endTime": int(end.timestamp() * 1000),
    }
    for _ in range(MAX_PAGES):
        answer = await aws.read("logs", "FilterLogEvents", request, region=region, role_arn=role_arn, bulk=bulk)
        for event in answer.get("events", ()):
            counts[event["timestamp"] // 1000 // metric.period * metric.period] += 1
        if not (token := answer.get("nextToken")):
            break
        request["nextToken"] = token
    else:
        if counts.total() < ENOUGH:
            text = f"{metric.log_group} has more events than {MAX_PAGES} pages hold: count them with a metric filter"
            raise AwsError("FilterLogEvents", "Incomplete", text, sent=False)
    points = tuple((datetime.fromtimestamp(t, UTC), float(n)) for t, n in sorted(counts.items()))
    return Series(points, metric.period)


async def fetch_lines(
    aws: AwsClient, target: Target, log_group: str, pattern: str, within: tuple[datetime, datetime]
) -> tuple[LogLine, ...]:
    """The latest events within [start, end] that match the pattern, oldest first; what two calls find, at most 2000.

    Raises AwsError; code Incomplete where both pages were searched in vain and there is more.
    """
    found: list[LogLine] = []
    start, end = within
    request = {
        "logGroupName": log_group,
        "filterPattern": pattern,
        "startTime": int(start.timestamp() * 1000),
        "endTime": int(end.timestamp() * 1000),
        "limit": LINES_A_PAGE,
        "startFromHead": False,
    }
    for _ in range(LINE_PAGES):
        answer = await aws.read("logs", "FilterLogEvents", request, region=target.region, role_arn=target.role_arn)
        found += (
            LogLine(event["message"], datetime.fromtimestamp(event["timestamp"] / 1000, UTC))
            for event in answer.get("events", ())
        )
        if not (token := answer.get("nextToken")):
            break
        request["nextToken"] = token
    else:
        if not found:
            text = f"{log_group}: nothing in what {LINE_PAGES} pages searched"
            raise AwsError("FilterLogEvents", "Incomplete", text, sent=False)
    return tuple(sorted(found, key=_moment))


async def fetch_last_lines(aws: AwsClient, target: Target, log_group: str, stream: str) -> tuple[str, ...]:
    """The last 20 events of one log stream, oldest first (API_GetLogEvents). Raises AwsError."""
    request = {"logGroupName": log_group, "logStreamName": stream, "limit": 20, "startFromHead": False}
    answer = await aws.read("logs", "GetLogEvents", request, region=target.region, role_arn=target.role_arn)
    return tuple(event["message"] for event in answer.get("events", ()))


def _moment(line: LogLine) -> datetime:
    return line.at or datetime.min.replace(tzinfo=UTC)
