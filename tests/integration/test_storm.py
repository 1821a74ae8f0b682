"""Five hundred incidents on two hundred services at once, on the real control plane (S7)."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.scenarios.kube_admin import KubeAdmin
from tests.world.manifests import CLUSTER, SURGE_LOAD, detector, incident, protected_service, roomy_policy
from tests.world.world import Raw, World, wait_for

SERVICES = [f"svc{number:03d}" for number in range(200)]
TYPES = ("service_down", "resource_exhaustion")
INCIDENTS = 500
THRESHOLD, FIRST, BUDGET = 5, 3, 2
OVER = {"Completed", "Failed", "Cancelled", "Expired", "RolledBack"}


@pytest.mark.timeout(300)
def test_s7_a_storm_leads_to_one_alert_and_to_no_more_recoveries_than_the_budget(tmp_path: Path) -> None:
    with World(tmp_path, operator=False) as world, ThreadPoolExecutor(8) as threads:
        kube = KubeAdmin(world)
        list(threads.map(world.create_service, SERVICES))
        list(threads.map(kube.put, map(protected_service, SERVICES)))
        list(threads.map(kube.put, map(detector, SERVICES)))
        storm = {"threshold": THRESHOLD, "window": "10m", "cooldown": "10m"}
        kube.put(roomy_policy(storm=storm, budget={"maxConcurrent": BUDGET, "maxUnavailablePercent": 100}))
        world.start_operator()

        def wait(kind: str, count: int, condition: Callable[[Raw], bool], seconds: float) -> None:
            def explain() -> str:
                return f"{[o for o in world.all(kind) if not condition(o)][:3]}\n{world.operator_log_tail()}"

            wait_for(lambda: [condition(o) for o in world.all(kind)] == [True] * count, seconds, explain)

        wait("protectedservices", len(SERVICES), seen, 60)
        wait("detectors", len(SERVICES), lambda found: status(found).get("summary") == "Clear", 60)
        for name in SERVICES[:FIRST]:
            world.simulator.set_load(CLUSTER, name, SURGE_LOAD)
        wait("recoveryplans", FIRST, lambda plan: phase(plan) == "AwaitingApproval", 60)
        for plan in world.all("recoveryplans"):
            kube.put(world.alice.approve(plan, "system_admin"))
            kube.put(world.bob.approve(plan, "service_owner"))
        wait("recoveryplans", FIRST, lambda plan: "startedAt" in plan["status"] or held(plan, "BudgetUsedUp"), 30)
        # What has written nothing yet when the storm comes is held, too.
        wait_for(lambda: sum(len(world.updates(name)) for name in SERVICES[:FIRST]) == BUDGET, 30, lambda: "no writes")

        for name in SERVICES[FIRST:]:
            world.simulator.set_load(CLUSTER, name, SURGE_LOAD)
        flood = [incident(f"{name}-{kind.replace('_', '-')}", name, type=kind) for kind in TYPES for name in SERVICES]
        flood = flood[: INCIDENTS - len(SERVICES)]
        list(threads.map(kube.put, flood))
        wait("incidents", INCIDENTS, lambda i: planned(i) or held(i, "Storm") or phase(i) == "Suppressed", 150)
        assert sum(planned(i) for i in world.all("incidents")) < THRESHOLD, "only what came before has a plan"
        wait("recoveryplans", len(world.all("recoveryplans")), lambda p: phase(p) in OVER or held(p, "Storm"), 60)
        begun = [plan for plan in world.all("recoveryplans") if "startedAt" in plan["status"]]
        assert [phase(plan) for plan in begun] == ["Completed"] * BUDGET
        assert sum(len(world.updates(name)) for name in SERVICES) == BUDGET
        assert [event["reason"] for event in kube.events("shop")].count("StormBegan") == 1


def status(found: Raw) -> Raw:
    """What the operator says of an object; empty before it has."""
    return dict(found.get("status", {}))


def seen(protected: Raw) -> bool:
    """Whether the operator has described the service."""
    return bool(status(protected).get("summary") == "3/3")


def phase(found: Raw) -> str:
    """The phase of a plan or an incident."""
    return str(status(found).get("phase", ""))


def planned(found: Raw) -> bool:
    """Whether the incident has had a plan."""
    return bool(status(found).get("plans"))


def held(found: Raw, reason: str) -> bool:
    """Whether a plan does not begin, or an incident has no plan, for that reason."""
    return bool(status(found).get("reason") == reason)
