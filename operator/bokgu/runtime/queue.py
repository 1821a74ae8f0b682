"""The queue: which objects need a pass.

A set of dirty keys, so that ten events are one pass; one pass a key at a time; one heap of keys that are due later. A
key whose pass asks for the next one at once comes before those that wait: what has begun is carried on with, however
many are beginning. An intent that lay behind a thousand other keys would be too old to be sent. Keys whose time has
come wait like all others: where hundreds of plans are verified they would keep the rest from beginning.
Nothing in it must survive a restart: every deadline stands in a status, and the first list fills the queue again.
"""

import asyncio
import heapq
import random
from datetime import timedelta

Key = tuple[str, str, str]

_FIRST_BACKOFF = 0.2
_MAX_BACKOFF = 60.0
_FAIR = 10
"""Every so many keys, one that waits comes before those that are carried on with, so that none waits forever."""
_OUTDATED = 100
"""Entries of the heap, beside as many as count, that may have been replaced by others until they are thrown out."""


class Queue:
    """Keys in, keys out, each to one worker at a time. In a `patient` one nothing shortens the wait of a key that has
    failed."""

    def __init__(self, *, patient: bool = False) -> None:
        self._patient = patient
        self._dirty: dict[Key, None] = {}
        self._ahead: dict[Key, None] = {}
        self._handed_out = 0
        self._active: set[Key] = set()
        self._again: set[Key] = set()
        self._due: list[tuple[float, Key]] = []
        self._due_at: dict[Key, float] = {}
        self._failures: dict[Key, int] = {}
        self._wake = asyncio.Event()
        self._closed = False

    @property
    def depth(self) -> int:
        """How many keys wait for a worker."""
        return len(self._dirty) + len(self._ahead)

    def close(self) -> None:
        """Hand out no more keys: every `take` returns None."""
        self._closed = True
        self._wake.set()

    def add(self, key: Key) -> None:
        """The object needs a pass now. While one is under way it gets another one after it."""
        if key in self._active:
            self._again.add(key)
            return
        if self._patient and key in self._failures and key in self._due_at:
            return
        if key not in self._ahead:
            self._dirty.setdefault(key)
        self._wake.set()

    def add_later(self, key: Key, delay: timedelta) -> None:
        """The object needs a pass after `delay`, if none happens earlier and asks for another time."""
        at = asyncio.get_running_loop().time() + delay.total_seconds()
        self._due_at[key] = at
        heapq.heappush(self._due, (at, key))
        if len(self._due) > 2 * len(self._due_at) + _OUTDATED:
            self._due = [(at, key) for key, at in self._due_at.items()]
            heapq.heapify(self._due)
        self._wake.set()

    async def take(self) -> Key | None:
        """Wait for a key; None once closed. The caller must call `done` or `failed` with it."""
        while not self._closed:
            self._collect_due()
            if self.depth:
                key = self._hand_out()
                if self.depth:
                    self._wake.set()
                return key
            self._wake.clear()
            wait = max(0.0, self._due[0][0] - asyncio.get_running_loop().time()) if self._due else None
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                continue
        return None

    def _hand_out(self) -> Key:
        self._handed_out += 1
        waiting_first = self._handed_out % _FAIR == 0
        keys = (self._dirty or self._ahead) if waiting_first else (self._ahead or self._dirty)
        key = next(iter(keys))
        del keys[key]
        self._active.add(key)
        self._due_at.pop(key, None)
        return key

    def done(self, key: Key, requeue_after: timedelta | None) -> None:
        """The pass went well; `requeue_after` says when the next one is needed, None: on the next event."""
        self._failures.pop(key, None)
        self._release(key, requeue_after)

    def failed(self, key: Key, *, conflict: bool) -> float:
        """The pass failed: try again, later each time, with jitter. A first conflict is tried again at once. Returns
        the delay in seconds."""
        count = self._failures.get(key, 0) + 1
        self._failures[key] = count
        delay = 0.0 if conflict and count == 1 else min(_MAX_BACKOFF, _FIRST_BACKOFF * 2 ** min(count - 1, 30))
        delay *= random.uniform(0.5, 1.0)
        self._release(key, timedelta(seconds=delay))
        return delay

    def _release(self, key: Key, requeue_after: timedelta | None) -> None:
        self._active.discard(key)
        if key in self._again:
            self._again.discard(key)
            if not (self._patient and key in self._failures):
                self.add(key)
        if requeue_after is not None and requeue_after <= timedelta():
            self._dirty.pop(key, None)
            self._ahead.setdefault(key)
            self._wake.set()
        elif requeue_after is not None and key not in self._dirty:
            self.add_later(key, requeue_after)

    def _collect_due(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._due and self._due[0][0] <= now:
            at, key = heapq.heappop(self._due)
            if self._due_at.get(key) == at:
                del self._due_at[key]
                self.add(key)
