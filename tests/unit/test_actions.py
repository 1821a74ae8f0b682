import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.meta import Target
from bokgu.api.observed import ServiceRevision
from bokgu.api.recovery_plan import Step
from bokgu.api.vocabulary import Action
from bokgu.core.actions.table import AWS_ACTIONS
from bokgu.core.live_state import LiveState
from tests.unit.facts import (
    NOW,
    Raw,
    deploying,
    described_deployment,
    restart,
    revision_arn,
    roll_back,
    scale_out,
    service,
    task_definition,
)

TARGET = Target(region="us-east-1", cluster="shop", service="api")


def asked(raw: Raw, live: LiveState) -> tuple[str, Raw]:
    """Operation and arguments of the request that a step asks for."""
    step = Step.model_validate(raw)
    request = AWS_ACTIONS[step.action].ask(step, live, TARGET).request
    return request.operation, json.loads(request.arguments)


def revision(number: int, **settings: object) -> ServiceRevision:
    return ServiceRevision(revision_arn(number), task_definition(number), NOW, settings)


def between(good: ServiceRevision, bad: ServiceRevision) -> LiveState:
    """A service that runs the bad revision."""
    return LiveState(service(2), revisions={good.arn: good, bad.arn: bad})


def test_every_action_that_writes_is_in_the_table() -> None:
    assert set(AWS_ACTIONS) == {action for action in Action if action.writes}


@pytest.mark.parametrize(
    ("step", "live"),
    [
        (scale_out(parameters=None), LiveState(service())),
        (scale_out(parameters={}), LiveState(service())),
        (roll_back(parameters=None), LiveState(service())),
        (roll_back(), LiveState(service(), revisions={revision_arn(2): revision(2)})),
        (roll_back(), LiveState(service(), revisions={revision_arn(1): revision(1)})),
        (roll_back(), LiveState(deploying(2, 3), described_deployment(2, replaces=3))),
    ],
)
def test_a_request_that_does_not_say_enough_is_not_built(step: Raw, live: LiveState) -> None:
    with pytest.raises(ValueError, match=r"."):
        asked(step, live)


def test_scale_out_and_restart_update_the_service() -> None:
    names = {"cluster": "shop", "service": "api"}
    live = LiveState(service())
    assert asked(scale_out(5), live) == ("UpdateService", {**names, "desiredCount": 5})
    assert asked(restart(), live) == ("UpdateService", {**names, "forceNewDeployment": True})


def test_a_rollback_restores_what_differs_and_empties_lists_that_are_new() -> None:
    good = revision(1, networkConfiguration={"a": 1}, platformVersion="1.4.0", capacityProviderStrategy=[{"b": 1}])
    bad = revision(2, networkConfiguration={"a": 2}, platformVersion="1.4.0", loadBalancers=[{"c": 1}], volume={"d": 1})
    assert asked(roll_back(), between(good, bad)) == (
        "UpdateService",
        {
            "cluster": "shop",
            "service": "api",
            "taskDefinition": task_definition(1),
            "networkConfiguration": {"a": 1},
            "capacityProviderStrategy": [{"b": 1}],
            "loadBalancers": [],
        },
    )


def test_a_rollback_turns_service_connect_off_where_the_good_revision_had_none() -> None:
    connected = {"serviceConnectConfiguration": {"enabled": True, "namespace": "shop"}}
    _, arguments = asked(roll_back(), between(revision(1), revision(2, **connected)))
    assert arguments["serviceConnectConfiguration"] == {"enabled": False}
    _, arguments = asked(roll_back(), between(revision(1, **connected), revision(2, **connected)))
    assert "serviceConnectConfiguration" not in arguments


def test_a_rollback_stops_the_deployment_in_flight() -> None:
    live = LiveState(deploying(2, 1), described_deployment(2, replaces=1))
    operation, arguments = asked(roll_back(), live)
    assert operation == "StopServiceDeployment"
    assert arguments == {"serviceDeploymentArn": live.service.current_service_deployment, "stopType": "ROLLBACK"}


def test_the_revision_that_must_run_after_a_stopped_deployment_is_known_before() -> None:
    live = LiveState(deploying(2, 1), described_deployment(2, replaces=1))
    assert AWS_ACTIONS[Action.ROLLBACK].ask(Step.model_validate(roll_back()), live, TARGET).restores == revision_arn(1)


@pytest.mark.parametrize("status", ["SUCCESSFUL", "ROLLBACK_IN_PROGRESS", "STOPPED"])
def test_a_deployment_that_is_over_is_not_stopped(status: str) -> None:
    live = between(revision(1), revision(2))
    live = LiveState(live.service, described_deployment(2, replaces=1, status=status), live.revisions)
    assert asked(roll_back(), live)[0] == "UpdateService"


@given(st.permutations(["networkConfiguration", "platformVersion", "loadBalancers"]))
def test_the_same_request_is_the_same_text(names: list[str]) -> None:
    def build(order: list[str]) -> str:
        step = Step.model_validate(roll_back())
        live = between(revision(1, **dict.fromkeys(order, "x")), revision(2))
        return AWS_ACTIONS[step.action].ask(step, live, TARGET).request.arguments

    assert build(names) == build(sorted(names))
