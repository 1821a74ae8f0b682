"""A sign of life to a receiver outside the cluster, which calls people when it stops: who is down cannot say so."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import aiohttp
import structlog

from bokgu.metrics.passes import HEARTBEATS

PATIENCE = aiohttp.ClientTimeout(total=10)

log = structlog.get_logger()


async def beat_forever(url: str, every: timedelta, check_ready: Callable[[], Awaitable[str | None]]) -> None:
    """POST to the URL as often as that, while the operator is ready: one that cannot work is as good as none.

    The URL is a secret of its own with most receivers, and is never logged. Redirects are not followed.
    """
    well: bool | None = None
    async with aiohttp.ClientSession(timeout=PATIENCE) as session:
        while True:
            problem = await check_ready() or await _beat(session, url)
            HEARTBEATS.labels("sent" if problem is None else "not sent").inc()
            if (problem is None) != well:
                well = problem is None
                log.info("heartbeat sent") if well else log.warning("heartbeat not sent", problem=problem)
            await asyncio.sleep(every.total_seconds())


async def _beat(session: aiohttp.ClientSession, url: str) -> str | None:
    """What went wrong, or None."""
    try:
        async with session.post(url, allow_redirects=False) as answer:
            return None if answer.status < 300 else f"the receiver answers {answer.status}"
    except (aiohttp.ClientError, TimeoutError) as error:
        return type(error).__name__
