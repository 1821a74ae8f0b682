"""Threads for AWS calls: no job waits for another."""

import threading
import time
from collections.abc import Callable

import pytest

from bokgu.aws.threads import Threads


def count(name: str) -> int:
    return sum(thread.name == name for thread in threading.enumerate())


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_job_that_hangs_keeps_no_other_waiting() -> None:
    threads, gate, done = Threads("hanging", 0.1), threading.Event(), threading.Semaphore(0)

    def hang() -> None:
        gate.wait(5)

    for _ in range(5):
        threads.run(hang)
    for _ in range(100):
        threads.run(done.release)
        assert done.acquire(timeout=5)
    gate.set()
    wait_until(lambda: count("hanging") == 0)


def test_threads_are_used_again_and_go_when_nothing_has_come_for_a_while() -> None:
    threads, seen = Threads("again", 0.1), []
    for number in range(50):
        threads.run(lambda: seen.append(threading.get_ident()))
        wait_until(lambda number=number: len(seen) > number)  # type: ignore[misc]  # its default is what binds it
        time.sleep(0.001)
    assert len(set(seen)) < 10
    wait_until(lambda: count("again") == 0)
    threads.run(lambda: seen.append(0))
    wait_until(lambda: len(seen) == 51)


def test_none_is_lost_where_threads_go_as_jobs_come() -> None:
    threads, done = Threads("racing", 0.001), threading.Semaphore(0)
    for number in range(300):
        threads.run(done.release)
        time.sleep(0.0009 + number % 5 * 0.0001)
    assert all(done.acquire(timeout=5) for _ in range(300))
    wait_until(lambda: count("racing") == 0)


def test_a_job_that_got_no_thread_is_told_of_and_holds_up_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads, done = Threads("failing", 0.05), threading.Semaphore(0)

    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError):
            threads.run(done.release)
    for count_done in range(3):
        threads.run(done.release)
        assert done.acquire(timeout=5), count_done
    time.sleep(0.2)
    assert not done.acquire(blocking=False), "what failed was done after all"
    assert count("failing") == 0
