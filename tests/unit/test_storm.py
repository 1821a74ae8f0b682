"""Storms: when they begin, and when they are over."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from bokgu.core.storm import Storm, find_storm

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
WINDOW = COOLDOWN = 10 * MINUTE
THRESHOLD = 5


def storm(*minutes: float, now: float = 0) -> Storm | None:
    """The storm at a minute, with incidents opened at these minutes."""
    times = [NOW + minute * MINUTE for minute in minutes]
    return find_storm(times, threshold=THRESHOLD, window=WINDOW, cooldown=COOLDOWN, now=NOW + now * MINUTE)


def test_s7_a_storm_begins_with_the_incident_that_reaches_the_threshold() -> None:
    assert storm(-4, -3, -2, -1) is None
    found = storm(-4, -3, -2, -1, 0)
    assert found == Storm(since=NOW, incidents=5, until=None)


def test_incidents_that_are_far_apart_are_no_storm() -> None:
    assert storm(*(-3 * n for n in range(50))) is None


def test_an_incident_is_new_until_the_window_has_passed() -> None:
    assert storm(-9.9, -3, -2, -1, 0) is not None
    assert storm(-10, -3, -2, -1, 0) is None


def test_s7_a_storm_is_over_when_it_has_been_quiet_for_the_cooldown() -> None:
    burst = [0.0] * 5
    assert storm(*burst, now=9) == Storm(since=NOW, incidents=5, until=None)
    assert storm(*burst, now=10) == Storm(since=NOW, incidents=5, until=NOW + 20 * MINUTE)
    assert storm(*burst, now=19.9) is not None
    assert storm(*burst, now=20) is None


def test_s7_what_flickers_around_the_threshold_is_one_storm() -> None:
    burst, again = [0.0] * 5, [12.0] * 3
    found = storm(*burst, *again, now=31)
    assert found
    assert (found.since, found.incidents, found.until) == (NOW, 8, NOW + 32 * MINUTE)
    assert storm(*burst, *again, now=32) is None


def test_a_few_incidents_do_not_keep_a_storm_up() -> None:
    """Two are no more than half of five."""
    assert storm(*[0.0] * 5, 12, 13, now=20) is None


def test_a_second_storm_is_one_of_its_own() -> None:
    found = storm(*[-60.0] * 5, *[0.0] * 5, now=1)
    assert found
    assert (found.since, found.incidents) == (NOW, 5)


def test_an_incident_whose_time_is_ahead_of_ours_counts() -> None:
    assert storm(1, 1, 1, 1, 1) is not None


minutes = st.lists(st.integers(-120, 0), max_size=40)


@given(minutes)
def test_s7_a_restart_or_another_replica_sees_the_same_storm(opened: list[int]) -> None:
    assert storm(*opened) == storm(*reversed(opened))


@given(minutes, st.integers(0, 60))
def test_s7_while_the_threshold_is_reached_there_is_a_storm_and_later_none(opened: list[int], later: int) -> None:
    new = sum(minute > -10 for minute in opened)
    assert new < THRESHOLD or storm(*opened) is not None
    assert storm(*opened, now=20 + later) is None


@given(minutes)
def test_a_storm_that_says_when_it_ends_ends_then(opened: list[int]) -> None:
    found = storm(*opened)
    if found and found.until:
        end = (found.until - NOW) / MINUTE
        assert storm(*opened, now=end) is None
        assert storm(*opened, now=end - 0.01) is not None
