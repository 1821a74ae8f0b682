"""The operator's own `/metrics`, served for objects that a test makes up."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from bokgu.metrics.registry import REGISTRY
from bokgu.reconcile.context import Context
from bokgu.runtime.health import HealthServer
from bokgu.runtime.queue import Queue
from bokgu.runtime.state_metrics import StateCollector, collected


async def _ready() -> str | None:
    return None


@contextmanager
def serving(context: Context, port: int) -> Iterator[None]:
    """On that port of 127.0.0.1; it is gone afterwards."""
    loop = asyncio.new_event_loop()
    server = HealthServer("127.0.0.1", port, _ready)
    thread = threading.Thread(target=loop.run_forever, name="metrics")
    thread.start()
    try:
        with collected(REGISTRY, StateCollector(context, {"incidents": Queue()})):
            asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
            try:
                yield
            finally:
                asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
