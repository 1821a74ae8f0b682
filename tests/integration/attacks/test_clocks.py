"""An operator whose clock is wrong (S8): what has expired by the API server's clock, or its own, does not count."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration.attacks.tools import (
    SETTLED,
    by_hand,
    create,
    create_as,
    delete,
    reason_of,
    said,
    signer_lines,
    signers,
    unsigned,
    untouched,
    wait_judged,
    wait_plan,
)
from tests.world.scene import Scene
from tests.world.world import ROOT, World

CLOCK = Path(__file__).parent / "clock"
Raw = dict[str, Any]


@pytest.fixture(scope="module")
def waiting(world: World) -> Scene:
    """A service in a surge, whose status wrong clocks write into: no other module uses it."""
    scene = Scene(world, "clocked")
    scene.begin()
    scene.surge()
    return scene


@pytest.fixture(scope="module", params=[-7200, 1800], ids=["two hours behind", "half an hour ahead"])
def skewed(waiting: Scene, request: pytest.FixtureRequest) -> Iterator[Scene]:
    """A plan that waits, and an operator whose clock is that many seconds wrong."""
    world = waiting.world
    world.stop_operator()
    _start(world, request.param)
    yield waiting
    world.stop_operator()
    world.start_operator()


def _start(world: World, seconds: int) -> None:
    path = f"{CLOCK}:{ROOT / 'operator'}"
    world.start_operator({"PYTHONPATH": path, "CLOCK_SKEW": str(seconds)})


def test_s8_approval_that_has_expired_does_not_count_whatever_the_operators_clock_says(skewed: Scene) -> None:
    late = skewed.world.alice.approve(skewed.plan(), "system_admin", valid_for=timedelta(seconds=-2))
    with said(skewed, late, skewed.world.bob.approve(skewed.plan(), "service_owner")) as reasons:
        assert reasons == ["Expired", "Accepted"]
        skewed.wait("1/2", lambda: skewed.plan()["status"]["approvalCount"] == "1/2", 10)


def test_s8_approval_that_expires_while_it_counts_counts_no_more(skewed: Scene) -> None:
    brief = skewed.world.alice.approve(skewed.plan(), "system_admin", valid_for=timedelta(seconds=3))
    with said(skewed, brief):
        assert wait_judged(skewed, brief["metadata"]["name"], "Expired") == "Expired"
        skewed.wait("not counted", lambda: skewed.plan()["status"]["approvalCount"] == "0/2", 10)


def test_s8_key_that_has_expired_does_not_count_whatever_the_operators_clock_says(skewed: Scene) -> None:
    world = skewed.world
    ended = (datetime.now(UTC) - timedelta(minutes=1)).strftime("%Y%m%d%H%M%SZ")
    line = f'{world.mallory.name} valid-before="{ended}" {world.mallory.public_key}'
    with signers(world, allowed_signers=signer_lines(world, line)):
        approval = world.mallory.approve(skewed.plan(), "system_admin", valid_for=timedelta(hours=2))
        assert reason_of(skewed, approval) == "InvalidSignature"


def test_s8_plan_that_has_expired_does_not_start_whatever_the_operators_clock_says(skewed: Scene) -> None:
    world, name = skewed.world, "late-plan"
    soon = datetime.now(UTC) + timedelta(seconds=4)
    world.apply(by_hand(name, skewed.plan(), expiresAt=soon.strftime("%Y-%m-%dT%H:%M:%SZ")))
    found = wait_plan(skewed, name, "AwaitingApproval", "Expired")
    skewed.wait("it has expired", lambda: datetime.now(UTC) > soon, 10)
    both = [
        world.alice.approve(found, "system_admin", valid_for=timedelta(hours=2)),
        world.bob.approve(found, "service_owner", valid_for=timedelta(hours=2)),
    ]
    try:
        for approval in both:
            create(world, approval)
        assert wait_plan(skewed, name, "Expired")["status"]["reason"] == "Expired"
        assert untouched(skewed)
    finally:
        delete(world, "planapprovals", *(a["metadata"]["name"] for a in both))
        delete(world, "recoveryplans", name)


def test_unsigned_approval_counts_since_both_times_are_the_api_servers(skewed: Scene) -> None:
    """The admission policy's age and the approval's: a wrong clock of ours plays no part."""
    alice = "alice@example.com"
    until = datetime.now(UTC) + timedelta(hours=2)
    approval = unsigned(skewed.plan(), "system_admin", alice, valid_until=until)
    created = skewed.world.control_plane.kubectl(
        "get", "validatingadmissionpolicy", "bokgu-plan-approvals", "-o", "jsonpath={.metadata.creationTimestamp}"
    ).stdout
    age = datetime.now(UTC) - datetime.fromisoformat(created)
    assert age > timedelta(seconds=SETTLED)
    assert create_as(skewed.world, approval, alice).returncode == 0
    assert wait_judged(skewed, approval["metadata"]["name"]) == "Accepted"
    delete(skewed.world, "planapprovals", approval["metadata"]["name"])
    assert untouched(skewed)
