"""Which objects get a pass because of a full list."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from bokgu.api.crds import KINDS
from bokgu.kube.client import KubeClient
from bokgu.runtime.resync import resync, resync_forever
from bokgu.runtime.store import Raw, Store
from tests.unit.test_handlers import an_object


class Lists:
    """An API server whose lists are of that moment, and of one object a page."""

    def __init__(self, *bodies: Raw, moment: int = 9) -> None:
        self._pages = [[body] for body in bodies] or [[]]
        self._moment = moment

    async def list_pages(self, _plural: str) -> AsyncIterator[Raw]:
        for items in self._pages:
            yield {"metadata": {"resourceVersion": str(self._moment)}, "items": items}


def plan(name: str, phase: str, version: int = 1) -> Raw:
    return an_object(name, version=version, spec={"serviceRef": {"name": "api"}}, status={"phase": phase})


def test_all_that_has_changed_gets_a_pass_and_of_the_rest_what_is_not_over() -> None:
    store, told = Store(), []
    going = plan("goes", "Failed")
    going["metadata"]["deletionTimestamp"] = "2026-11-24T08:00:00Z"
    before = [
        plan("waits", "Pending"),
        plan("over", "Completed"),
        plan("ends", "InProgress"),
        going,
        plan("gone", "Failed"),
    ]
    for body in before:
        store.put("recoveryplans", body)
    now = Lists(*before[:2], plan("ends", "Completed", 2), going, plan("new", "Completed"))

    def announce(_plural: str, body: dict[str, Any], _own: bool) -> None:
        told.append(body["metadata"]["name"])

    asyncio.run(resync(cast(KubeClient, now), store, announce, "recoveryplans"))
    assert told == ["waits", "ends", "goes", "new", "gone"]


@pytest.mark.parametrize(("moment", "gone"), [(6, []), (7, ["old"]), (8, ["old", "new"])])
def test_a_list_that_is_older_than_an_object_does_not_tell_whether_it_is_gone(moment: int, gone: list[str]) -> None:
    store, told = Store(), []
    for body in (plan("old", "InProgress", 7), plan("new", "InProgress", 8)):
        store.put("recoveryplans", body)

    def announce(_plural: str, body: dict[str, Any], _own: bool) -> None:
        told.append(body["metadata"]["name"])

    asyncio.run(resync(cast(KubeClient, Lists(moment=moment)), store, announce, "recoveryplans"))
    assert told == gone
    assert {o["metadata"]["name"] for o in store.all("recoveryplans")} == {"old", "new"} - set(gone)


def test_a_defect_in_one_resync_ends_none_of_those_that_would_come() -> None:
    class Broken(Lists):
        asked = 0

        async def list_pages(self, plural: str) -> AsyncIterator[Raw]:
            self.asked += 1
            raise ValueError(plural)
            yield {}

    broken = Broken()

    async def run() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                again = timedelta(milliseconds=1)
                await resync_forever(cast(KubeClient, broken), Store(), lambda *_: None, again)

    with capture_logs() as said:
        asyncio.run(run())
    assert broken.asked > len(KINDS)
    assert {line["event"] for line in said} == {"resync failed"}
