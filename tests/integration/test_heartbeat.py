"""The heartbeat: heard while the operator is ready, and missed when it is not."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
import structlog

from bokgu.config import BadSetting, read_settings
from bokgu.runtime.heartbeat import beat_forever
from tests.unit.test_counting import changes
from tests.world.pager import Pager

OFTEN = timedelta(seconds=0.05)


def beat(url: str, seconds: float, problem: Callable[[], str | None] = lambda: None) -> None:
    """Beat for so long."""

    async def check() -> str | None:
        return problem()

    async def run() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(beat_forever(url, OFTEN, check), seconds)

    asyncio.run(run())


def test_nobody_is_called_while_the_operator_is_ready() -> None:
    with Pager(0.5) as pager:
        begun = time.monotonic()
        found = changes(lambda: beat(pager.url, 1.2))
        assert pager.alarms(begun) == 0
    assert found["bokgu_heartbeats_total,sent"] >= 2
    assert "bokgu_heartbeats_total,not sent" not in found


def test_somebody_is_called_where_the_operator_cannot_work_or_is_gone() -> None:
    with Pager(0.5) as pager:
        begun = time.monotonic()
        beat(pager.url, 0.8, lambda: "the API server does not answer")
        assert pager.alarms(begun) == 1
        beat(pager.url, 0.2)
        time.sleep(0.7)
        assert pager.alarms(begun) == 2


def test_a_receiver_that_is_down_is_told_of_once_without_its_address() -> None:
    with Pager(1) as pager:
        url = pager.url
    with structlog.testing.capture_logs() as logs:
        found = changes(lambda: beat(url, 0.5))
    assert found["bokgu_heartbeats_total,not sent"] >= 2
    assert "bokgu_heartbeats_total,sent" not in found
    (said,) = logs
    assert (said["event"], said["log_level"]) == ("heartbeat not sent", "warning")
    assert url not in str(said)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "https://", "beats-42"])
def test_what_is_no_address_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(BadSetting, match="BOKGU_HEARTBEAT_URL") as refused:
        read_settings({"BOKGU_HEARTBEAT_URL": url})
    assert url not in str(refused.value)
