"""What somebody sets back of a plan that completed."""

from datetime import datetime
from typing import Any

import pytest

from bokgu.api.meta import UidReference, find_condition
from bokgu.api.observed import EcsService
from bokgu.api.protected_service import Reversal
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.core.drift import find_reversal, find_watched, watch_reversal
from bokgu.core.lifecycle import build_status
from bokgu.core.timeline import REVERTED
from tests.unit.facts import (
    DIGEST,
    INCIDENT_UID,
    MINUTE,
    NOW,
    PLAN_UID,
    incident,
    plan,
    restart,
    roll_back,
    run_task,
    scale_out,
    service,
    service_deployment_arn,
    standing,
    task_definition,
)

SETTLE = 5 * MINUTE
SENT = NOW - 30 * MINUTE


def operation(
    arguments: str,
    *,
    number: int,
    desired: int = 3,
    result: str = "Accepted",
    at: datetime = SENT,
    sent: str = "UpdateService",
) -> Any:
    """A step that sent those arguments to a service that ran the task definition of that number."""
    request = {"service": "ecs", "operation": sent, "arguments": arguments}
    intent = {
        "token": "t",
        "attempt": 1,
        "planUID": PLAN_UID,
        "digest": DIGEST,
        "request": request,
        "before": {"desiredCount": desired, "taskDefinition": task_definition(number), "deploymentIds": ["ecs-svc/2"]},
        "holder": "operator-1",
        "writtenAt": at,
    }
    return {"name": "step", "phase": "Completed", "intent": intent, "answer": {"at": at, "result": result}}


def completed(step: dict[str, Any], *operations: Any, phase: str = "Completed", **status: Any) -> RecoveryPlan:
    over = {"phase": phase, "startedAt": SENT, "finishedAt": NOW - 10 * MINUTE, "steps": operations, **status}
    return plan(step, status=over)


SCALED = completed(scale_out(5), operation('{"desiredCount":5}', number=2))
SCALED_IN = completed(scale_out(2), operation('{"desiredCount":2}', number=2))
RESTARTED = completed(restart(), operation('{"forceNewDeployment":true}', number=2))
ROLLED_BACK = completed(roll_back(1), operation(f'{{"taskDefinition":"{task_definition(1)}"}}', number=2))
SETTINGS_ONLY = completed(roll_back(1), operation(f'{{"taskDefinition":"{task_definition(2)}"}}', number=2))
STOPPED = completed(
    roll_back(1),
    operation(f'{{"serviceDeploymentArn":"{service_deployment_arn(2)}","stopType":"ROLLBACK"}}', number=2),
)


RAN = completed(
    run_task(9),
    operation(f'{{"taskDefinition":"{task_definition(9)}","startedBy":"t"}}', number=2, sent="RunTask"),
)
SCALED_BOTH_WAYS = completed(
    scale_out(5),
    {**scale_out(3), "name": "scale-in", "action": "scale_in"},
    operation('{"desiredCount":5}', number=2),
    operation('{"desiredCount":3}', number=2, desired=5),
)


@pytest.mark.parametrize(
    ("done", "now", "said"),
    [
        (RAN, service(number=2), None),
        (SCALED_BOTH_WAYS, service(desired=3), None),
        (SCALED_BOTH_WAYS, service(desired=5), "desiredCount is 5 again, not the 3 that was set"),
        (SCALED, service(desired=5), None),
        (SCALED, service(desired=3), "desiredCount is 3 again, not the 5"),
        (SCALED, service(desired=4), "desiredCount is 4 again, not the 5"),
        (SCALED, service(desired=0), "desiredCount is 0 again, not the 5"),
        (SCALED, service(desired=9), None),
        (SCALED, service(3, desired=5), None),
        (SCALED_IN, service(desired=3), "desiredCount is 3 again, not the 2"),
        (SCALED_IN, service(desired=2), None),
        (SCALED_IN, service(desired=1), None),
        (RESTARTED, service(2), None),
        (RESTARTED, service(3), None),
        (ROLLED_BACK, service(1), None),
        (ROLLED_BACK, service(2), "api:2 was deployed again"),
        (ROLLED_BACK, service(3), None),
        (SETTINGS_ONLY, service(2), None),
        (STOPPED, service(1, current_service_deployment=service_deployment_arn(2)), None),
        (STOPPED, service(2, current_service_deployment=service_deployment_arn(2)), None),
        (STOPPED, service(2, current_service_deployment=service_deployment_arn(3)), "api:2 was deployed again"),
        (STOPPED, service(3, current_service_deployment=service_deployment_arn(3)), None),
    ],
)
def test_what_goes_back_to_where_it_was_is_a_reversal(done: RecoveryPlan, now: EcsService, said: str | None) -> None:
    found = find_reversal(done, now, SETTLE)
    assert (found is None) is (said is None), found
    assert found is None or (said and found.startswith(said) and "plan-1" in found)


