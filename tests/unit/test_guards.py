from dataclasses import replace
from typing import Any

import pytest

from bokgu.api.observed import AwsError, DescribedDeployment, EcsService
from bokgu.api.recovery_plan import Preconditions
from bokgu.core.correlation import Trouble
from bokgu.core.freeze import Freeze
from bokgu.core.guards.chain import CHECKS, LIVE_CHECKS, NAMESPACE_CHECKS, evaluate_gates, first_blocking
from bokgu.core.guards.facts import GuardFacts
from bokgu.core.lifecycle import build_status
from bokgu.core.live_state import LiveState
from bokgu.core.plan_facts import guard_facts as facts_of_guards
from bokgu.core.preconditions import changed_precondition
from tests.unit.aws_model import enum_of
from tests.unit.facts import (
    APPROVED,
    DIGEST,
    MINUTE,
    NOW,
    PLAN_UID,
    REJECT,
    deploying,
    described_deployment,
    detection,
    facts,
    health_check,
    incident,
    live_state,
    locked_by,
    plan,
    policies,
    protected_service,
    restart,
    roll_back,
    scale_out,
    service,
    service_deployment_arn,
    split_live,
    standing,
    tally,
)

CORRUPTED = Freeze("api-data-corruption-1", "DataCorruption", "look at the data")
NO_SECRET = Freeze("api-service-down-1", "TasksIrreplaceable", "no task starts", replacing=True)

TROUBLED = (Trouble("orders", "orders-down-1"), Trouble("ledger", "ledger-down-1"))

HERE = {"region": "us-east-1", "cluster": "shop", "service": "api"}
ELSEWHERE = {**HERE, "cluster": "bank"}
OTHER_ROLE = {**HERE, "roleArn": "arn:aws:iam::123456789012:role/bank"}
SEEN = {"desiredCount": 3, "rootCause": "TrafficSurge"}


def guard_facts(**fields: Any) -> GuardFacts:
    one, (members, others) = plan(), split_live(fields)
    open_ = GuardFacts(
        plan=one,
        step=one.spec.steps[0],
        protected_service=protected_service(),
        live=live_state(**members),
        problem=None,
        tally=APPROVED,
        elder=None,
        role_refused=None,
        at_work=None,
        policies=policies(),
        now=NOW,
    )
    return replace(open_, **others)


def tagged(value: str) -> EcsService:
    return service(tags={"bokgu:suspend": value})


def test_s6_with_every_gate_open_nothing_blocks() -> None:
    gates = evaluate_gates(guard_facts())
    assert first_blocking(gates) is None
    assert len(gates) == len(CHECKS) + len(NAMESPACE_CHECKS) + len(LIVE_CHECKS)


