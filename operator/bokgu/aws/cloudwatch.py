"""Amazon CloudWatch: raw datapoints."""

from collections.abc import Sequence
from datetime import datetime

from bokgu.api.detector import Query
from bokgu.api.fields import parse_duration
from bokgu.api.observed import AwsError, Series
from bokgu.aws.client import AwsClient

MAX_QUERIES = 500
"""Queries of one GetMetricData call (API_GetMetricData)."""


async def fetch_series(
    aws: AwsClient,
    queries: Sequence[Query],
    *,
    region: str,
    role_arn: str | None,
    start: datetime,
    end: datetime,
) -> dict[str, Series]:
    """Datapoints of each query in [start, end), by the query's name, in one GetMetricData call a page.

    A query that CloudWatch did not answer whole (PartialData, InternalError, Forbidden) raises AwsError: half an answer
    is no measurement.
    """
    if len(queries) > MAX_QUERIES:
        raise ValueError(f"at most {MAX_QUERIES} queries a call")
    ids = {f"q{index}": query for index, query in enumerate(queries)}
    points: dict[str, dict[datetime, float]] = {query.name: {} for query in queries}
    token: dict[str, str] = {}
    while True:
        answer = await aws.read(
            "cloudwatch",
            "GetMetricData",
            {
                "MetricDataQueries": [_query(id_, query) for id_, query in ids.items()],
                "StartTime": start,
                "EndTime": end,
                "ScanBy": "TimestampAscending",
                **token,
            },
            region=region,
            role_arn=role_arn,
        )
        paged = "NextToken" in answer
        for result in answer["MetricDataResults"]:
            if result["StatusCode"] != "Complete" and not (paged and result["StatusCode"] == "PartialData"):
                message = f"{ids[result['Id']].name}: {result.get('Messages', '')}"
                raise AwsError("GetMetricData", result["StatusCode"], message, sent=False)
            points[ids[result["Id"]].name].update(zip(result["Timestamps"], result["Values"], strict=True))
        if not paged:
            break
        token = {"NextToken": answer["NextToken"]}
    return {
        query.name: Series(tuple(sorted(points[query.name].items())), int(parse_duration(query.period).total_seconds()))
        for query in queries
    }


def _query(id_: str, query: Query) -> dict[str, object]:
    return {
        "Id": id_,
        "MetricStat": {
            "Metric": {
                "Namespace": query.namespace,
                "MetricName": query.metric_name,
                "Dimensions": [{"Name": d.name, "Value": d.value} for d in query.dimensions],
            },
            "Period": int(parse_duration(query.period).total_seconds()),
            "Stat": query.stat,
        },
        "ReturnData": True,
    }