def test_a_reversal_names_who_may_have_done_it() -> None:
    owned = service(desired=3, tags={"aws:cloudformation:stack-name": "shop"})
    assert "CloudFormation stack shop owns the service" in str(find_reversal(SCALED, owned, SETTLE))


@pytest.mark.parametrize("result", ["Refused", "NotSent", "Unknown"])
def test_what_was_not_set_is_not_set_back(result: str) -> None:
    done = completed(scale_out(5), operation('{"desiredCount":5}', number=2, result=result))
    assert find_reversal(done, service(desired=3), SETTLE) is None


def test_s3_a_late_read_is_no_reversal() -> None:
    """ECS may show the service as it was before a change."""
    just = completed(scale_out(5), operation('{"desiredCount":5}', number=2, at=NOW - 4 * MINUTE))
    assert find_reversal(just, service(desired=3), SETTLE) is None
    assert find_reversal(just, service(desired=3, read_at=NOW + 2 * MINUTE), SETTLE)


OPEN = incident(status={"phase": "Verifying"})


def test_only_the_last_plan_of_an_open_incident_is_watched() -> None:
    assert find_watched([SCALED], [OPEN]) is SCALED
    assert find_watched([SCALED], [incident(status={"phase": "Escalated"})]) is SCALED
    assert find_watched([SCALED], [incident(status={"phase": "Resolved"})]) is None
    assert find_watched([SCALED], [incident(meta={"uid": "another"})]) is None
    assert find_watched([SCALED], []) is None
    assert find_watched([], [OPEN]) is None
    assert find_watched([completed(scale_out(5), phase="Failed")], [OPEN]) is None


@pytest.mark.parametrize("phase", ["InProgress", "Completed", "Failed"])
def test_a_later_plan_changes_the_service_by_right(phase: str) -> None:
    later = completed(scale_out(4), phase=phase, startedAt=NOW - 5 * MINUTE)
    later = later.model_copy(update={"metadata": later.metadata.model_copy(update={"name": "plan-2", "uid": "later"})})
    expected = later if phase == "Completed" else None
    assert find_watched([SCALED, later], [OPEN]) is expected


def test_a_reversal_keeps_its_moment_and_goes_when_the_service_holds_again() -> None:
    first = watch_reversal(None, SCALED, service(desired=3), SETTLE)
    assert first
    assert (first.plan, first.at) == (UidReference(name="plan-1", uid=PLAN_UID), NOW)
    later = service(desired=4, read_at=NOW + MINUTE)
    again = watch_reversal(first, SCALED, later, SETTLE)
    assert again
    assert (again.at, again.message.split()[2]) == (NOW, "4")
    assert watch_reversal(again, SCALED, service(desired=5, read_at=NOW + 2 * MINUTE), SETTLE) is None
    assert watch_reversal(again, None, later, SETTLE) is None


def test_the_incident_says_that_its_plan_was_set_back() -> None:
    reversal = Reversal(
        plan=UidReference(name="plan-1", uid=PLAN_UID), at=NOW - MINUTE, message="desiredCount is 3 again"
    )
    entry = {"name": "plan-1", "uid": PLAN_UID, "digest": DIGEST, "startedAt": SENT}
    trouble = incident(status={"phase": "Verifying", "plans": [entry]})
    assert trouble.metadata.uid == INCIDENT_UID
    calm = standing(plan=SCALED, relapse_watch=30 * MINUTE)
    assert find_condition(build_status(trouble, calm).conditions, REVERTED) is None
    told = build_status(trouble, standing(plan=SCALED, relapse_watch=30 * MINUTE, reversal=reversal))
    condition = find_condition(told.conditions, REVERTED)
    assert condition
    assert (condition.status, condition.reason, condition.message) == ("True", "SetBack", "desiredCount is 3 again")
    noted = [e for e in told.timeline if e.event == REVERTED]
    assert [(e.at, e.message) for e in noted] == [(NOW - MINUTE, "desiredCount is 3 again")]
    held = build_status(trouble.model_copy(update={"status": told}), calm)
    condition = find_condition(held.conditions, REVERTED)
    assert condition
    assert (condition.status, condition.reason) == ("False", "Holds")
    assert [e.event for e in held.timeline].count(REVERTED) == 1