@pytest.mark.parametrize(
    ("closed", "gate", "reason"),
    [
        ({"protected_service": None}, "Protected", "NotProtected"),
        ({"plan": plan(status={"target": ELSEWHERE})}, "Protected", "TargetChanged"),
        ({"plan": plan(preconditions={**SEEN, "target": ELSEWHERE})}, "Protected", "TargetChanged"),
        ({"plan": plan(preconditions={**SEEN, "target": OTHER_ROLE})}, "Protected", "TargetChanged"),
        ({"role_refused": "namespace shop may not assume it"}, "RoleAllowed", "RoleNotAllowed"),
        ({"elder": "shop/older"}, "SoleProtector", "TargetAlreadyProtected"),
        ({"at_work": "plan-2"}, "ServiceFree", "ServiceBusy"),
        ({"protected_service": protected_service(mode="Observe")}, "Mode", "ModeForbids"),
        ({"protected_service": protected_service(mode="Propose")}, "Mode", "ModeForbids"),
        ({"protected_service": protected_service(allowedActions=[])}, "ActionAllowed", "ActionNotAllowed"),
        ({"tally": tally()}, "Approved", "ApprovalsMissing"),
        ({"tally": replace(APPROVED, rejected_by="carol")}, "Approved", "ApprovalsMissing"),
        ({"plan": plan(suspend=True)}, "NotSuspended", "Suspended"),
        ({"protected_service": protected_service(suspend=True)}, "NotSuspended", "Suspended"),
        ({"service": tagged("true")}, "NotSuspended", "Suspended"),
        ({"service": tagged("")}, "NotSuspended", "Suspended"),
        ({"service": tagged("no")}, "NotSuspended", "Suspended"),
        ({"protected_service": protected_service(status=locked_by("p", "other"))}, "ServiceFree", "ServiceBusy"),
        ({"protected_service": protected_service(status=locked_by("plan-1", "former"))}, "ServiceFree", "ServiceBusy"),
        ({"service": None, "problem": "Unreachable: no answer"}, "ServiceReadable", "ServiceUnreadable"),
        ({"service": service(status="DRAINING")}, "ServiceSupported", "ServiceUnsupported"),
        ({"service": service(controller="CODE_DEPLOY")}, "ServiceSupported", "ServiceUnsupported"),
        ({"service": service(controller="EXTERNAL")}, "ServiceSupported", "ServiceUnsupported"),
        ({"service": service(scheduling_strategy="DAEMON")}, "ServiceSupported", "ServiceUnsupported"),
        ({"service": service(resource_management_type="ECS")}, "ServiceSupported", "ServiceUnsupported"),
        ({"service": service(strategy="SHADOW")}, "ServiceSupported", "ServiceUnsupported"),
        ({"service": deploying(3, 2)}, "NoDeployment", "DeploymentInProgress"),
        ({"step": plan(scale_out(11)).spec.steps[0]}, "WithinLimits", "LimitExceeded"),
        ({"step": plan(scale_out(3)).spec.steps[0]}, "WithinLimits", "LimitExceeded"),
        ({"protected_service": protected_service(limits={})}, "WithinLimits", "LimitExceeded"),
        ({"mitigated": True}, "StillNeeded", "Mitigated"),
        ({"troubled": TROUBLED}, "DependenciesWell", "DependencyTroubled"),
        ({"frozen_by": CORRUPTED}, "NotFrozen", "DataCorruption"),
        ({"frozen_by": NO_SECRET, "step": plan(restart()).spec.steps[0]}, "NotFrozen", "TasksIrreplaceable"),
    ],
)
def test_s6_a_closed_guard_blocks_with_its_reason(closed: dict[str, object], gate: str, reason: str) -> None:
    blocking = first_blocking(evaluate_gates(guard_facts(**closed)))
    assert blocking
    assert (blocking.name, blocking.reason) == (gate, reason)
    assert blocking.message


def test_s6_an_unreadable_service_closes_every_guard_that_needs_it() -> None:
    gates = evaluate_gates(guard_facts(service=None, problem="Unreachable: no answer"))
    closed = {gate.name for gate in gates if not gate.passed}
    unknown = {"ServiceReadable", "ServiceSupported", "OwnerIdle", "EcsNotRollingBack", "NoDeployment"}
    scaling = {"WithinLimits", "CountOwner", "CountInRange", "ScaleInFloor"}
    assert closed == unknown | scaling
    restarted = evaluate_gates(guard_facts(service=None, problem="no answer", step=plan(restart()).spec.steps[0]))
    assert scaling.isdisjoint(gate.name for gate in restarted if not gate.passed)


STACKED = service(tags={"aws:cloudformation:stack-name": "shop", "aws:cloudformation:stack-id": "arn:stack/shop/1"})
STACK_STATUSES = enum_of("cloudformation", "StackStatus")


@pytest.mark.parametrize("status", STACK_STATUSES)
def test_fact_16_no_write_while_the_stack_of_the_service_is_at_work(status: str) -> None:
    """Every StackStatus of CloudFormation: what ends in _IN_PROGRESS is at work, clean-up and rollback too."""
    blocking = first_blocking(evaluate_gates(guard_facts(service=STACKED, stack_status=status)))
    if not status.endswith("_IN_PROGRESS"):
        assert blocking is None
        return
    assert blocking
    assert (blocking.name, blocking.reason, blocking.value) == ("OwnerIdle", "OwnerUpdating", status)
    assert "CloudFormation stack shop" in str(blocking.message)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (AwsError("DescribeStacks", "AccessDenied", "User: bokgu is not authorized", sent=False), "not authorized"),
        (AwsError("DescribeStacks", "Throttling", "Rate exceeded", sent=False), "Rate exceeded"),
        (None, "it was not asked"),
    ],
)
def test_s6_a_stack_that_cannot_be_read_blocks_and_says_what_to_allow(said: AwsError | None, why: str) -> None:
    blocking = first_blocking(evaluate_gates(guard_facts(service=STACKED, stack_status=said)))
    assert blocking
    assert (blocking.name, blocking.reason) == ("OwnerIdle", "OwnerUnreadable")
    for word in ("CloudFormation stack shop", "cloudformation:DescribeStacks", why):
        assert word in str(blocking.message)


