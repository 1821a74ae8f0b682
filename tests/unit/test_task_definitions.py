from datetime import timedelta

import pytest

from bokgu.api.protected_service import KnownRevision
from bokgu.core.task_definitions import find_previous_definition, guess_previous_definition, name_revisions
from tests.unit.facts import (
    ARN,
    MINUTE,
    NOW,
    deploying,
    deployment,
    revision_arn,
    service,
    service_deployment,
    task_definition,
)

HOUR = timedelta(hours=1)


def test_while_a_deployment_is_under_way_the_service_itself_says_what_was_before() -> None:
    assert find_previous_definition(deploying(3, 2)) == task_definition(2)
    assert find_previous_definition(service(2)) is None


def test_a_redeployment_of_the_same_definition_is_nothing_before() -> None:
    same = deployment(2, status="ACTIVE", id="ecs-svc/1")
    assert find_previous_definition(service(2, deployments=(deployment(2), same))) is None


@pytest.mark.parametrize(
    ("statuses", "before"),
    [
        (["SUCCESSFUL"], None),
        ([], None),
        (["SUCCESSFUL", "SUCCESSFUL", "SUCCESSFUL"], 2),
        (["SUCCESSFUL", "ROLLBACK_SUCCESSFUL", "SUCCESSFUL"], 1),
        (["STOPPED", "ROLLBACK_FAILED", "IN_PROGRESS"], 2),
    ],
)
def test_the_revision_before_is_the_last_successful_one(statuses: list[str], before: int | None) -> None:
    listed = [service_deployment(n, NOW - 10 * HOUR + n * HOUR, status) for n, status in enumerate(statuses, start=1)]
    found = name_revisions(listed[::-1])
    assert found[1:] == ((revision_arn(before),) if before else ())
    assert found[:1] == tuple(d.target_service_revision_arn for d in listed[-1:])


def test_where_ecs_does_not_tell_the_last_known_good_one_is_guessed_and_then_the_number_before() -> None:
    good = KnownRevision(
        service_revision_arn=revision_arn(1), task_definition=task_definition(1), served_from=NOW - MINUTE
    )
    assert guess_previous_definition(service(3), good) == task_definition(1)
    assert guess_previous_definition(service(1), good) is None
    assert guess_previous_definition(service(3), None) == task_definition(2)
    odd = deployment(2, task_definition=f"{ARN}:task-definition/api")
    assert guess_previous_definition(service(2, deployments=(odd,)), None) is None
