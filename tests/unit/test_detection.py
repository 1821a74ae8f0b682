from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.detector import Detection
from bokgu.api.observed import AwsError, Series
from bokgu.api.vocabulary import DetectionState, Severity
from bokgu.core.detection import (
    Reading,
    breaches,
    evaluate_condition,
    find_onset,
    is_overtaken,
    join_halves,
    lowest_threshold,
    measure_condition,
    update_detection,
)
from bokgu.core.watch import Watch, source_of, watch_of
from tests.unit.facts import MINUTE, NOW, Raw, detector, series, watch

FIRING, CLEAR, UNKNOWN = DetectionState.FIRING, DetectionState.CLEAR, DetectionState.UNKNOWN
REQUESTS = 1000.0


def errors(*rates: float | None, period: int = 60) -> dict[str, Series]:
    """The share of failed requests of each of the latest minutes, oldest first; None: no requests at all."""
    by_age = {len(rates) - 1 - i: rate for i, rate in enumerate(rates)}
    return {
        "requests": series({ago: REQUESTS for ago, rate in by_age.items() if rate is not None}, period=period),
        "errors": series({ago: rate * REQUESTS for ago, rate in by_age.items() if rate}, period=period),
    }


def evaluate(
    *rates: float | None,
    one: Watch | None = None,
    was_firing: bool = False,
    now: datetime = NOW,
    **condition: object,
) -> Reading:
    one = one or watch(condition=condition)
    return evaluate_condition(one, one.conditions[0], errors(*rates), was_firing=was_firing, now=now)


# m of n and severities


@pytest.mark.parametrize(
    ("rates", "state", "severity"),
    [
        ((0, 0, 0, 0, 0), CLEAR, None),
        ((0.05, 0.05, 0.05, 0.05, 0.05), CLEAR, None),
        ((0, 0, 0, 0.5, 0.5), CLEAR, None),
        ((0, 0, 0.06, 0.06, 0.06), FIRING, Severity.MEDIUM),
        ((0.2, 0, 0.2, 0, 0.2), FIRING, Severity.HIGH),
        ((0.5, 0.5, 0.5, 0, 0), FIRING, Severity.CRITICAL),
        ((0.5, 0.5, 0.2, 0, 0), FIRING, Severity.HIGH),
        ((0.5, 0.5, 0.06, 0, 0), FIRING, Severity.MEDIUM),
        ((0.5, 0.5, 0.5, 0, 0, 0, 0, 0), CLEAR, None),
    ],
)
def test_it_fires_when_m_of_n_pass_with_the_highest_severity_that_holds(
    rates: tuple[float, ...], state: DetectionState, severity: Severity | None
) -> None:
    reading = evaluate(*rates)
    assert (reading.state, reading.severity) == (state, severity)


@pytest.mark.parametrize(
    ("rates", "minutes"),
    [
        ((0, 0, 0.06, 0.06, 0.06), 3),
        ((0.2, 0, 0.2, 0, 0.2), 5),
        ((0.5, 0.5, 0.5, 0.06, 0.06, 0.06, 0), 5),  # What lies before the periods that count is not known to belong.
        ((0.06, 0.06, 0.2, 0.2, 0.2), 3),  # By what makes it as bad as it is.
        ((0, 0, 0, 0.5, 0.5), None),
    ],
)
def test_it_began_with_the_first_of_the_periods_by_which_it_fires(
    rates: tuple[float, ...], minutes: int | None
) -> None:
    assert evaluate(*rates).begun == (None if minutes is None else NOW - minutes * MINUTE)


def test_where_missing_data_is_what_is_wrong_nobody_knows_when_it_began() -> None:
    found = evaluate(None, None, None, None, None, treatMissingData="breaching")
    assert (found.state, found.begun) == (FIRING, None)


