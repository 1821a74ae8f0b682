"""Events are created beside the passes: in order, and no failure of one keeps others back."""

import asyncio

from bokgu.metrics.passes import EVENTS_FAILED
from bokgu.runtime.event_recorder import EventRecorder, recording_events


def failed() -> float:
    (family,) = EVENTS_FAILED.collect()
    return next(sample.value for sample in family.samples if sample.name.endswith("_total"))


class Created:
    """Events, by number, each of which takes a moment; number 1 has a defect."""

    def __init__(self) -> None:
        self.done: list[int] = []

    async def create(self, number: int) -> None:
        await asyncio.sleep(0.001)
        if number == 1:
            raise ValueError("a defect")
        self.done.append(number)


def test_all_are_created_before_the_end_and_a_defect_stops_none() -> None:
    created, before = Created(), failed()

    async def play() -> None:
        async with recording_events() as recorder:
            for number in range(50):
                recorder.record(lambda number=number: created.create(number))  # type: ignore[misc]  # bound by default
            assert created.done == [], "nobody waits for them"

    asyncio.run(play())
    assert sorted(created.done) == [0, *range(2, 50)]
    assert failed() == before + 1


def test_what_cannot_wait_any_more_is_counted() -> None:
    created, before = Created(), failed()

    async def play() -> None:
        recorder = EventRecorder(most=3)
        for number in range(5, 10):
            recorder.record(lambda number=number: created.create(number))  # type: ignore[misc]  # as above
        worker = asyncio.create_task(recorder.work())
        await recorder.finish()
        worker.cancel()

    asyncio.run(play())
    assert (created.done, failed() - before) == ([5, 6, 7], 2)


def test_an_api_server_that_hangs_does_not_hold_up_the_end() -> None:
    async def play() -> None:
        recorder = EventRecorder()
        recorder.record(lambda: asyncio.sleep(60))
        worker = asyncio.create_task(recorder.work())
        await asyncio.wait_for(recorder.finish(0.05), 5)
        worker.cancel()

    asyncio.run(play())
