"""run_task and ssm_automation: what may be started, how it is recognised, and how it ends."""

import asyncio
import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from bokgu.api.meta import Target
from bokgu.api.observed import AutomationExecution, AwsError, StoppedContainer, Task
from bokgu.api.recovery_plan import Answer, AwsRequest, OperationStatus, Step, StepStatus
from bokgu.api.vocabulary import Action, OperationPhase, PlanPhase
from bokgu.aws.client import AwsClient
from bokgu.aws.sending import _read_run
from bokgu.core.actions.action import AlreadyOver
from bokgu.core.actions.table import AWS_ACTIONS
from bokgu.core.execution import decide
from bokgu.core.guards.chain import evaluate_gates
from bokgu.core.live_state import LiveState
from bokgu.core.plan_facts import guard_facts
from bokgu.core.undo import next_undo
from bokgu.core.writes.automation import FAILED, find_tag
from bokgu.core.writes.table import complete, find_change, write_of
from bokgu.core.writes.token import as_uuid, carry_token
from bokgu.reconcile.runs import fetch_runs, is_followed
from tests.unit.facts import (
    ALICE,
    ARN,
    BOB,
    MINUTE,
    NOW,
    PLAN_UID,
    REJECT,
    RUNS,
    RUNS_ROLE,
    Raw,
    facts,
    plan,
    protected_service,
    run_task,
    service,
    tally,
    task,
    task_arn,
    task_definition,
)
from tests.unit.small_world import World
from tests.unit.test_writes import intent

