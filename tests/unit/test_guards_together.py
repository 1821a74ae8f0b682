"""Several guards at once: none opens another, and each that is closed holds the plan by itself."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bokgu.core.guards.chain import CHECKS, LIVE_CHECKS, NAMESPACE_CHECKS, evaluate_gates, first_blocking
from bokgu.core.guards.facts import GuardFacts
from bokgu.core.load import Load
from bokgu.core.surroundings import Surroundings
from tests.unit.facts import MINUTE, NOW, plan, policies, protected_service, service, tally
from tests.unit.test_budget import BREAKER, FREEZE, ROOMY, STORM, TEN, WRITTEN, policy, recovery
from tests.unit.test_guards import CORRUPTED, TROUBLED, guard_facts

CLOSED: dict[str, dict[str, Any]] = {
    "RoleAllowed": {"role_refused": "namespace shop may not assume it"},
    "SoleProtector": {"elder": "shop/older"},
    "Mode": {"protected_service": protected_service(mode="Propose")},
    "Approved": {"tally": tally()},
    "WindowOpen": {"policies": policies(windows=[FREEZE])},
    "NotSuspended": {"plan": plan(suspend=True)},
    "StillNeeded": {"mitigated": True},
    "NotFrozen": {"frozen_by": CORRUPTED},
    "DependenciesWell": {"troubled": TROUBLED},
    "ServiceFree": {"at_work": "plan-2"},
    "ServiceSupported": {"service": service(scheduling_strategy="DAEMON")},
}
"""What closes one gate and no other."""

AROUND: dict[str, dict[str, Any]] = {
    "NoStorm": {"storm": STORM},
    "ServiceBreakerClosed": {"service_breaker": BREAKER},
    "NamespaceBreakerClosed": {"namespace_breaker": BREAKER},
    "CooledDown": {"recoveries": (recovery(29 * MINUTE),)},
    "EnoughAvailable": {"policy": ROOMY, "load": Load(TEN, {"plan-9": "service-1"})},
    "WithinBudget": {
        "policy": policy(budget={"maxConcurrent": 1, "maxUnavailablePercent": 100}),
        "load": Load(TEN, {"plan-9": "service-1"}),
    },
}
"""The same of what other recoveries say. Of the last two one at a time: they are about the same load."""

some_of = st.sets(st.sampled_from(sorted({**CLOSED, **AROUND}))).filter(
    lambda names: not {"WithinBudget", "EnoughAvailable"} <= names
)


def close(names: set[str], **fields: Any) -> GuardFacts:
    around: dict[str, Any] = {}
    for name in sorted(names):
        fields = {**CLOSED.get(name, {}), **fields}
        around = {**around, **AROUND.get(name, {})}
    return guard_facts(around=Surroundings(**around), **fields)


def order() -> list[str]:
    gates = [check(guard_facts()).name for check in (*CHECKS, *NAMESPACE_CHECKS, *LIVE_CHECKS)]
    assert set(CLOSED) | set(AROUND) <= set(gates)
    return gates


@given(some_of)
def test_s6_of_several_closed_guards_each_is_shown_and_the_first_holds_the_plan(names: set[str]) -> None:
    gates = evaluate_gates(close(names))
    assert {gate.name for gate in gates if not gate.passed} == names
    first = first_blocking(gates)
    assert (first.name if first else None) == min(names, key=order().index, default=None)


@given(some_of)
def test_s7_what_has_written_is_held_by_no_other_recovery(names: set[str]) -> None:
    facts = close(names)
    status = plan(status={"startedAt": NOW, "steps": [WRITTEN]}).status
    gates = evaluate_gates(replace(facts, plan=facts.plan.model_copy(update={"status": status})))
    closed = {gate.name for gate in gates if not gate.passed}
    assert closed <= names - set(AROUND)
    # What people and the service itself say holds it all the same.
    assert names & {"RoleAllowed", "Mode", "Approved", "WindowOpen", "NotSuspended", "NotFrozen"} <= closed
