"""What the answers of Amazon ECS mean."""

import asyncio
from typing import Any, cast

import pytest

from bokgu.api.meta import Target
from bokgu.aws.ecs import fetch_service_deployments, parse_service, parse_service_deployment
from tests.unit.facts import MINUTE, NOW, revision_arn, service_deployment_arn, task_definition

Raw = dict[str, Any]


def deployment(number: int, status: str, running: int, **fields: Any) -> Raw:
    """As API_Deployment, of a service that wants three tasks, without a rolloutState."""
    return {
        "id": f"ecs-svc/{number}",
        "status": status,
        "taskDefinition": task_definition(number),
        "desiredCount": 3,
        "runningCount": running,
        "pendingCount": 0,
        "createdAt": NOW - 10 * MINUTE + number * MINUTE,
        **fields,
    }


def service(*deployments: Raw) -> Raw:
    counts = {"desiredCount": 3, "runningCount": 3, "pendingCount": 0}
    return {"serviceArn": "arn", "status": "ACTIVE", "deployments": list(deployments), **counts}


@pytest.mark.parametrize(
    ("deployments", "states", "deploying"),
    [
        ((deployment(8, "PRIMARY", 3),), ["COMPLETED"], False),
        ((deployment(8, "PRIMARY", 2),), ["IN_PROGRESS"], True),
        ((deployment(8, "PRIMARY", 1), deployment(7, "ACTIVE", 2)), ["IN_PROGRESS", "COMPLETED"], True),
        ((deployment(8, "PRIMARY", 3), deployment(7, "ACTIVE", 0)), ["IN_PROGRESS", "COMPLETED"], True),
        ((deployment(8, "PRIMARY", 3), deployment(7, "INACTIVE", 1)), ["IN_PROGRESS", "COMPLETED"], True),
        ((deployment(8, "PRIMARY", 3), deployment(7, "INACTIVE", 0)), ["COMPLETED", "COMPLETED"], False),
        ((deployment(8, "PRIMARY", 2, rolloutState="COMPLETED"),), ["COMPLETED"], False),
        ((deployment(8, "PRIMARY", 3, rolloutState="FAILED"),), ["FAILED"], False),
    ],
)
def test_s4_behind_a_classic_load_balancer_the_tasks_say_whether_ecs_is_deploying(
    deployments: tuple[Raw, ...], states: list[str], deploying: bool
) -> None:
    found = parse_service(service(*deployments), NOW)
    assert [d.rollout_state for d in found.deployments] == states
    assert found.deploying is deploying


class Answer:
    """An AWS that always says the same."""

    def __init__(self, answer: Raw) -> None:
        self.answer = answer

    async def read(self, *_: Any, **__: Any) -> Raw:
        return self.answer


def test_service_deployments_are_the_newest_first_whatever_order_ecs_lists_them_in() -> None:
    listed = [
        {
            "serviceDeploymentArn": service_deployment_arn(n),
            "status": "SUCCESSFUL",
            "targetServiceRevisionArn": revision_arn(n),
            "createdAt": NOW + n * MINUTE,
        }
        for n in (2, 3, 1)
    ]
    aws = cast(Any, Answer({"serviceDeployments": listed}))
    target = Target(region="us-east-1", cluster="shop", service="api")
    found = asyncio.run(fetch_service_deployments(aws, target))
    assert [d.arn for d in found] == [service_deployment_arn(n) for n in (3, 2, 1)]


def test_a_service_deployment_is_told_from_the_little_that_ecs_must_say() -> None:
    """Only arn, status and createdAt are sure to be there: ECS leaves out what does not apply."""
    raw = {"serviceDeploymentArn": service_deployment_arn(2), "status": "PENDING", "createdAt": NOW}
    found = parse_service_deployment(raw)
    assert (found.arn, found.status, found.created_at) == (service_deployment_arn(2), "PENDING", NOW)
    assert (found.target_revision_arn, found.rollback_revision_arn, found.waiting_hook) == (None, None, None)
    assert (found.source_revision_arns, found.lifecycle_stage, found.finished_at) == ((), "", None)


@pytest.mark.parametrize(
    ("status", "waits"),
    [("AWAITING_ACTION", True), ("IN_PROGRESS", False), ("SUCCEEDED", False), ("FAILED", False), ("TIMED_OUT", False)],
)
def test_a_hook_waits_only_while_it_awaits_action(status: str, waits: bool) -> None:
    hook = {"hookId": "ecs-PAUSE-1", "targetType": "PAUSE", "status": status}
    raw = {
        "serviceDeploymentArn": service_deployment_arn(2),
        "status": "IN_PROGRESS",
        "createdAt": NOW,
        "lifecycleStage": "PRE_SCALE_UP",
        "lifecycleHookDetails": [hook],
    }
    assert parse_service_deployment(raw).waiting_hook == ("PAUSE hook ecs-PAUSE-1 in PRE_SCALE_UP" if waits else None)
