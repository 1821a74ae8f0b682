from dataclasses import replace

import pytest

from bokgu.api.observed import EcsService
from bokgu.api.recovery_plan import Preconditions
from bokgu.core.guards import (
    CHECKS,
    LIVE_CHECKS,
    GuardFacts,
    changed_precondition,
    evaluate_gates,
    first_blocking,
)
from tests.unit.facts import (
    APPROVED,
    NOW,
    PLAN_UID,
    REJECT,
    deploying,
    health_check,
    locked_by,
    plan,
    protected_service,
    scale_out,
    service,
    tally,
)


def guard_facts(**fields: object) -> GuardFacts:
    one = plan()
    facts = GuardFacts(
        plan=one,
        step=one.spec.steps[0],
        protected_service=protected_service(),
        service=service(),
        problem=None,
        tally=APPROVED,
        elder=None,
        at_work=None,
        now=NOW,
    )
    return replace(facts, **fields)  # type: ignore[arg-type]


def tagged(value: str) -> EcsService:
    return service(tags={"bokgu:suspend": value})


def test_s6_with_every_gate_open_nothing_blocks() -> None:
    gates = evaluate_gates(guard_facts())
    assert first_blocking(gates) is None
    assert len(gates) == len(CHECKS) + len(LIVE_CHECKS)


@pytest.mark.parametrize(
    ("closed", "gate", "reason"),
    [
        ({"protected_service": None}, "Protected", "NotProtected"),
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
        ({"service": deploying(3, 2)}, "NoDeployment", "DeploymentInProgress"),
        ({"step": plan(scale_out(11)).spec.steps[0]}, "WithinLimits", "LimitExceeded"),
        ({"step": plan(scale_out(3)).spec.steps[0]}, "WithinLimits", "LimitExceeded"),
        ({"protected_service": protected_service(limits={})}, "WithinLimits", "LimitExceeded"),
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
    assert closed == {"ServiceReadable", "ServiceSupported", "NoDeployment", "WithinLimits"}


def test_before_the_service_is_asked_only_people_and_configuration_are() -> None:
    assert len(evaluate_gates(guard_facts(service=None))) == len(CHECKS)


@pytest.mark.parametrize(
    "open_",
    [
        {"protected_service": protected_service(status=locked_by("plan-1", PLAN_UID))},
        {"service": tagged("false")},
        {"service": tagged("False")},
        {"step": plan(health_check()).spec.steps[0], "protected_service": protected_service(allowedActions=[])},
        {"step": plan(scale_out(10)).spec.steps[0]},
    ],
)
def test_what_is_no_obstacle_does_not_block(open_: dict[str, object]) -> None:
    assert first_blocking(evaluate_gates(guard_facts(**open_))) is None


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
    found = changed_precondition(plan().spec.preconditions, now)
    assert found == changed or (found and changed and found.startswith(changed))


def test_s4_what_the_plan_did_not_know_is_no_precondition() -> None:
    bare = Preconditions.model_validate({"desiredCount": 3, "rootCause": "Unknown"})
    assert changed_precondition(bare, service(9)) is None
