from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.observed import Series
from bokgu.api.vocabulary import Verdict
from bokgu.core.verification import VerificationResult, count_in_windows, parse_expression, verify_window
from tests.unit.facts import MINUTE, NOW

GOOD, BAD = 0.01, 0.5


def verify(
    values: list[float | None],
    *,
    minutes: int | None = None,
    since: datetime = NOW,
    patience: datetime | None = None,
    volumes: dict[datetime, float] | None = None,
    enough: float = 0.0,
) -> VerificationResult:
    """`error_rate < 0.05` for 5 minutes, given one value a minute; the deadline is after 15 minutes."""
    return verify_window(
        parse_expression("error_rate < 0.05"),
        tuple((NOW + i * MINUTE, value) for i, value in enumerate(values)),
        period=MINUTE,
        since=since,
        hold=5 * MINUTE,
        deadline=NOW + 15 * MINUTE,
        patience=patience,
        volumes=volumes,
        enough=enough,
        now=NOW + (len(values) if minutes is None else minutes) * MINUTE,
    )


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([], None),
        ([GOOD] * 4, None),
        ([GOOD] * 5, Verdict.PASSED),
        ([BAD] * 9 + [GOOD] * 5, Verdict.PASSED),
        ([GOOD] * 4 + [BAD] + [GOOD] * 4, None),
        ([GOOD] * 4 + [None] + [GOOD] * 4, None),
        ([GOOD] * 5 + [BAD], None),
        ([BAD] * 15, Verdict.FAILED),
        ([GOOD] * 14 + [BAD], Verdict.FAILED),
        ([BAD] * 5 + [None] * 10, Verdict.INCONCLUSIVE),
        ([None] * 15, Verdict.INCONCLUSIVE),
        ([GOOD, None] * 7 + [GOOD], Verdict.INCONCLUSIVE),
    ],
)
def test_s9_a_window(values: list[float | None], verdict: Verdict | None) -> None:
    assert verify(values).verdict is verdict


def test_s9_no_data_at_the_deadline_is_inconclusive() -> None:
    assert verify([], minutes=15).verdict is Verdict.INCONCLUSIVE


def test_what_was_before_the_effect_does_not_count() -> None:
    assert verify([GOOD] * 6, since=NOW + 2 * MINUTE).verdict is None


@given(st.lists(st.sampled_from([GOOD, BAD, None]), max_size=20))
def test_s9_it_passes_exactly_when_the_last_five_minutes_are_all_there_and_good(values: list[float | None]) -> None:
    passed = verify(values).verdict is Verdict.PASSED
    assert passed == (len(values) >= 5 and all(value == GOOD for value in values[-5:]))


@given(st.lists(st.sampled_from([GOOD, BAD, None]), min_size=15, max_size=25))
def test_s9_every_window_is_decided_at_its_deadline(values: list[float | None]) -> None:
    result = verify(values)
    assert result.verdict is not None
    if all(value is None for value in values):
        assert result.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("values", "requests", "verdict"),
    [
        ([GOOD] * 15, 30, Verdict.PASSED),
        ([GOOD] * 15, 2, None),
        ([BAD] * 9 + [GOOD] * 6, 2, None),
        ([GOOD] * 50, 2, Verdict.PASSED),
        ([GOOD] * 60, 1, Verdict.INCONCLUSIVE),
        ([BAD] * 15, 2, Verdict.FAILED),
        ([None] * 15, 0, Verdict.INCONCLUSIVE),
        ([GOOD] * 4 + [None] * 11, 100, Verdict.INCONCLUSIVE),
        ([], 0, Verdict.INCONCLUSIVE),
    ],
)
def test_s9_too_little_traffic_makes_the_window_longer_and_a_gap_does_not(
    values: list[float | None], requests: float, verdict: Verdict | None
) -> None:
    volumes = {NOW + i * MINUTE: requests for i, value in enumerate(values) if value is not None}
    result = verify(values, minutes=max(15, len(values)), patience=NOW + 60 * MINUTE, volumes=volumes, enough=100)
    assert result.verdict is verdict


def counted(matches: dict[int, float], *, minutes: int) -> list[float | None]:
    """Matching events in windows of three minutes, given those of each minute."""
    found = Series(tuple((NOW + i * MINUTE, n) for i, n in matches.items()), 60)
    return [value for _, value in count_in_windows(found, NOW, NOW + minutes * MINUTE, 3 * MINUTE)]


def test_log_events_are_counted_in_whole_windows_only() -> None:
    assert counted({}, minutes=2) == []
    assert counted({}, minutes=3) == [0.0]
    assert counted({1: 2.0, 4: 1.0}, minutes=6) == [2.0, 2.0, 1.0, 1.0]


def test_a_window_of_a_log_begins_after_the_effect() -> None:
    series = Series(((NOW, 5.0),), 60)
    windows = count_in_windows(series, NOW + timedelta(seconds=1), NOW + 4 * MINUTE, 3 * MINUTE)
    assert windows == ((NOW + MINUTE, 0.0),)


@pytest.mark.parametrize(
    ("expression", "matches", "verdict"),
    [
        ("log_matches <= 0", {}, Verdict.PASSED),
        ("log_matches <= 0", {1: 1.0}, Verdict.PASSED),
        ("log_matches <= 0", {13: 1.0}, Verdict.FAILED),
        ("log_matches > 0", {13: 1.0}, Verdict.PASSED),
        ("log_matches > 0", {}, Verdict.FAILED),
    ],
)
def test_a_log_must_match_or_must_not(expression: str, matches: dict[int, float], verdict: Verdict) -> None:
    found = Series(tuple((NOW + i * MINUTE, n) for i, n in matches.items()), 60)
    result = verify_window(
        parse_expression(expression),
        count_in_windows(found, NOW, NOW + 15 * MINUTE, 3 * MINUTE),
        period=3 * MINUTE,
        since=NOW,
        hold=3 * MINUTE,
        deadline=NOW + 15 * MINUTE,
        now=NOW + 15 * MINUTE,
    )
    assert result.verdict is verdict


def test_a_window_of_no_length_proves_nothing() -> None:
    result = verify_window(
        parse_expression("a < 1"),
        ((NOW, 0.0),),
        period=MINUTE,
        since=NOW,
        hold=timedelta(),
        deadline=NOW + MINUTE,
        now=NOW,
    )
    assert result.verdict is None


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("a < 1", 1.0, False),
        ("a <= 1", 1.0, True),
        ("a > 1", 1.0, False),
        ("a >= 1", 1.0, True),
        (" error_rate<0.05 ", 0.049, True),
        ("a > -1.5", -1.4, True),
    ],
)
def test_an_expression_compares(text: str, value: float, holds: bool) -> None:
    assert parse_expression(text).holds(value) is holds


@pytest.mark.parametrize("text", ["", "a", "a <", "< 1", "a < b", "a == 1", "A < 1", "a < 1 or b < 1", "a < 1e3"])
def test_what_is_no_comparison_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a comparison"):
        parse_expression(text)


@given(st.text(max_size=60) | st.from_regex(r"\s*[a-z_]{1,3}\s*[<>]=?\s*-?[0-9.]{1,9}", fullmatch=True))
def test_any_text_is_a_comparison_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert parse_expression(text).comparison in {"<", "<=", ">", ">="}
