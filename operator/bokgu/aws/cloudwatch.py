"""Amazon CloudWatch: raw datapoints, as many metrics in a call as it takes."""

import asyncio
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from bokgu.api.observed import AwsError, Metric, Series
from bokgu.aws.client import AwsClient

MAX_QUERIES = 500
"""Queries of one GetMetricData call (API_GetMetricData)."""
MAX_DATAPOINTS = 100_800
"""Datapoints of one page of its answer (API_GetMetricData)."""
IDLE_DATAPOINTS = 300
"""Datapoints of a metric that nobody asked for, and that cost as much to read as half a call [measured]."""

INVALID = frozenset({"ValidationError", "ValidationException", "InvalidParameterValue", "InvalidParameterCombination"})
"""Codes by which CloudWatch refuses a whole call because of one query in it."""

Answers = dict[Metric, Series | AwsError]


async def fetch_metrics(
    aws: AwsClient,
    starts: Mapping[Metric, datetime],
    end: datetime,
    *,
    region: str,
    role_arn: str | None,
    bulk: bool,
    refused: set[Metric] | None = None,
) -> Answers:
    """Datapoints of each metric from its start to `end`, in ceil(metrics / 500) calls where CloudWatch does not page
    and no metric reaches back much farther than others.

    A metric that CloudWatch did not answer whole (PartialData, InternalError, Forbidden) has an AwsError instead: half
    an answer is no measurement. So have all metrics of a call that failed. Where CloudWatch refuses a call because of
    one bad query, the call is cut in two until the bad one stands alone; `refused` remembers it for the caller, so that
    it is asked alone from then on.
    """
    lonely = set() if refused is None else refused & starts.keys()
    packs = [*pack_metrics({m: start for m, start in starts.items() if m not in lonely}, end)]
    packs += [[metric] for metric in sorted(lonely)]

    async def fetch(pack: Sequence[Metric]) -> Answers:
        try:
            start = align_start(min(starts[m] for m in pack), pack)
            return await _fetch_pack(aws, pack, start, end, region=region, role_arn=role_arn, bulk=bulk)
        except AwsError as error:
            if error.code in INVALID and len(pack) == 1 and refused is not None:
                refused.update(pack)
            if error.code not in INVALID or len(pack) == 1:
                return dict.fromkeys(pack, error)
        half = len(pack) // 2
        return await fetch(pack[:half]) | await fetch(pack[half:])

    answers: Answers = {}
    for found in await asyncio.gather(*(fetch(pack) for pack in packs)):
        answers |= found
    if refused is not None:
        refused -= {metric for metric in lonely if isinstance(answers[metric], Series)}
    return answers


def align_start(start: datetime, pack: Iterable[Metric]) -> datetime:
    """The last moment by then at which a period of every metric begins. CloudWatch rounds StartTime down to the minute
    and counts periods from there, so that it would answer for others than those that begin at multiples of the period
    (API_GetMetricData; boto/boto3#3457)."""
    step = math.lcm(*(metric.period for metric in pack))
    return datetime.fromtimestamp(start.timestamp() // step * step, UTC)


def pack_metrics(starts: Mapping[Metric, datetime], end: datetime) -> Iterator[list[Metric]]:
    """The metrics in few calls. A call has one start for all its metrics, so one that reaches back far is kept apart
    from those that would then bring many datapoints that nobody asked for, or more of them than a page holds."""
    pack: list[Metric] = []
    datapoints = 0.0
    reach = timedelta()
    for metric in sorted(starts, key=lambda m: (starts[m], m)):
        more = reach / timedelta(seconds=metric.period)
        idle = more - (end - starts[metric]) / timedelta(seconds=metric.period)
        full = len(pack) == MAX_QUERIES or datapoints + more > MAX_DATAPOINTS
        if pack and (full or idle > IDLE_DATAPOINTS):
            yield pack
            pack, datapoints = [], 0.0
        if not pack:
            reach = end - starts[metric]
            more = reach / timedelta(seconds=metric.period)
        pack.append(metric)
        datapoints += more
    if pack:
        yield pack


async def _fetch_pack(
    aws: AwsClient,
    pack: Sequence[Metric],
    start: datetime,
    end: datetime,
    *,
    region: str,
    role_arn: str | None,
    bulk: bool,
) -> Answers:
    ids = {f"q{index}": metric for index, metric in enumerate(pack)}
    points: dict[Metric, list[tuple[datetime, float]]] = {metric: [] for metric in pack}
    answers: Answers = {}
    request = {
        "MetricDataQueries": [_query(id_, metric) for id_, metric in ids.items()],
        "StartTime": start,
        "EndTime": end,
        "ScanBy": "TimestampAscending",
    }
    while True:
        answer = await aws.read("cloudwatch", "GetMetricData", request, region=region, role_arn=role_arn, bulk=bulk)
        token = answer.get("NextToken")
        for result in answer["MetricDataResults"]:
            metric, status = ids[result["Id"]], result["StatusCode"]
            if status != "Complete" and not (token and status == "PartialData"):
                text = "; ".join(m.get("Value", "") for m in result.get("Messages", ())) or "no datapoints to trust"
                answers[metric] = AwsError(
                    "GetMetricData", status, f"{metric.namespace} {metric.name}: {text}", sent=False
                )
            points[metric].extend(zip(result["Timestamps"], result["Values"], strict=True))
        if token is None:
            break
        request["NextToken"] = token
    for metric, found in points.items():
        answers.setdefault(metric, Series(tuple(found), metric.period))
    return answers


def _query(id_: str, metric: Metric) -> dict[str, object]:
    return {
        "Id": id_,
        "MetricStat": {
            "Metric": {
                "Namespace": metric.namespace,
                "MetricName": metric.name,
                "Dimensions": [{"Name": name, "Value": value} for name, value in metric.dimensions],
            },
            "Period": metric.period,
            "Stat": metric.stat,
        },
        "ReturnData": True,
    }
