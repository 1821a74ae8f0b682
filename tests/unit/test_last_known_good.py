from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.core.last_known_good import GoodRevision, Interval, find_last_known_good
from tests.unit.facts import MINUTE, NOW, revision_arn, service_deployment

HALF_HOUR = 30 * MINUTE
START = NOW - 300 * MINUTE


def find(*deployed: tuple[int, str], troubled: tuple[tuple[int, int | None], ...] = ()) -> GoodRevision | None:
    """Deployments as (minutes since the start, status); incidents as (begin, end) in minutes since the start."""
    deployments = [service_deployment(n, START + at * MINUTE, status) for n, (at, status) in enumerate(deployed, 1)]
    return find_last_known_good(
        deployments,
        [(START + a * MINUTE, None if b is None else START + b * MINUTE) for a, b in troubled],
        min_served=HALF_HOUR,
        now=NOW,
    )


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
    ],
)
def test_the_last_known_good_is_the_newest_that_served_cleanly_for_long_enough(
    deployed: tuple[tuple[int, str], ...], troubled: tuple[tuple[int, int | None], ...], good: int | None
) -> None:
    found = find(*deployed, troubled=troubled)
    assert (found and found.service_revision_arn) == (good and revision_arn(good))


def test_it_says_from_when_until_when_it_served() -> None:
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
