import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from bokgu.runtime.queue import Key, Queue

A, B = ("incidents", "shop", "a"), ("incidents", "shop", "b")
SOON = timedelta(seconds=0.02)

Scenario = Callable[[Queue], Awaitable[None]]


def run(scenario: Scenario) -> None:
    async def within() -> None:
        await asyncio.wait_for(scenario(Queue()), 5)

    asyncio.run(within())


async def nothing(queue: Queue, seconds: float = 0.01) -> bool:
    """Whether no key is handed out for a while."""
    try:
        await asyncio.wait_for(queue.take(), seconds)
    except TimeoutError:
        return True
    return False


async def take(queue: Queue) -> Key | None:
    return await asyncio.wait_for(queue.take(), 1)


def test_many_events_are_one_pass_in_order() -> None:
    async def scenario(queue: Queue) -> None:
        for key in (A, B, A, A):
            queue.add(key)
        assert [await take(queue), await take(queue)] == [A, B]
        assert await nothing(queue)

    run(scenario)


def test_its_depth_is_what_waits_for_a_worker() -> None:
    async def scenario(queue: Queue) -> None:
        queue.add(A)
        queue.add(B)
        queue.add(A)
        assert queue.depth == 2
        await take(queue)
        assert queue.depth == 1
        queue.add(A)
        queue.add_later(A, timedelta(hours=1))
        assert queue.depth == 1
        queue.done(A, None)
        assert queue.depth == 2

    run(scenario)


def test_a_key_is_with_one_worker_at_a_time_and_gets_another_pass_after() -> None:
    async def scenario(queue: Queue) -> None:
        queue.add(A)
        await take(queue)
        queue.add(A)
        queue.add(A)
        assert await nothing(queue)
        queue.done(A, None)
        assert await take(queue) == A
        queue.done(A, None)
        assert await nothing(queue)

    run(scenario)


def test_a_pass_says_when_the_next_one_is_needed() -> None:
    async def scenario(queue: Queue) -> None:
        queue.add(A)
        await take(queue)
        queue.done(A, SOON)
        assert await nothing(queue)
        assert await take(queue) == A
        queue.done(A, timedelta())
        assert await take(queue) == A

    run(scenario)


@pytest.mark.parametrize("also_an_event", [False, True])
def test_what_has_begun_is_carried_on_with_before_others_begin(also_an_event: bool) -> None:
    async def scenario(queue: Queue) -> None:
        others = [("incidents", "shop", str(number)) for number in range(100)]
        for key in (A, *others):
            queue.add(key)
        for _ in range(3):
            assert await take(queue) == A
            if also_an_event:
                queue.add(A)
            queue.done(A, timedelta())
        queue.add(A)
        assert queue.depth == 101
        assert await take(queue) == A
        queue.done(A, None)
        assert [await take(queue) for _ in others] == others
        assert await nothing(queue)

    run(scenario)


def test_a_key_that_is_due_while_a_worker_has_it_is_with_no_other() -> None:
    async def scenario(queue: Queue) -> None:
        queue.add(A)
        await take(queue)
        queue.add_later(A, SOON)
        assert await nothing(queue, 0.05)
        queue.done(A, None)
        assert await take(queue) == A

    run(scenario)


def test_a_first_conflict_is_carried_on_with_too() -> None:
    async def scenario(queue: Queue) -> None:
        queue.add(A)
        await take(queue)
        queue.add(B)
        queue.failed(A, conflict=True)
        assert [await take(queue), await take(queue)] == [A, B]

    run(scenario)


def test_keys_that_ask_for_a_pass_at_once_for_ever_do_not_keep_the_others_waiting() -> None:
    async def scenario(queue: Queue) -> None:
        queue.add(A)
        queue.add(B)
        taken = []
        for _ in range(20):
            key = await take(queue)
            assert key is not None
            taken.append(key)
            queue.done(key, timedelta() if key == A else None)
        assert taken.count(B) == 1

    run(scenario)


def test_an_event_comes_before_the_time_and_replaces_it() -> None:
    async def scenario(queue: Queue) -> None:
        queue.add_later(A, SOON)
        queue.add(A)
        assert await take(queue) == A
        queue.done(A, None)
        assert await nothing(queue, 0.05)

    run(scenario)


