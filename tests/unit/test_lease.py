"""Leader election: what a replica decides from the Lease that it saw and its own clock."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.core.lease import Action, Lease, LeaseTiming, Own, Seen, build_spec, decide, read_lease, see

TIMING = LeaseTiming(duration=15, renew_deadline=10, retry=2)
AT = datetime(2026, 11, 30, 12, 0, 0, 250000, UTC)
OTHERS = Lease(holder="other", duration=15, transitions=3, version="7")
MINE = Lease(holder="me", duration=15, transitions=4, version="8")
FREE = Lease(holder="", duration=1, transitions=4, version="9")


def choose(lease: Lease | None, *, seen: float = 0, now: float, own: Own = Own()) -> Action:  # noqa: B008 - it is frozen
    return decide("me", Seen(lease, seen), own, TIMING, now).action


# Who stands by


@pytest.mark.parametrize(
    ("lease", "now", "action"),
    [
        (None, 0, Action.ACQUIRE),
        (FREE, 0, Action.ACQUIRE),
        (OTHERS, 0, Action.WAIT),
        (OTHERS, 14.9, Action.WAIT),
        (OTHERS, 15, Action.ACQUIRE),
        (MINE, 0, Action.ACQUIRE),
    ],
    ids=["there is none", "given back", "fresh", "not yet over", "over", "own, its answer was lost"],
)
def test_a_lease_is_taken_when_it_is_free_or_was_not_renewed_for_its_whole_length(
    lease: Lease | None, now: float, action: Action
) -> None:
    assert choose(lease, now=now) is action


def test_the_length_that_counts_is_the_one_that_the_holder_said() -> None:
    longer = Lease(holder="other", duration=60, transitions=0, version="1")
    assert choose(longer, now=59) is Action.WAIT
    assert choose(longer, now=60) is Action.ACQUIRE


def test_the_time_counts_from_when_a_change_was_first_seen_and_no_clock_of_others_is_read() -> None:
    seen = see(None, OTHERS, 100)
    assert see(seen, OTHERS, 112) is seen
    renewed = Lease(holder="other", duration=15, transitions=3, version="8")
    assert see(seen, renewed, 114) == Seen(renewed, 114)
    spec: dict[str, Any] = {"holderIdentity": "other", "leaseDurationSeconds": 15}
    for renew_time in ("1970-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z", "nonsense"):
        found = read_lease({"metadata": {"resourceVersion": "8"}, "spec": {**spec, "renewTime": renew_time}})
        assert choose(found, now=14.9) is Action.WAIT


def test_a_lease_that_was_deleted_is_held_for_as_long_as_its_holder_may_not_know() -> None:
    seen = see(see(None, OTHERS, 0), None, 10)
    assert decide("me", seen, Own(), TIMING, 24.9).action is Action.WAIT
    assert decide("me", seen, Own(), TIMING, 25).action is Action.ACQUIRE
    assert see(seen, None, 20) is seen
    assert see(see(None, FREE, 0), None, 1).lease is None


def test_who_waits_looks_again_soon_and_never_later_than_the_lease_is_over() -> None:
    assert decide("me", Seen(OTHERS, 0), Own(), TIMING, 1).wait == 2
    assert decide("me", Seen(OTHERS, 0), Own(), TIMING, 14.5).wait == 0.5


def test_a_failed_attempt_is_made_again_after_a_pause() -> None:
    decision = decide("me", Seen(None, 0), Own(tried=10), TIMING, 10.5)
    assert (decision.action, decision.wait) == (Action.WAIT, 1.5)
    assert choose(None, now=12, own=Own(tried=10)) is Action.ACQUIRE


# Who leads


@pytest.mark.parametrize(
    ("lease", "now", "action"),
    [
        (MINE, 101, Action.HOLD),
        (MINE, 102, Action.RENEW),
        (MINE, 109.9, Action.RENEW),
        (MINE, 110, Action.LOST),
        (MINE, 1000, Action.LOST),
        (OTHERS, 101, Action.LOST),
        (FREE, 101, Action.LOST),
        (None, 101, Action.LOST),
    ],
    ids=["fresh", "due", "late", "too late", "slept", "taken", "emptied", "deleted"],
)
def test_a_leader_renews_and_ends_before_others_may_take_over(lease: Lease | None, now: float, action: Action) -> None:
    assert choose(lease, now=now, own=Own(renewed=100, tried=100)) is action


def test_a_leader_that_saw_its_lease_deleted_has_lost_it() -> None:
    seen = see(Seen(MINE, 100), None, 101)
    assert seen.lease is not None
    assert seen.lease.gone
    assert decide("me", seen, Own(renewed=100, tried=100), TIMING, 101).action is Action.LOST


def test_a_renewal_that_failed_is_tried_again_after_a_pause_until_the_deadline() -> None:
    own = Own(renewed=100, tried=108.5)
    decision = decide("me", Seen(MINE, 100), own, TIMING, 109)
    assert (decision.action, decision.wait) == (Action.HOLD, 1)
    assert decide("me", Seen(MINE, 100), own, TIMING, 110).action is Action.LOST


def test_s5_nothing_is_sent_within_a_third_of_the_lease_before_its_end() -> None:
    assert TIMING.margin == 5
    assert Own(renewed=100).send_by(TIMING) == 110
    assert Own().send_by(TIMING) == float("-inf")


@given(
    renewals=st.lists(st.floats(0.1, 14), max_size=20),
    delay=st.floats(0, 5),
    offset=st.floats(-1e6, 1e6),
    polls=st.floats(0.1, 3),
)
def test_s5_nobody_takes_over_while_the_holder_may_still_send(
    renewals: list[float], delay: float, offset: float, polls: float
) -> None:
    """Two clocks that agree on nothing but on how long a second is. The holder counts from before its PUT, which is
    stored `delay` later; the other one sees that at its next look."""
    now, own, stored = 0.0, Own(renewed=0.0), delay
    versions = [(stored, 1)]
    for pause in renewals:
        now += pause
        if now > own.send_by(TIMING):
            break  # It has lost the lease, and renews no more.
        own = Own(renewed=now)
        versions.append((max(now + delay, versions[-1][0]), len(versions) + 1))
    look, seen = 0.0, None
    while True:
        there = [version for at, version in versions if at <= look]
        lease = Lease("me", 15, 0, str(there[-1])) if there else None
        seen = see(seen, lease, look + offset)
        if lease and decide("other", seen, Own(), TIMING, look + offset).action is Action.ACQUIRE:
            break
        look += polls
        if look > now + 100:
            break
    assert look >= own.send_by(TIMING)


# What is written


def test_a_new_lease_begins_with_no_transitions() -> None:
    assert build_spec("me", None, {}, TIMING, AT) == {
        "holderIdentity": "me",
        "leaseDurationSeconds": 15,
        "acquireTime": "2026-11-30T12:00:00.250000Z",
        "renewTime": "2026-11-30T12:00:00.250000Z",
        "leaseTransitions": 0,
    }


def test_a_renewal_keeps_when_it_was_acquired_and_what_others_wrote() -> None:
    old = {"holderIdentity": "me", "acquireTime": "2026-11-30T11:00:00.000000Z", "strategy": "x"}
    spec = build_spec("me", MINE, old, TIMING, AT)
    assert (spec["acquireTime"], spec["leaseTransitions"], spec["strategy"]) == ("2026-11-30T11:00:00.000000Z", 4, "x")


@pytest.mark.parametrize("lease", [OTHERS, FREE])
def test_a_take_over_counts(lease: Lease) -> None:
    spec = build_spec("me", lease, {"acquireTime": "2026-11-30T11:00:00.000000Z"}, TIMING, AT)
    assert (spec["acquireTime"], spec["leaseTransitions"]) == ("2026-11-30T12:00:00.250000Z", lease.transitions + 1)


def test_a_lease_that_is_given_back_has_no_holder_and_is_short() -> None:
    spec = build_spec("", MINE, {"acquireTime": "2026-11-30T11:00:00.000000Z"}, TIMING, AT)
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"], spec["leaseTransitions"]) == ("", 1, 4)


@pytest.mark.parametrize("spec", [{}, {"holderIdentity": None, "leaseDurationSeconds": None}, None])
def test_a_lease_that_says_nothing_is_free(spec: Any) -> None:
    lease = read_lease({"metadata": {"resourceVersion": "5"}, "spec": spec})
    assert lease == Lease(holder="", duration=0, transitions=0, version="5")