@pytest.mark.parametrize(
    ("comparison", "value", "breached"),
    [
        ("GreaterThanThreshold", 1.0, False),
        ("GreaterThanThreshold", 1.1, True),
        ("GreaterThanOrEqualToThreshold", 1.0, True),
        ("LessThanThreshold", 1.0, False),
        ("LessThanThreshold", 0.9, True),
        ("LessThanOrEqualToThreshold", 1.0, True),
    ],
)
def test_comparisons_are_cloudwatchs(comparison: str, value: float, breached: bool) -> None:
    condition = watch(condition={"comparison": comparison}).conditions[0]
    assert breaches(condition, value, "1") is breached


def test_a_severity_without_a_threshold_is_never_reached() -> None:
    assert evaluate(0.9, 0.9, 0.9, 0.9, 0.9, thresholds={"medium": "0.05"}).severity is Severity.MEDIUM


@given(
    rates=st.lists(st.sampled_from([0.0, 0.06, 0.2, 0.5, None]), min_size=5, max_size=5),
    m=st.integers(1, 5),
)
def test_it_fires_exactly_when_m_of_the_last_n_say_so(rates: list[float | None], m: int) -> None:
    reading = evaluate(*rates, datapointsToAlarm=m)
    bad = sum(rate is not None and rate > 0.05 for rate in rates)
    assert (reading.state is FIRING) == (bad >= m)
    assert (reading.severity is not None) == (reading.state is FIRING)


# Ratios and missing data


def test_the_numerator_is_zero_only_where_the_denominator_is_there() -> None:
    one = watch()
    measured = measure_condition(one, one.conditions[0], errors(None, 0, 0.2), NOW - 3 * MINUTE, NOW)
    assert [value for _, value in measured] == [None, 0.0, 0.2]


@pytest.mark.parametrize(("requests", "value"), [(0.0, None), (99.0, None), (100.0, 0.5)])
def test_a_small_denominator_says_nothing(requests: float, value: float | None) -> None:
    one = watch()
    found = {"requests": series({0: requests}), "errors": series({0: 50.0})}
    assert measure_condition(one, one.conditions[0], found, NOW - MINUTE, NOW) == ((NOW - MINUTE, value),)


def test_a_denominator_of_zero_says_nothing_even_without_a_minimum() -> None:
    one = watch(condition={"ratio": {"numerator": "errors", "denominator": "requests"}})
    found = {"requests": series({0: 0.0}), "errors": series({0: 5.0})}
    assert measure_condition(one, one.conditions[0], found, NOW - MINUTE, NOW) == ((NOW - MINUTE, None),)


@pytest.mark.parametrize("missing", [{}, {"errors": series({0: 5.0})}])
def test_without_the_denominator_nothing_is_known(missing: dict[str, Series]) -> None:
    one = watch()
    assert evaluate_condition(one, one.conditions[0], missing, was_firing=False, now=NOW).state is UNKNOWN


QUERY: Raw = {"query": "requests", "ratio": None, "thresholds": {"high": "1"}}


@pytest.mark.parametrize(
    ("policy", "values", "state"),
    [
        ("missing", {}, UNKNOWN),
        ("missing", {0: 2.0, 1: 2.0}, CLEAR),
        ("breaching", {}, FIRING),
        ("breaching", {0: 0.0, 1: 0.0}, FIRING),
        ("breaching", {0: 0.0, 1: 0.0, 2: 0.0}, CLEAR),
        ("notBreaching", {}, CLEAR),
        ("notBreaching", {0: 2.0, 1: 2.0, 2: 2.0}, FIRING),
    ],
)
def test_missing_data_means_what_the_policy_says(policy: str, values: dict[int, float], state: DetectionState) -> None:
    one = watch(condition={**QUERY, "treatMissingData": policy})
    found = {"requests": series(values)}
    reading = evaluate_condition(one, one.conditions[0], found, was_firing=False, now=NOW)
    assert reading.state is state


# Hysteresis


