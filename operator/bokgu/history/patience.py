"""A history that is waited for only so long, and is left alone for a while after it did not answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bokgu.api.history import HistoryError, IncidentRecord, Question
from bokgu.history.interface import History

FIND_PATIENCE = 5.0
"""Seconds that a classification waits for an answer: trouble does not wait for the past."""
STORE_PATIENCE = 30.0
"""Seconds that a record waits until it is stored."""
AWAY = 45.0
"""Seconds for which a history that did not answer is not asked again."""

T = TypeVar("T")
_Place = tuple[str, ...]


class PatientHistory:
    """Another history, asked with patience. What refuses at once is asked each time.

    `shared`: the namespaces of an environment have one history; else each has its own.
    """

    def __init__(self, history: History, *, shared: bool) -> None:
        self._history, self._shared = history, shared
        self._away: dict[_Place, tuple[float, HistoryError]] = {}

    async def store(self, record: IncidentRecord, *, keep: bool = False) -> None:
        """As `History.store`."""
        place = self._place("store", record.environment, record.namespace)
        await self._ask(place, lambda: self._history.store(record, keep=keep), STORE_PATIENCE)

    async def find(self, question: Question) -> tuple[IncidentRecord, ...]:
        """As `History.find`."""
        place = self._place("find", question.environment, question.namespace)
        return await self._ask(place, lambda: self._history.find(question), FIND_PATIENCE)

    def _place(self, what: str, environment: str, namespace: str) -> _Place:
        return (what, environment) if self._shared else (what, environment, namespace)

    async def _ask(self, place: _Place, call: Callable[[], Awaitable[T]], patience: float) -> T:
        until, known = self._away.get(place, (0.0, None))
        if known is not None and time.monotonic() < until:
            raise HistoryError(known.reason, known.message)
        try:
            async with asyncio.timeout(patience):
                answer = await call()
        except TimeoutError:
            error = HistoryError("Unreachable", f"the history did not answer within {patience:g} seconds")
        except HistoryError as told:
            if told.reason != "Unreachable":
                raise
            error = told
        else:
            self._away.pop(place, None)
            return answer
        self._away[place] = (time.monotonic() + AWAY, error)
        raise HistoryError(error.reason, error.message)
