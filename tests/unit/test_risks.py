from typing import Any

import pytest

from bokgu.api.recovery_plan import RecoveryPlan, Risk
from bokgu.api.vocabulary import Level
from bokgu.core.owners import ACK_NAMESPACE_TAG, ACK_TAG, STACK_ID_TAG, STACK_NAME_TAG
from bokgu.core.planning import build_plan
from tests.unit.facts import classification, protected_service, runbook, service
from tests.unit.test_planning import BAD_DEPLOYMENT, LEAK, good, planning


def risks(**changes: Any) -> list[Risk]:
    plan = build_plan(planning(**changes))
    assert isinstance(plan, RecoveryPlan)
    return list(plan.spec.risks)


def find(found: list[Risk], words: str) -> Risk:
    (one,) = [risk for risk in found if words in risk.description]
    return one


@pytest.mark.parametrize(
    ("desired", "percent", "probability", "impact", "mitigation"),
    [
        (4, 100, Level.LOW, Level.MEDIUM, "keeps 4 of 4 tasks running"),
        (4, 50, Level.MEDIUM, Level.MEDIUM, "keeps 2 of 4 tasks running"),
        (3, 50, Level.MEDIUM, Level.MEDIUM, "keeps 2 of 3 tasks running"),
        (1, 0, Level.HIGH, Level.HIGH, "keeps 0 of 1 tasks running"),
        (1, None, Level.HIGH, Level.MEDIUM, "not known"),
        (4, None, Level.MEDIUM, Level.MEDIUM, "not known"),
    ],
)
def test_an_interruption_is_as_probable_as_the_service_lets_tasks_go(
    *, desired: int, percent: int | None, probability: Level, impact: Level, mitigation: str
) -> None:
    one = service(desired=desired, minimum_healthy_percent=percent)
    risk = find(risks(classification=BAD_DEPLOYMENT, service=one), "may interrupt requests")
    assert (risk.probability, risk.impact) == (probability, impact)
    assert mitigation in risk.mitigation


def test_more_tasks_open_connections_to_what_the_service_depends_on() -> None:
    named = find(risks(protected_service=protected_service(dependsOn=["orders-db", "cart"])), "more connections")
    assert named.description == "5 tasks open more connections to orders-db, cart"
    assert named.probability is Level.MEDIUM
    assert find(risks(), "more connections").probability is Level.LOW


@pytest.mark.parametrize(
    ("tags", "owner", "probability"),
    [
        ({STACK_NAME_TAG: "shop-prod"}, "CloudFormation stack shop-prod", Level.MEDIUM),
        ({STACK_NAME_TAG: "shop", STACK_ID_TAG: "arn:1"}, "CloudFormation stack shop", Level.MEDIUM),
        ({ACK_TAG: "ecs-1.0"}, "the ACK controller", Level.HIGH),
        ({ACK_TAG: "ecs-1.0", ACK_NAMESPACE_TAG: "shop"}, "the ACK controller of namespace shop", Level.HIGH),
        ({}, "an autoscaler or an infrastructure pipeline", Level.MEDIUM),
    ],
)
def test_who_else_sets_the_service_may_set_it_again(tags: dict[str, str], owner: str, probability: Level) -> None:
    risk = find(risks(service=service(tags=tags)), "may set the count again")
    assert risk.description.startswith(owner)
    assert risk.probability is probability
    old = protected_service(status=good())
    rolled_back = risks(classification=BAD_DEPLOYMENT, protected_service=old, service=service(tags=tags))
    assert any(owner in risk.description for risk in rolled_back) is bool(tags)


def test_what_ack_sets_again_comes_at_its_next_look() -> None:
    """ACK, "Recovering from Drift": every 10 hours, and when the spec changes."""
    risk = find(risks(service=service(tags={ACK_TAG: "ecs-1.0"})), "may set the count again")
    assert "every 10 hours" in risk.description
    assert "watched" in risk.mitigation


@pytest.mark.parametrize("cause", [LEAK, BAD_DEPLOYMENT])
def test_fact_08_a_deployment_of_ours_waits_at_a_pause_hook_too(cause: Any) -> None:
    """Also of a ROLLING service; unanswered, ECS rolls it back after 24 hours (API_DeploymentLifecycleHook)."""
    paused = service(pauses=("POST_SCALE_UP",))
    risk = find(
        risks(classification=cause, service=paused, protected_service=protected_service(status=good())), "PAUSE"
    )
    assert risk.probability is Level.HIGH
    assert "POST_SCALE_UP" in risk.description
    assert all("PAUSE" not in one.description for one in risks(classification=cause))


@pytest.mark.parametrize("strategy", ["BLUE_GREEN", "LINEAR", "CANARY"])
def test_fact_08_a_restart_of_a_blue_green_service_runs_a_second_set_of_tasks(strategy: str) -> None:
    """minimumHealthyPercent is of rolling updates only (API_DeploymentConfiguration)."""
    found = risks(classification=LEAK, service=service(strategy=strategy))
    assert strategy in find(found, "a second set of 3 tasks").mitigation
    assert all("may interrupt" not in risk.description for risk in found)


def test_a_restart_may_bring_other_code() -> None:
    assert find(risks(classification=LEAK), "an image tag has moved").impact is Level.HIGH


@pytest.mark.parametrize(("confidence", "probability"), [("medium", Level.MEDIUM), ("low", Level.HIGH)])
def test_a_cause_that_is_not_sure_is_a_risk(confidence: str, probability: Level) -> None:
    """With low confidence only a runbook changes something that is there for what is not known."""
    unsure: dict[str, Any] = {"classification": classification(confidence=confidence)}
    if confidence == "low":
        brave = runbook(rootCauses=["Unknown"], serviceSelector={"environment": "production"})
        unsure = {"classification": classification(rootCause="Unknown", confidence="low"), "runbooks": (brave,)}
    assert find(risks(**unsure), "the cause may be another one").probability is probability
    assert all("cause" not in risk.description for risk in risks())


def test_the_names_of_all_dependencies_still_fit() -> None:
    many = protected_service(dependsOn=[f"{i:02}" + "d" * 251 for i in range(32)])
    assert all(len(risk.description) <= 300 for risk in risks(protected_service=many))
