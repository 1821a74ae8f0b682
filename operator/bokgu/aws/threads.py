"""Threads for calls that block: none waits for another, and none holds up the end of the process."""

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Lock, Thread

KEPT = 30.0
"""Seconds for which a thread waits for another job: starting one costs a fifth of an AWS call [measured]."""


class Threads:
    """As many as there are jobs at the same time; who runs jobs bounds them."""

    def __init__(self, name: str, kept: float = KEPT) -> None:
        self._name, self._kept = name, kept
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._lock = Lock()
        self._free = 0

    def run(self, job: Callable[[], None]) -> None:
        """Begin the job, in a thread that is free or a new one. It must not raise.

        Raises RuntimeError where the system has no thread left: then the job will never be done.
        """
        with self._lock:
            free = self._free > 0
            self._free -= free
        if free:
            self._jobs.put(job)
        else:
            Thread(target=self._work, args=(job,), name=self._name, daemon=True).start()

    def _work(self, job: Callable[[], None] | None) -> None:
        while job is not None:
            job()
            with self._lock:
                self._free += 1
            job = self._next()

    def _next(self) -> Callable[[], None] | None:
        """Another job, or None where none has come for so long that the thread may go."""
        while True:
            try:
                return self._jobs.get(timeout=self._kept)
            except Empty:
                with self._lock:
                    if self._free > 0:
                        self._free -= 1
                        return None
                # Else a job is on its way.
