from dataclasses import replace

import pytest

from bokgu.api.observed import Series
from bokgu.api.vocabulary import Confidence, RootCause
from bokgu.core.diagnosis import Evidence, diagnose, new_deployment, traffic_growth
from tests.unit.facts import MINUTE, NOW, series, service_deployment

ONSET = NOW - 10 * MINUTE
OLD = service_deployment(1, NOW - 600 * MINUTE)


def traffic(before: float, since: float) -> Series:
    return series({ago: since if ago < 10 else before for ago in range(30)})


def evidence(**fields: object) -> Evidence:
    """Errors for ten minutes, traffic as ever, busy tasks, nothing deployed."""
    facts = Evidence(
        onset=ONSET,
        deployments=(OLD,),
        requests=traffic(100, 100),
        cpu=traffic(60, 90),
    )
    return replace(facts, **fields)  # type: ignore[arg-type]


BAD = (OLD, service_deployment(2, ONSET - 2 * MINUTE))
SURGE = traffic(100, 200)


@pytest.mark.parametrize(
    ("fields", "cause", "new_revision"),
    [
        ({"deployments": BAD}, RootCause.BAD_DEPLOYMENT, True),
        ({"deployments": BAD[::-1]}, RootCause.BAD_DEPLOYMENT, True),
        ({"requests": SURGE}, RootCause.TRAFFIC_SURGE, False),
        ({"requests": SURGE, "cpu": None}, RootCause.TRAFFIC_SURGE, False),
        ({"requests": traffic(100, 150)}, RootCause.TRAFFIC_SURGE, False),
        ({"requests": traffic(100, 149)}, RootCause.UNKNOWN, False),
        ({"requests": SURGE, "deployments": BAD}, RootCause.UNKNOWN, False),
        ({"requests": SURGE, "cpu": traffic(20, 40)}, RootCause.UNKNOWN, False),
        ({}, RootCause.UNKNOWN, False),
        ({"requests": None}, RootCause.UNKNOWN, False),
        ({"requests": None, "deployments": BAD}, RootCause.UNKNOWN, False),
        ({"onset": None, "deployments": BAD}, RootCause.UNKNOWN, False),
        ({"requests": traffic(0, 200)}, RootCause.UNKNOWN, False),
        ({"requests": series({9: 200.0, 10: 100.0, 11: 100.0})}, RootCause.UNKNOWN, False),
        ({"requests": series(dict.fromkeys(range(10, 30), 100.0))}, RootCause.UNKNOWN, False),
        ({"deployments": (service_deployment(2, ONSET - 2 * MINUTE),)}, RootCause.UNKNOWN, False),
        ({"deployments": (OLD, service_deployment(2, ONSET + MINUTE))}, RootCause.UNKNOWN, False),
        ({"deployments": (OLD, service_deployment(2, ONSET - 31 * MINUTE))}, RootCause.UNKNOWN, False),
        ({"deployments": ()}, RootCause.UNKNOWN, False),
    ],
)
def test_the_cause_is_what_the_evidence_says(fields: dict[str, object], cause: RootCause, new_revision: bool) -> None:
    found = diagnose(evidence(**fields))
    assert (found.root_cause, found.new_revision_at_fault) == (cause, new_revision)
    assert found.evidence
    if cause is RootCause.UNKNOWN:
        assert found.confidence is Confidence.LOW


def test_two_causes_that_fit_stay_two_when_somebody_deploys_again_after_the_onset() -> None:
    again = (*BAD, service_deployment(3, ONSET + 5 * MINUTE))
    assert diagnose(evidence(requests=SURGE, deployments=again)).root_cause is RootCause.UNKNOWN


@pytest.mark.parametrize(
    ("fields", "whole", "lowered"),
    [
        ({"deployments": BAD}, Confidence.HIGH, Confidence.MEDIUM),
        ({"requests": SURGE}, Confidence.HIGH, Confidence.MEDIUM),
        ({"requests": SURGE, "cpu": None}, Confidence.MEDIUM, Confidence.LOW),
        ({}, Confidence.LOW, Confidence.LOW),
    ],
)
def test_a_missing_source_lowers_the_confidence_and_is_named(
    fields: dict[str, object], whole: Confidence, lowered: Confidence
) -> None:
    assert diagnose(evidence(**fields)).confidence is whole
    found = diagnose(evidence(**fields, missing=("GetMetricData: Throttling",)))
    assert found.confidence is lowered
    assert "GetMetricData: Throttling" in found.evidence[-1].fact


def test_deployments_that_could_not_be_listed_are_not_said_to_be_none() -> None:
    missing = ("ListServiceDeployments: AccessDeniedException",)
    found = diagnose(evidence(requests=SURGE, deployments=(), missing=missing))
    assert not any("no new revision" in item.fact for item in found.evidence)


def test_growth_compares_medians_around_the_onset() -> None:
    assert traffic_growth(evidence(requests=SURGE)) == 2.0
    spiky = series({**dict.fromkeys(range(30), 100.0), 3: 9000.0})
    assert traffic_growth(evidence(requests=spiky)) == 1.0


@pytest.mark.parametrize(("minutes", "found"), [(0, True), (30, True), (31, False), (-0.9, True), (-1, False)])
def test_a_new_deployment_began_in_the_half_hour_before_the_onset_or_in_its_period(minutes: float, found: bool) -> None:
    last = service_deployment(2, ONSET - minutes * MINUTE)
    assert (new_deployment(evidence(deployments=(OLD, last))) is last) is found


def test_the_same_evidence_gives_the_same_diagnosis() -> None:
    assert diagnose(evidence(deployments=BAD)) == diagnose(evidence(deployments=BAD))
