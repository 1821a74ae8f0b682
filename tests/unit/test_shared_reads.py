"""Reads that are shared: no answer is older than its question (S1)."""

import asyncio

import pytest

from bokgu.kube import shared_reads
from bokgu.kube.shared_reads import SharedReads


class Source:
    """What is read. Each read takes until it is let go."""

    def __init__(self) -> None:
        self.value, self.reads = 0, 0
        self.gate = asyncio.Event()
        self.failure: Exception | None = None

    async def read(self, key: str) -> str:
        """The value at the moment at which the read began."""
        self.reads += 1
        seen = f"{key} {self.value}"
        await self.gate.wait()
        if self.failure:
            raise self.failure
        return seen


async def settle() -> None:
    """Let all tasks go as far as they can."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_who_ask_at_the_same_time_share_a_read() -> None:
    async def play() -> tuple[list[str], int]:
        source = Source()
        shared = SharedReads(source.read)
        asking = [asyncio.create_task(shared.read("a")) for _ in range(100)]
        await settle()
        source.gate.set()
        return await asyncio.gather(*asking), source.reads

    answers, reads = asyncio.run(play())
    assert answers == ["a 0"] * 100
    assert reads == 1


def test_s1_no_answer_is_older_than_its_question() -> None:
    async def play() -> tuple[list[str], int]:
        source = Source()
        shared = SharedReads(source.read)
        early = asyncio.create_task(shared.read("a"))
        await settle()
        source.value = 1  # The right is taken away while the first read is under way.
        late = [asyncio.create_task(shared.read("a")) for _ in range(3)]
        await settle()
        source.gate.set()
        return await asyncio.gather(early, *late), source.reads

    answers, reads = asyncio.run(play())
    assert answers == ["a 0", "a 1", "a 1", "a 1"]
    assert reads == 2


def test_keys_are_read_beside_each_other() -> None:
    async def play() -> list[str]:
        source = Source()
        shared = SharedReads(source.read)
        asking = [asyncio.create_task(shared.read(key)) for key in ("a", "b")]
        await settle()
        assert source.reads == 2
        source.gate.set()
        return await asyncio.gather(*asking)

    assert asyncio.run(play()) == ["a 0", "b 0"]


def test_a_failure_reaches_all_who_asked_and_nobody_later() -> None:
    async def play() -> tuple[list[object], str]:
        source = Source()
        shared = SharedReads(source.read)
        source.failure = ValueError("no")
        asking = [asyncio.create_task(shared.read("a")) for _ in range(3)]
        await settle()
        source.gate.set()
        failed = await asyncio.gather(*asking, return_exceptions=True)
        source.failure = None
        return list(failed), await shared.read("a")

    failed, later = asyncio.run(play())
    assert [str(error) for error in failed] == ["no"] * 3
    assert later == "a 0"


@pytest.mark.parametrize("left", [1, 0])
def test_who_is_cancelled_leaves_the_read_to_the_others(left: int) -> None:
    async def play() -> tuple[list[str], str, int]:
        source = Source()
        shared = SharedReads(source.read)
        cancelled, *others = [asyncio.create_task(shared.read("a")) for _ in range(1 + left)]
        await settle()
        cancelled.cancel()
        await settle()
        assert cancelled.cancelled()
        source.gate.set()
        return await asyncio.gather(*others), await shared.read("a"), source.reads

    assert asyncio.run(play()) == (["a 0"] * left, "a 0", 2)


def test_a_read_that_hangs_holds_up_the_next_one_for_a_second_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_reads, "PATIENCE", 0.05)

    async def play() -> tuple[str, bool]:
        source = Source()
        shared = SharedReads(source.read)
        hanging = asyncio.create_task(shared.read("a"))
        await settle()
        source.gate, hung = asyncio.Event(), source.gate
        source.gate.set()
        source.value = 1
        later = await asyncio.wait_for(shared.read("a"), 2)
        was_hanging = not hanging.done()
        hung.set()
        await hanging
        assert await shared.read("a") == "a 1"
        return later, was_hanging

    assert asyncio.run(play()) == ("a 1", True)
