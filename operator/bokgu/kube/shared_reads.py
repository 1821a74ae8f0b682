"""Reads that many passes want at the same time: one call answers all who asked before it began."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

PATIENCE = 1.0
"""Seconds for which a read waits for the one before: one that hangs must not hold up all that come after it."""

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class SharedReads(Generic[K, T]):
    """`call` reads what a key names. Nobody gets an answer that is older than the question: who asks while a read is
    under way shares the one after it. Used in one event loop."""

    def __init__(self, call: Callable[[K], Awaitable[T]]) -> None:
        self._call = call
        self._next: dict[K, asyncio.Task[T]] = {}
        self._running: dict[K, asyncio.Task[T]] = {}

    async def read(self, key: K) -> T:
        """What a read says that begins now or later. Raises what that read raises; who is cancelled leaves it to the
        others."""
        task = self._next.get(key)
        if task is None:
            task = self._next[key] = asyncio.create_task(self._read(key, self._running.get(key)))
        return await asyncio.shield(task)

    async def _read(self, key: K, before: "asyncio.Task[T] | None") -> T:
        if before is not None:
            await asyncio.wait({before}, timeout=PATIENCE)
        mine = self._running[key] = self._next.pop(key)
        try:
            return await self._call(key)
        finally:
            if self._running.get(key) is mine:
                del self._running[key]
