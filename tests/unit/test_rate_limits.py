"""Token buckets on a clock that only moves while somebody sleeps."""

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bokgu.api.quotas import DEFAULT_QUOTAS, Quota
from bokgu.aws import rate_limits
from bokgu.aws.rate_limits import RESERVE, RateLimits, account_of
from tests.unit.test_counting import changes

T = TypeVar("T")
Acquire = Callable[..., Awaitable[float]]


class Time:
    """Stands for `time` and for `asyncio.sleep`: sleepers wake in order, and nothing else takes any time."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # A real clock never wakes anybody a rounding error too early for ever.
        heapq.heappush(self._sleepers, (self.now + max(seconds, 1e-6), next(self._numbers), waiting))
        await waiting

    async def drive(self, *tasks: asyncio.Task[Any], most: float) -> None:
        """Run until all are done, at most so many seconds."""
        end = self.now + most
        while not all(t.done() for t in tasks):
            for _ in range(4 * len(tasks) + 4):
                await asyncio.sleep(0)
            while self._sleepers and self._sleepers[0][2].done():
                heapq.heappop(self._sleepers)
            if all(t.done() for t in tasks):
                return
            if not self._sleepers or self._sleepers[0][0] > end:
                for task in tasks:
                    task.cancel()
                raise TimeoutError(f"not done after {most} s")
            at, _, waiting = heapq.heappop(self._sleepers)
            self.now = max(self.now, at)
            waiting.set_result(None)


class _Asyncio:
    """`asyncio` as rate_limits sees it."""

    Lock = asyncio.Lock

    def __init__(self, clock: Time) -> None:
        self.sleep = clock.sleep


@pytest.fixture(name="clock")
def _clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    clock = Time()
    monkeypatch.setattr(rate_limits, "time", clock)
    monkeypatch.setattr(rate_limits, "asyncio", _Asyncio(clock))
    return clock


def play(clock: Time, *calls: Coroutine[Any, Any, T], most: float = 1000.0) -> list[T]:
    """Begin all calls at once, in that order; their results."""

    async def run() -> list[T]:
        tasks = [asyncio.create_task(call) for call in calls]
        await clock.drive(*tasks, most=most)
        return [task.result() for task in tasks]

    return asyncio.run(run())


def ask(limits: RateLimits, operation: str = "DescribeServices", **fields: Any) -> Coroutine[Any, Any, float]:
    where = {"account": "1", "region": "r", "service": "ecs", **fields}
    return limits.acquire(where["account"], where["region"], where["service"], operation, bulk=where.get("bulk", False))


def test_after_the_burst_calls_go_at_the_rate(clock: Time) -> None:
    limits = RateLimits({"ecs": Quota(2, 3)})
    waited = play(clock, *(ask(limits) for _ in range(7)))
    assert waited == pytest.approx([0, 0, 0, 0.5, 1.0, 1.5, 2.0], abs=1e-3)


def test_how_long_calls_are_held_back_is_counted(clock: Time) -> None:
    limits, name = RateLimits({"ecs": Quota(2, 1)}), "bokgu_aws_held_back_seconds_total,DescribeServices,ecs"
    waited = changes(lambda: play(clock, *(ask(limits) for _ in range(3))))
    assert waited == {name: pytest.approx(0.5 + 1.0, abs=1e-3)}
    clock.now += 60
    assert changes(lambda: play(clock, ask(limits))) == {}


def test_tokens_come_back_and_never_more_than_the_burst(clock: Time) -> None:
    limits = RateLimits({"ecs": Quota(1, 2)})
    play(clock, *(ask(limits) for _ in range(2)))
    clock.now += 3600
    assert play(clock, *(ask(limits) for _ in range(3))) == pytest.approx([0, 0, 1], abs=1e-3)


def test_what_has_no_quota_never_waits(clock: Time) -> None:
    limits = RateLimits({"ecs": Quota(1, 1)})
    assert play(clock, *(ask(limits, "GetItem", service="dynamodb") for _ in range(50))) == [0.0] * 50


def test_an_operation_with_a_quota_of_its_own_does_not_use_that_of_its_service(clock: Time) -> None:
    limits = RateLimits({"ecs": Quota(1, 1), "UpdateService": Quota(1, 1)})
    assert play(clock, ask(limits), ask(limits, "UpdateService")) == [0.0, 0.0]


@pytest.mark.parametrize("other", [{"account": "2"}, {"region": "s"}])
def test_every_account_and_region_has_its_own_quota(clock: Time, other: dict[str, str]) -> None:
    limits = RateLimits({"ecs": Quota(1, 1)})
    assert play(clock, ask(limits), ask(limits, **other)) == [0.0, 0.0]


def test_bulk_reads_leave_tokens_for_recoveries(clock: Time) -> None:
    limits = RateLimits({"ecs": Quota(1, 20)})
    bulk = [ask(limits, bulk=True) for _ in range(20)]
    single = [ask(limits) for _ in range(RESERVE)]
    waited = play(clock, *bulk, *single)
    assert waited[: 20 - RESERVE] == [0.0] * (20 - RESERVE)
    assert waited[20:] == [0.0] * RESERVE
    assert all(w > 0 for w in waited[20 - RESERVE : 20])


def test_a_recovery_does_not_queue_behind_bulk_reads(clock: Time) -> None:
    limits = RateLimits({"ecs": Quota(1, 8)})
    bulk = [ask(limits, bulk=True) for _ in range(100)]
    assert play(clock, *bulk, ask(limits))[-1] == 0.0


def test_bulk_reads_come_in_the_order_of_asking(clock: Time) -> None:
    limits = RateLimits({"ecs": Quota(1, 4)})
    waited = play(clock, *(ask(limits, bulk=True) for _ in range(9)))
    assert waited == sorted(waited)


@given(
    burst=st.integers(2, 20),
    rate=st.sampled_from([1.0, 2.0, 5.0, 20.0]),
    calls=st.lists(st.booleans(), min_size=1, max_size=60),
)
@settings(max_examples=40)
def test_no_second_sees_more_than_the_burst_and_the_rate(burst: int, rate: float, calls: list[bool]) -> None:
    clock = Time()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rate_limits, "time", clock)
        patch.setattr(rate_limits, "asyncio", _Asyncio(clock))
        limits = RateLimits({"ecs": Quota(rate, burst)})
        waited = sorted(play(clock, *(ask(limits, bulk=bulk) for bulk in calls)))
    for start in waited:
        within = sum(start <= at < start + 1 for at in waited)
        assert within <= burst + rate + 1
    assert waited[-1] <= (len(calls) + RESERVE) / rate + 1e-3


@pytest.mark.parametrize("name", sorted(DEFAULT_QUOTAS))
def test_with_the_default_quotas_every_call_gets_through(clock: Time, name: str) -> None:
    limits = RateLimits(DEFAULT_QUOTAS)
    service, operation = (name, "DescribeX") if name.islower() else ("any", name)
    single = [ask(limits, operation, service=service) for _ in range(3)]
    bulk = [ask(limits, operation, service=service, bulk=True) for _ in range(3)] if name != "UpdateService" else []
    assert len(play(clock, *single, *bulk, most=60)) == len(single) + len(bulk)


@pytest.mark.parametrize("rate", [0.5, 1.0, 1.5])
def test_a_small_quota_does_not_stop_bulk_reads_for_ever(clock: Time, rate: float) -> None:
    """`BOKGU_AWS_QUOTAS=ecs=1`: describing the services would never return."""
    limits = RateLimits({"ecs": Quota(rate, max(1.0, rate))})
    play(clock, ask(limits, bulk=True), most=60)


def test_who_gives_up_waiting_takes_no_token(clock: Time) -> None:
    limits = RateLimits({"ecs": Quota(1, 1)})

    async def run() -> float:
        first, second = asyncio.create_task(ask(limits)), asyncio.create_task(ask(limits, bulk=False))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        second.cancel()
        third = asyncio.create_task(ask(limits))
        await clock.drive(first, third, most=60)
        return third.result()

    assert asyncio.run(run()) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(
    ("role", "account"),
    [
        (None, "own"),
        ("", "own"),
        ("arn:aws:iam::123456789012:role/bokgu", "123456789012"),
        ("arn:aws-cn:iam::123456789012:role/path/bokgu", "123456789012"),
        ("not-an-arn", "own"),
    ],
)
def test_a_call_counts_against_the_account_of_its_role(role: str | None, account: str) -> None:
    assert account_of(role) == account