@pytest.mark.parametrize(
    ("rates", "state"),
    [
        ((0, 0, 0, 0, 0), CLEAR),
        ((0.06, 0, 0, 0, 0), FIRING),
        ((0, 0, 0, 0, 0.06), FIRING),
        ((0.06, 0, 0, 0, 0, 0), CLEAR),
    ],
)
def test_it_clears_only_after_clear_after_without_a_breach(rates: tuple[float, ...], state: DetectionState) -> None:
    assert evaluate(*rates, was_firing=True).state is state


@given(offset=st.integers(0, 59), breach_ended=st.integers(1, 8))
def test_it_clears_only_after_the_whole_time_at_any_second_of_the_minute(offset: int, breach_ended: int) -> None:
    rates = [0.0] * (12 - breach_ended) + [0.06] + [0.0] * (breach_ended - 1)
    now = NOW + timedelta(seconds=offset)
    calm = now - (NOW - (breach_ended - 1) * MINUTE)
    assert (evaluate(*rates, was_firing=True, now=now).state is CLEAR) <= (calm >= 5 * MINUTE)
    assert (calm >= 6 * MINUTE) <= (evaluate(*rates, was_firing=True, now=now).state is CLEAR)


@pytest.mark.parametrize("clear_after", ["30s", "1m", "2m"])
def test_a_short_clear_after_clears_too(clear_after: str) -> None:
    now = NOW + timedelta(seconds=7)
    assert evaluate(0, 0, 0, 0, 0, 0, was_firing=True, now=now, clearAfter=clear_after).state is CLEAR


@pytest.mark.parametrize("rates", [(), (None,) * 5, (0, 0, None, None, None)])
def test_silence_clears_nothing(rates: tuple[float | None, ...]) -> None:
    assert evaluate(*rates, was_firing=True).state is FIRING


def test_silence_that_counts_as_good_clears() -> None:
    one = watch(condition={**QUERY, "treatMissingData": "notBreaching"})
    assert evaluate_condition(one, one.conditions[0], {}, was_firing=True, now=NOW).state is CLEAR


def test_silence_that_counts_as_bad_does_not_clear() -> None:
    one = watch(condition={**QUERY, "treatMissingData": "breaching"})
    found = {"requests": series({0: 0.0, 1: 0.0, 2: 0.0})}
    assert evaluate_condition(one, one.conditions[0], found, was_firing=True, now=NOW).state is FIRING


# Time


def test_datapoints_that_have_not_settled_are_left_out() -> None:
    one = watch(settle="2m")
    assert evaluate(0, 0, 0, 0, 0.5, 0.5, 0.5, one=one).state is CLEAR
    assert evaluate(0, 0, 0.5, 0.5, 0.5, 0, 0, one=one).state is FIRING


@given(offset=st.integers(0, 59), period=st.sampled_from([10, 60, 300]))
def test_periods_are_whole_and_aligned(offset: int, period: int) -> None:
    one = watch(period=f"{period}s")
    start, end = NOW - timedelta(seconds=1000 + offset), NOW + timedelta(seconds=offset)
    moments = [t for t, _ in measure_condition(one, one.conditions[0], {}, start, end)]
    assert all(t.timestamp() % period == 0 for t in moments)
    assert start <= moments[0] < start + timedelta(seconds=period)
    assert end - timedelta(seconds=2 * period) < moments[-1] <= end - timedelta(seconds=period)
    assert len(moments) == len(set(moments)) == (moments[-1] - moments[0]).total_seconds() / period + 1


@given(
    offset=st.integers(0, 59),
    clear_after=st.sampled_from(["1m", "90s", "5m", "20m"]),
    settle=st.sampled_from(["0s", "2m"]),
)
def test_the_lookback_reaches_back_to_all_that_is_evaluated(offset: int, clear_after: str, settle: str) -> None:
    one = watch(condition={"clearAfter": clear_after}, settle=settle)
    now = NOW + timedelta(seconds=offset)
    rates = [0.0] * 30
    fetched = {
        name: replace(s, points=tuple(p for p in s.points if p[0] >= now - one.lookback))
        for name, s in errors(*rates).items()
    }
    for was_firing in (False, True):
        full = evaluate(*rates, one=one, was_firing=was_firing, now=now)
        cut = evaluate_condition(one, one.conditions[0], fetched, was_firing=was_firing, now=now)
        assert cut == full


