import json
from dataclasses import replace
from typing import Any

import pytest

from bokgu.api.observed import EcsService
from bokgu.api.recovery_plan import Answer, AwsRequest, Intent, OperationStatus
from bokgu.core.live_state import LiveState
from bokgu.core.writes.table import complete, find_change, write_of
from bokgu.core.writes.write import build_request, observe_before, unchanged
from tests.unit.facts import (
    DIGEST,
    NOW,
    PLAN_UID,
    deploying,
    deployment,
    described_deployment,
    revision_arn,
    service,
    service_deployment_arn,
    task_definition,
)


def update(**arguments: object) -> AwsRequest:
    return build_request("ecs", "UpdateService", {"cluster": "shop", "service": "api", **arguments})


SCALE_OUT = update(desiredCount=5)
RESTART = update(forceNewDeployment=True)
ROLLBACK = update(taskDefinition=task_definition(1))
STOP = build_request(
    "ecs", "StopServiceDeployment", {"serviceDeploymentArn": service_deployment_arn(2), "stopType": "ROLLBACK"}
)


def intent(request: AwsRequest, before: EcsService, **fields: Any) -> Intent:
    return Intent(
        token="p-1-1",
        attempt=1,
        plan_uid=PLAN_UID,
        digest=DIGEST,
        request=request,
        before=observe_before(LiveState(before)),
        holder="operator-1",
        written_at=NOW,
        **fields,
    )


def stopped(**fields: Any) -> OperationStatus:
    """The deployment of revision 2 was stopped, so that revision 1 must run."""
    made = intent(STOP, deploying(2, 1), restores=revision_arn(1))
    return OperationStatus(intent=made, answer=Answer(at=NOW, result="Accepted", **fields))


OURS = replace(deployment(3), task_definition=task_definition(1))
SAME = replace(deployment(3), task_definition=task_definition(2))


@pytest.mark.parametrize(
    ("request_", "now", "seen", "ambiguous"),
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
    request_: AwsRequest, now: EcsService, seen: bool, ambiguous: bool
) -> None:
    effect = write_of(request_).find_effect(intent(request_, service()), LiveState(now))
    assert (effect.seen, effect.ambiguous) == (seen, ambiguous)
    assert (effect.deployment_id == "ecs-svc/3") == (seen and request_ is not SCALE_OUT)


def test_s3_a_count_that_was_there_before_is_no_effect_of_ours() -> None:
    five = service(desired=5)
    assert not write_of(SCALE_OUT).find_effect(intent(SCALE_OUT, five), LiveState(five)).seen


@pytest.mark.parametrize(
    ("status", "seen"),
    [
        ("PENDING", False),
        ("IN_PROGRESS", False),
        ("SUCCESSFUL", False),
        ("STOP_REQUESTED", True),
        ("STOPPED", True),
        ("ROLLBACK_REQUESTED", True),
        ("ROLLBACK_IN_PROGRESS", True),
        ("ROLLBACK_SUCCESSFUL", True),
        ("ROLLBACK_FAILED", True),
    ],
)
def test_s3_a_stopped_deployment_is_recognised_by_its_state(status: str, seen: bool) -> None:
    live = LiveState(deploying(2, 1), described_deployment(2, replaces=1, status=status))
    effect = write_of(STOP).find_effect(intent(STOP, deploying(2, 1)), live)
    assert (effect.seen, effect.ambiguous) == (seen, False)


def test_s3_another_deployment_that_is_rolled_back_is_no_effect_of_ours() -> None:
    live = LiveState(deploying(3, 1), described_deployment(3, replaces=1, status="ROLLBACK_IN_PROGRESS"))
    assert not write_of(STOP).find_effect(intent(STOP, deploying(2, 1)), live).seen