def test_the_last_time_that_was_asked_for_counts() -> None:
    async def scenario(queue: Queue) -> None:
        queue.add_later(A, timedelta(hours=1))
        queue.add_later(A, SOON)
        queue.add_later(B, SOON)
        queue.add_later(B, timedelta(hours=1))
        assert await take(queue) == A
        assert await nothing(queue, 0.05)

    run(scenario)


def test_failures_are_tried_later_each_time_up_to_a_minute_and_success_forgets_them() -> None:
    async def scenario(queue: Queue) -> None:
        delays = [queue.failed(A, conflict=False) for _ in range(12)]
        assert all(0.5 * min(60, 0.2 * 2**n) <= delay <= min(60, 0.2 * 2**n) for n, delay in enumerate(delays))
        queue.done(A, None)
        assert queue.failed(A, conflict=False) <= 0.2

    run(scenario)


def test_s12_an_object_that_fails_for_days_does_not_stop_its_worker() -> None:
    async def scenario(queue: Queue) -> None:
        assert max(queue.failed(A, conflict=False) for _ in range(3000)) <= 60

    run(scenario)


def test_a_conflict_is_tried_again_at_once() -> None:
    async def scenario(queue: Queue) -> None:
        queue.add(A)
        await take(queue)
        assert queue.failed(A, conflict=True) == 0
        assert await take(queue) == A

    run(scenario)


def test_conflicts_that_go_on_are_tried_again_later_each_time() -> None:
    async def scenario(queue: Queue) -> None:
        delays = [queue.failed(A, conflict=True) for _ in range(8)]
        assert delays[0] == 0
        assert all(0.1 * 2**n <= delay <= 0.2 * 2**n for n, delay in enumerate(delays[1:], 1))
        queue.done(A, None)
        assert queue.failed(A, conflict=True) == 0

    run(scenario)


def test_nothing_shortens_the_wait_of_a_key_that_failed_in_a_patient_queue() -> None:
    async def scenario(_: Queue) -> None:
        queue = Queue(patient=True)
        queue.add(A)
        await take(queue)
        queue.add(A)
        delay = queue.failed(A, conflict=False)
        queue.add(A)
        queue.add(B)
        assert await take(queue) == B
        assert await nothing(queue, delay / 2)
        assert await take(queue) == A
        queue.done(A, timedelta(hours=1))
        queue.add(A)
        assert await take(queue) == A

    run(scenario)


def test_deadlines_that_were_replaced_do_not_pile_up() -> None:
    async def scenario(queue: Queue) -> None:
        keys = [("incidents", "shop", str(number)) for number in range(50)]
        for _ in range(100):
            for key in keys:
                queue.add(key)
                assert await take(queue) == key
                queue.done(key, timedelta(days=30))
        assert len(queue._due) < 300
        queue.add_later(A, SOON)
        assert await take(queue) == A

    run(scenario)


def test_a_failed_key_is_free_for_others() -> None:
    async def scenario(queue: Queue) -> None:
        queue.add(A)
        await take(queue)
        queue.failed(A, conflict=False)
        queue.add(A)
        assert await take(queue) == A

    run(scenario)


def test_a_closed_queue_hands_out_nothing_and_wakes_everybody() -> None:
    async def scenario(queue: Queue) -> None:
        waiting = [asyncio.create_task(queue.take()) for _ in range(3)]
        await asyncio.sleep(0)
        queue.close()
        queue.add(A)
        assert await asyncio.gather(*waiting) == [None, None, None]

    run(scenario)


@pytest.mark.parametrize("workers", [1, 4])
def test_no_key_is_lost_and_none_is_with_two_workers(workers: int) -> None:
    async def scenario(queue: Queue) -> None:
        keys = [("incidents", "shop", str(i)) for i in range(20)]
        busy: set[Key] = set()
        passes: dict[Key, int] = dict.fromkeys(keys, 0)

        async def work() -> None:
            while (key := await queue.take()) is not None:
                assert key not in busy
                busy.add(key)
                await asyncio.sleep(0)
                busy.remove(key)
                passes[key] += 1
                if passes[key] < 5:
                    queue.done(key, timedelta(milliseconds=passes[key] % 3))
                else:
                    queue.done(key, None)
                if all(count >= 5 for count in passes.values()):
                    queue.close()

        for key in keys:
            queue.add(key)
        await asyncio.gather(*(work() for _ in range(workers)))
        assert all(count == 5 for count in passes.values())

    run(scenario)
