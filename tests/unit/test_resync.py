"""Which objects get a pass because of a full list."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

from bokgu.kube.client import KubeClient
from bokgu.runtime.resync import resync
from bokgu.runtime.store import Raw, Store
from tests.unit.test_handlers import an_object


class Lists:
    """An API server that has these objects."""

    def __init__(self, *bodies: Raw) -> None:
        self.bodies = bodies

    async def list(self, _plural: str) -> AsyncIterator[Raw]:
        for body in self.bodies:
            yield body


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
