from datetime import datetime, timedelta
from typing import Any

import pytest

from bokgu.api.incident import Classification, SimilarIncidents
from bokgu.api.observed import EcsService
from bokgu.api.protected_service import RecentStop
from bokgu.api.vocabulary import Confidence, RootCause, Severity
from bokgu.core.classification import CATEGORIES, classify_impact, classify_incident, seen_at, tell_again_at
from bokgu.core.diagnosis import Diagnosis
from bokgu.runbooks import load_builtin_runbooks
from tests.unit.facts import ARN, MINUTE, NOW, classification, incident, protected_service, service

NONE_ALIKE = SimilarIncidents(count=0)
RUNBOOKS = load_builtin_runbooks()


def diagnosis(cause: RootCause = RootCause.TRAFFIC_SURGE, new: bool = False) -> Diagnosis:
    return Diagnosis(cause, new, Confidence.HIGH, ())


@pytest.mark.parametrize(
    ("severity", "now", "impact"),
    [
        (Severity.LOW, service(), Severity.LOW),
        (Severity.LOW, None, Severity.LOW),
        (Severity.LOW, service(running=2), Severity.LOW),
        (Severity.LOW, service(desired=4, running=2), Severity.HIGH),
        (Severity.MEDIUM, service(running=1), Severity.HIGH),
        (Severity.CRITICAL, service(running=1), Severity.CRITICAL),
        (Severity.LOW, service(running=0), Severity.CRITICAL),
        (Severity.LOW, service(desired=0, running=0), Severity.LOW),
    ],
)
def test_lost_tasks_raise_the_impact_and_nothing_lowers_it(
    severity: Severity, now: EcsService | None, impact: Severity
) -> None:
    assert classify_impact(severity, now) is impact


def test_outside_production_lost_tasks_are_high_at_most() -> None:
    assert classify_impact(Severity.LOW, service(running=0), environment="staging") is Severity.HIGH
    assert classify_impact(Severity.CRITICAL, service(running=0), environment="staging") is Severity.CRITICAL


@pytest.mark.parametrize(
    ("severity", "impact"),
    [("low", "medium"), ("medium", "high"), ("high", "high"), ("critical", "critical")],
)
def test_a_service_that_others_depend_on_is_one_level_worse_up_to_high(severity: str, impact: str) -> None:
    assert classify_impact(Severity(severity), service(), dependents=1) is Severity(impact)
    assert classify_impact(Severity(severity), service(), dependents=0) is Severity(severity)


@pytest.mark.parametrize(
    ("severity", "environment", "priority"),
    [("critical", "production", 1), ("high", "production", 2), ("high", "staging", 3), ("low", "staging", 5)],
)
def test_priority_follows_impact_and_environment(severity: str, environment: str, priority: int) -> None:
    found = classify_incident(
        incident(severity=severity),
        diagnosis(),
        protected_service(environment=environment),
        service(),
        NONE_ALIKE,
        runbooks=RUNBOOKS,
    )
    assert found.priority == priority
    assert Classification.model_validate(found.to_dict()) == found


@pytest.mark.parametrize(
    ("cause", "new", "actions"),
    [
        (RootCause.TRAFFIC_SURGE, False, ("health_check", "scale_out")),
        (RootCause.BAD_DEPLOYMENT, True, ("health_check", "rollback_to_previous_version")),
        (RootCause.UNKNOWN, False, ("manual",)),
        (RootCause.TRAFFIC_SURGE, True, ("manual",)),
    ],
)
def test_required_actions_are_never_empty(cause: RootCause, new: bool, actions: tuple[str, ...]) -> None:
    found = classify_incident(
        incident(), diagnosis(cause, new), protected_service(), service(), NONE_ALIKE, runbooks=RUNBOOKS
    )
    assert found.required_actions == actions


def test_every_root_cause_has_a_category() -> None:
    assert set(CATEGORIES) == set(RootCause)


def test_the_estimate_is_the_median_of_the_past_or_the_runbooks() -> None:
    def estimate(alike: SimilarIncidents = NONE_ALIKE, cause: RootCause = RootCause.TRAFFIC_SURGE) -> str:
        return classify_incident(
            incident(), diagnosis(cause), protected_service(), service(), alike, runbooks=RUNBOOKS
        ).estimated_resolution_time

    assert estimate(SimilarIncidents(count=1, median_resolution="7m")) == "7m"
    assert estimate() == "15m"
    assert estimate(cause=RootCause.UNKNOWN) == "1h"


# Telling it again

SEEN = NOW - 20 * MINUTE
"""When `incident()` was seen."""


def told(minutes: float = 0, **fields: Any) -> Classification:
    """A cause that was told so long after the trouble was seen."""
    return classification(toldAt=SEEN + minutes * MINUTE, **fields)


def stop(minutes: float) -> RecentStop:
    return RecentStop(task=f"{ARN}:task/shop/{minutes:.0f}", at=SEEN + minutes * MINUTE)


def again(found: Classification, *stops: RecentStop, **spec: Any) -> float | None:
    """In which minute of the trouble it is told again."""
    due = tell_again_at(found, incident(**spec), stops, MINUTE)
    return None if due is None else (due - SEEN) / MINUTE


def test_a_cause_that_is_sure_stands_while_nothing_happens() -> None:
    assert again(told()) is None
    assert again(told(), stop(-3)) is None


def test_a_task_that_ended_since_says_more_about_the_cause() -> None:
    """A leak is told when the kernel has killed a task, long after memory was short."""
    assert again(told(1), stop(17)) == 6
    assert again(told(1, rootCause="MemorySaturation", confidence="high"), stop(500)) == 6


@pytest.mark.parametrize("fields", [{"rootCause": "Unknown"}, {"confidence": "low"}])
def test_a_cause_that_is_not_sure_is_told_again_for_half_an_hour(fields: dict[str, Any]) -> None:
    assert [again(told(m, **fields)) for m in (0, 5, 10, 15)] == [5, 10, 20, 30]
    assert again(told(20, **fields)) is None
    assert again(told(20, **fields), stop(25)) == 40


def test_it_is_told_ever_more_rarely_however_often_tasks_end() -> None:
    minute, tellings = 0.0, 0
    while minute < 24 * 60:
        due = again(told(minute), stop(minute + 1))
        assert due is not None
        minute, tellings = due, tellings + 1
    assert tellings < 12


def test_corrupted_data_is_not_told_away() -> None:
    assert again(told(rootCause="Unknown"), stop(5), type="data_corruption") is None


def test_trouble_that_came_back_is_seen_when_it_did() -> None:
    back = incident(status={"lastSeenAt": NOW})
    assert (seen_at(incident()), seen_at(back)) == (SEEN, NOW)


def test_in_a_world_that_runs_faster_minutes_are_shorter() -> None:
    second = timedelta(seconds=1)
    due: datetime | None = tell_again_at(told(rootCause="Unknown"), incident(), (), second)
    assert due == SEEN + 5 * second
