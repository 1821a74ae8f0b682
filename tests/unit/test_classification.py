import pytest

from bokgu.api.incident import Classification, Incident
from bokgu.api.observed import EcsService
from bokgu.api.vocabulary import Confidence, RootCause, Severity
from bokgu.core.classification import CATEGORIES, classify_impact, classify_incident, find_similar
from bokgu.core.diagnosis import Diagnosis
from tests.unit.facts import MINUTE, NOW, classification, incident, protected_service, service


def diagnosis(cause: RootCause = RootCause.TRAFFIC_SURGE, new: bool = False) -> Diagnosis:
    return Diagnosis(cause, new, Confidence.HIGH, ())


def past(name: str, *, minutes: int = 10, ago: int = 600, service_name: str = "api", **status: object) -> Incident:
    resolved = NOW - ago * MINUTE
    return incident(
        meta={"name": name, "uid": name},
        serviceRef={"name": service_name},
        detectedAt=resolved - minutes * MINUTE,
        status={"classification": classification().to_dict(), "resolvedAt": resolved, **status},
    )


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


@pytest.mark.parametrize(
    ("severity", "environment", "priority"),
    [("critical", "production", 1), ("high", "production", 2), ("high", "staging", 3), ("low", "staging", 5)],
)
def test_priority_follows_impact_and_environment(severity: str, environment: str, priority: int) -> None:
    found = classify_incident(
        incident(severity=severity), diagnosis(), protected_service(environment=environment), service(), ()
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
    found = classify_incident(incident(), diagnosis(cause, new), protected_service(), service(), ())
    assert found.required_actions == actions


def test_every_root_cause_has_a_category() -> None:
    assert set(CATEGORIES) == set(RootCause)


def test_similar_incidents_are_of_the_same_type_and_cause_and_over() -> None:
    others = [
        past("same"),
        past("other-service", service_name="web", ago=1),
        past("newer", ago=60, minutes=30),
        past("open", resolvedAt=None),
        past("unclassified", classification=None),
        past("other-cause", classification=classification(rootCause="Unknown").to_dict()),
        incident(),
    ]
    found = find_similar(incident(), RootCause.TRAFFIC_SURGE, others)
    assert found.names == ("newer", "same", "other-service")
    assert (found.count, found.median_resolution) == (3, "10m")


def test_an_incident_is_not_similar_to_itself() -> None:
    assert find_similar(past("a"), RootCause.TRAFFIC_SURGE, [past("a")]).count == 0


def test_the_estimate_is_the_median_of_the_past_or_the_runbooks() -> None:
    def estimate(*others: Incident, cause: RootCause = RootCause.TRAFFIC_SURGE) -> str:
        return classify_incident(
            incident(), diagnosis(cause), protected_service(), service(), others
        ).estimated_resolution_time

    assert estimate(past("a", minutes=7)) == "7m"
    assert estimate() == "15m"
    assert estimate(cause=RootCause.UNKNOWN) == "1h"


def test_the_relapse_watch_is_no_part_of_how_long_a_recovery_took() -> None:
    began = past("a", minutes=45).spec.detected_at
    assert began
    watched = past("a", minutes=45, mitigatedAt=began + 15 * MINUTE)
    assert find_similar(incident(), RootCause.TRAFFIC_SURGE, [watched]).median_resolution == "15m"


def test_names_of_similar_incidents_are_bounded() -> None:
    found = find_similar(incident(), RootCause.TRAFFIC_SURGE, [past(f"i{i}") for i in range(30)])
    assert (found.count, len(found.names)) == (30, 10)


def test_an_incident_that_ended_before_it_began_does_no_harm() -> None:
    found = find_similar(incident(), RootCause.TRAFFIC_SURGE, [past("odd", minutes=-5)])
    assert found.median_resolution == "0s"
