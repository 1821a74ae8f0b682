"""The election itself, on the real API server: one leads, others follow, and who loses the lease knows it."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from bokgu.config import Settings
from bokgu.kube.client import KubeClient, KubeError
from bokgu.runtime.leadership import Leadership, LeaseLost
from tests.world.world import World

SETTINGS = Settings(
    lease_duration=timedelta(seconds=3), lease_renew_deadline=timedelta(seconds=2), lease_retry=timedelta(seconds=1)
)
HOME = SETTINGS.namespace


@dataclass
class Election:
    """A Lease of a test's own."""

    world: World
    kube: KubeClient
    name: str

    def candidate(self, holder: str) -> Leadership:
        return Leadership(self.kube, replace(SETTINGS, holder=holder), self.name)

    async def spec(self) -> dict[str, Any]:
        found = await self.kube.lease(HOME, self.name)
        assert found is not None
        spec: dict[str, Any] = found["spec"]
        return spec

    async def change(self, **spec: Any) -> None:
        """As somebody else, whoever writes at the same time."""
        while True:
            found = await self.kube.lease(HOME, self.name)
            assert found is not None
            try:
                await self.kube.put_lease({**found, "spec": {**found["spec"], **spec}})
                return
            except KubeError as error:
                if not error.conflict:
                    raise

    async def delete(self) -> None:
        """As a person with kubectl: the operator may not."""
        await asyncio.to_thread(self.world.control_plane.kubectl, "delete", "lease", self.name, "-n", HOME)


Scenario = Callable[[Election], Awaitable[None]]
Hold = Callable[[Scenario], None]


@pytest.fixture
def hold(
    ha_world: World, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Scenario], None]:
    """Holds an election under the operator's own account."""
    monkeypatch.setenv("KUBECONFIG", str(ha_world.operator_kubeconfig()))
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name).strip("-")

    def run(scenario: Scenario) -> None:
        async def within() -> None:
            kube = await KubeClient.connect()
            try:
                await asyncio.wait_for(scenario(Election(ha_world, kube, name)), 60)
            finally:
                await kube.close()

        asyncio.run(within())

    return run


async def lost(leader: Leadership, seconds: float = 10) -> str:
    """Renew until the lease is lost; why it is."""
    with pytest.raises(LeaseLost) as error:
        await asyncio.wait_for(leader.keep(), seconds)
    return str(error.value)


def test_one_of_many_leads(hold: Hold) -> None:
    async def scenario(election: Election) -> None:
        many = [election.candidate(f"c{number}") for number in range(5)]
        waiting = [asyncio.create_task(one.acquire()) for one in many]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        (leader,) = (one for one in many if one.leads)
        keeping = asyncio.create_task(leader.keep())
        await asyncio.sleep(5)
        assert [one.leads for one in many].count(True) == 1
        assert {one.leader for one in many} == {(await election.spec())["holderIdentity"]}
        assert not keeping.done()
        for task in (keeping, *waiting):
            task.cancel()

    hold(scenario)


def test_who_gives_the_lease_back_is_followed_at_once_and_who_is_gone_after_its_end(
    hold: Hold,
) -> None:
    async def scenario(election: Election) -> None:
        first, second, third = (election.candidate(name) for name in ("first", "second", "third"))
        await first.acquire()
        following = asyncio.create_task(second.acquire())
        await asyncio.sleep(0.5)
        await first.release()
        begun = time.monotonic()
        await following
        assert time.monotonic() - begun < 2
        assert (await election.spec())["leaseTransitions"] == second.transitions == 1
        await third.acquire()  # The second one is never heard of again.
        assert 2.9 < time.monotonic() - begun < 7
        assert "not renewed for" in await lost(second)

    hold(scenario)


def test_s5_the_time_to_send_counts_from_before_the_renewal_and_ends_before_the_lease(
    hold: Hold,
) -> None:
    async def scenario(election: Election) -> None:
        leader = election.candidate("leader")
        assert leader.send_by() < time.monotonic()
        begun = time.monotonic()
        await leader.acquire()
        assert leader.send_by() <= time.monotonic() + 2
        assert leader.send_by() >= begun + 2
        await asyncio.sleep(2.1)
        assert leader.send_by() < time.monotonic()
        assert "not renewed for" in await lost(leader)

    hold(scenario)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (lambda e: e.change(holderIdentity="somebody"), "somebody holds it"),
        (lambda e: e.change(holderIdentity=None), "nobody holds it"),
        (lambda e: e.delete(), "it was deleted"),
    ],
    ids=["taken", "emptied", "deleted"],
)
def test_a_leader_whose_lease_people_touch_has_lost_it(
    hold: Hold, what: Callable[[Election], Awaitable[None]], said: str
) -> None:
    async def scenario(election: Election) -> None:
        leader = election.candidate("leader")
        await leader.acquire()
        losing = asyncio.create_task(lost(leader))
        await what(election)
        assert await losing == said

    hold(scenario)


def test_a_lease_that_was_deleted_is_not_taken_before_its_holder_must_know(hold: Hold) -> None:
    async def scenario(election: Election) -> None:
        first, second = election.candidate("first"), election.candidate("second")
        await first.acquire()
        following = asyncio.create_task(second.acquire())
        losing = asyncio.create_task(lost(first))
        await asyncio.sleep(0.5)
        await election.delete()
        assert await losing == "it was deleted"
        begun = time.monotonic()
        await following
        assert time.monotonic() - begun > 1.5  # The lease, but for how much sooner the other one saw that it was gone.
        assert (await election.spec())["holderIdentity"] == "second"

    hold(scenario)


def test_times_that_others_wrote_are_not_believed(hold: Hold) -> None:
    async def scenario(election: Election) -> None:
        await election.candidate("first").acquire()
        for written in ("1970-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"):
            await election.change(holderIdentity="ghost", renewTime=written, leaseDurationSeconds=3)
            begun = time.monotonic()
            await election.candidate("second").acquire()
            assert 2.9 < time.monotonic() - begun < 7

    hold(scenario)


def test_who_may_not_touch_leases_says_so(ha_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = {"name": "powerless", "namespace": "shop"}
    ha_world.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    found = ha_world.control_plane.kubeconfig_for_service_account("shop", "powerless", timedelta(hours=1))
    monkeypatch.setenv("KUBECONFIG", str(found))

    async def scenario() -> None:
        kube = await KubeClient.connect()
        candidate = Leadership(kube, SETTINGS, "bokgu")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(candidate.acquire(), 2)
        await kube.close()
        assert candidate.problem is not None
        assert "Lease bokgu-system/bokgu: 403 Forbidden" in candidate.problem

    asyncio.run(scenario())
