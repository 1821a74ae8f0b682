"""AWS that hangs, expires and refuses: what is held up by it, and what is not. Through real boto3."""

import asyncio
import time
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bokgu.api.observed import AwsError, LogMetric, Metric
from bokgu.aws.client import AwsClient
from bokgu.aws.ecs import fetch_service
from bokgu.aws.series import fetch_series, fetch_sources
from tests.aws_gateway import ROLE, TARGET, THREADS, call
from tests.simulator.harness import Scene

REGION = "us-east-1"


pytestmark = pytest.mark.usefixtures("aws_credentials")


def look(aws: AwsClient, role: str | None = None) -> Awaitable[object]:
    return fetch_service(aws, TARGET.model_copy(update={"role_arn": role}), datetime.now(UTC))


async def list_alarms(aws: AwsClient) -> object:
    return await aws.read("cloudwatch", "DescribeAlarms", {}, region=REGION, role_arn=None, bulk=True)


def test_an_api_that_hangs_holds_up_neither_the_others_nor_the_end(stage: Scene) -> None:
    fault = stage.control.hang("DescribeAlarms", count=1000)

    async def look_meanwhile(aws: AwsClient) -> None:
        hanging = [asyncio.create_task(list_alarms(aws)) for _ in range(3 * THREADS)]
        await asyncio.sleep(0.5)
        await asyncio.wait_for(look(aws), 4)
        assert not any(task.done() for task in hanging)
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)

    begun = time.monotonic()
    call(stage.server.url, look_meanwhile)
    stage.control.remove_fault(fault)
    assert time.monotonic() - begun < 6


def test_bulk_reads_hold_up_no_single_one_of_the_same_api(stage: Scene) -> None:
    fault = stage.control.slow_down("DescribeClusters", 10, count=1000)

    async def look_meanwhile(aws: AwsClient) -> None:
        slow = [
            asyncio.create_task(aws.read("ecs", "DescribeClusters", {}, region=REGION, role_arn=None, bulk=True))
            for _ in range(3 * THREADS)
        ]
        await asyncio.sleep(0.5)
        await asyncio.wait_for(look(aws), 5)
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)

    call(stage.server.url, look_meanwhile)
    stage.control.remove_fault(fault)


def test_what_a_recovery_measures_goes_before_all_that_is_watched(stage: Scene) -> None:
    logs = {"logs": LogMetric("no-such-group", "CORRUPT", 60)}
    start, end = datetime.now(UTC) - timedelta(minutes=5), datetime.now(UTC)

    async def measure_meanwhile(aws: AwsClient) -> None:
        watched: dict[Metric | LogMetric, datetime] = {
            LogMetric("no-such-group", f"PATTERN-{number}", 60): start for number in range(30)
        }
        watching = asyncio.create_task(fetch_sources(aws, watched, end, region=REGION, role_arn=None))
        await asyncio.sleep(0.5)
        with pytest.raises(AwsError, match="ResourceNotFound"):
            await asyncio.wait_for(fetch_series(aws, logs, region=REGION, role_arn=None, start=start, end=end), 1.5)
        assert not watching.done()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    call(stage.server.url, measure_meanwhile)


def test_a_role_that_hangs_holds_up_no_other(stage: Scene) -> None:
    hanging_role = ROLE + "-hangs"
    fault = stage.control.hang("AssumeRole", count=1000, resource="bokgu-hangs")

    async def look_meanwhile(aws: AwsClient) -> None:
        hanging = asyncio.create_task(
            aws.read("ecs", "ListClusters", {}, region=REGION, role_arn=hanging_role, bulk=True)
        )
        await asyncio.sleep(0.5)
        await asyncio.wait_for(look(aws), 4)
        await asyncio.wait_for(look(aws, ROLE), 4)
        assert not hanging.done()
        hanging.cancel()
        await asyncio.gather(hanging, return_exceptions=True)

    call(stage.server.url, look_meanwhile)
    stage.control.remove_fault(fault)


def test_credentials_that_are_refused_before_their_time_are_renewed(stage: Scene) -> None:
    since = max(c.sequence for c in stage.control.calls())

    async def look_twice(aws: AwsClient) -> None:
        await look(aws, ROLE)
        stage.control.expire_token("DescribeServices", count=3)
        with pytest.raises(Exception, match="Expired"):
            await look(aws, ROLE)
        stage.control.clear_faults()
        await look(aws, ROLE)

    call(stage.server.url, look_twice)
    assert len(stage.control.calls("AssumeRole", since=since)) == 2


def test_a_role_costs_little_memory(stage: Scene) -> None:
    def resident() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

    async def look_around(aws: AwsClient) -> float:
        for role in (None, ROLE):
            await look(aws, role)
        before = resident()
        for number in range(20):
            await look(aws, f"{ROLE}-{number}")
        return resident() - before

    # A Session of its own with models of its own would take 11 MB for each API and role.
    assert call(stage.server.url, look_around) < 60
