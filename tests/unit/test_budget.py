"""Budgets, cooldowns, storm and breaker as gates: what has not begun waits, what has begun goes on."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.meta import Gate, OpenBreaker
from bokgu.api.protected_service import Recovery
from bokgu.api.recovery_policy import RecoveryPolicy
from bokgu.core.guards.chain import NAMESPACE_CHECKS, evaluate_gates, evaluate_namespace_gates, first_blocking
from bokgu.core.load import Load, measure_load, measure_services
from bokgu.core.recovery_policy import count_budget_left
from bokgu.core.storm import Storm
from bokgu.core.surroundings import Surroundings
from tests import gates_page
from tests.unit.facts import DIGEST, INCIDENT_UID, NOW, PLAN_UID, locked_by, plan, protected_service
from tests.unit.test_guards import guard_facts

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
STORM = Storm(since=NOW - MINUTE, incidents=7, until=None)
BREAKER = OpenBreaker(opened_at=NOW - HOUR, plans=("plan-8", "plan-9"))
WRITTEN = {
    "name": "scale-out",
    "intent": {
        "token": "t",
        "attempt": 1,
        "planUID": PLAN_UID,
        "digest": DIGEST,
        "request": {"service": "ecs", "operation": "UpdateService", "arguments": "{}"},
        "before": {"desiredCount": 3, "taskDefinition": "web:3"},
        "holder": "operator-1",
        "writtenAt": NOW,
    },
}
FREEZE = {"name": "freeze", "kind": "Deny", "schedule": "* * * * *", "duration": "1h"}
TEN = {f"service-{n}": "production" for n in range(9)} | {"api": "production"}


def policy(**spec: Any) -> RecoveryPolicy:
    raw = {"kind": "RecoveryPolicy", "metadata": {"name": "default", "namespace": "shop", "uid": "p"}, "spec": spec}
    return RecoveryPolicy.model_validate(raw)


def recovery(ended: timedelta, outcome: str = "Completed", **fields: Any) -> Recovery:
    """One that ended so long ago, and took ten minutes."""
    raw = {"plan": "plan-0", "uid": "other", "incidentUid": "another", "outcome": outcome}
    times = {"startedAt": NOW - ended - 10 * MINUTE, "finishedAt": NOW - ended}
    return Recovery.model_validate({**raw, **times, **fields})


def closed(around: Surroundings, **fields: Any) -> Gate | None:
    return first_blocking(evaluate_namespace_gates(guard_facts(around=around, **fields)))


def names(gate: Gate | None) -> tuple[str, str | None] | None:
    return (gate.name, gate.reason) if gate else None


@pytest.mark.parametrize(
    ("around", "spec", "paused", "left"),
    [
        (Surroundings(), {}, False, 3),
        (Surroundings(load=Load(TEN, {"plan-8": "service-1", "plan-9": "service-2"})), {}, False, 1),
        (Surroundings(load=Load(TEN, {f"plan-{n}": f"service-{n}" for n in range(4)})), {}, False, 0),
        (Surroundings(), {}, True, 0),
        (Surroundings(storm=STORM), {}, False, 0),
        (Surroundings(namespace_breaker=BREAKER), {}, False, 0),
        (Surroundings(service_breaker=BREAKER), {}, False, 3),
        (Surroundings(), {"windows": [FREEZE]}, False, 0),
    ],
)
def test_s7_the_budget_that_is_left_is_none_while_everything_is_held(
    around: Surroundings, spec: dict[str, Any], paused: bool, left: int
) -> None:
    three = policy(budget={"maxConcurrent": 3}, **spec)
    assert count_budget_left(three, around, paused=paused, now=NOW) == left


ROOMY = policy(budget={"maxConcurrent": 10, "maxUnavailablePercent": 10})
CLOSED: list[tuple[Surroundings, str, str]] = [
    (Surroundings(storm=STORM), "NoStorm", "Storm"),
    (Surroundings(service_breaker=BREAKER), "ServiceBreakerClosed", "BreakerOpen"),
    (Surroundings(namespace_breaker=BREAKER), "NamespaceBreakerClosed", "BreakerOpen"),
    (Surroundings(recoveries=(recovery(29 * MINUTE),)), "CooledDown", "CoolingDown"),
    (Surroundings(recoveries=(recovery(119 * MINUTE, "Failed"),)), "CooledDown", "CoolingDown"),
    (Surroundings(recoveries=(recovery(119 * MINUTE, ineffective=True),)), "CooledDown", "CoolingDown"),
    (Surroundings(load=Load(TEN, {"plan-9": "service-1"})), "WithinBudget", "BudgetUsedUp"),
    (Surroundings(ROOMY, load=Load(TEN, {"plan-9": "service-1"})), "EnoughAvailable", "TooManyUnavailable"),
    (Surroundings(policy(budget={"maxConcurrent": 0})), "WithinBudget", "BudgetUsedUp"),
]


@pytest.mark.parametrize(("around", "gate", "reason"), CLOSED)
def test_s7_what_has_not_begun_waits(around: Surroundings, gate: str, reason: str) -> None:
    found = closed(around)
    assert names(found) == (gate, reason)
    assert found
    assert found.message


@pytest.mark.parametrize(("around", "gate"), [(around, gate) for around, gate, _ in CLOSED])
def test_s7_what_has_begun_waits_for_no_budget_and_what_has_written_for_nothing(
    around: Surroundings, gate: str
) -> None:
    stops = gate in {"NoStorm", "ServiceBreakerClosed", "NamespaceBreakerClosed"}
    found = closed(around, plan=plan(status={"startedAt": NOW}))
    assert (found.name if found else None) == (gate if stops else None)
    assert closed(around, plan=plan(status={"startedAt": NOW, "steps": [WRITTEN]})) is None


def test_with_nothing_else_at_work_all_of_these_gates_are_open() -> None:
    gates = evaluate_namespace_gates(guard_facts())
    assert [g.name for g in gates if not g.passed] == []
    assert len({g.name for g in gates}) == len(NAMESPACE_CHECKS)


def test_s6_two_closed_gates_are_both_shown() -> None:
    around = Surroundings(storm=STORM, load=Load(TEN, {"plan-9": "service-1"}))
    shown = {g.name for g in evaluate_gates(guard_facts(around=around)) if not g.passed}
    assert {"NoStorm", "WithinBudget"} <= shown


def test_s6_behind_a_closed_gate_of_the_namespace_the_service_is_not_asked_for() -> None:
    gates = evaluate_gates(guard_facts(service=None, around=Surroundings(storm=STORM)))
    assert names(first_blocking(gates)) == ("NoStorm", "Storm")
    assert "ServiceReadable" not in {g.name for g in gates}


# Cooldown


@pytest.mark.parametrize(
    ("known", "waits"),
    [
        (recovery(30 * MINUTE), False),
        (recovery(120 * MINUTE, "Failed"), False),
        (recovery(29 * MINUTE, incidentUid=INCIDENT_UID), False),
        (recovery(MINUTE, "Cancelled"), False),
        (recovery(MINUTE, uid=PLAN_UID), False),
        (recovery(31 * MINUTE, "RolledBack"), True),
    ],
)
def test_a_service_cools_down_after_recoveries_of_other_incidents(known: Recovery, waits: bool) -> None:
    assert (closed(Surroundings(recoveries=(known,))) is not None) is waits


def test_s6_a_cooldown_says_until_when_and_the_longest_counts() -> None:
    both = (recovery(20 * MINUTE), recovery(60 * MINUTE, "Failed"))
    found = closed(Surroundings(recoveries=both))
    assert found
    assert found.blocked_until == NOW + HOUR
    assert "cooldownAfterFailure" in (found.message or "")


def test_the_limits_of_the_service_count() -> None:
    quick = protected_service(limits={"maxDesiredCount": 10, "cooldown": "1m", "cooldownAfterFailure": "2m"})
    assert closed(Surroundings(recoveries=(recovery(61 * MINUTE / 60),)), protected_service=quick) is None
    assert closed(Surroundings(recoveries=(recovery(MINUTE, "Failed"),)), protected_service=quick) is not None


# Rate


def test_s6_so_many_recoveries_an_hour_and_it_says_when_the_next_one_may_begin() -> None:
    begun = tuple(
        recovery((50 - n) * MINUTE - 10 * MINUTE, "Cancelled", uid=f"u{n}", plan=f"plan-{n}") for n in range(3)
    )
    found = closed(Surroundings(recoveries=begun))
    assert names(found) == ("WithinRate", "TooManyRecoveries")
    assert found
    assert found.blocked_until == NOW + 10 * MINUTE
    assert closed(Surroundings(recoveries=begun[1:])) is None


def test_a_rate_of_zero_lets_nothing_begin() -> None:
    none = protected_service(limits={"maxDesiredCount": 10, "maxRecoveriesPerHour": 0})
    assert names(closed(Surroundings(), protected_service=none)) == ("WithinRate", "TooManyRecoveries")


# Load


def test_of_a_few_services_one_may_always_be_recovered() -> None:
    assert closed(Surroundings(load=Load({"api": "production"}))) is None
    assert closed(Surroundings(load=Load({"api": "production"}, {}, frozenset({"api"})))) is None


def test_s7_the_share_is_rounded_up_and_counts_what_is_recovered_as_unavailable() -> None:
    roomy = policy(budget={"maxConcurrent": 10, "maxUnavailablePercent": 20})
    one = Load(TEN, {"plan-1": "service-1"})
    assert closed(Surroundings(roomy, load=one)) is None
    two = replace(one, unavailable=frozenset({"service-2"}))
    assert names(closed(Surroundings(roomy, load=two))) == ("EnoughAvailable", "TooManyUnavailable")


@pytest.mark.parametrize("down", [{"service-1"}, {"api", "service-1", "service-2"}, set(TEN)])
def test_one_may_always_be_recovered_however_many_are_down(down: set[str]) -> None:
    assert closed(Surroundings(load=Load(TEN, {}, frozenset(down)))) is None


def test_an_environment_has_a_budget_of_its_own_besides() -> None:
    services = {"api": "production", "test-1": "staging", "test-2": "staging"}
    mine = policy(
        budget={
            "maxConcurrent": 5,
            "maxUnavailablePercent": 100,
            "environments": [{"environment": "production", "maxConcurrent": 1, "maxUnavailablePercent": 100}],
        }
    )
    assert closed(Surroundings(mine, load=Load(services, {"p": "test-1", "q": "test-2"}))) is None
    busy = Load({**services, "web": "production"}, {"p": "web"})
    found = closed(Surroundings(mine, load=busy))
    assert names(found) == ("WithinBudget", "BudgetUsedUp")
    assert found
    assert (found.value, found.limit) == ("1 in environment production", "1")


def test_s7_whatever_shows_that_a_plan_is_at_work_counts() -> None:
    running = plan(meta={"name": "running"}, status={"startedAt": NOW, "phase": "Verifying"})
    over = plan(meta={"name": "over"}, status={"startedAt": NOW, "phase": "Completed"})
    services = [protected_service(status=locked_by("holder", "uid"))]
    load = measure_load(measure_services(services), [running, over], {"claimed": "web"}, without="")
    assert set(load.recovering) == {"running", "holder", "claimed"}
    assert set(measure_load(measure_services(services), [running], {}, without="running").recovering) == {"holder"}


def test_a_service_of_which_nothing_is_known_is_not_taken_for_available() -> None:
    assert measure_load(measure_services([protected_service()]), [], {}).unavailable == {"api"}


def test_a_plan_whose_service_is_gone_counts_everywhere() -> None:
    load = Load({"api": "production", "web": "staging"}, {"p": "gone", "q": "web"})
    assert set(load.within("production").recovering) == {"p"}


@pytest.mark.parametrize(("running", "desired", "down"), [(0, 3, True), (1, 2, True), (2, 3, False), (0, 0, False)])
def test_a_service_that_lacks_half_of_its_tasks_is_unavailable(running: int, desired: int, down: bool) -> None:
    seen = {"desiredCount": desired, "runningCount": running, "pendingCount": 0, "taskDefinition": "api:1"}
    load = measure_load(measure_services([protected_service(status={"service": seen})]), [], {})
    assert bool(load.unavailable) is down


@pytest.mark.parametrize(
    ("ready", "reason", "down"),
    [("True", "Described", False), ("False", "AccessDenied", True), ("False", "TargetAlreadyProtected", False)],
)
def test_s7_a_service_that_cannot_be_read_any_more_is_unavailable(ready: str, reason: str, down: bool) -> None:
    condition = {"type": "Ready", "status": ready, "reason": reason, "message": "", "lastTransitionTime": NOW}
    service = {"desiredCount": 3, "runningCount": 3, "pendingCount": 0, "taskDefinition": "api:1"}
    seen = protected_service(status={"service": service, "conditions": [condition]})
    assert bool(measure_load(measure_services([seen]), [], {}).unavailable) is down


@given(st.integers(1, 40), st.integers(0, 40), st.integers(0, 100), st.integers(0, 5))
def test_s7_no_load_lets_more_begin_than_the_budget(many: int, down: int, percent: int, running: int) -> None:
    services = {f"s{n}": "production" for n in range(many)} | {"api": "production"}
    load = Load(
        services, {f"p{n}": f"s{n}" for n in range(running)}, frozenset(f"s{n}" for n in range(min(down, many)))
    )
    limit = policy(budget={"maxConcurrent": 3, "maxUnavailablePercent": percent})
    if closed(Surroundings(limit, load=load)) is None:
        assert running < 3
        assert not running or load.down_with("api") <= max(1, -(-len(services) * percent // 100))


# Breaker


def test_s7_what_waited_for_a_reset_is_not_replayed() -> None:
    looked = Surroundings(service_reset_at=NOW - HOUR)
    old = plan(meta={"creationTimestamp": NOW - 2 * HOUR})
    new = plan(meta={"creationTimestamp": NOW - MINUTE})
    assert names(closed(looked, plan=old)) == ("ServiceBreakerClosed", "MadeBeforeReset")
    assert closed(looked, plan=new) is None
    everywhere = Surroundings(namespace_reset_at=NOW - HOUR)
    assert names(closed(everywhere, plan=old)) == ("NamespaceBreakerClosed", "MadeBeforeReset")


# What is written about them


def test_the_page_shows_all_gates_as_they_are() -> None:
    page = gates_page.PAGE.read_text()
    assert gates_page.fill(page) == page, "run `make docs` and commit"
