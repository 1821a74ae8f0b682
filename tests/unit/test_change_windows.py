"""Change windows and pause as plans meet them: the gate, what holds a step, and what a policy says of itself."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bokgu.api.meta import Gate, find_condition, is_true
from bokgu.api.recovery_plan import CountedApproval
from bokgu.api.vocabulary import PlanPhase, Proof
from bokgu.core.execution import decide
from bokgu.core.guards.chain import CHECKS, evaluate_gates, first_blocking
from bokgu.core.guards.people import list_holders
from bokgu.core.guards.windows import check_window_open
from bokgu.core.recovery_policy import Policies, PolicyReading, find_problem, summarise_policy
from tests.unit.facts import (
    APPROVED,
    MINUTE,
    NOW,
    facts,
    health_check,
    manual,
    plan,
    policies,
    protected_service,
    scale_out,
    tally,
)
from tests.unit.small_world import World, open_tokens
from tests.unit.test_guards import guard_facts

Raw = dict[str, Any]
COMMANDER = CountedApproval(uid="u", approver="carol@example.com", role="incident_commander", proof=Proof.SIGNED)
OVERRIDDEN = replace(APPROVED, emergency=COMMANDER)
UNREADABLE = PolicyReading(None, "the RecoveryPolicy of namespace shop cannot be read by this version")
READABLE = PolicyReading(None)


def window(name: str, kind: str, schedule: str, duration: str, zone: str = "UTC") -> Raw:
    return {"name": name, "kind": kind, "schedule": schedule, "duration": duration, "timeZone": zone}


# NOW is a Tuesday, 08:00 UTC: in Berlin 09:00.
WORK = window("work", "Allow", "0 9 * * 1-5", "8h", "Europe/Berlin")
LATER = window("later", "Allow", "10 8 * * *", "1h")
FREEZE = window("freeze", "Deny", "0 0 24 11 *", "24h")
BROKEN = window("broken", "Allow", "99 * * * *", "1h")


def gate(*windows: Raw, **fields: Any) -> Gate:
    return check_window_open(guard_facts(policies=policies(windows=list(windows)), **fields))


@pytest.mark.parametrize("windows", [[], [WORK], [WORK, LATER], [window("night", "Deny", "0 22 * * *", "10h")]])
def test_s6_open_windows_let_a_step_start(windows: list[Raw]) -> None:
    assert gate(*windows).passed


@pytest.mark.parametrize(
    ("windows", "reason", "value", "until"),
    [
        ([LATER], "WindowClosed", "Allow window later", NOW + 10 * MINUTE),
        ([WORK, FREEZE], "WindowClosed", "Deny window freeze", NOW + timedelta(hours=24)),
        ([window("ever", "Deny", "* * * * *", "168h")], "WindowClosed", "Deny window ever", None),
        ([WORK, BROKEN], "WindowUnreadable", "Allow window broken", None),
        ([{**WORK, "timeZone": "Mars/Olympus"}], "WindowUnreadable", "Allow window work", None),
    ],
)
def test_s6_closed_windows_block_and_say_until_when(windows: list[Raw], reason: str, value: str, until: object) -> None:
    closed = gate(*windows)
    assert (closed.passed, closed.reason, closed.value, closed.blocked_until) == (False, reason, value, until)
    assert "emergency role" in (closed.message or "")
    if until is None and reason == "WindowClosed":
        assert "no opening is in sight" in (closed.message or "")


@pytest.mark.parametrize("windows", [[LATER], [WORK, FREEZE], [BROKEN]])
def test_the_emergency_role_opens_them_and_the_gate_says_so(windows: list[Raw]) -> None:
    opened = gate(*windows, tally=OVERRIDDEN)
    assert opened.passed
    assert "overridden by carol@example.com as incident_commander" in (opened.value or "")
    assert opened.reason == "EmergencyOverride"
    assert "overridden" not in (gate(WORK, tally=OVERRIDDEN).value or "")
    assert gate(WORK, tally=OVERRIDDEN).reason is None


@pytest.mark.parametrize("said", [APPROVED, OVERRIDDEN])
def test_s6_a_policy_that_cannot_be_read_blocks_whoever_overrides(said: Any) -> None:
    gates = evaluate_gates(guard_facts(policies=Policies(UNREADABLE, READABLE), tally=said))
    blocking = first_blocking(gates)
    assert blocking
    assert (blocking.name, blocking.reason) == ("WindowOpen", "WindowUnreadable")


def test_people_are_asked_before_the_windows_and_the_service_after_them() -> None:
    asked = [gate.name for gate in evaluate_gates(guard_facts())]
    assert asked.index("Approved") < asked.index("WindowOpen") == len(CHECKS) - 1


# A plan that waits


def test_a_plan_waits_for_the_window_and_looks_again_when_it_opens() -> None:
    soon = {**LATER, "schedule": "1 8 * * *"}
    closed = policies(windows=[soon])
    status = decide(plan(), facts(policies=closed, now=NOW + timedelta(seconds=50))).status
    assert (status.phase, status.reason) == (PlanPhase.APPROVED, "WindowClosed")
    blocked = find_condition(status.conditions, "Blocked")
    assert blocked
    assert (is_true(status.conditions, "Blocked"), blocked.reason) == (True, "WindowClosed")
    unlocked = protected_service()
    for before, expected in ((50, 10), (20, 30), (59.9, 1)):
        now = NOW + timedelta(seconds=before)
        outcome = decide(plan(), facts(policies=closed, now=now, protected_service=unlocked))
        assert outcome.requeue_after == timedelta(seconds=expected)
    assert decide(plan(), facts(policies=closed, now=NOW + MINUTE)).status.reason != "WindowClosed"
    waiting = decide(plan(), facts(policies=closed, tally=tally(), service=None, protected_service=unlocked))
    assert waiting.status.reason == "ApprovalsMissing"
    assert waiting.requeue_after == MINUTE


def test_s1_a_started_plan_holds_its_next_write_when_the_window_closes() -> None:
    world = running()
    world.policies = policies(windows=[FREEZE])
    world.do()
    assert (world.status.reason, world.sent) == ("WindowClosed", [])
    assert not open_tokens(world.status)
    world.policies = policies(windows=[WORK])
    world.until_sent()
    assert len(world.sent) == 1


def test_an_intent_names_the_emergency_approval_that_opened_the_window() -> None:
    for windows, named in (([FREEZE], [COMMANDER]), ([WORK], [])):
        world = running()
        world.tally = OVERRIDDEN
        world.policies = policies(windows=windows)
        world.until_sent()
        intent = world.status.steps[0].intent
        assert intent
        assert [c for c in intent.approvals if c.role == COMMANDER.role] == named
        assert len(intent.approvals) == 2 + len(named)


# Pause

OWN = "spec.pause of RecoveryPolicy shop/default"
EVERYTHING = "spec.pause of RecoveryPolicy bokgu-system/default of the operator's namespace: everything is paused"
PAUSED = [
    (policies(pause=True), [OWN]),
    (policies(operator={"pause": True}), [EVERYTHING]),
    (policies(pause=True, operator={"pause": True}), [OWN, EVERYTHING]),
    (Policies(UNREADABLE, READABLE), [f"whatever it says: {UNREADABLE.problem}"]),
    (Policies(READABLE, UNREADABLE), [f"whatever it says: {UNREADABLE.problem}"]),
]


def running(*steps: Raw) -> World:
    world = World(plan(*steps))
    while not world.status.started_at:
        world.do()
    return world


@pytest.mark.parametrize(("given", "said"), PAUSED)
def test_a_pause_holds_and_says_who(given: Policies, said: list[str]) -> None:
    assert list_holders(plan(), protected_service(), given) == said
    assert list_holders(plan(suspend=True), None, given) == ["spec.suspend of the plan", *said]


def test_what_does_not_pause_holds_nothing() -> None:
    for given in (policies(), policies(pause=False, maxAutoPerHour=2), policies(operator={"maxAutoPerHour": 2})):
        assert list_holders(plan(), protected_service(), given) == []


def test_the_operators_own_namespace_is_named_once() -> None:
    reading = policies(pause=True).own
    assert list_holders(plan(), None, Policies(reading, reading)) == [OWN]


@pytest.mark.parametrize(("given", "said"), PAUSED)
@pytest.mark.parametrize("step", [scale_out(), health_check(), manual()])
def test_s6_a_pause_holds_a_plan_before_its_next_step(given: Policies, said: list[str], step: Raw) -> None:
    world = running(health_check(name="first"), step)
    world.policies = given
    world.do()
    assert (world.status.reason, world.sent) == ("Suspended", [])
    assert world.status.steps[1].started_at is None
    held = find_condition(world.status.conditions, "Suspended")
    assert held
    assert all(one in held.message for one in said)
    world.policies = policies()
    world.do()
    assert world.status.steps[1].started_at or world.status.steps[1].intent


def test_s6_a_pause_keeps_an_approved_plan_from_starting() -> None:
    outcome = decide(plan(), facts(policies=policies(pause=True), protected_service=protected_service()))
    assert (outcome.effect, outcome.status.phase) == (None, PlanPhase.APPROVED)
    assert outcome.status.reason == "Suspended"


def test_a_step_under_way_ends_while_paused() -> None:
    world = running()
    world.until_sent()
    world.policies = policies(pause=True)
    world.settle()
    world.until(PlanPhase.COMPLETED)


# What the policy says of itself


def test_a_policy_shows_its_pause_and_its_windows() -> None:
    found = policies(pause=True, windows=[WORK, FREEZE]).own.found
    assert found
    assert summarise_policy(found) == "paused, 0 approval rules, 2 change windows"
    assert find_problem(found, auto_enabled=False, emergency_role=None) is None


def test_s12_a_policy_names_the_window_that_cannot_be_read() -> None:
    found = policies(windows=[WORK, BROKEN], auto=[]).own.found
    assert found
    problem = find_problem(found, auto_enabled=False, emergency_role=None)
    assert problem
    assert problem[0] == "WindowUnreadable"
    assert "window broken" in problem[1]
    assert "Bad minute" in problem[1]
