"""Who is told of what."""

from typing import Any

import pytest

from bokgu.api.recovery_policy import AlertRoute
from bokgu.api.vocabulary import AlertKind, Language, Severity
from bokgu.core.alerts.routing import DEFAULT_RECEIVER, Routing, Subject, address_alert

INCIDENT = Subject(Severity.HIGH, "production", "api")


def route(*receivers: str, **selectors: Any) -> AlertRoute:
    return AlertRoute.model_validate({"name": "one", "receivers": receivers, **selectors})


def names(kind: AlertKind, subject: Subject, *routes: AlertRoute) -> list[str]:
    return [to.receiver for to in address_alert(kind, subject, Routing(routes, frozenset()))]


@pytest.mark.parametrize(
    ("selectors", "matches"),
    [
        ({}, True),
        ({"severities": ["high", "critical"]}, True),
        ({"severities": ["critical"]}, False),
        ({"environments": ["production"]}, True),
        ({"environments": ["staging"]}, False),
        ({"services": ["web", "api"]}, True),
        ({"services": ["web"]}, False),
        ({"kinds": ["Escalated", "StepFailed"]}, True),
        ({"kinds": ["Storm"]}, False),
        ({"kinds": ["StepFailed"], "severities": ["low"]}, False),
    ],
)
def test_a_route_matches_where_all_of_its_selectors_do(selectors: dict[str, Any], matches: bool) -> None:
    assert names(AlertKind.STEP_FAILED, INCIDENT, route("team", **selectors)) == (["team"] if matches else [])


def test_all_routes_that_match_add_up_and_each_receiver_gets_one_text() -> None:
    routes = (route("team", "chat", language="ko"), route("chat", "pager"), route("nobody", kinds=["Storm"]))
    to = address_alert(AlertKind.ESCALATED, INCIDENT, Routing(routes, frozenset(), Language.EN))
    assert [(one.receiver, one.language) for one in to] == [("team", "ko"), ("chat", "ko"), ("pager", "en")]


def test_what_is_not_known_or_of_no_service_is_told_in_doubt() -> None:
    narrow = route("team", severities=["critical"], environments=["production"], services=["api"])
    assert names(AlertKind.STORM, Subject(), narrow) == ["team"]


@pytest.mark.parametrize(
    ("subject", "receivers", "told"),
    [
        (INCIDENT, frozenset({DEFAULT_RECEIVER}), True),
        (Subject(Severity.CRITICAL), frozenset({DEFAULT_RECEIVER, "team"}), True),
        (Subject(), frozenset({DEFAULT_RECEIVER}), True),
        (Subject(Severity.MEDIUM), frozenset({DEFAULT_RECEIVER}), False),
        (INCIDENT, frozenset({"team"}), False),
        (INCIDENT, None, False),
    ],
)
def test_without_routes_high_and_critical_go_to_the_default_receiver_where_there_is_one(
    subject: Subject, receivers: frozenset[str] | None, told: bool
) -> None:
    to = address_alert(AlertKind.INCIDENT_DETECTED, subject, Routing((), receivers, Language.KO))
    assert [(one.receiver, one.language) for one in to] == ([(DEFAULT_RECEIVER, "ko")] if told else [])


def test_a_policy_with_routes_has_no_default() -> None:
    elsewhere = Routing((route("team", kinds=["Storm"]),), frozenset({DEFAULT_RECEIVER}))
    assert address_alert(AlertKind.ESCALATED, INCIDENT, elsewhere) == ()
