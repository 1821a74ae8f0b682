from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.protected_service import TaintedRevision
from bokgu.core.last_known_good import (
    MAX_TAINTED,
    GoodRevision,
    Interval,
    Trouble,
    find_last_known_good,
    taint_revisions,
)
from tests.unit.facts import MINUTE, NOW, revision_arn, service_deployment

HALF_HOUR = 30 * MINUTE
START = NOW - 300 * MINUTE


def find(*deployed: tuple[int, str], troubled: tuple[tuple[int, int | None], ...] = ()) -> GoodRevision | None:
    """Deployments as (minutes since the start, status); incidents as (begin, end) in minutes since the start."""
    deployments = [service_deployment(n, START + at * MINUTE, status) for n, (at, status) in enumerate(deployed, 1)]
    troubles = [
        Trouble(f"uid-{i}", START + a * MINUTE, None if b is None else START + b * MINUTE)
        for i, (a, b) in enumerate(troubled)
    ]
    tainted = taint_revisions((), deployments, troubles, now=NOW)
    return find_last_known_good(deployments, tainted, min_served=HALF_HOUR, now=NOW)


OK, FAILED, ROLLED_BACK, RUNNING = "SUCCESSFUL", "STOPPED", "ROLLBACK_SUCCESSFUL", "IN_PROGRESS"


@pytest.mark.parametrize(
    ("deployed", "troubled", "good"),
    [
        ((), (), None),
        (((0, OK),), (), 1),
        (((0, OK), (100, OK)), (), 2),
        (((0, OK), (100, FAILED)), (), 1),
        (((0, OK), (100, ROLLED_BACK)), (), 1),
        (((0, OK), (100, RUNNING)), (), 1),
        (((0, OK), (280, OK)), (), 1),
        (((0, OK), (20, OK), (40, FAILED)), (), None),
        (((0, OK), (100, OK)), ((102, None),), 1),
        (((0, OK), (100, OK)), ((90, None),), 1),
        (((0, OK), (100, OK)), ((-5, None),), None),
        (((0, OK),), ((-5, 60),), 1),
        (((0, OK), (80, OK)), ((-5, 60), (105, None)), None),
        (((0, OK), (100, OK)), ((20, 40), (105, None)), 1),
        (((0, OK), (100, OK)), ((20, 75), (105, None)), None),
        (((0, OK), (100, OK)), ((131, None),), 2),
        (((0, OK), (100, OK)), ((130, None),), 1),
        (((0, OK),), ((-5, 60), (50, None)), None),
        (((0, OK), (100, OK), (120, ROLLED_BACK), (280, OK)), (), 2),
        (((0, OK), (100, OK), (120, ROLLED_BACK), (280, RUNNING)), (), 2),
        (((0, OK), (100, OK), (105, ROLLED_BACK), (110, ROLLED_BACK), (280, OK)), (), 2),
        (((0, OK), (100, OK), (120, ROLLED_BACK), (280, OK)), ((101, None),), 1),
        (((0, ROLLED_BACK), (100, ROLLED_BACK)), (), None),
    ],
)
def test_the_last_known_good_is_the_newest_that_served_cleanly_for_long_enough(
    deployed: tuple[tuple[int, str], ...], troubled: tuple[tuple[int, int | None], ...], good: int | None
) -> None:
    found = find(*deployed, troubled=troubled)
    assert (found and found.service_revision_arn) == (good and revision_arn(good))


def test_trouble_after_a_rollback_by_ecs_is_that_of_the_revision_it_returned_to() -> None:
    deployments = [
        service_deployment(1, START, OK),
        service_deployment(2, START + 100 * MINUTE, OK),
        service_deployment(3, START + 120 * MINUTE, ROLLED_BACK),
    ]
    trouble = Trouble("uid", START + 200 * MINUTE, None)
    (taint,) = taint_revisions((), deployments, [trouble], now=NOW)
    assert taint.service_revision_arn == revision_arn(2)


def test_it_says_from_when_until_when_it_served() -> None:
    found = find((0, OK), (100, ROLLED_BACK), (290, OK))
    assert found == GoodRevision(revision_arn(1), START + MINUTE, START + 290 * MINUTE)
    found = find((0, OK), (100, FAILED))
    assert found == GoodRevision(revision_arn(1), START + MINUTE, START + 100 * MINUTE)
    assert find((0, OK)) == GoodRevision(revision_arn(1), START + MINUTE, None)


def test_the_order_in_which_ecs_lists_them_does_not_matter() -> None:
    deployments = [service_deployment(n, START + n * 60 * MINUTE) for n in (3, 1, 2)]
    found = find_last_known_good(deployments, (), min_served=HALF_HOUR, now=NOW)
    assert found
    assert found.service_revision_arn == revision_arn(3)


MINUTES = st.integers(0, 299)


@given(
    deployed=st.lists(st.tuples(MINUTES, st.sampled_from([OK, FAILED])), max_size=4, unique_by=lambda d: d[0]),
    troubled=st.lists(st.tuples(MINUTES, st.integers(1, 120) | st.none()), max_size=4),
)
def test_what_is_called_good_did_serve_that_long_without_an_open_incident(
    deployed: list[tuple[int, str]], troubled: list[tuple[int, int | None]]
) -> None:
    spans = tuple((begin, None if length is None else begin + length) for begin, length in troubled)
    found = find(*sorted(deployed), troubled=spans)
    if found is None:
        return
    intervals: list[Interval] = [(START + a * MINUTE, None if b is None else START + b * MINUTE) for a, b in spans]
    longest = run = timedelta()
    moment, end = found.served_from, found.served_until or NOW
    while moment < end:
        clean = all(not (a < moment + MINUTE and (b is None or b > moment)) for a, b in intervals)
        run = run + MINUTE if clean else timedelta()
        longest, moment = max(longest, run), moment + MINUTE
    assert longest >= HALF_HOUR