@pytest.mark.parametrize("seconds", [1, 10, 60, 300])
@given(
    rates=st.lists(st.sampled_from([0.0, 0.03, 0.06, 0.2, 0.5, None]), min_size=12, max_size=12),
    was_firing=st.booleans(),
    thousandths=st.integers(0, 999),
)
def test_short_and_long_periods_give_the_same_decisions(
    seconds: int, rates: list[float | None], was_firing: bool, thousandths: int
) -> None:
    def decide(period: int) -> Reading:
        one = watch(
            period=f"{period}s",
            settle=f"{2 * period}s",
            condition={
                "clearAfter": f"{5 * period}s",
                "criticalEvaluation": {"evaluationPeriods": 3, "datapointsToAlarm": 2},
                "minVolumes": [{"query": "requests", "sum": "3000"}],
                "clearThreshold": "0.02",
            },
        )
        now = NOW + timedelta(milliseconds=thousandths * period)
        series = errors(*rates, period=period)
        found = evaluate_condition(one, one.conditions[0], series, was_firing=was_firing, now=now)
        # When it began is a moment: so many periods ago.
        return replace(found, begun=found.begun and NOW - (now - found.begun) / period)

    assert decide(seconds) == decide(60)


@given(
    rates=st.lists(st.sampled_from([0.0, 0.06, 0.2, 0.5, None]), min_size=12, max_size=12),
    late=st.lists(st.booleans(), min_size=12, max_size=12),
    was_firing=st.booleans(),
)
def test_what_arrives_late_but_within_the_settle_time_never_led_to_another_decision(
    rates: list[float | None], late: list[bool], was_firing: bool
) -> None:
    """Points younger than `settle` may be missing, or half counted yet: nobody looks at them."""
    one = watch(settle="2m")
    complete = errors(*rates)
    seen = {
        name: replace(
            found,
            points=tuple(
                (t, value if t < NOW - 2 * MINUTE else value / 2)
                for i, (t, value) in enumerate(found.points)
                if t < NOW - 2 * MINUTE or not late[i % 12]
            ),
        )
        for name, found in complete.items()
    }
    first, last = (
        evaluate_condition(one, one.conditions[0], found, was_firing=was_firing, now=NOW) for found in (seen, complete)
    )
    assert first == last


def test_what_arrives_later_than_that_is_seen_by_the_next_look_that_still_evaluates_its_period() -> None:
    one, condition = watch(settle="2m"), watch().conditions[0]
    before = evaluate_condition(one, condition, errors(0.5, 0.5, None, 0, 0, 0, 0), was_firing=False, now=NOW)
    after = evaluate_condition(one, condition, errors(0.5, 0.5, 0.5, 0, 0, 0, 0), was_firing=False, now=NOW)
    assert (before.state, after.state) == (CLEAR, FIRING)


# Severities, volumes, unanswered queries


SOONER: Raw = {"criticalEvaluation": {"evaluationPeriods": 3, "datapointsToAlarm": 2}}


@pytest.mark.parametrize(
    ("rates", "severity"),
    [
        ((0, 0, 0, 0.5, 0.5), Severity.CRITICAL),
        ((0, 0, 0.5, 0, 0.5), Severity.CRITICAL),
        ((0, 0.5, 0.5, 0, 0), None),
        ((0.5, 0.5, 0, 0, 0.5), Severity.HIGH),
        ((0, 0, 0, 0.2, 0.2), None),
        ((0, 0, 0.2, 0.2, 0.2), Severity.HIGH),
        ((0, 0, 0, 0, 0.9), None),
    ],
)
def test_what_is_critical_is_told_sooner(rates: tuple[float, ...], severity: Severity | None) -> None:
    assert evaluate(*rates, **SOONER).severity is severity


