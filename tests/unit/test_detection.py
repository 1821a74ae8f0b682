from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.detector import Detection, Detector
from bokgu.api.incident import Incident
from bokgu.api.observed import Series
from bokgu.api.vocabulary import DetectionState, IncidentType, Severity
from bokgu.core.detection import (
    Reading,
    breaches,
    build_incident,
    evaluate_condition,
    find_onset,
    incident_name,
    lookback,
    lowest_threshold,
    measure_condition,
    update_detection,
)
from tests.unit.facts import MINUTE, NOW, Raw, detector, series

FIRING, CLEAR, UNKNOWN = DetectionState.FIRING, DetectionState.CLEAR, DetectionState.UNKNOWN
REQUESTS = 1000.0


def errors(*rates: float | None) -> dict[str, Series]:
    """The share of failed requests of each of the latest minutes, oldest first; None: no requests at all."""
    by_age = {len(rates) - 1 - i: rate for i, rate in enumerate(rates)}
    return {
        "requests": series({ago: REQUESTS for ago, rate in by_age.items() if rate is not None}),
        "errors": series({ago: rate * REQUESTS for ago, rate in by_age.items() if rate}),
    }


def evaluate(
    *rates: float | None,
    one: Detector | None = None,
    was_firing: bool = False,
    now: datetime = NOW,
    **condition: object,
) -> Reading:
    one = one or detector(condition=condition)
    return evaluate_condition(one, one.spec.conditions[0], errors(*rates), was_firing=was_firing, now=now)


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
    condition = detector(condition={"comparison": comparison}).spec.conditions[0]
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
    one = detector()
    measured = measure_condition(one, one.spec.conditions[0], errors(None, 0, 0.2), NOW - 3 * MINUTE, NOW)
    assert [value for _, value in measured] == [None, 0.0, 0.2]


@pytest.mark.parametrize(("requests", "value"), [(0.0, None), (99.0, None), (100.0, 0.5)])
def test_a_small_denominator_says_nothing(requests: float, value: float | None) -> None:
    one = detector()
    found = {"requests": series({0: requests}), "errors": series({0: 50.0})}
    assert measure_condition(one, one.spec.conditions[0], found, NOW - MINUTE, NOW) == ((NOW - MINUTE, value),)


def test_a_denominator_of_zero_says_nothing_even_without_a_minimum() -> None:
    one = detector(condition={"ratio": {"numerator": "errors", "denominator": "requests"}})
    found = {"requests": series({0: 0.0}), "errors": series({0: 5.0})}
    assert measure_condition(one, one.spec.conditions[0], found, NOW - MINUTE, NOW) == ((NOW - MINUTE, None),)


@pytest.mark.parametrize("missing", [{}, {"errors": series({0: 5.0})}])
def test_without_the_denominator_nothing_is_known(missing: dict[str, Series]) -> None:
    one = detector()
    assert evaluate_condition(one, one.spec.conditions[0], missing, was_firing=False, now=NOW).state is UNKNOWN


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
    one = detector(condition={**QUERY, "treatMissingData": policy})
    found = {"requests": series(values)}
    reading = evaluate_condition(one, one.spec.conditions[0], found, was_firing=False, now=NOW)
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
    one = detector(condition={**QUERY, "treatMissingData": "notBreaching"})
    assert evaluate_condition(one, one.spec.conditions[0], {}, was_firing=True, now=NOW).state is CLEAR


def test_silence_that_counts_as_bad_does_not_clear() -> None:
    one = detector(condition={**QUERY, "treatMissingData": "breaching"})
    found = {"requests": series({0: 0.0, 1: 0.0, 2: 0.0})}
    assert evaluate_condition(one, one.spec.conditions[0], found, was_firing=True, now=NOW).state is FIRING


# Time


def test_datapoints_that_have_not_settled_are_left_out() -> None:
    one = detector(settle="2m")
    assert evaluate(0, 0, 0, 0, 0.5, 0.5, 0.5, one=one).state is CLEAR
    assert evaluate(0, 0, 0.5, 0.5, 0.5, 0, 0, one=one).state is FIRING


@given(offset=st.integers(0, 59), period=st.sampled_from([10, 60, 300]))
def test_periods_are_whole_and_aligned(offset: int, period: int) -> None:
    one = detector(period=f"{period}s")
    start, end = NOW - timedelta(seconds=1000 + offset), NOW + timedelta(seconds=offset)
    moments = [t for t, _ in measure_condition(one, one.spec.conditions[0], {}, start, end)]
    assert all(t.timestamp() % period == 0 for t in moments)
    assert start <= moments[0] < start + timedelta(seconds=period)
    assert end - timedelta(seconds=2 * period) < moments[-1] <= end - timedelta(seconds=period)
    assert len(moments) == len(set(moments)) == (moments[-1] - moments[0]).total_seconds() / period + 1