@pytest.mark.parametrize(
    ("status", "returns_to", "now", "change", "done"),
    [
        ("ROLLBACK_REQUESTED", None, deploying(2, 1), None, False),
        ("ROLLBACK_IN_PROGRESS", 1, deploying(2, 1), None, False),
        ("ROLLBACK_SUCCESSFUL", 1, deploying(2, 1), None, False),
        ("ROLLBACK_SUCCESSFUL", 1, service(1), None, True),
        ("ROLLBACK_SUCCESSFUL", 1, service(1, running=2), None, False),
        ("ROLLBACK_SUCCESSFUL", 1, service(3), None, False),
        ("ROLLBACK_IN_PROGRESS", 7, deploying(2, 7), "not to", False),
        ("ROLLBACK_FAILED", 1, deploying(2, 1), "ROLLBACK_FAILED", False),
        ("STOPPED", None, deploying(2, 1), "STOPPED", False),
        ("SUCCESSFUL", None, service(2), "before it was stopped", False),
    ],
)
def test_a_stopped_deployment_is_complete_when_the_revision_meant_runs(
    status: str, returns_to: int | None, now: EcsService, change: str | None, done: bool
) -> None:
    same = replace(now, current_service_deployment=service_deployment_arn(2))
    live = LiveState(same, described_deployment(2, replaces=1, status=status, returns_to=returns_to))
    found = find_change(stopped(), live)
    assert (found.message if found else None) == (found and change and found.message)
    assert (found is None) == (change is None)
    assert found is None or (change or "") in found.message
    assert complete(stopped(), live) is done


def test_s4_a_deployment_that_began_after_ours_was_stopped_is_somebody_elses() -> None:
    found = find_change(stopped(), LiveState(deploying(3, 1), described_deployment(3, replaces=1)))
    assert found
    assert found.foreign
    assert find_change(stopped(), LiveState(deploying(3, 1)), frozenset({"ecs-svc/3"})) is None


def test_a_stopped_deployment_that_ecs_does_not_describe_is_not_complete() -> None:
    live = LiveState(replace(service(1), current_service_deployment=service_deployment_arn(2)))
    assert find_change(stopped(), live) is None
    assert not complete(stopped(), live)


def restarted(now: EcsService, **fields: Any) -> bool:
    """Whether a restart of revision 2, which made deployment and revision 3, is complete."""
    answer = Answer(at=NOW, result="Accepted", deployment_id="ecs-svc/3")
    done = OperationStatus(intent=intent(RESTART, service()), answer=answer)
    return complete(done, LiveState(now, **fields))


@pytest.mark.parametrize(
    ("revisions", "running", "done"),
    [
        ((3,), {3: 3}, True),
        ((3,), {}, True),
        ((), {}, True),
        ((3, 2), {3: 3, 2: 0}, True),
        ((3, 2), {3: 3, 2: 1}, False),
        ((3, 2), {}, False),
        ((2,), {2: 3}, False),
    ],
)
def test_k11_a_deployment_is_complete_when_all_tasks_are_of_its_revision(
    revisions: tuple[int, ...], running: dict[int, int], done: bool
) -> None:
    now = service(
        3,
        current_service_revisions=tuple(revision_arn(n) for n in revisions),
        running_by_revision={revision_arn(n): count for n, count in running.items()},
    )
    assert restarted(now) is done


def test_k11_the_revision_that_the_service_deployment_is_about_must_run() -> None:
    now = service(3)
    assert restarted(now, deployment=described_deployment(3, replaces=2, status="SUCCESSFUL"))
    elsewhere = described_deployment(3, replaces=2, status="SUCCESSFUL", target_revision_arn=revision_arn(9))
    assert not restarted(now, deployment=elsewhere)


def test_s3_only_a_restart_must_not_be_repeated() -> None:
    assert [r for r in (SCALE_OUT, RESTART, ROLLBACK, STOP) if not write_of(r).repeatable] == [RESTART]


def test_an_operation_that_nobody_follows_is_refused() -> None:
    with pytest.raises(KeyError):
        write_of(build_request("ecs", "DeleteService", {}))


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
    assert unchanged(observe_before(LiveState(service())), LiveState(now)) is same


def test_arguments_are_canonical() -> None:
    text = build_request("ecs", "UpdateService", {"b": 1, "a": [1]}).arguments
    assert text == '{"a":[1],"b":1}'
    assert json.loads(text) == {"a": [1], "b": 1}