@given(rates=st.lists(st.sampled_from([0.0, 0.06, 0.2, 0.5, None]), min_size=8, max_size=8), scale=st.floats(1.0, 3.0))
def test_more_errors_never_mean_less_trouble(rates: list[float | None], scale: float) -> None:
    worse = [None if rate is None else min(1.0, rate * scale) for rate in rates]
    found, then = (evaluate(*r, **SOONER).severity for r in (rates, worse))
    assert (found.rank if found else -1) <= (then.rank if then else -1)


@pytest.mark.parametrize("extra", [0.0, 0.06, 0.2])
def test_the_value_is_one_that_passed_the_threshold_and_not_a_good_one_since(extra: float) -> None:
    reading = evaluate(0.5, 0.5, 0.5, extra, 0, **SOONER | {"criticalEvaluation": None})
    assert (reading.severity, reading.value) == (Severity.CRITICAL, 0.5)


VOLUMES: Raw = {
    "ratio": {"numerator": "errors", "denominator": "requests"},
    "minVolumes": [{"query": "requests", "sum": "100"}, {"query": "errors", "sum": "10"}],
}


def counted(requests: list[float | None], failed: list[float | None]) -> dict[str, Series]:
    def by_age(values: list[float | None]) -> dict[int, float]:
        return {len(values) - 1 - i: value for i, value in enumerate(values) if value is not None}

    return {"requests": series(by_age(requests)), "errors": series(by_age(failed))}


@pytest.mark.parametrize(
    ("requests", "failed", "state"),
    [
        ([20, 20, 20, 20, 20], [None, None, 4, 4, 4], FIRING),
        ([20, 20, 20, 20, 19], [None, None, 4, 4, 4], UNKNOWN),
        ([20, 20, 20, 20, 20], [None, None, 3, 3, 3], UNKNOWN),
        ([None, None, 3, None, None], [None, None, 2, None, None], CLEAR),
        ([1, 1, 1, 1, 1], [1, 1, 1, 1, 1], UNKNOWN),
        ([1, 1, 1, 1, 1], [None] * 5, CLEAR),
        ([50, 20, 20, 20, 20, 19], [None, None, None, 4, 4, 4], UNKNOWN),
        ([None, None, 50, 50, 50], [None, None, 10, 10, 10], FIRING),
    ],
)
def test_too_few_of_too_few_wake_nobody(
    requests: list[float | None], failed: list[float | None], state: DetectionState
) -> None:
    one = watch(condition=VOLUMES)
    reading = evaluate_condition(one, one.conditions[0], counted(requests, failed), was_firing=False, now=NOW)
    assert reading.state is state
    assert (reading.state is UNKNOWN) == bool(reading.message)


def test_too_few_requests_do_not_end_what_is_there() -> None:
    one = watch(condition=VOLUMES)
    thin = counted([1, 1, 1, 1, 1], [1, 1, 1, 1, 1])
    reading = evaluate_condition(one, one.conditions[0], thin, was_firing=True, now=NOW)
    assert (reading.state, reading.severity) == (FIRING, None)


FORBIDDEN = AwsError("GetMetricData", "Forbidden", "no access", sent=False)


@pytest.mark.parametrize("name", ["errors", "requests"])
@pytest.mark.parametrize("was_firing", [False, True])
def test_one_query_without_an_answer_is_unknown_whatever_the_other_says(name: str, was_firing: bool) -> None:
    one = watch()
    found = {n: s for n, s in errors(0.5, 0.5, 0.5, 0.5, 0.5).items() if n != name}
    reading = evaluate_condition(
        one, one.conditions[0], found, was_firing=was_firing, now=NOW, errors={name: FORBIDDEN}
    )
    assert (reading.state, reading.severity) == (FIRING if was_firing else UNKNOWN, None)
    assert "Forbidden" in reading.message


@pytest.mark.parametrize("policy", ["missing", "breaching", "notBreaching"])
def test_a_query_without_an_answer_is_unknown_under_every_policy(policy: str) -> None:
    one = watch(condition={**QUERY, "treatMissingData": policy})
    reading = evaluate_condition(one, one.conditions[0], {}, was_firing=False, now=NOW, errors={"requests": FORBIDDEN})
    assert reading.state is UNKNOWN


