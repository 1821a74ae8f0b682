"""Services that CodeDeploy deploys: a deployment in flight is stopped where people have opted in, and no other one."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.meta import Target
from bokgu.api.observed import CODE_DEPLOY_IN_FLIGHT, AwsError, CodeDeployment, Deployment, EcsService
from bokgu.api.recovery_plan import Answer, Intent, OperationStatus, RecoveryPlan, Step
from bokgu.api.vocabulary import Action, OnFailure
from bokgu.aws.ecs import parse_service
from bokgu.core.actions.table import AWS_ACTIONS
from bokgu.core.drift import find_reversal
from bokgu.core.guards.chain import evaluate_gates
from bokgu.core.live_state import LiveState
from bokgu.core.planning import build_plan
from bokgu.core.planning_facts import NoPlan
from bokgu.core.support import find_unsupported
from bokgu.core.writes.table import complete, find_change, write_of
from bokgu.core.writes.write import observe_before, request_arguments
from tests.unit.aws_model import enum_of
from tests.unit.facts import (
    DIGEST,
    MINUTE,
    NOW,
    PLAN_UID,
    deployment,
    plan,
    protected_service,
    roll_back,
    runbook,
    service,
    task_definition,
)
from tests.unit.test_guards import guard_facts
from tests.unit.test_planning import BAD_DEPLOYMENT, planning

BAD, BACK, OTHER = "d-BAD000001", "d-BACK00002", "d-OTHER0003"
STATES = enum_of("codedeploy", "DeploymentStatus")
GROUP = {"applicationName": "shop-app", "deploymentGroupName": "api"}
OPTED_IN: dict[str, Any] = {"allowedActions": ["rollback_to_previous_version"], "rollback": {"codeDeploy": GROUP}}
TARGET = Target(region="us-east-1", cluster="shop", service="api")


def task_set(number: int, status: str, made_by: str | None = None) -> Deployment:
    state = "COMPLETED" if status == "PRIMARY" else "IN_PROGRESS"
    return deployment(number, status=status, state=state, code_deployment_id=made_by)


def deployed(*task_sets: Deployment, **fields: Any) -> EcsService:
    """A service with those task sets, which serves from the PRIMARY one."""
    serving = next(t.task_definition for t in task_sets if t.status == "PRIMARY")
    found: dict[str, Any] = {
        "controller": "CODE_DEPLOY",
        "deployments": task_sets,
        "task_definition": serving,
        "current_service_deployment": None,
        "current_service_revisions": (),
    }
    return replace(service(), **found | fields)


OLD = task_set(1, "PRIMARY")
SHIFTED = deployed(task_set(1, "ACTIVE"), task_set(2, "PRIMARY", BAD))
"""The traffic has moved to what the bad deployment made."""
NOT_YET = deployed(OLD, task_set(2, "ACTIVE", BAD))
DRAINING = deployed(OLD, task_set(2, "DRAINING", BAD))
GONE_BACK = deployed(OLD)
ANEW = deployed(replace(task_set(4, "PRIMARY", BACK), task_definition=task_definition(1)))
"""CodeDeploy went back with a new task set."""


def told(id_: str = BAD, status: str = "InProgress", **fields: Any) -> CodeDeployment:
    return CodeDeployment(id_, "shop-app", "api", status, **fields)


def stop(**fields: Any) -> dict[str, Any]:
    """The step that stops the bad deployment."""
    parameters = {"codeDeployDeploymentId": BAD, "taskDefinition": task_definition(1)}
    made = roll_back(**{"parameters": parameters, "onFailure": "Stop", **fields})
    return {name: value for name, value in made.items() if name != "rollback"}


def world(found: EcsService, *deployments: CodeDeployment) -> LiveState:
    return LiveState(found, code_deployments={d.id: d for d in deployments})


# What ECS shows


def test_task_sets_of_codedeploy_are_the_deployments_of_the_service() -> None:
    def shown(number: int, status: str, **members: Any) -> dict[str, Any]:
        counts = {"computedDesiredCount": 3, "runningCount": 3, "pendingCount": 0}
        balancers = [{"targetGroupArn": f"group-{number}"}]
        names = {"id": f"ecs-svc/{number}", "status": status, "taskDefinition": task_definition(number)}
        return {**names, **counts, "createdAt": NOW, "loadBalancers": balancers, **members}

    raw = {
        "serviceArn": "arn",
        "status": "ACTIVE",
        **{"desiredCount": 3, "runningCount": 6, "pendingCount": 0},
        "taskDefinition": task_definition(1),
        "deploymentController": {"type": "CODE_DEPLOY"},
        "taskSets": [shown(1, "ACTIVE"), shown(2, "PRIMARY", externalId=BAD)],
    }
    found = parse_service(raw, NOW)
    assert [(d.id, d.status, d.code_deployment_id) for d in found.deployments] == [
        ("ecs-svc/1", "ACTIVE", None),
        ("ecs-svc/2", "PRIMARY", BAD),
    ]
    assert (found.task_definition, found.deploying, found.steady) == (task_definition(2), True, False)
    assert found.target_pairs == {"group-1": "group-2", "group-2": "group-1"}
    assert parse_service(raw | {"deploymentController": {"type": "EXTERNAL"}}, NOW).deployments == ()
    alone = parse_service(raw | {"runningCount": 3, "taskSets": [shown(1, "PRIMARY")]}, NOW)
    assert (alone.steady, alone.deploying) == (True, False)


# What is asked of AWS


@pytest.mark.parametrize("found", [SHIFTED, NOT_YET])
@pytest.mark.parametrize("status", sorted(CODE_DEPLOY_IN_FLIGHT))
def test_exactly_the_named_deployment_is_stopped_with_its_rollback(found: EcsService, status: str) -> None:
    live = world(found, told(status=status), told(OTHER))
    asked = AWS_ACTIONS[Action.ROLLBACK].ask(Step.model_validate(stop()), live, TARGET)
    assert (asked.request.service, asked.request.operation) == ("codedeploy", "StopDeployment")
    assert request_arguments(asked.request) == {"deploymentId": BAD, "autoRollbackEnabled": True}
    assert asked.restores == task_definition(1)


@pytest.mark.parametrize(
    ("live", "why"),
    [
        (world(SHIFTED), "codedeploy:GetDeployment"),
        (world(SHIFTED, told(OTHER)), "does not describe"),
        (LiveState(SHIFTED, code_deployments={BAD: told(OTHER)}), "does not describe"),
        (world(GONE_BACK, told()), "two task sets"),
        (world(deployed(task_set(1, "DRAINING"), task_set(2, "PRIMARY", BAD)), told()), "two task sets"),
        (world(deployed(OLD, task_set(2, "ACTIVE", OTHER)), told()), "two task sets"),
        (world(deployed(OLD, task_set(2, "ACTIVE", BAD), task_set(3, "ACTIVE", OTHER)), told()), "two task sets"),
        (world(deployed(task_set(7, "PRIMARY"), task_set(2, "ACTIVE", BAD)), told()), "not to"),
        (world(replace(SHIFTED, controller="ECS"), told()), "does not deploy the service"),
        *((world(SHIFTED, told(status=s)), s) for s in STATES if s not in CODE_DEPLOY_IN_FLIGHT),
    ],
)
def test_s6_what_is_not_as_people_have_read_is_not_stopped(live: LiveState, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        AWS_ACTIONS[Action.ROLLBACK].ask(Step.model_validate(stop()), live, TARGET)
    assert "NoDeployment" in closed(live)


# The gates


def closed(live: LiveState, step: dict[str, Any] | None = None, **spec: Any) -> dict[str, str | None]:
    """The reasons of the gates that are closed, by gate."""
    one = plan(step or stop())
    protected = protected_service(**{**OPTED_IN, **spec})
    asked = guard_facts(plan=one, step=one.spec.steps[0], protected_service=protected, live=live)
    return {gate.name: gate.reason for gate in evaluate_gates(asked) if not gate.passed}


def test_s6_with_the_group_and_the_deployment_named_every_gate_is_open() -> None:
    assert closed(world(SHIFTED, told())) == {}
    assert closed(world(NOT_YET, told(status="Ready"))) == {}


def test_s6_nobody_who_has_not_opted_in_has_a_deployment_stopped() -> None:
    assert closed(world(SHIFTED, told()), rollback={})["ServiceSupported"] == "ServiceUnsupported"
    assert closed(world(SHIFTED, told()), allowedActions=[])["ActionAllowed"] == "ActionNotAllowed"
    elsewhere = {"codeDeploy": GROUP | {"deploymentGroupName": "web"}}
    assert closed(world(SHIFTED, told()), rollback=elsewhere) == {"NoDeployment": "NotTheDeployment"}
    assert closed(world(SHIFTED, told()), roll_back())["ServiceSupported"] == "ServiceUnsupported"


def test_fact_13_nothing_is_done_against_a_rollback_by_codedeploy() -> None:
    assert closed(world(SHIFTED, told(rollback_id=BACK)))["EcsNotRollingBack"] == "CodeDeployRollsBack"
    assert closed(world(SHIFTED, told(rolls_back=OTHER)))["EcsNotRollingBack"] == "CodeDeployRollsBack"
    assert closed(world(SHIFTED))["EcsNotRollingBack"] == "DeploymentUnreadable"


@given(
    st.sampled_from(STATES),
    st.sampled_from([BAD, OTHER]),
    st.lists(st.tuples(st.sampled_from(["ACTIVE", "DRAINING"]), st.sampled_from([None, BAD, OTHER])), max_size=2),
    st.sampled_from([None, BAD, OTHER]),
)
def test_s6_open_gates_mean_that_the_named_deployment_is_the_one_in_flight(
    status: str, described: str, others: list[tuple[str, str | None]], primary: str | None
) -> None:
    """Whatever CodeDeploy and ECS show: what is stopped has made one of the two task sets, and has not ended."""
    sets = [task_set(1, "PRIMARY", primary), *(task_set(1 + i, s, by) for i, (s, by) in enumerate(others, 1))]
    live = world(deployed(*sets), told(described, status))
    if closed(live):
        return
    assert status in CODE_DEPLOY_IN_FLIGHT
    assert described == BAD
    assert sorted(s.code_deployment_id == BAD for s in sets) == [False, True]
    assert [s.task_definition for s in sets if s.code_deployment_id != BAD] == [task_definition(1)]


def test_opting_in_allows_a_rollback_and_nothing_else() -> None:
    refused = {a for a in Action if find_unsupported(SHIFTED, a, opted_in=True)}
    assert refused == {a for a in Action if a.writes} - {Action.ROLLBACK}
    assert find_unsupported(replace(SHIFTED, controller="EXTERNAL"), Action.ROLLBACK, opted_in=True)
    assert find_unsupported(replace(SHIFTED, status="DRAINING"), Action.ROLLBACK, opted_in=True)


# The write


def stopped(before: EcsService = SHIFTED) -> OperationStatus:
    """The bad deployment was stopped, so that task definition 1 must run."""
    asked = AWS_ACTIONS[Action.ROLLBACK].ask(Step.model_validate(stop()), world(before, told()), TARGET)
    intent = Intent(
        token="p-1-1",
        attempt=1,
        plan_uid=PLAN_UID,
        digest=DIGEST,
        request=asked.request,
        restores=asked.restores,
        before=observe_before(LiveState(before)),
        holder="operator-1",
        written_at=NOW,
    )
    return OperationStatus(intent=intent, answer=Answer(at=NOW, result="Accepted"))


@pytest.mark.parametrize(("status", "rollback"), list(product(STATES, [None, BACK])))
def test_s3_the_effect_is_a_deployment_that_is_stopped_or_taken_back(status: str, rollback: str | None) -> None:
    intent = stopped().intent
    assert intent
    write = write_of(intent.request)
    seen = write.find_effect(intent, world(SHIFTED, told(status=status, rollback_id=rollback))).seen
    assert seen == (status == "Stopped" or rollback is not None)
    assert write.repeatable
    another = world(SHIFTED, told(OTHER, "Stopped", rollback_id=BACK))
    assert not write.find_effect(intent, another).seen, "another deployment that was stopped is no effect of ours"


ENDED = told(status="Stopped", rollback_id=BACK)


def back(status: str = "Succeeded", **fields: Any) -> CodeDeployment:
    return told(BACK, status, rolls_back=BAD, **fields)


@pytest.mark.parametrize(
    ("live", "change", "done"),
    [
        (world(SHIFTED), None, False),
        (world(SHIFTED, told()), None, False),
        (world(SHIFTED, told(status="Stopped")), None, False),
        (world(SHIFTED, ENDED), None, False),
        (world(DRAINING, ENDED, back("InProgress")), None, False),
        (world(DRAINING, ENDED, back()), None, False),
        (world(GONE_BACK, ENDED, back("InProgress")), None, False),
        (world(GONE_BACK, ENDED, back()), None, True),
        (world(replace(GONE_BACK, running_count=2), ENDED, back()), None, False),
        (world(deployed(task_set(4, "PRIMARY", BACK)), ENDED, back()), None, False),
        (world(ANEW, ENDED, back()), None, True),
        (world(deployed(OLD, task_set(3, "ACTIVE", OTHER)), ENDED, back()), f"{OTHER} began", False),
        (world(deployed(task_set(3, "PRIMARY", OTHER)), ENDED, back()), f"{OTHER} began", False),
        (world(deployed(task_set(2, "PRIMARY", BAD)), told(status="Succeeded")), "ended before it was stopped", False),
        (world(SHIFTED, told(status="Failed")), "ended before it was stopped", False),
        (world(SHIFTED, told(status="Failed", rollback_id=BACK), back("InProgress")), None, False),
        (world(SHIFTED, ENDED, back("Failed", error="no target group")), "no target group", False),
        (world(SHIFTED, ENDED, back("Stopped")), "the rollback failed", False),
    ],
)
def test_it_is_complete_when_codedeploy_went_back_and_all_tasks_run_what_was_there(
    live: LiveState, change: str | None, done: bool
) -> None:
    found = find_change(stopped(), live)
    assert (found is None) == (change is None)
    assert found is None or (change or "") in found.message
    assert complete(stopped(), live) is done


def test_a_rollback_that_failed_is_nobodys_change() -> None:
    failed = find_change(stopped(), world(SHIFTED, ENDED, back("Failed")))
    begun = find_change(stopped(), world(deployed(OLD, task_set(3, "ACTIVE", OTHER)), ENDED, back()))
    assert failed
    assert not failed.foreign
    assert begun
    assert begun.foreign


def test_it_is_told_with_both_deployments() -> None:
    operation, live = stopped(), world(GONE_BACK, ENDED, back())
    assert operation.intent
    said = write_of(operation.intent.request).describe(operation, live)
    assert f"{BAD} is Stopped" in said
    assert f"rollback {BACK} of {BAD} is Succeeded" in said


def test_the_bad_revision_deployed_again_is_a_reversal() -> None:
    done = {"name": "rollback", "phase": "Completed", **stopped().to_dict()}
    one = plan(stop(), status={"phase": "Completed", "startedAt": NOW, "steps": [done]})
    later = NOW + 10 * MINUTE
    assert find_reversal(one, replace(GONE_BACK, read_at=later), MINUTE) is None
    again = replace(deployed(task_set(2, "PRIMARY", OTHER)), read_at=later)
    assert "deployed again" in str(find_reversal(one, again, MINUTE))


# Planning


def planned(*deployments: CodeDeployment, **changes: Any) -> RecoveryPlan | NoPlan:
    given: dict[str, Any] = {
        "classification": BAD_DEPLOYMENT,
        "protected_service": protected_service(**OPTED_IN),
        "service": SHIFTED,
        "code_deployments": deployments,
    }
    return build_plan(planning(**given | changes))


def test_the_plan_names_the_deployment_and_what_codedeploy_goes_back_to() -> None:
    found = planned(told())
    assert isinstance(found, RecoveryPlan)
    step = found.spec.steps[-1]
    assert step.parameters
    assert step.parameters.to_dict() == {"codeDeployDeploymentId": BAD, "taskDefinition": task_definition(1)}
    assert (step.rollback, step.on_failure) == (None, OnFailure.STOP)
    assert BAD in str(step.description)
    assert "api:1 instead of api:2" in str(step.description)
    assert "nothing takes that back" in str(step.description)
    assert not [risk for risk in found.spec.risks if "undone" in risk.mitigation or "rolling" in risk.mitigation]


NOT_OPTED_IN = protected_service(allowedActions=["rollback_to_previous_version"])
NOT_ALLOWED = protected_service(allowedActions=[], rollback={"codeDeploy": GROUP})
UNREAD = AwsError("ListDeployments", "AccessDeniedException", "no", sent=False)


@pytest.mark.parametrize(
    ("changes", "reason", "wait"),
    [
        ({"code_deployments": ()}, "NoCodeDeployment", False),
        ({"code_deployments": (told(), told(OTHER))}, "DeploymentInProgress", True),
        ({"code_deployments": (told(OTHER),)}, "DeploymentInProgress", True),
        ({"code_deployments": (told(BACK, rolls_back=BAD),)}, "CodeDeployRollsBack", True),
        ({"code_deployments": UNREAD}, "CodeDeployUnread", True),
        ({"service": deployed(task_set(2, "PRIMARY", BAD))}, "DeploymentInProgress", True),
        ({"protected_service": NOT_OPTED_IN}, "ServiceUnsupported", False),
        ({"protected_service": NOT_ALLOWED}, "ActionNotAllowed", True),
    ],
)
def test_there_is_no_such_plan_when(changes: dict[str, Any], reason: str, wait: bool) -> None:
    found = planned(told(), **changes)
    assert isinstance(found, NoPlan)
    assert (found.reason, found.wait) == (reason, wait)


@pytest.mark.parametrize("action", ["service_restart", "scale_out"])
def test_opting_in_to_a_rollback_plans_no_other_write(action: str) -> None:
    steps = [{"name": "back", "action": "rollback_to_previous_version"}, {"name": "more", "action": action}]
    found = planned(told(), runbooks=(runbook(steps=steps),))
    assert isinstance(found, NoPlan)
    assert found.reason == "ServiceUnsupported"
