from datetime import timedelta

import pytest

from bokgu.api.incident import Incident
from bokgu.api.vocabulary import DetectionState, IncidentType, Severity
from bokgu.core.detection import Reading, describe_breach
from bokgu.core.finding import build_incident, fingerprint, incident_name
from tests.unit.facts import NOW, Raw, watch

FIRING = DetectionState.FIRING
SOONER: Raw = {"criticalEvaluation": {"evaluationPeriods": 3, "datapointsToAlarm": 2}}


def test_racers_compute_one_name_and_the_next_incident_another() -> None:
    names = [incident_name("api", IncidentType.SERVICE_DOWN, previous) for previous in ("", "", "uid-1", "uid-2")]
    assert names[0] == names[1]
    assert len(set(names)) == 3
    assert names[0].startswith("api-service-down-")


def test_names_differ_by_service_and_type() -> None:
    names = {incident_name(service, type_, "") for service in ("api", "web") for type_ in IncidentType}
    assert len(names) == 2 * len(IncidentType)
    assert len({fingerprint(s, t) for s in ("api", "web") for t in IncidentType}) == 2 * len(IncidentType)


def test_s12_the_longest_name_of_a_service_still_gives_a_name() -> None:
    assert len(incident_name("a" * 253, IncidentType.RESOURCE_EXHAUSTION, "")) <= 253


def test_an_incident_says_what_was_measured() -> None:
    one = watch()
    finding = describe_breach(one, one.conditions[0], Reading(FIRING, Severity.HIGH, 0.21), resource="arn", now=NOW)
    built = build_incident(finding, "")
    read = Incident.model_validate({"kind": "Incident", "metadata": {"name": "x"}, "spec": built.spec.to_dict()})
    assert read.spec == built.spec
    assert (built.spec.type, built.spec.severity, built.spec.detected_at) == ("high_error_rate", "high", NOW)
    assert [(m.name, m.value, m.threshold) for m in built.spec.metrics] == [("error_rate", "0.21", "0.1")]
    assert (built.spec.source.name, built.spec.source.condition) == ("api-errors", "error_rate")
    assert (built.metadata.name, built.spec.affected_resources) == (
        incident_name("api", finding.type, ""),
        ("arn",),
    )


def test_a_condition_that_only_has_not_been_clear_for_long_enough_is_no_finding() -> None:
    one = watch()
    with pytest.raises(ValueError, match="severity"):
        describe_breach(one, one.conditions[0], Reading(FIRING, None, None), resource="", now=NOW)


@pytest.mark.parametrize(
    ("severity", "words"), [(Severity.HIGH, "(3 of 5 periods)"), (Severity.CRITICAL, "(2 of 3 periods)")]
)
def test_the_description_says_how_many_periods_it_took(severity: Severity, words: str) -> None:
    one = watch(condition=SOONER)
    finding = describe_breach(one, one.conditions[0], Reading(FIRING, severity, 0.5), resource="arn", now=NOW)
    assert finding.description.endswith(words)


def test_where_missing_data_is_the_trouble_no_value_is_made_up() -> None:
    one = watch()
    finding = describe_breach(one, one.conditions[0], Reading(FIRING, Severity.HIGH, None), resource="arn", now=NOW)
    assert finding.metrics == ()
    assert "missing" in finding.description


def test_a_finding_says_when_the_trouble_began_where_that_was_measured() -> None:
    one, begun = watch(), NOW - timedelta(minutes=3)
    reading = Reading(FIRING, Severity.HIGH, 0.21, begun=begun)
    assert describe_breach(one, one.conditions[0], reading, resource="arn", now=NOW).begun == begun
    reading = Reading(FIRING, Severity.HIGH, 0.21)
    assert describe_breach(one, one.conditions[0], reading, resource="arn", now=NOW).begun is None
