"""Rate limits: AWS's quotas are per account, region and API, and shared with everybody else in the account.

A token bucket each. Bulk reads leave some tokens for what recoveries need; who has to wait is counted and told.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import structlog

from bokgu.api.quotas import Quota
from bokgu.metrics.aws import AWS_HELD_BACK

RESERVE = 4
"""Tokens that bulk reads leave for single ones."""
TELL_EVERY = 60.0
"""Seconds between two log lines about the same quota."""

log = structlog.get_logger()


@dataclass
class _Bucket:
    quota: Quota
    tokens: float
    filled_at: float
    told_at: float = -TELL_EVERY
    queue: asyncio.Lock = field(default_factory=asyncio.Lock)

    def fill(self, now: float) -> None:
        self.tokens = self.quota.refill(self.tokens, now - self.filled_at)
        self.filled_at = now


class RateLimits:
    """The buckets of one process."""

    def __init__(self, quotas: Mapping[str, Quota]) -> None:
        """`quotas`: by operation or service; what is in neither is not limited."""
        self._quotas = quotas
        self._buckets: dict[tuple[str, str, str], _Bucket] = {}

    async def acquire(self, account: str, region: str, service: str, operation: str, *, bulk: bool = False) -> float:
        """Wait until the call may be made; how many seconds that took.

        `account` is whose quota it is: the account of the assumed role, or the operator's own. `bulk` calls come after
        all others.
        """
        name = operation if operation in self._quotas else service
        quota = self._quotas.get(name)
        if quota is None:
            return 0.0
        bucket = self._buckets.setdefault((account, region, name), _Bucket(quota, quota.burst, time.monotonic()))
        begun = time.monotonic()
        if bulk:
            async with bucket.queue:
                await self._take(bucket, max(0.0, min(float(RESERVE), quota.burst / 2, quota.burst - 1)))
        else:
            await self._take(bucket, 0.0)
        waited = time.monotonic() - begun
        if waited > 0.001:
            AWS_HELD_BACK.labels(service, operation).inc(waited)
            if begun - bucket.told_at >= TELL_EVERY:
                bucket.told_at = begun
                log.warning(
                    "calls are held back to stay under the quota",
                    account=account,
                    region=region,
                    quota=name,
                    rate=quota.rate,
                )
        return waited

    async def _take(self, bucket: _Bucket, reserve: float) -> None:
        while True:
            bucket.fill(time.monotonic())
            missing = 1 + reserve - bucket.tokens
            if missing <= 0:
                bucket.tokens -= 1
                return
            await asyncio.sleep(missing / bucket.quota.rate)


@lru_cache(maxsize=1024)
def account_of(role_arn: str | None) -> str:
    """Whose quota a role's calls count against: the account in its ARN, or `own` without a role."""
    parts = (role_arn or "").split(":")
    return parts[4] if len(parts) > 5 and parts[4] else "own"
