"""The gate DependenciesWell, and what it looks at: open incidents of what a service depends on."""

from collections.abc import Mapping, Sequence
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from bokgu.api.incident import Incident
from bokgu.api.vocabulary import PlanPhase
from bokgu.core.correlation import RELAPSE_WATCH, Trouble, find_troubled
from bokgu.core.guards.trouble import check_dependencies_well
from bokgu.core.plan_facts import guard_facts
from tests.unit.facts import INCIDENT_UID, facts, incident, plan
from tests.unit.small_world import World

NEEDED: Mapping[str, Sequence[str]] = {"api": ("orders",), "orders": ("ledger",), "ledger": ()}


def trouble_of(service: str, **status: Any) -> Incident:
    meta = {"name": f"{service}-down", "uid": f"uid-of-{service}"}
    return incident(meta=meta, status={"phase": "Recovering", **status}, serviceRef={"name": service})


def names(*incidents: Incident, needed: Mapping[str, Sequence[str]] = NEEDED) -> list[str]:
    return [t.incident for t in find_troubled("api", INCIDENT_UID, incidents, needed)]


def test_a_dependency_in_trouble_is_named_however_far_away() -> None:
    found = names(trouble_of("orders"), trouble_of("ledger"), trouble_of("web"), incident())
    assert found == ["ledger-down", "orders-down"]


def test_a_plan_for_the_incident_of_a_dependency_does_not_wait_for_it() -> None:
    """People may mend one service by changing another."""
    orders = trouble_of("orders")
    assert find_troubled("api", orders.metadata.uid, [orders], NEEDED) == ()


LED = {"leader": {"name": "incident-1", "uid": INCIDENT_UID}}


@pytest.mark.parametrize(
    ("status", "counts"),
    [
        ({"phase": "Detected"}, True),
        ({"phase": "AwaitingApproval"}, True),
        ({"phase": "Escalated"}, True),
        ({"phase": "Verifying"}, True),
        ({"phase": "Verifying", "reason": RELAPSE_WATCH}, False),
        ({"phase": "Resolved"}, False),
        ({"phase": "Suppressed"}, True),
        ({"phase": "Suppressed", **LED}, False),
        ({"phase": "Suppressed", "leader": {"name": "other", "uid": "other"}}, True),
        ({"phase": "Detected", **LED}, False),
        ({"phase": "Detected", "leader": {"name": "other", "uid": "other"}}, True),
    ],
)
def test_only_an_open_incident_of_its_own_counts(status: dict[str, Any], counts: bool) -> None:
    assert names(trouble_of("orders", **status)) == (["orders-down"] if counts else [])


def test_services_that_need_each_other_do_not_wait_for_each_other() -> None:
    circle = {"api": ("orders", "api"), "orders": ("ledger",), "ledger": ("api", "disk"), "disk": ()}
    assert names(trouble_of("orders"), trouble_of("ledger"), incident(meta={"uid": "x"}), needed=circle) == []
    assert names(trouble_of("disk"), needed=circle) == ["disk-down"]


SERVICES = ("api", "orders", "ledger", "disk")


@given(st.fixed_dictionaries({s: st.lists(st.sampled_from(SERVICES), max_size=3) for s in SERVICES}))
def test_whatever_depends_on_what_one_service_at_least_need_not_wait(needed: dict[str, list[str]]) -> None:
    """All are in trouble: no circle may keep every plan from its start."""
    troubles = [trouble_of(service) for service in SERVICES]
    waits = [find_troubled(s, f"uid-of-{s}", troubles, needed) for s in SERVICES]
    assert not all(waits)


def test_s6_the_gate_names_what_it_waits_for() -> None:
    one = plan()
    troubled = (Trouble("ledger", "ledger-down"), Trouble("orders", "orders-down"))
    gate = check_dependencies_well(guard_facts(one, one.spec.steps[0], facts(troubled=troubled)))
    assert (gate.passed, gate.reason, gate.value) == (False, "DependencyTroubled", "ledger-down, orders-down")
    assert "ledger, orders" in str(gate.message)


def test_s6_a_plan_waits_for_its_dependency_and_one_that_has_begun_goes_on() -> None:
    world = World(plan())
    world.troubled = (Trouble("orders", "orders-down"),)
    for _ in range(5):
        world.do()
    assert (world.status.phase, world.status.reason) == (PlanPhase.APPROVED, "DependencyTroubled")
    assert world.status.started_at is None
    world.troubled = ()
    while not world.status.started_at:
        world.do()
    world.troubled = (Trouble("orders", "orders-down"),)
    world.until_sent()
    assert len(world.sent) == 1
