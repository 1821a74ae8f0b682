"""What waits for whom: order, folding, bounds, and that nothing is lost whatever happens in which order."""

from collections import defaultdict
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bokgu.api.outbox import MOST_DELIVERED, MOST_TOLD, MOST_WAITING, Addressee, Alert, Outbox
from bokgu.api.vocabulary import AlertKind, Language
from bokgu.core.alerts.outbox import (
    Delivery,
    Notice,
    Undelivered,
    alert_key,
    find_undelivered,
    next_alert,
    post_notices,
    record_deliveries,
    waiting_receivers,
)
from tests.unit.facts import NOW

GOOD, DEAD = "good", "dead"
DETECTED, FAILED, STARTED = AlertKind.INCIDENT_DETECTED, AlertKind.STEP_FAILED, AlertKind.RECOVERY_STARTED


def to(*receivers: str) -> tuple[Addressee, ...]:
    return tuple(Addressee(receiver=name, language=Language.EN) for name in receivers)


def notice(key: str, kind: AlertKind = DETECTED, step: str | None = None) -> Notice:
    return Notice(key, kind, NOW, f"about {key}", step=step)


def post(outbox: Outbox, *notices: Notice, receivers: tuple[str, ...] = (GOOD,)) -> Outbox:
    return post_notices(outbox, notices, lambda _: to(*receivers))


def deliver(outbox: Outbox, receiver: str = GOOD) -> tuple[Outbox, int]:
    """Send the next one and mark it; its number."""
    alert = next_alert(outbox, receiver)
    assert alert is not None
    return record_deliveries(outbox, [Delivery(receiver, alert.number, NOW)]), alert.number


def test_what_is_so_is_told_once_and_in_order() -> None:
    first, second = notice("a"), notice("b", STARTED)
    outbox = post(post(Outbox(), first), first, second)
    assert [(a.number, a.kind) for a in outbox.alerts] == [(1, DETECTED), (2, STARTED)]
    outbox, number = deliver(outbox)
    assert number == 1
    assert next_alert(outbox, GOOD) == outbox.alerts[1]
    outbox, _ = deliver(outbox)
    assert next_alert(outbox, GOOD) is None
    assert set(waiting_receivers(outbox)) == set()
    assert post(outbox, first, second) == outbox


def test_who_did_not_take_an_alert_is_known_with_all_that_waits_for_them() -> None:
    def missed(outbox: Outbox, error: str) -> Outbox:
        return record_deliveries(outbox, [Delivery(DEAD, 1, NOW, attempts=4, error=error)])

    late = Notice("c", DETECTED, NOW - timedelta(hours=1))
    both = missed(post(Outbox(), notice("a"), notice("b", STARTED), receivers=(GOOD, DEAD)), "403 Forbidden")
    old = missed(post(Outbox(), late, receivers=(DEAD,)), "no answer within 60 s")
    assert find_undelivered([both]) == (Undelivered(DEAD, 2, NOW, "403 Forbidden"),)
    assert find_undelivered([both, old]) == (Undelivered(DEAD, 3, late.at, "no answer within 60 s"),)
    assert find_undelivered([deliver(both, DEAD)[0]]) == ()
    assert find_undelivered([post(Outbox(), notice("a"))]) == ()


def test_what_is_for_nobody_is_told_when_there_is_somebody() -> None:
    outbox = post(Outbox(), notice("a"), receivers=())
    assert outbox == Outbox()
    assert set(waiting_receivers(post(outbox, notice("a")))) == {GOOD}


def test_an_approval_that_was_withdrawn_is_asked_for_again() -> None:
    asked = notice("plan/ApprovalNeeded", AlertKind.APPROVAL_NEEDED)
    outbox, _ = deliver(post(Outbox(), asked))
    assert next_alert(post(outbox, asked), GOOD) is None
    assert next_alert(post(post(outbox), asked), GOOD) is not None


def test_a_dead_receiver_keeps_its_own_alerts_only() -> None:
    outbox = post(Outbox(), notice("a"), notice("b", STARTED), receivers=(GOOD, DEAD))
    for _ in range(2):
        outbox, _ = deliver(outbox)
    failure = Delivery(DEAD, 1, NOW, attempts=4, error="the receiver answers 503")
    outbox = record_deliveries(outbox, [failure])
    assert set(waiting_receivers(outbox)) == {DEAD}
    (dead, good) = outbox.receivers
    assert (dead.name, dead.attempts, dead.last_error) == (DEAD, 4, "the receiver answers 503")
    assert (good.name, good.delivered, good.attempts) == (GOOD, 2, 0)
    healed, _ = deliver(outbox, DEAD)
    assert [(r.attempts, r.last_error) for r in healed.receivers if r.name == DEAD] == [(0, None)]


def test_the_same_that_still_waits_is_folded_and_the_same_for_other_steps_is_not() -> None:
    outbox = post(Outbox(), notice("a"), notice("step", FAILED, "one"), notice("b"), notice("step 2", FAILED, "two"))
    assert [(a.number, a.kind, a.count) for a in outbox.alerts] == [(2, FAILED, 1), (3, DETECTED, 2), (4, FAILED, 1)]


