"""Creates Events beside the passes, as client-go's EventRecorder does: what they tell of is seen to first."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import structlog

from bokgu.metrics.passes import EVENTS_FAILED

WIDTH = 2
"""Events created at the same time."""
MOST = 10_000
"""Events that may wait. What comes then is not told: the timeline of the object has it, too."""
LAST_WORDS = 2.0
"""Seconds in which those that wait at the end are still created."""

Create = Callable[[], Awaitable[object]]

log = structlog.get_logger()


class EventRecorder:
    """Events that wait, first in, first out."""

    def __init__(self, most: int = MOST) -> None:
        self._waiting: asyncio.Queue[Create] = asyncio.Queue(most)

    def record(self, create: Create) -> None:
        """Let it be created soon."""
        try:
            self._waiting.put_nowait(create)
        except asyncio.QueueFull:
            EVENTS_FAILED.inc()

    async def work(self) -> None:
        """Create one after the other, for ever."""
        while True:
            create = await self._waiting.get()
            try:
                await create()
            except Exception:  # A defect in one Event is kept from all others.
                EVENTS_FAILED.inc()
                log.exception("event not created")
            finally:
                self._waiting.task_done()

    async def finish(self, seconds: float = LAST_WORDS) -> None:
        """Wait until none waits, for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._waiting.join()


@asynccontextmanager
async def recording_events() -> AsyncIterator[EventRecorder]:
    """It works until the block ends, and finishes."""
    recorder = EventRecorder()
    workers = [asyncio.create_task(recorder.work()) for _ in range(WIDTH)]
    try:
        yield recorder
    finally:
        await recorder.finish()
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