TARGET = Target(region="us-east-1", cluster="shop", service="api")
ROLE = RUNS_ROLE
TOKEN = f"{PLAN_UID[:8]}-1-1"
STABLE = f"{PLAN_UID[:8]}-1"
LAUNCH = {"launchType": "FARGATE", "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["s-1"]}}}


def automation(**fields: Any) -> Raw:
    parameters = {
        "documentName": "Repair",
        "documentVersion": "3",
        "documentParameters": {"Cluster": ["shop"]},
        "roleArn": ROLE,
    }
    step = {"name": "run", "action": "ssm_automation", "parameters": parameters, "timeout": "30m", "onFailure": "Stop"}
    return step | fields


def asked(raw: Raw, live: LiveState | None = None) -> AwsRequest:
    step = Step.model_validate(raw)
    request = AWS_ACTIONS[step.action].ask(step, live or LiveState(service(launch=LAUNCH)), TARGET).request
    return carry_token(request, TOKEN)


RUN, START = asked(run_task()), asked(automation())


def arguments(request: AwsRequest) -> Raw:
    found: Raw = json.loads(request.arguments)
    return found


# What is asked


def test_a_task_is_run_as_those_of_the_service_are() -> None:
    assert arguments(RUN) == {
        "cluster": "shop",
        "taskDefinition": task_definition(9),
        "count": 1,
        "clientToken": STABLE,
        "startedBy": STABLE,
        **LAUNCH,
    }
    parameters = {"taskDefinition": task_definition(9), "container": "app", "command": ["migrate", "--now"]}
    overrides = arguments(asked(run_task(parameters=parameters)))["overrides"]
    assert overrides == {"containerOverrides": [{"name": "app", "command": ["migrate", "--now"]}]}


def test_a_document_is_started_with_a_token_and_a_tag_that_it_is_found_by() -> None:
    said = arguments(START)
    assert (said["DocumentName"], said["DocumentVersion"]) == ("Repair", "3")
    assert said["Parameters"] == {"Cluster": ["shop"]}
    assert str(UUID(said["ClientToken"])) == as_uuid(STABLE)
    assert find_tag(START) == f"bokgu:intent:{STABLE}"


@pytest.mark.parametrize(
    "step", [run_task(parameters=None), automation(parameters=None), automation(parameters={"documentName": "Repair"})]
)
def test_a_step_that_names_nothing_starts_nothing(step: Raw) -> None:
    with pytest.raises(ValueError, match="needs parameters"):
        asked(step)


def test_s3_every_attempt_carries_the_same_token() -> None:
    for request in (RUN, START):
        assert carry_token(request, f"{STABLE}-2").arguments == request.arguments
        assert write_of(request).repeatable


def test_a_request_that_is_too_long_with_its_token_fails_the_step() -> None:
    """16384 characters are kept of a request."""

    def of_length(padding: int) -> Raw:
        command = [*(["\u00e9" * 512] * 5), "x" * 512, "x" * padding]
        parameters = {"taskDefinition": task_definition(9), "container": "job", "command": command, "roleArn": ROLE}
        return run_task(parameters=parameters)

    def measure(raw: Raw) -> int:
        asked = AWS_ACTIONS[Action.RUN_TASK].ask(Step.model_validate(raw), LiveState(service()), TARGET)
        return len(asked.request.arguments)

    world = World(plan(of_length(16384 - measure(of_length(0)))))
    world.protected = protected_service(**RUNS)
    world.until(PlanPhase.FAILED)
    assert (world.status.reason, world.sent) == ("CannotBuildRequest", [])


# What may be started


@pytest.mark.parametrize(
    ("step", "spec", "blocks"),
    [
        (run_task(), {}, "Listed"),
        (run_task(), {"runTask": {"roleArn": ROLE}}, "Listed"),
        (run_task(), {"runTask": {"roleArn": ROLE, "taskDefinitions": [task_definition(8)]}}, "Listed"),
        (run_task(), {"automation": {"roleArn": ROLE, "documents": [task_definition(9)]}}, "Listed"),
        (run_task(), {"runTask": {"roleArn": ROLE, "taskDefinitions": [task_definition(9)]}}, None),
        (automation(), {}, "Listed"),
        (automation(), {"automation": {"roleArn": ROLE, "documents": ["Repair-2"]}}, "Listed"),
        (automation(), {"automation": {"roleArn": ROLE, "documents": ["Repair"]}}, None),
    ],
)
def test_s1_only_what_is_listed_is_started(step: Raw, spec: Raw, blocks: str | None) -> None:
    one = plan(step)
    protected = protected_service(allowedActions=["run_task", "ssm_automation"], **spec)
    gates = evaluate_gates(guard_facts(one, one.spec.steps[0], facts(protected_service=protected)))
    closed = [g for g in gates if not g.passed and g.name != "ServiceFree"]
    assert [g.name for g in closed] == ([blocks] if blocks else [])
    assert all("spec." in (g.message or "") for g in closed)


@pytest.mark.parametrize("named", [None, ROLE + "-of-another-team"])
def test_s1_what_people_approved_is_done_with_the_role_that_they_saw(named: str | None) -> None:
    """The ProtectedService may have got another role since."""
    one = plan(run_task(parameters={"taskDefinition": task_definition(9), "roleArn": named}))
    gates = evaluate_gates(guard_facts(one, one.spec.steps[0], facts(protected_service=protected_service(**RUNS))))
    (closed,) = [g for g in gates if not g.passed and g.name != "ServiceFree"]
    assert (closed.name, f"spec.runTask.roleArn is {ROLE}" in (closed.message or "")) == ("Listed", True)


def test_the_role_of_the_step_makes_the_call() -> None:
    limits = {"roleArn": ROLE, "taskDefinitions": [task_definition(9)]}
    status = {"activePlan": {"name": "plan-1", "uid": PLAN_UID}}
    protected = protected_service(allowedActions=["run_task"], runTask=limits, status=status)
    one = plan(run_task(), status={"startedAt": NOW, "phase": "InProgress", "steps": [{"name": "run"}]})
    outcome = decide(one, facts(protected_service=protected))
    assert outcome.status.steps[0].intent
    assert outcome.status.steps[0].intent.role_arn == ROLE


# What becomes of it


def ran(request: AwsRequest, *made: str) -> OperationStatus:
    return OperationStatus(intent=intent(request, service()), answer=Answer(at=NOW, result="Accepted", made=made))


def ended(code: int | None, **fields: Any) -> Task:
    usual = {
        "last_status": "STOPPED",
        "desired_status": "STOPPED",
        "stop_code": "EssentialContainerExited",
        "containers": (StoppedContainer("job", code, "OutOfMemory" if code == 137 else ""),),
        "started_by": STABLE,
    }
    return replace(task(5), **usual | fields)


def seen(one: Task | None) -> LiveState:
    return LiveState(service(), runs={one.arn: one} if one else {})


@pytest.mark.parametrize(
    ("one", "done", "failure"),
    [
        (None, False, None),
        (task(5, started_by=STABLE), False, None),
        (ended(0), True, None),
        (ended(1), False, "job exited with 1"),
        (ended(137), False, "OutOfMemory"),
        (ended(None, stop_code="TaskFailedToStart", stopped_reason="CannotPull"), False, "CannotPull"),
        (ended(0, containers=()), False, "task 5"),
        (ended(1, last_status="STOPPING"), False, None),
    ],
)
def test_a_task_is_done_when_it_ended_with_0(one: Task | None, done: bool, failure: str | None) -> None:
    live, operation = seen(one), ran(RUN, task_arn(5))
    found = find_change(operation, live)
    assert complete(operation, live) is done
    assert (found is None) == (failure is None)
    if found:
        assert (found.foreign, found.reason) == (False, "TaskFailed")
        assert (failure or "") in found.message


def test_the_end_of_the_log_is_quoted_as_far_as_there_is_room_and_without_secrets() -> None:
    lines = (*(f"line {n} " + "x" * 250 for n in range(20)), "login with password=hunter2", "the last one")
    text = write_of(RUN).describe(ran(RUN, task_arn(5)), seen(ended(0, last_lines=lines)))
    assert len(text) <= 2048
    assert text.endswith("the last one")
    assert "hunter2" not in text
    assert "line 19" in text
    assert "line 0" not in text


@pytest.mark.parametrize(
    ("one", "made"),
    [(task(5, started_by=STABLE), (task_arn(5),)), (task(5, started_by="ecs-svc/2"), ()), (None, ())],
)
def test_s3_a_task_is_recognised_by_who_started_it(one: Task | None, made: tuple[str, ...]) -> None:
    effect = write_of(RUN).find_effect(intent(RUN, service()), seen(one))
    assert (effect.seen, effect.made) == (bool(made), made)


def executed(status: str, message: str = "") -> LiveState:
    one = AutomationExecution("e-1", "Repair", status, message)
    return LiveState(service(), executions={"e-1": one, find_tag(START) or "": one})


@pytest.mark.parametrize("status", ["Pending", "InProgress", "Success", "Cancelling", *sorted(FAILED)])
def test_an_execution_is_done_when_it_succeeded(status: str) -> None:
    live, operation = executed(status, "token=abcdef0123456789abcdef"), ran(START, "e-1")
    found = find_change(operation, live)
    assert complete(operation, live) is (status == "Success")
    assert (found is not None) == (status in FAILED)
    if found:
        assert (found.foreign, found.reason) == (False, "AutomationFailed")
        assert status in found.message
        assert "abcdef0123" not in found.message


def test_s3_an_execution_is_recognised_by_its_tag() -> None:
    effect = write_of(START).find_effect(intent(START, service()), executed("InProgress"))
    assert (effect.seen, effect.made) == (True, ("e-1",))
    assert not write_of(START).find_effect(intent(START, service()), LiveState(service())).seen


def test_a_run_that_was_not_started_is_refused_with_the_words_of_ecs() -> None:
    with pytest.raises(AwsError, match="Capacity is unavailable") as refused:
        _read_run({"tasks": [], "failures": [{"reason": "Capacity is unavailable"}]}, datetime.now(tz=NOW.tzinfo))
    assert not refused.value.sent


# What takes it back


def undo_of(raw: Raw, request: AwsRequest, live: LiveState) -> AwsRequest:
    step = Step.model_validate(raw)
    return AWS_ACTIONS[step.action].ask_undo(step, intent(request, service()), live, TARGET).request


def test_what_still_runs_is_stopped() -> None:
    stop = undo_of(run_task(), RUN, seen(task(5, started_by=STABLE)))
    assert (stop.operation, arguments(stop)["task"]) == ("StopTask", task_arn(5))
    cancel = undo_of(automation(), START, executed("InProgress"))
    assert arguments(cancel) == {"AutomationExecutionId": "e-1", "Type": "Cancel"}
    with pytest.raises(AlreadyOver):
        undo_of(run_task(), RUN, seen(ended(0)))
    with pytest.raises(AlreadyOver):
        undo_of(automation(), START, executed("Success"))
    for raw, request in ((run_task(), RUN), (automation(), START)):
        with pytest.raises(ValueError, match="does not describe"):
            undo_of(raw, request, LiveState(service()))


def test_a_stopped_run_is_complete_without_the_service() -> None:
    stop = undo_of(run_task(), RUN, seen(task(5, started_by=STABLE)))
    moving = replace(seen(ended(137)), service=service(running=1))
    assert complete(ran(stop), moving)
    assert not complete(ran(stop), replace(moving, runs={task_arn(5): task(5)}))
    cancel = undo_of(automation(), START, executed("InProgress"))
    assert not complete(ran(cancel), executed("Cancelling"))
    assert complete(ran(cancel), executed("Cancelled"))
    assert write_of(cancel).find_effect(intent(cancel, service()), executed("Cancelling")).seen


@pytest.mark.parametrize(
    ("phase", "reason", "undone"),
    [
        ("Completed", None, False),
        ("Failed", "TaskFailed", False),
        ("Failed", "AutomationFailed", False),
        ("Failed", "Rejected", True),
        ("Failed", "Timeout", True),
    ],
)
def test_what_has_ended_by_itself_is_not_undone(phase: str, reason: str | None, *, undone: bool) -> None:
    done = {
        "name": "run",
        "phase": phase,
        "reason": reason,
        "answer": {"at": NOW, "result": "Accepted", "made": [f"{ARN}:task/5"]},
    }
    one = plan(run_task(rollback={"action": "run_task"}), status={"startedAt": NOW, "steps": [done]})
    assert (next_undo(one, one.status) is not None) is undone


UNDONE = OperationStatus(phase=OperationPhase.COMPLETED)


@pytest.mark.parametrize(
    ("fields", "read"),
    [
        ({"phase": OperationPhase.IN_PROGRESS}, True),
        ({"phase": OperationPhase.FAILED}, True),
        ({"phase": OperationPhase.SKIPPED}, True),
        ({"phase": OperationPhase.SKIPPED, "rollback": OperationStatus(phase=OperationPhase.IN_PROGRESS)}, True),
        ({"phase": OperationPhase.SKIPPED, "rollback": UNDONE}, False),
        ({"phase": OperationPhase.FAILED, "rollback": UNDONE}, False),
        ({"phase": OperationPhase.COMPLETED}, False),
        ({"phase": OperationPhase.SKIPPED, "intent": None}, False),
        ({"phase": OperationPhase.FAILED, "answer": {"at": NOW, "result": "Refused"}}, False),
        ({"phase": OperationPhase.FAILED, "answer": {"at": NOW, "result": "NotSent"}}, False),
        ({"phase": OperationPhase.FAILED, "answer": {"at": NOW, "result": "Unknown"}}, True),
        ({"phase": OperationPhase.IN_PROGRESS, "answer": None}, True),
    ],
)
def test_s1_a_run_is_read_until_it_is_done_or_undone(fields: Raw, *, read: bool) -> None:
    """One that was skipped too: an undo stops it."""
    step = {"name": "run", "intent": intent(RUN, service()), "answer": Answer(at=NOW, result="Accepted")}
    status = StepStatus.model_validate(step | fields)
    assert is_followed(status, ()) is read
    assert not is_followed(status, {"p-1-1"})


def test_s1_a_run_that_cannot_be_read_is_left_out_and_holds_nothing_up() -> None:
    """The client has the grant of no role: it refuses the reads as AWS does."""
    done = {"name": "run", "intent": intent(RUN, service(), role_arn=ROLE), "answer": {"at": NOW, "result": "Accepted"}}
    one = plan(run_task(), status={"startedAt": NOW, "steps": [StepStatus.model_validate(done).to_dict()]})
    aws = AwsClient("http://127.0.0.1:1", 1)
    assert asyncio.run(fetch_runs(aws, one, TARGET, ())) == ({}, {})


@pytest.mark.parametrize("back", [True, False])
def test_s1_an_undo_waits_for_a_run_that_is_not_seen_no_longer_than_ecs_may_be_late(*, back: bool) -> None:
    world = World(plan(run_task(rollback={"action": "run_task"})))
    world.protected = protected_service(**RUNS)
    world.until_sent()
    hidden, since = world.runs, world.now
    world.runs = {}
    world.tally = tally(ALICE, BOB, REJECT)
    world.until(PlanPhase.ROLLING_BACK)
    for _ in range(3):
        world.now += world.do().requeue_after or timedelta()
    assert not world.over
    world.runs = hidden if back else {}
    world.until(PlanPhase.ROLLED_BACK, PlanPhase.ROLLBACK_FAILED)
    assert (world.status.phase is PlanPhase.ROLLED_BACK) is back
    assert [s.request.operation for s in world.sent] == ["RunTask", *(["StopTask"] if back else [])]
    assert world.now < since + 10 * MINUTE


def test_s3_a_run_that_was_not_read_has_not_stopped() -> None:
    """Other tasks were read: those of another step, or of the service."""
    stop = undo_of(run_task(), RUN, seen(task(5, started_by=STABLE)))
    others = LiveState(service(), tasks={task_arn(1): task(1)}, runs={task_arn(6): task(6)})
    made = intent(stop, service(), role_arn=ROLE)
    assert not write_of(stop).find_effect(made, others).seen
    assert not complete(OperationStatus(intent=made, answer=Answer(at=NOW, result="Accepted")), others)


def test_a_run_with_no_rollback_is_left_to_itself() -> None:
    done = {"name": "run", "phase": "Failed", "reason": "Timeout", "answer": {"at": NOW, "result": "Accepted"}}
    one = plan(run_task(), status={"startedAt": NOW, "steps": [done]})
    assert next_undo(one, one.status) is None


def test_a_task_that_runs_is_stopped_when_somebody_rejects() -> None:
    world = World(plan(run_task(rollback={"action": "run_task"})))
    world.protected = protected_service(**RUNS)
    world.until_sent()
    world.tally = tally(ALICE, BOB, REJECT)
    world.until(PlanPhase.ROLLED_BACK)
    assert [s.request.operation for s in world.sent] == ["RunTask", "StopTask"]
    assert all(t.stopped for t in world.runs.values())


@pytest.mark.parametrize("fate", ["lost", "never"])
def test_s3_a_lost_run_is_adopted_or_sent_again_with_the_same_token(fate: str) -> None:
    world = World(plan(run_task()))
    world.protected = protected_service(**RUNS)
    world.until_intent()
    world.fate = fate
    while world.unsent:
        world.do()
    world.crash()
    world.fate = "accepted"
    world.now += 6 * MINUTE
    if fate == "never":
        world.until_sent()
    (arn,) = world.runs
    world.runs[arn] = replace(ended(0, started_by=world.runs[arn].started_by), arn=arn)
    world.until(PlanPhase.COMPLETED)
    assert len(world.effects) == 1
    assert len({json.loads(s.request.arguments)["clientToken"] for s in world.sent}) == 1


def test_s3_a_run_that_ecs_may_have_forgotten_is_not_sent_again() -> None:
    """The operator was away for longer than ECS shows a task that has stopped."""
    world = World(plan(run_task(timeout="3h")))
    world.protected = protected_service(**RUNS)
    world.until_intent()
    world.fate = "lost"
    while world.unsent:
        world.do()
    world.crash()
    world.runs.clear()
    world.now += 90 * MINUTE
    world.known_since = world.now
    world.until(PlanPhase.FAILED)
    assert (world.status.reason, len(world.sent)) == ("EffectUnknown", 1)