# What is remembered


CORRUPTING = [
    service_deployment(1, NOW - 3000 * MINUTE),
    service_deployment(2, NOW - 2400 * MINUTE),
    service_deployment(3, NOW - 10 * MINUTE),
]


def good_one(tainted: tuple[TaintedRevision, ...], now: datetime = NOW) -> str | None:
    found = find_last_known_good(CORRUPTING, tainted, min_served=HALF_HOUR, now=now)
    return found.service_revision_arn if found else None


def test_trouble_is_not_forgotten_with_its_incident() -> None:
    """A person closes an incident of corrupted data by deleting it: the revision that corrupted is not good again."""
    open_ = Trouble("uid", NOW - 2395 * MINUTE, None)
    then = taint_revisions((), CORRUPTING, [open_], now=NOW - MINUTE)
    assert good_one(then) == revision_arn(1)
    gone = taint_revisions(then, CORRUPTING, [], now=NOW)
    assert good_one(gone) == revision_arn(1)
    assert {t.until for t in gone} == {NOW}
    assert taint_revisions(gone, CORRUPTING, [], now=NOW + MINUTE) == gone
    assert good_one(gone, NOW + 29 * MINUTE) == revision_arn(1)
    assert good_one(gone, NOW + 31 * MINUTE) == revision_arn(3)


def test_the_end_of_an_incident_that_is_deleted_later_stays() -> None:
    ended = Trouble("uid", NOW - 100 * MINUTE, NOW - 60 * MINUTE)
    then = taint_revisions((), CORRUPTING, [ended], now=NOW - 50 * MINUTE)
    assert [(t.service_revision_arn, t.since, t.until) for t in then] == [(revision_arn(2), ended.begin, ended.end)]
    assert taint_revisions(then, CORRUPTING, [], now=NOW) == then


def test_an_incident_that_is_there_again_says_when_it_ended() -> None:
    ended = Trouble("uid", NOW - 30 * MINUTE, NOW - 5 * MINUTE)
    for at_fault in (frozenset({revision_arn(1)}), frozenset[str]()):  # That one did not serve meanwhile.
        then = taint_revisions((), CORRUPTING, [replace(ended, end=None, at_fault=at_fault)], now=NOW - 20 * MINUTE)
        gone = taint_revisions(then, CORRUPTING, [], now=NOW - 10 * MINUTE)
        assert {t.until for t in gone} == {NOW - 10 * MINUTE}
        assert {t.until for t in taint_revisions(gone, CORRUPTING, [ended], now=NOW)} == {ended.end}


def test_a_revision_that_was_in_trouble_may_be_found_at_fault_later() -> None:
    late = Trouble("uid", NOW - 30 * MINUTE, NOW - 5 * MINUTE)
    known = taint_revisions((), CORRUPTING, [late], now=NOW)
    assert good_one(known) == revision_arn(2)
    blamed = replace(late, at_fault=frozenset({revision_arn(2)}))
    assert good_one(taint_revisions(known, CORRUPTING, [blamed], now=NOW)) == revision_arn(1)


def test_a_revision_that_a_plan_found_at_fault_was_never_good() -> None:
    """It served well for hours until what was wrong with it showed: nothing returns to it."""
    late = Trouble("uid", NOW - 30 * MINUTE, NOW - 5 * MINUTE)
    assert good_one(taint_revisions((), CORRUPTING, [late], now=NOW)) == revision_arn(2)
    blamed = replace(late, at_fault=frozenset({revision_arn(2)}))
    known = taint_revisions((), CORRUPTING, [blamed], now=NOW)
    assert good_one(known) == revision_arn(1)
    without_its_plan = taint_revisions(known, CORRUPTING, [late], now=NOW)
    assert good_one(without_its_plan) == revision_arn(1)
    assert good_one(taint_revisions(known, CORRUPTING, [], now=NOW)) == revision_arn(1)


def test_only_of_revisions_that_may_be_returned_to_something_is_remembered() -> None:
    known = taint_revisions((), CORRUPTING, [Trouble("uid", NOW - 100 * MINUTE, NOW - 60 * MINUTE)], now=NOW)
    assert taint_revisions(known, CORRUPTING[2:], [], now=NOW) == ()


def test_too_much_trouble_is_remembered_as_longer_trouble() -> None:
    times = [(NOW - (2300 - 50 * i) * MINUTE, NOW - (2290 - 50 * i) * MINUTE) for i in range(MAX_TAINTED + 5)]
    troubles = [Trouble(f"uid-{i:02}", begin, end) for i, (begin, end) in enumerate(times)]
    found = taint_revisions((), CORRUPTING, troubles, now=NOW)
    assert len(found) == MAX_TAINTED
    assert min(t.since for t in found if t.since) == times[0][0]
    assert all(any((t.since or b) <= b and (t.until or e) >= e for t in found) for b, e in times)
