"""How often one sender may come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.quotas import Quota
from bokgu.core import sender_limits
from bokgu.core.sender_limits import SenderLimits, name_sender

A, B = "192.0.2.1", "192.0.2.2"


def test_a_burst_then_the_rate() -> None:
    limits = SenderLimits(Quota(rate=2, burst=3))
    assert [limits.take(A, 10.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert limits.take(A, 10.25) == 0.25
    assert limits.take(A, 10.5) == 0.0
    assert limits.take(A, 10.5) == 0.5


def test_one_sender_takes_nothing_from_another() -> None:
    limits = SenderLimits(Quota(rate=1, burst=1))
    assert [limits.take(A, 0.0), limits.take(A, 0.0), limits.take(B, 0.0)] == [0.0, 1.0, 0.0]


@given(st.floats(0.1, 100), st.integers(1, 100), st.lists(st.floats(0, 5), max_size=300))
def test_never_more_than_burst_and_rate_allow(rate: float, burst: int, pauses: list[float]) -> None:
    limits, now, taken = SenderLimits(Quota(rate, burst)), 0.0, 0
    for pause in pauses:
        now += pause
        taken += limits.take(A, now) == 0.0
    assert taken <= burst + rate * now + 1e-6


@given(st.floats(0.1, 100), st.lists(st.floats(0, 0.1), min_size=1, max_size=100))
def test_who_waits_as_long_as_told_may_come(rate: float, pauses: list[float]) -> None:
    limits, now = SenderLimits(Quota(rate, 1)), 0.0
    for pause in pauses:
        now += pause
        now += limits.take(A, now) + 1e-6
    limits.take(A, now)
    assert limits.take(A, now + limits.take(A, now) + 1e-6) == 0.0


def test_as_many_senders_as_there_may_be_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_limits, "MOST_SENDERS", 2)
    limits = SenderLimits(Quota(rate=1, burst=1))
    for sender in (A, B, A, "192.0.2.3"):
        limits.take(sender, 0.0)
    assert limits.take(A, 0.0) == 1.0  # It came after B, which was forgotten.
    assert limits.take(B, 0.0) == 0.0


@pytest.mark.parametrize(
    ("address", "sender"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:0:1:aaaa::1", "2001:db8:0:1::"),
        ("2001:db8:0:1:bbbb::2", "2001:db8:0:1::"),
        ("2001:db8:0:2::1", "2001:db8:0:2::"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::"),
        ("", ""),
        ("/run/socket", ""),
    ],
)
def test_who_has_a_network_is_one_sender(address: str, sender: str) -> None:
    assert name_sender(address) == sender
