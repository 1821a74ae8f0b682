import pytest

from bokgu.api.incident import Classification, SimilarIncidents
from bokgu.api.observed import EcsService
from bokgu.api.vocabulary import Confidence, RootCause, Severity
from bokgu.core.classification import CATEGORIES, classify_impact, classify_incident
from bokgu.core.diagnosis import Diagnosis
from bokgu.runbooks import load_builtin_runbooks
from tests.unit.facts import incident, protected_service, service

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
