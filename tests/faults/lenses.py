"""What the operator may see of the API server instead of what is there: old answers, late, merged and lost events.

After "Automatic Reliability Testing for Cluster Management Controllers" (Sieve, OSDI 2022): stale and unobserved
states. Its intermediate states are the points at which the operator dies.
"""

import json
import time
from collections import deque
from collections.abc import Sequence

from tests.faults.proxy import GROUP_PATH, Call

PATIENCE = 2.0
"""Seconds after which an event that was held back comes though no newer one does."""


class _Clear:
    """Shows everything as it is."""

    def see_answer(self, call: Call, body: bytes) -> bytes:
        return body

    def see_event(self, call: Call, line: bytes) -> Sequence[bytes]:
        return (line,)

    def see_silence(self, call: Call) -> Sequence[bytes]:
        return ()


class Late(_Clear):
    """Answers to reads are as many answers old as it says, and events come after as many newer ones, or after PATIENCE.

    kube-apiserver answers no read without a resourceVersion from the past; a cache in between may.
    """

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self._answers: dict[str, deque[bytes]] = {}
        self._held: dict[int, deque[tuple[float, bytes]]] = {}

    def see_answer(self, call: Call, body: bytes) -> bytes:
        if not call.path.startswith(GROUP_PATH):
            return body
        answers = self._answers.setdefault(call.path, deque(maxlen=self._behind + 1))
        answers.append(body)
        return answers[0]

    def see_event(self, call: Call, line: bytes) -> Sequence[bytes]:
        held = self._held.setdefault(call.number, deque())
        held.append((time.monotonic(), line))
        return [held.popleft()[1] for _ in range(len(held) - self._behind)]

    def see_silence(self, call: Call) -> Sequence[bytes]:
        held, now = self._held.get(call.number, deque()), time.monotonic()
        lines = []
        while held and held[0][0] + PATIENCE < now:
            lines.append(held.popleft()[1])
        return lines

    def __str__(self) -> str:
        return f"{self._behind} events late"


class Thinned(_Clear):
    """Of so many events one is lost: with 2 every second one, with 1 all."""

    def __init__(self, of: int) -> None:
        self._of, self._number = of, 0

    def see_event(self, call: Call, line: bytes) -> Sequence[bytes]:
        self._number += 1
        return () if self._number % self._of == 0 else (line,)

    def __str__(self) -> str:
        return f"with one event of {self._of} lost"


class Merged(_Clear):
    """Of the events about an object that come close together only the last one arrives."""

    def __init__(self) -> None:
        self._held: dict[int, dict[str, bytes]] = {}

    def see_event(self, call: Call, line: bytes) -> Sequence[bytes]:
        held = self._held.setdefault(call.number, {})
        metadata = json.loads(line).get("object", {}).get("metadata", {})
        uid = metadata.get("uid", "")
        held.pop(uid, None)
        held[uid] = line
        return ()

    def see_silence(self, call: Call) -> Sequence[bytes]:
        return list(self._held.pop(call.number, {}).values())

    def __str__(self) -> str:
        return "with events merged"


class Outdated(_Clear):
    """The history that each watch goes on from is compacted: instead of its next event it gets 410, once a second."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def see_event(self, call: Call, line: bytes) -> Sequence[bytes]:
        path, now = call.path.partition("?")[0], time.monotonic()
        if now < self._last.get(path, 0.0) + 1.0:
            return (line,)
        self._last[path] = now
        status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": "too old resource version: 1 (2)",
            "reason": "Expired",
            "code": 410,
        }
        return (json.dumps({"type": "ERROR", "object": status}).encode() + b"\n",)

    def __str__(self) -> str:
        return "with its history compacted"