def test_a_folded_alert_also_goes_to_who_has_not_got_the_old_one() -> None:
    outbox = post(Outbox(), notice("a"), receivers=(GOOD, DEAD))
    outbox, _ = deliver(outbox)
    outbox = post(outbox, notice("b"), receivers=(GOOD,))
    assert set(waiting_receivers(outbox)) == {GOOD, DEAD}
    # Sent before it was folded, and marked after: the newer one is still to come.
    outbox = record_deliveries(outbox, [Delivery(DEAD, 1, NOW)])
    assert next_alert(outbox, DEAD) is not None


def test_what_was_marked_is_not_marked_again() -> None:
    outbox, number = deliver(post(Outbox(), notice("a"), notice("b", STARTED)))
    late = Delivery(GOOD, number, NOW, attempts=7, error="late")
    assert record_deliveries(outbox, [late, Delivery(GOOD, number, NOW + timedelta(hours=1))]) == outbox


def test_the_key_is_the_same_each_time_and_of_no_other_object() -> None:
    (alert,) = post(Outbox(), notice("a")).alerts
    assert alert_key("uid", alert) == alert_key("uid", alert.model_copy()) != alert_key("other", alert)


def test_a_receiver_that_is_dead_for_long_keeps_the_outbox_small() -> None:
    outbox = Outbox()
    for number in range(300):
        kind = list(AlertKind)[number % len(AlertKind)]
        outbox = post(outbox, notice(f"{number}", kind, f"step-{number}"), receivers=(DEAD,))
        Outbox.model_validate(outbox.to_dict())
    assert len(outbox.alerts) == MOST_WAITING
    assert sum(alert.count for alert in outbox.alerts) == 300
    assert len(outbox.told) == MOST_TOLD


def test_only_the_last_delivered_are_kept() -> None:
    outbox = Outbox()
    for number in range(20):
        outbox, _ = deliver(post(outbox, notice(f"{number}")))
    assert [a.number for a in outbox.alerts] == list(range(21 - MOST_DELIVERED, 21))


@st.composite
def happenings(draw: st.DrawFn) -> list[tuple[str, str, int]]:
    """What happens one after the other: something is told, sent, marked, or the operator dies."""
    what = st.sampled_from(["tell", "tell", "send", "send", "lose", "mark", "crash", "refuse"])
    return draw(st.lists(st.tuples(what, st.sampled_from([GOOD, DEAD]), st.integers(0, 9)), max_size=80))


@settings(max_examples=300, deadline=None)
@given(happenings())
def test_s10_nothing_is_lost_and_nothing_overtakes_whatever_happens_between_send_and_mark(
    story: list[tuple[str, str, int]],
) -> None:
    """`stored` is what the API server has; the process loses `sent` and `unmarked` when it dies."""
    stored, told = Outbox(), 0
    sent: dict[str, int] = {}
    unmarked: list[Delivery] = []
    got: dict[str, list[Alert]] = defaultdict(list)
    wanted: list[tuple[int, AlertKind, str, tuple[str, ...]]] = []

    def send(receiver: str, *, lost: bool = False) -> None:
        alert = next_alert(stored, receiver, after=sent.get(receiver, 0))
        if alert is None:
            return
        got[receiver].append(alert)
        if not lost:  # The answer came back.
            sent[receiver] = alert.number
            unmarked.append(Delivery(receiver, alert.number, NOW))

    for what, receiver, number in story:
        if what == "tell":
            told += 1
            kind, step = list(AlertKind)[number % 3], f"step-{number % 2}"
            receivers: tuple[str, ...] = (GOOD, DEAD) if number % 2 else (receiver,)
            stored = post(stored, notice(f"{told}", kind, step), receivers=receivers)
            wanted.append((stored.last, kind, step, receivers))
        elif what in {"send", "lose"}:
            send(receiver, lost=what == "lose")
        elif what == "refuse" and (alert := next_alert(stored, receiver, after=sent.get(receiver, 0))):
            unmarked.append(Delivery(receiver, alert.number, NOW, attempts=number + 1, error="no"))
        elif what == "mark":
            stored, unmarked = record_deliveries(stored, unmarked), []
        elif what == "crash":
            sent, unmarked = {}, []
        assert Outbox.model_validate(stored.to_dict()) == stored
    for receiver in (GOOD, DEAD):  # All is well at last.
        sent, unmarked = {}, []
        while next_alert(stored, receiver, after=sent.get(receiver, 0)):
            send(receiver)
        stored = record_deliveries(stored, unmarked)
    assert set(waiting_receivers(stored)) == set()
    for number, kind, step, addressed in wanted:
        for receiver in addressed:
            later = [had for had in got[receiver] if had.number >= number]
            assert any((had.kind, had.step) == (kind, step) for had in later), "lost"
    for alerts in got.values():
        first_seen = list(dict.fromkeys(had.number for had in alerts))
        assert first_seen == sorted(first_seen), "one has overtaken another"
        assert len({alert_key("uid", had) for had in alerts}) == len(first_seen), "sent again under another key"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_failure_is_marked_on_the_alert_that_waits_only(number: int) -> None:
    outbox, _ = deliver(post(Outbox(), notice("a"), notice("b", STARTED), notice("c", FAILED)))
    failed = record_deliveries(outbox, [Delivery(GOOD, number, NOW, attempts=1, error="no")])
    assert failed.receivers[0].attempts == (1 if number == 2 else 0)
