import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.observed import EcsService, ServiceRevision
from bokgu.api.recovery_plan import AwsRequest, StepParameters
from bokgu.api.vocabulary import Action
from bokgu.core.aws_effects import build_request, find_effect, observe_before, repeatable, unchanged
from tests.unit.facts import NOW, deploying, deployment, revision_arn, revisions, service, task_definition

ROLLBACK, RESTART, SCALE_OUT = Action.ROLLBACK, Action.SERVICE_RESTART, Action.SCALE_OUT


def request(action: Action, *, desired: int = 5) -> AwsRequest:
    known = revisions(1, 2)
    return build_request(
        action,
        StepParameters(desired_count=desired),
        cluster="shop",
        service="api",
        revision=known[revision_arn(1)],
        current=known[revision_arn(2)],
    )


def revision(**settings: object) -> ServiceRevision:
    return ServiceRevision("arn", task_definition(1), NOW, settings)


@pytest.mark.parametrize(
    ("action", "parameters", "revision_", "current"),
    [
        (SCALE_OUT, None, None, None),
        (SCALE_OUT, StepParameters(), None, None),
        (ROLLBACK, None, None, revision()),
        (ROLLBACK, None, revision(), None),
        (Action.HEALTH_CHECK, None, None, None),
    ],
)
def test_a_request_that_does_not_say_enough_is_not_built(
    action: Action,
    parameters: StepParameters | None,
    revision_: ServiceRevision | None,
    current: ServiceRevision | None,
) -> None:
    with pytest.raises(ValueError, match=r"."):
        build_request(action, parameters, cluster="c", service="s", revision=revision_, current=current)


def test_a_rollback_restores_what_differs_and_empties_lists_that_are_new() -> None:
    good = revision(networkConfiguration={"a": 1}, platformVersion="1.4.0", capacityProviderStrategy=[{"b": 1}])
    bad = revision(networkConfiguration={"a": 2}, platformVersion="1.4.0", loadBalancers=[{"c": 1}], volume={"d": 1})
    built = build_request(ROLLBACK, None, cluster="shop", service="api", revision=good, current=bad)
    assert json.loads(built.arguments) == {
        "cluster": "shop",
        "service": "api",
        "taskDefinition": task_definition(1),
        "networkConfiguration": {"a": 1},
        "capacityProviderStrategy": [{"b": 1}],
        "loadBalancers": [],
    }


@given(st.permutations(["networkConfiguration", "platformVersion", "loadBalancers"]))
def test_the_same_request_is_the_same_text(names: list[str]) -> None:
    def build(order: list[str]) -> str:
        good = revision(**dict.fromkeys(order, "x"))
        return build_request(ROLLBACK, None, cluster="c", service="s", revision=good, current=revision()).arguments

    assert build(names) == build(sorted(names))


OURS = replace(deployment(3), task_definition=task_definition(1))
SAME = replace(deployment(3), task_definition=task_definition(2))


@pytest.mark.parametrize(
    ("action", "now", "seen", "ambiguous"),
    [
        (SCALE_OUT, service(), False, False),
        (SCALE_OUT, service(desired=5), True, False),
        (SCALE_OUT, service(desired=4), False, False),
        (SCALE_OUT, deploying(3, 2), False, True),
        (ROLLBACK, service(), False, False),
        (ROLLBACK, service(desired=9), False, False),
        (ROLLBACK, service(deployments=(OURS, deployment(2))), True, False),
        (ROLLBACK, service(deployments=(deployment(7), deployment(2))), False, True),
        (ROLLBACK, service(deployments=(OURS, deployment(7), deployment(2))), False, True),
        (RESTART, service(), False, False),
        (RESTART, service(deployments=(SAME, deployment(2))), True, False),
        (RESTART, service(deployments=(OURS, deployment(2))), False, True),
    ],
)
def test_s3_an_effect_is_recognised_against_what_was_before(
    action: Action, now: EcsService, seen: bool, ambiguous: bool
) -> None:
    effect = find_effect(action, observe_before(service()), request(action), now)
    assert (effect.seen, effect.ambiguous) == (seen, ambiguous)
    assert (effect.deployment_id == "ecs-svc/3") == (seen and action is not SCALE_OUT)


def test_s3_a_count_that_was_there_before_is_no_effect_of_ours() -> None:
    five = service(desired=5)
    assert not find_effect(SCALE_OUT, observe_before(five), request(SCALE_OUT), five).seen


def test_s3_only_a_restart_must_not_be_repeated() -> None:
    assert [a for a in Action if a.writes and not repeatable(a)] == [RESTART]


@pytest.mark.parametrize(
    ("now", "same"),
    [
        (service(), True),
        (service(running=0), True),
        (service(desired=4), False),
        (service(task_definition="another"), False),
        (service(current_service_revisions=()), False),
        (service(deployments=()), False),
        (service(deployments=(deployment(2), deployment(1))), False),
    ],
)
def test_s4_the_service_is_unchanged_only_if_all_that_we_recorded_is(now: EcsService, same: bool) -> None:
    assert unchanged(observe_before(service()), now) is same
