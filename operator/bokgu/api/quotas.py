"""AWS's quotas on how often its APIs may be called, as far as they bind us."""

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Quota:
    """Calls a second, and how many at once after a pause."""

    rate: float
    burst: float

    def refill(self, tokens: float, seconds: float) -> float:
        """What a bucket holds after so many seconds in which nothing was taken (a token bucket)."""
        return min(self.burst, tokens + seconds * self.rate)


DEFAULT_QUOTAS: Mapping[str, Quota] = {
    "GetMetricData": Quota(50, 50),
    "FilterLogEvents": Quota(5, 5),
    "LookupEvents": Quota(2, 2),
    "UpdateService": Quota(1, 1),
    "ecs": Quota(20, 20),
    "elbv2": Quota(10, 10),
    "codedeploy": Quota(5, 5),
}
"""By operation, else by service (boto3's name). Sources: "CloudWatch service quotas", "CloudWatch Logs quotas",
"Quotas in AWS CloudTrail", "Request throttling for the Amazon ECS API". UpdateService has 5 a second, shared with every
pipeline of the account: we take one. Load balancers publish no figure; ten is what their APIs are seen to stand
[experience]. CodeDeploy publishes none either, and is asked only while a plan stops a deployment: five [our choice]."""


_RATE = re.compile(r"(\w+)=(\d+(?:\.\d+)?)")


def parse_quotas(text: str) -> Mapping[str, Quota]:
    """Read `GetMetricData=25,ecs=10`: calls a second by operation or service; the defaults stay for others.

    Raises ValueError.
    """
    quotas = dict(DEFAULT_QUOTAS)
    for part in text.split(","):
        found = _RATE.fullmatch(part.strip())
        if found is None or not float(found[2]):
            raise ValueError(f"{part.strip()!r} is not NAME=CALLS_A_SECOND, such as GetMetricData=25")
        quotas[found[1]] = Quota(float(found[2]), max(1.0, float(found[2])))
    return quotas