def test_fact_16_a_rollback_fights_a_running_stack_update_too() -> None:
    one = plan(roll_back())
    closed = guard_facts(
        plan=one, step=one.spec.steps[0], service=STACKED, stack_status="UPDATE_IN_PROGRESS", deployment=described()
    )
    blocking = first_blocking(evaluate_gates(closed))
    assert blocking
    assert blocking.reason == "OwnerUpdating"


def described(status: str = "IN_PROGRESS", **fields: Any) -> DescribedDeployment:
    """The deployment of revision 3 in flight, on top of revision 2."""
    return described_deployment(3, replaces=2, status=status, **fields)


def ask(step: dict[str, object], deployment: DescribedDeployment | None, **fields: Any) -> dict[str, str | None]:
    """The reasons of the gates that are closed before the step while a deployment is in flight, by gate."""
    one = plan(step, **fields)
    asked = guard_facts(plan=one, step=one.spec.steps[0], service=deploying(3, 2), deployment=deployment)
    return {gate.name: gate.reason for gate in evaluate_gates(asked) if not gate.passed}


HOOK = "PAUSE hook ecs-PAUSE-1 in POST_SCALE_UP"


@pytest.mark.parametrize("step", [scale_out(), restart()])
def test_fact_08_no_write_while_a_hook_waits_for_a_person(step: dict[str, object]) -> None:
    asked = guard_facts(step=plan(step).spec.steps[0], service=deploying(3, 2), deployment=described(waiting_hook=HOOK))
    blocking = first_blocking(evaluate_gates(asked))
    assert blocking
    assert (blocking.name, blocking.reason, blocking.value) == ("NoHookWaiting", "HookWaiting", HOOK)
    assert HOOK in str(blocking.message)


def test_fact_08_a_rollback_goes_on_while_a_hook_waits() -> None:
    assert "NoHookWaiting" not in ask(roll_back(), described(waiting_hook=HOOK))
    assert "NoHookWaiting" not in ask(health_check(), described(waiting_hook=HOOK))
    assert "NoHookWaiting" not in ask(scale_out(), described())


@pytest.mark.parametrize("status", enum_of("ecs", "ServiceDeploymentStatus"))
@pytest.mark.parametrize("step", [scale_out(), restart(), roll_back()])
def test_fact_13_nothing_is_done_against_a_rollback_by_ecs(step: dict[str, object], status: str) -> None:
    """Every ServiceDeploymentStatus of ECS."""
    closed = ask(step, described(status, rollback_reason="the circuit breaker was triggered"))
    expected = "EcsRollsBack" if status in {"ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS"} else None
    assert closed.get("EcsNotRollingBack") == expected


def test_fact_13_that_ecs_rolls_back_is_said_first_and_why() -> None:
    found = described("ROLLBACK_IN_PROGRESS", rollback_reason="the circuit breaker was triggered")
    blocking = first_blocking(evaluate_gates(guard_facts(service=deploying(3, 2), deployment=found)))
    assert blocking
    assert blocking.reason == "EcsRollsBack"
    assert "circuit breaker" in str(blocking.message)


def test_fact_06_a_rollback_that_the_plan_asked_for_is_its_own() -> None:
    """It stays in the service deployment that was stopped, so the intent names it."""

    def stopped(arn: str) -> dict[str, object]:
        arguments = f'{{"serviceDeploymentArn":"{arn}","stopType":"ROLLBACK"}}'
        request = {"service": "ecs", "operation": "StopServiceDeployment", "arguments": arguments}
        intent = {
            "token": "t",
            "attempt": 1,
            "planUID": PLAN_UID,
            "digest": DIGEST,
            "request": request,
            "before": {"desiredCount": 3, "taskDefinition": "web:3"},
            "holder": "operator-1",
            "writtenAt": NOW,
        }
        return {"startedAt": NOW, "steps": [{"name": "rollback", "phase": "InProgress", "intent": intent}]}

    rolling = described("ROLLBACK_IN_PROGRESS")
    assert "EcsNotRollingBack" not in ask(roll_back(), rolling, status=stopped(rolling.arn))
    other = stopped(service_deployment_arn(33))
    assert ask(roll_back(), rolling, status=other)["EcsNotRollingBack"] == "EcsRollsBack"


def test_s6_a_deployment_that_is_not_described_is_not_rolled_back() -> None:
    assert ask(roll_back(), None)["EcsNotRollingBack"] == "DeploymentUnreadable"
    assert "EcsNotRollingBack" not in ask(roll_back(), described())


def test_before_the_service_is_asked_only_people_and_configuration_are() -> None:
    assert len(evaluate_gates(guard_facts(service=None, tally=tally()))) == len(CHECKS)