def test_a_volume_without_an_answer_is_unknown_and_says_so() -> None:
    one = watch(condition={"query": "errors", "ratio": None, "minVolumes": [{"query": "requests", "sum": "100"}]})
    found = {"errors": errors(0.5, 0.5, 0.5, 0.5, 0.5)["errors"]}
    reading = evaluate_condition(
        one, one.conditions[0], found, was_firing=False, now=NOW, errors={"requests": FORBIDDEN}
    )
    assert reading.state is UNKNOWN
    assert "Forbidden" in reading.message


def test_an_error_of_a_query_that_the_condition_does_not_use_is_none_of_its_business() -> None:
    one = watch()
    found = errors(0.5, 0.5, 0.5, 0.5, 0.5)
    errors_ = {"latency": FORBIDDEN}
    assert evaluate_condition(one, one.conditions[0], found, was_firing=False, now=NOW, errors=errors_).state is FIRING


@pytest.mark.parametrize("unanswered", ["errors", "requests"])
def test_a_query_that_was_not_answered_is_not_one_without_datapoints(unanswered: str) -> None:
    one = watch()
    found = {name: s for name, s in errors(0.5, 0.5).items() if name != unanswered}
    values = [value for _, value in measure_condition(one, one.conditions[0], found, NOW - 2 * MINUTE, NOW)]
    assert values == [None, None]


# Denominators that vanish in an outage


INCLUDED: Raw = {
    "ratio": {"numerator": "errors", "denominator": "requests", "includeNumerator": True, "minDenominator": "20"},
    "thresholds": {"high": "0.1", "critical": "0.3"},
    "evaluationPeriods": 3,
    "datapointsToAlarm": 2,
}


@pytest.mark.parametrize(
    ("requests", "failed", "value"),
    [
        (100.0, None, 0.0),
        (None, 50.0, 1.0),
        (30.0, 10.0, 0.25),
        (None, 19.0, None),
        (0.0, 20.0, 1.0),
        (10.0, 10.0, 0.5),
        (None, None, None),
        (19.0, None, None),
    ],
)
def test_with_include_numerator_one_of_the_two_is_enough(
    requests: float | None, failed: float | None, value: float | None
) -> None:
    one = watch(condition=INCLUDED)
    found = counted([requests], [failed])
    assert measure_condition(one, one.conditions[0], found, NOW - MINUTE, NOW) == ((NOW - MINUTE, value),)


def test_in_a_total_outage_the_denominator_vanishes_and_it_fires_all_the_same() -> None:
    one = watch(condition=INCLUDED)
    found = counted([100.0, 100.0, None, None], [None, None, 90.0, 80.0])
    reading = evaluate_condition(one, one.conditions[0], found, was_firing=False, now=NOW)
    assert (reading.state, reading.severity, reading.value) == (FIRING, Severity.CRITICAL, 1.0)


def test_without_include_numerator_a_vanished_denominator_says_nothing() -> None:
    one = watch()
    found = counted([None] * 5, [90.0] * 5)
    assert evaluate_condition(one, one.conditions[0], found, was_firing=False, now=NOW).state is UNKNOWN


# The clear threshold


@pytest.mark.parametrize(
    ("rates", "state"),
    [
        ((0.06, 0.06, 0.03, 0.03, 0.03, 0.03, 0.03, 0.03), FIRING),
        ((0.06, 0.06, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02), CLEAR),
        ((0.06, 0.03, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01), CLEAR),
        ((0.06, 0.01, 0.01, 0.01, 0.03, 0.01, 0.01, 0.01), FIRING),
    ],
)
def test_between_the_thresholds_it_stays_as_it_was(rates: tuple[float, ...], state: DetectionState) -> None:
    assert evaluate(*rates, was_firing=True, clearThreshold="0.02").state is state
    assert evaluate(*rates, was_firing=False, clearThreshold="0.02").state is CLEAR