@given(
    offset=st.integers(0, 59), clear_after=st.sampled_from(["1m", "5m", "20m"]), settle=st.sampled_from(["0s", "2m"])
)
def test_the_lookback_reaches_back_to_all_that_is_evaluated(offset: int, clear_after: str, settle: str) -> None:
    one = detector(condition={"clearAfter": clear_after}, settle=settle)
    now = NOW + timedelta(seconds=offset)
    rates = [0.0] * 30
    fetched = {
        name: replace(s, points=tuple(p for p in s.points if p[0] >= now - lookback(one)))
        for name, s in errors(*rates).items()
    }
    for was_firing in (False, True):
        full = evaluate(*rates, one=one, was_firing=was_firing, now=now)
        cut = evaluate_condition(one, one.spec.conditions[0], fetched, was_firing=was_firing, now=now)
        assert cut == full


# Status entry


def test_an_entry_changes_only_with_state_or_severity_and_severity_only_rises() -> None:
    condition = detector().spec.conditions[0]
    first = update_detection(None, condition, Reading(FIRING, Severity.MEDIUM, 0.06), NOW)
    assert update_detection(first, condition, Reading(FIRING, Severity.MEDIUM, 0.09), NOW + MINUTE) is first
    assert update_detection(first, condition, Reading(FIRING, None, 0.0), NOW + MINUTE) is first
    worse = update_detection(first, condition, Reading(FIRING, Severity.HIGH, 0.2), NOW + MINUTE)
    assert (worse.severity, worse.since, worse.value) == (Severity.HIGH, NOW, "0.2")
    assert update_detection(worse, condition, Reading(FIRING, Severity.MEDIUM, 0.06), NOW) is worse
    clear = update_detection(worse, condition, Reading(CLEAR, None, 0.0), NOW + 2 * MINUTE)
    assert (clear.state, clear.severity, clear.since) == (CLEAR, None, NOW + 2 * MINUTE)
    assert Detection.model_validate(clear.to_dict()) == clear


# Incidents


def test_racers_compute_one_name_and_the_next_incident_another() -> None:
    names = [incident_name("api", IncidentType.SERVICE_DOWN, previous) for previous in ("", "", "uid-1", "uid-2")]
    assert names[0] == names[1]
    assert len(set(names)) == 3
    assert names[0].startswith("api-service-down-")


def test_names_differ_by_service_and_type() -> None:
    names = {incident_name(service, type_, "") for service in ("api", "web") for type_ in IncidentType}
    assert len(names) == 2 * len(IncidentType)


def test_s12_the_longest_name_of_a_service_still_gives_a_name() -> None:
    assert len(incident_name("a" * 253, IncidentType.RESOURCE_EXHAUSTION, "")) <= 253


def test_an_incident_says_what_was_measured() -> None:
    one = detector()
    reading = Reading(FIRING, Severity.HIGH, 0.21)
    built = build_incident(one, one.spec.conditions[0], reading, resource="arn", previous_uid="", now=NOW)
    read = Incident.model_validate({"kind": "Incident", "metadata": {"name": "x"}, "spec": built.spec.to_dict()})
    assert read.spec == built.spec
    assert [(m.name, m.value, m.threshold) for m in built.spec.metrics] == [("error_rate", "0.21", "0.1")]
    assert (built.spec.source.name, built.spec.source.condition) == ("api-errors", "error_rate")
    with pytest.raises(ValueError, match="severity"):
        build_incident(one, one.spec.conditions[0], Reading(FIRING, None, None), resource="", previous_uid="", now=NOW)


@pytest.mark.parametrize(
    ("thresholds", "low"),
    [({"medium": "1", "high": "2"}, "1"), ({"high": "2", "critical": "3"}, "2"), ({"critical": "3"}, "3")],
)
def test_the_lowest_threshold_is_that_of_the_least_severe(thresholds: dict[str, str], low: str) -> None:
    assert lowest_threshold(detector(condition={"thresholds": thresholds}).spec.conditions[0].thresholds) == low


# Onset


@pytest.mark.parametrize(
    ("rates", "began"),
    [
        ((), None),
        ((0, 0, 0), None),
        ((0, 0.5, 0.5), 1),
        ((0.5, 0.5, 0.5), 0),
        ((0.5, 0, 0.5, 0.5, 0), 2),
        ((0.5, 0, 0.06), 2),
        ((0, 0.5, None, 0.5), 1),
        ((None, None, 0.5), 2),
    ],
)
def test_the_onset_is_the_first_of_the_last_run(rates: tuple[float | None, ...], began: int | None) -> None:
    points = tuple((NOW + i * MINUTE, rate) for i, rate in enumerate(rates))
    expected = None if began is None else NOW + began * MINUTE
    assert find_onset(detector().spec.conditions[0], points) == expected