def test_s6_a_service_that_nobody_asked_for_is_not_taken_for_well() -> None:
    gates = evaluate_gates(guard_facts(service=None))
    blocking = first_blocking(gates)
    assert blocking
    assert blocking.name == "ServiceReadable"


@pytest.mark.parametrize(
    "open_",
    [
        {"protected_service": protected_service(status=locked_by("plan-1", PLAN_UID))},
        {"service": tagged("false")},
        {"service": tagged("False")},
        {"step": plan(health_check()).spec.steps[0], "protected_service": protected_service(allowedActions=[])},
        {"step": plan(scale_out(10)).spec.steps[0]},
        {"mitigated": True, "plan": plan(status={"startedAt": NOW})},
        {"troubled": TROUBLED, "plan": plan(status={"startedAt": NOW})},
        {"troubled": TROUBLED, "step": plan(health_check()).spec.steps[0]},
        {"frozen_by": CORRUPTED, "step": plan(health_check()).spec.steps[0]},
        {"frozen_by": NO_SECRET, "step": plan(scale_out()).spec.steps[0]},
        {"frozen_by": NO_SECRET, "step": plan(roll_back()).spec.steps[0]},
        {"frozen_by": NO_SECRET, "step": plan(restart()).spec.steps[0], "service": service(running=0)},
    ],
)
def test_what_is_no_obstacle_does_not_block(open_: dict[str, object]) -> None:
    assert first_blocking(evaluate_gates(guard_facts(**open_))) is None


def test_s6_both_new_gates_are_asked_before_every_write() -> None:
    names = [gate.name for gate in evaluate_gates(guard_facts())]
    assert len(set(names)) == len(names)
    assert {"StillNeeded", "NotFrozen"} <= set(names)


@pytest.mark.parametrize("step", [scale_out(), roll_back(), restart()])
def test_s6_corrupted_data_freezes_every_write_even_of_a_plan_that_runs(step: dict[str, object]) -> None:
    running = plan(step, status={"startedAt": NOW})
    frozen = guard_facts(plan=running, step=running.spec.steps[0], frozen_by=CORRUPTED)
    blocking = first_blocking(evaluate_gates(frozen))
    assert blocking
    assert (blocking.name, blocking.value) == ("NotFrozen", "api-data-corruption-1")


@pytest.mark.parametrize(
    ("said", "gone"),
    [
        ((), False),
        (("Firing",), False),
        (("Unknown",), False),
        (("Clear",), True),
        (("Clear", "Unknown"), True),
        (("Clear", "Unknown", "Firing"), False),
        (("Clear", "Firing"), False),
    ],
)
def test_s6_trouble_that_went_away_is_gone_until_it_is_seen_again(said: tuple[str, ...], gone: bool) -> None:
    """Cleared at ten to midnight, no traffic since: a plan that is approved now has nothing to recover."""
    trouble = incident()
    for minute, state in enumerate(said):
        now = NOW + minute * MINUTE
        found = standing(now=now, detection=detection(state, now), relapse_watch=30 * MINUTE)
        trouble = trouble.model_copy(update={"status": build_status(trouble, found)})
    one = plan()
    guards = facts_of_guards(one, one.spec.steps[0], facts(incident=trouble, frozen_by=CORRUPTED))
    assert (guards.mitigated, guards.frozen_by) == (gone, CORRUPTED)


def test_s6_without_its_incident_nothing_is_known_to_be_gone() -> None:
    one = plan()
    assert not facts_of_guards(one, one.spec.steps[0], facts(incident=None)).mitigated


def test_a_reject_is_named_by_its_gate() -> None:
    gates = evaluate_gates(guard_facts(tally=tally(REJECT)))
    assert "carol@example.com" in str(next(g.message for g in gates if g.name == "Approved"))


@pytest.mark.parametrize(
    ("now", "changed"),
    [
        (service(), None),
        (service(desired=5), "desiredCount was 3, is 5"),
        (service(7), "the service revision was"),
        (service(current_service_revisions=()), "the service revision was"),
        (service(current_service_deployment=None), "the service deployment was"),
    ],
)
def test_s4_a_precondition_that_changed_is_named(now: EcsService, changed: str | None) -> None:
    found = changed_precondition(plan().spec.preconditions, LiveState(now))
    assert found == changed or (found and changed and found.startswith(changed))


def test_s4_what_the_plan_did_not_know_is_no_precondition() -> None:
    bare = Preconditions.model_validate({"desiredCount": 3, "rootCause": "Unknown"})
    assert changed_precondition(bare, LiveState(service(9))) is None