def test_for_less_comparisons_the_clear_threshold_lies_above() -> None:
    one = watch(
        condition={**QUERY, "comparison": "LessThanThreshold", "thresholds": {"high": "1"}, "clearThreshold": "3"}
    )

    def state(value: float) -> DetectionState:
        found = {"requests": series(dict.fromkeys(range(8), value))}
        return evaluate_condition(one, one.conditions[0], found, was_firing=True, now=NOW).state

    assert (state(2.0), state(3.0)) == (FIRING, CLEAR)


@given(rates=st.lists(st.sampled_from([0.0, 0.03, 0.06, 0.2, 0.5, None]), min_size=6, max_size=40))
def test_no_sequence_of_looks_flaps_within_clear_after(rates: list[float | None]) -> None:
    """Whatever the values do: between a firing and the next clear there is a whole calm window."""
    one = watch(condition={"clearThreshold": "0.02", **SOONER})
    was_firing, last_bad = False, None
    for minute in range(1, len(rates) + 1):
        now = NOW + minute * MINUTE
        found = {name: replace(s, points=_shift(s, minute)) for name, s in errors(*rates[:minute]).items()}
        reading = evaluate_condition(one, one.conditions[0], found, was_firing=was_firing, now=now)
        rate = rates[minute - 1]
        if rate is not None and rate > 0.02:
            last_bad = now
        if was_firing and reading.state is not FIRING:
            assert last_bad is not None
            assert now - last_bad >= 5 * MINUTE
        was_firing = reading.state is FIRING


def _shift(found: Series, minutes: int) -> tuple[tuple[datetime, float], ...]:
    return tuple((t + minutes * MINUTE, value) for t, value in found.points)


# Watches


def test_queries_that_differ_in_name_only_ask_aws_once() -> None:
    one = detector()
    renamed = one.spec.queries[0].model_copy(update={"name": "other"})
    assert source_of(renamed) == source_of(one.spec.queries[0])
    turned = renamed.model_copy(update={"dimensions": tuple(reversed(renamed.dimensions)), "stat": "Average"})
    assert source_of(turned) != source_of(renamed)


def test_the_order_of_dimensions_makes_no_difference() -> None:
    dimensions = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    first, second = (
        source_of(
            detector(
                queries=[{"name": "errors", "namespace": "N", "metricName": "M", "dimensions": order}]
            ).spec.queries[0]
        )
        for order in (dimensions, dimensions[::-1])
    )
    assert first == second


def test_a_watch_says_where_its_incidents_come_from() -> None:
    one = watch_of(detector())
    source = one.source("error_rate")
    assert (one.namespace, one.service) == ("shop", "api")
    assert (source.kind, source.name, source.condition) == ("Detector", "api-errors", "error_rate")


# Status entry


def test_an_entry_changes_only_with_state_or_severity_and_severity_only_rises() -> None:
    first = update_detection(None, "error_rate", Reading(FIRING, Severity.MEDIUM, 0.06), NOW)
    assert update_detection(first, "error_rate", Reading(FIRING, Severity.MEDIUM, 0.09), NOW + MINUTE) is first
    assert update_detection(first, "error_rate", Reading(FIRING, None, 0.0), NOW + MINUTE) is first
    worse = update_detection(first, "error_rate", Reading(FIRING, Severity.HIGH, 0.2), NOW + MINUTE)
    assert (worse.severity, worse.since, worse.value) == (Severity.HIGH, NOW, "0.2")
    assert update_detection(worse, "error_rate", Reading(FIRING, Severity.MEDIUM, 0.06), NOW) is worse
    clear = update_detection(worse, "error_rate", Reading(CLEAR, None, 0.0), NOW + 2 * MINUTE)
    assert (clear.state, clear.severity, clear.since) == (CLEAR, None, NOW + 2 * MINUTE)
    assert Detection.model_validate(clear.to_dict()) == clear


