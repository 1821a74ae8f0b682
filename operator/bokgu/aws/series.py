"""Datapoints of metrics and of log patterns together, as watches name them."""

import asyncio
from collections.abc import Mapping
from datetime import datetime

from bokgu.api.observed import AwsError, LogMetric, Metric, Series
from bokgu.aws.client import AwsClient
from bokgu.aws.cloudwatch import fetch_metrics
from bokgu.aws.logs import count_matches

Source = Metric | LogMetric


async def fetch_sources(
    aws: AwsClient,
    starts: Mapping[Source, datetime],
    end: datetime,
    *,
    region: str,
    role_arn: str | None,
    bulk: bool = True,
    refused: set[Metric] | None = None,
) -> dict[Source, Series | AwsError]:
    """Datapoints of each source from its start to `end`; an AwsError in the place of what AWS did not answer.

    `bulk`: let the reads of recoveries go first; `refused` as for `fetch_metrics`.
    """
    metrics = {m: start for m, start in starts.items() if isinstance(m, Metric)}
    patterns = {p: start for p, start in starts.items() if isinstance(p, LogMetric)}

    async def count(pattern: LogMetric) -> Series | AwsError:
        try:
            return await count_matches(
                aws, pattern, patterns[pattern], end, region=region, role_arn=role_arn, bulk=bulk
            )
        except AwsError as error:
            return error

    answers, counts = await asyncio.gather(
        fetch_metrics(aws, metrics, end, region=region, role_arn=role_arn, bulk=bulk, refused=refused),
        asyncio.gather(*(count(pattern) for pattern in patterns)),
    )
    found: dict[Source, Series | AwsError] = {metric: answer for metric, answer in answers.items()}  # noqa: C416 - widens the type of the keys
    found.update(zip(patterns, counts, strict=True))
    return found


async def fetch_series(
    aws: AwsClient,
    sources: Mapping[str, Source],
    *,
    region: str,
    role_arn: str | None,
    start: datetime,
    end: datetime,
) -> dict[str, Series]:
    """Datapoints in [start, end) by name, for one incident or plan: before all that is only watched.

    Raises AwsError where AWS did not answer all of it whole.
    """
    starts = dict.fromkeys(sources.values(), start)
    answers = await fetch_sources(aws, starts, end, region=region, role_arn=role_arn, bulk=False)
    found = {}
    for name, source in sources.items():
        answer = answers[source]
        if isinstance(answer, AwsError):
            raise answer
        found[name] = answer
    return found
