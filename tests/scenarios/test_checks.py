"""The checks themselves: each must be able to fail."""

from typing import Any

import pytest

from tests.scenarios.checks import Check, Scene, check_all
from tests.scenarios.observer import Sight
from tests.scenarios.placed_service import PlacedService
from tests.scenarios.scenario import Scenario
from tests.scenarios.writes import OperatorCall

NAMESPACE = "s1"
ARN = "arn:aws:ecs:us-east-1:123456789012:task-definition/s1-web:1"


def scenario(**expect: Any) -> Scenario:
    return Scenario.model_validate(
        {
            "number": 1,
            "title": "t",
            "why": "w",
            "world": {"services": {"web": {}}},
            "story": [{"do": "nothing"}],
            "expect": expect,
        }
    )


def incident(name: str = "i", *, type_: str = "service_down", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "uid": name, "creationTimestamp": name},
        "spec": {"type": type_, "severity": "high", "serviceRef": {"name": "web"}},
        "status": {"phase": "Escalated", "classification": {"rootCause": "Unknown"}, **status},
    }


def plan(**status: Any) -> dict[str, Any]:
    spec = {"incidentRef": {"name": "i", "uid": "i"}, "steps": [{"action": "health_check"}, {"action": "scale_out"}]}
    return {"metadata": {"name": "p", "uid": "p"}, "spec": spec, "status": status}


def call(operation: str = "UpdateService", *, effect: bool = True, service: str = "s1-web") -> OperatorCall:
    return OperatorCall(1, 0.0, "123456789012", "ecs", operation, f'{{"service": "{service}"}}', "OK", effect)


def judge(
    expect: dict[str, Any],
    *,
    incidents: list[dict[str, Any]] | None = None,
    plans: list[dict[str, Any]] | None = None,
    calls: list[OperatorCall] | None = None,
    protected: dict[str, Any] | None = None,
    running: str = ARN,
) -> list[Check]:
    wanted = scenario(**expect)
    web = PlacedService(
        "web",
        "s1-web",
        "scenarios",
        "123456789012",
        "us-east-1",
        wanted.world.services["web"],
        revisions={"first": ARN},
    )
    service = {"runningCount": 3, "desiredCount": 3, "status": "ACTIVE", "deployments": []}
    tasks = [{"taskDefinitionArn": running, "lastStatus": "RUNNING"}]
    objects = {
        "incidents": {NAMESPACE: incidents or []},
        "recoveryplans": {NAMESPACE: plans or []},
        "protectedservices": {NAMESPACE: [{"metadata": {"name": "web"}, "status": protected or {}}]},
    }
    return check_all(
        Scene(
            scenario=wanted,
            namespace=NAMESPACE,
            services={"web": web},
            sight=Sight(1, 0.0, objects),
            calls=calls or [],
            truths={"web": {"service": service, "tasks": tasks}},
            first_seen={"i": 300.0},
        )
    )


def holds(expect: dict[str, Any], **there: Any) -> bool:
    return all(check.holds for check in judge(expect, **there))


DOWN = {"service": "web", "type": "service_down"}


def test_an_incident_that_nobody_expects_is_lost_at_once() -> None:
    assert holds({})
    assert [c.lost for c in judge({}, incidents=[incident()]) if not c.holds] == [True]


def test_an_incident_folded_from_the_start_is_no_other_incident() -> None:
    folded = incident("j", type_="resource_exhaustion", timeline=[{"event": "Suppressed"}])
    told = incident("j", type_="resource_exhaustion", timeline=[{"event": "Escalated"}, {"event": "Suppressed"}])
    assert holds({"incidents": [DOWN]}, incidents=[incident(), folded])
    assert not holds({"incidents": [DOWN]}, incidents=[incident(), told])


def test_a_second_incident_of_the_same_type_must_be_expected_too() -> None:
    assert not holds({"incidents": [DOWN]}, incidents=[incident(), incident("j")])
    assert holds({"incidents": [DOWN, DOWN]}, incidents=[incident(), incident("j")])


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ({"phase": "Escalated"}, {"phase": "Resolved"}),
        ({"severity": "high"}, {"severity": "critical"}),
        ({"cause": "Unknown"}, {"cause": "BadDeployment"}),
        ({"occurrences": ">=1"}, {"occurrences": 2}),
        ({"flapping": False}, {"flapping": True}),
        ({"says": ["unknown"]}, {"says": ["known to nobody"]}),
        ({"seen_within": "5m"}, {"seen_within": "4m"}),
        ({"plan": {"phase": "Completed"}}, {"plan": "none"}),
        ({"plan": {"actions": ["health_check", "scale_out"]}}, {"plan": {"actions": ["scale_out"]}}),
        ({"plan": {"reason": "Recovered"}}, {"plan": {"reason": "Expired"}}),
    ],
)
def test_every_member_of_an_expected_incident_matters(good: dict[str, Any], bad: dict[str, Any]) -> None:
    there = {"incidents": [incident()], "plans": [plan(phase="Completed", reason="Recovered")]}
    assert holds({"incidents": [DOWN | good]}, **there)
    assert not holds({"incidents": [DOWN | bad]}, **there)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ({"runs": "first"}, {"runs": "copy"}),
        ({"running": 3}, {"running": 2}),
        ({"desired": "<=3"}, {"desired": ">=4"}),
        ({"status": "ACTIVE"}, {"status": "INACTIVE"}),
        ({"detections": {"error_rate": "Clear"}}, {"detections": {"error_rate": "Unknown"}}),
        ({"detecting": "Looking"}, {"detecting": "Forbidden"}),
        ({"says": ["pause hook"]}, {"says": ["lambda hook"]}),
        ({"security_groups": []}, {"security_groups": ["sg-1"]}),
    ],
)
def test_every_member_of_an_expected_service_matters(good: dict[str, Any], bad: dict[str, Any]) -> None:
    said = {
        "detections": [{"condition": "error_rate", "state": "Clear", "message": "waits at PAUSE hook"}],
        "conditions": [{"type": "Detecting", "reason": "Looking", "status": "True"}],
    }
    assert holds({"services": {"web": good}}, protected=said)
    assert not holds({"services": {"web": bad}}, protected=said)


def test_a_copy_is_what_nobody_in_the_story_made() -> None:
    assert holds({"services": {"web": {"runs": "copy"}}}, running=ARN.replace(":1", ":9"))


def test_writes_are_counted_exactly() -> None:
    once = {"writes": {"web": {"UpdateService": 1}}}
    assert holds(once, calls=[call()])
    assert holds(once, calls=[call(), call(effect=False), call(service="s2-web")])
    assert not holds(once)
    assert not holds(once, calls=[call(), call("RegisterScalableTarget")])
    assert not holds({}, calls=[call()])
    assert [c.lost for c in judge(once, calls=[call(), call()]) if not c.holds] == [True]
    assert [c.lost for c in judge(once) if not c.holds] == [False]
