"""AWS Security Token Service: who one is to AWS, and what time it is there."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from bokgu.api.observed import CallerIdentity
from bokgu.aws.client import AwsClient


async def fetch_identity(aws: AwsClient, *, region: str, role_arn: str | None) -> CallerIdentity:
    """Who calls (GetCallerIdentity, which needs no permission). Raises AwsError."""
    before = datetime.now(UTC)
    answer = await aws.read("sts", "GetCallerIdentity", {}, region=region, role_arn=role_arn)
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return CallerIdentity(
        answer["Account"], answer["Arn"], measure_ahead(headers.get("date"), before, datetime.now(UTC))
    )


def measure_ahead(date: str | None, before: datetime, after: datetime) -> timedelta | None:
    """How far a Date header (RFC 9110, section 6.6.1: whole seconds) is surely outside of the call that it came with;
    zero where it may be within. None without one."""
    try:
        moment = parsedate_to_datetime(date) if date else None
    except ValueError:
        return None
    if moment is None or moment.tzinfo is None:
        return None
    earliest, latest = before - timedelta(seconds=1), after
    return moment - min(max(moment, earliest), latest)