@pytest.mark.parametrize(
    ("thresholds", "low"),
    [({"medium": "1", "high": "2"}, "1"), ({"high": "2", "critical": "3"}, "2"), ({"critical": "3"}, "3")],
)
def test_the_lowest_threshold_is_that_of_the_least_severe(thresholds: dict[str, str], low: str) -> None:
    assert lowest_threshold(watch(condition={"thresholds": thresholds}).conditions[0].thresholds) == low


# Onset


@pytest.mark.parametrize(
    ("rates", "began"),
    [
        ((), None),
        ((0, 0, 0), None),
        ((0, 0.5, 0.5), 1),
        ((0.5, 0.5, 0.5), None),
        ((0.5, 0, 0.5, 0.5, 0), 2),
        ((0.5, 0, 0.06), 2),
        ((0, 0.5, None, 0.5), 1),
        ((None, None, 0.5), None),
    ],
)
def test_the_onset_is_the_first_of_the_last_run(rates: tuple[float | None, ...], began: int | None) -> None:
    points = tuple((NOW + i * MINUTE, rate) for i, rate in enumerate(rates))
    expected = None if began is None else NOW + began * MINUTE
    assert find_onset(watch().conditions[0], points) == expected


def test_a_good_period_in_the_middle_of_trouble_that_was_seen_is_no_new_begin_of_it() -> None:
    rates = (0.0, 0.0, 0.5, 0.6, 0.7, 0.0, 0.8)
    points = tuple((NOW + i * MINUTE, rate) for i, rate in enumerate(rates))
    condition = watch().conditions[0]
    assert find_onset(condition, points) == NOW + 6 * MINUTE
    for seen_at in (3, 4, 5):
        assert find_onset(condition, points, NOW + seen_at * MINUTE) == NOW + 2 * MINUTE
    assert find_onset(condition, points, NOW + 6 * MINUTE) == NOW + 6 * MINUTE, "it had cleared, and came back"
    assert find_onset(condition, points, NOW + MINUTE) == NOW + 6 * MINUTE, "a clock that is behind"


def test_a_look_that_was_overtaken_changes_nothing() -> None:
    """An event looked, and fired, after the look of the schedule had begun, whose Clear comes later."""
    fired = update_detection(None, "deployment", Reading(FIRING, Severity.HIGH), NOW)
    assert update_detection(fired, "deployment", Reading(CLEAR), NOW - MINUTE) is fired
    assert update_detection(fired, "deployment", Reading(CLEAR), NOW + MINUTE).state is CLEAR
    assert is_overtaken(fired, NOW - MINUTE)
    assert not is_overtaken(fired, NOW)
    assert not is_overtaken(None, NOW)


def test_a_clock_that_was_wrong_by_more_than_aws_takes_silences_nobody() -> None:
    wrong = update_detection(None, "deployment", Reading(UNKNOWN), NOW + 300 * MINUTE)
    assert not is_overtaken(wrong, NOW)
    assert update_detection(wrong, "deployment", Reading(FIRING, Severity.HIGH), NOW).since == NOW
    assert is_overtaken(wrong, NOW + 295 * MINUTE)


def test_why_nothing_is_wrong_is_worth_a_write() -> None:
    clear = update_detection(None, "deployment", Reading(CLEAR), NOW)
    waiting = update_detection(clear, "deployment", Reading(CLEAR, None, None, "waits at a hook"), NOW + MINUTE)
    assert (waiting.message, waiting.since) == ("waits at a hook", NOW)


def test_the_halves_of_a_pair_are_judged_by_the_one_that_has_data_and_the_worse_of_two() -> None:
    moments = [NOW + i * MINUTE for i in range(4)]
    blue = tuple(zip(moments, (0.4, None, 0.1, None), strict=True))
    green = tuple(zip(moments, (0.2, 0.3, None, None), strict=True))
    assert [value for _, value in join_halves(blue, green)] == [0.4, 0.3, 0.1, None]
    assert join_halves(blue, green) == join_halves(green, blue)
