import asyncio
from typing import Any

from bokgu.runtime.handlers import MAX_WAITING, NoMemories, build_announcer
from bokgu.runtime.store import Key, Store

Raw = dict[str, Any]


def an_object(name: str, namespace: str = "shop", version: int = 1, generation: int = 1, **body: Any) -> Raw:
    metadata = {
        "name": name,
        "namespace": namespace,
        "uid": f"{namespace}-{name}",
        "resourceVersion": str(version),
        "generation": generation,
    }
    return {"metadata": metadata, "spec": {}, **body}


def incident(name: str, namespace: str = "shop", **status: Any) -> Raw:
    return an_object(name, namespace, spec={"serviceRef": {"name": "api"}}, status=status)


class Told:
    """A store with an announcer, and what it has queued."""

    def __init__(self, *incidents: Raw) -> None:
        self.store = Store()
        self.queued: list[Key] = []
        self.announce = build_announcer(self.store, self.queued.append, "bokgu-system")
        for one in incidents:
            self.store.put("incidents", one)

    def put(self, body: Raw, *, own: bool = False) -> set[Key]:
        self.queued.clear()
        self.store.put("runbooks", body)
        self.announce("runbooks", body, own)
        return set(self.queued)

    def remove(self, body: Raw) -> set[Key]:
        self.queued.clear()
        self.store.remove("runbooks", body)
        self.announce("runbooks", body, False)
        return set(self.queued)


WAITING = ("incidents", "shop", "waiting")
OURS = ("runbooks", "shop", "ours")


def told() -> Told:
    return Told(
        incident("waiting", reason="NoSafeAction"),
        incident("planned", plans=[{"name": "p", "uid": "u"}]),
        incident("over", resolvedAt="2026-11-24T08:00:00Z"),
        incident("elsewhere", "other"),
    )


def test_a_new_runbook_wakes_the_incidents_of_its_namespace_that_have_no_plan() -> None:
    assert told().put(an_object("ours")) == {OURS, WAITING}


def test_only_a_new_spec_or_its_end_wakes_them() -> None:
    world = told()
    world.put(an_object("ours"))
    assert world.put(an_object("ours", version=2), own=True) == set()
    assert world.put(an_object("ours", version=3)) == {OURS}
    assert world.put(an_object("ours", version=4, generation=2)) == {OURS, WAITING}
    assert WAITING in world.remove(an_object("ours", version=4))


def test_runbooks_that_escalate_are_judged_anew() -> None:
    world = told()
    world.store.put("runbooks", an_object("above", spec={"escalatesTo": "ours"}))
    world.store.put("runbooks", an_object("beside"))
    assert ("runbooks", "shop", "above") in world.put(an_object("ours"))
    assert ("runbooks", "shop", "beside") not in world.put(an_object("ours", version=2))


def test_a_runbook_wakes_a_bounded_number_of_incidents() -> None:
    world = Told(*(incident(f"i{n}") for n in range(MAX_WAITING + 50)))
    assert len(world.put(an_object("ours"))) == MAX_WAITING + 1


def test_a_policy_wakes_the_plans_of_its_namespace_that_are_not_over_and_their_approvals() -> None:
    """What it says of budgets and breakers is heeded by those alone that are approved and have not begun: each start
    changes that, and would wake all that run."""
    world = told()
    for plan in (
        an_object("held-1", spec={"serviceRef": {"name": "api"}}, status={"phase": "Approved"}),
        an_object("runs-1", spec={"serviceRef": {"name": "api"}}, status={"phase": "InProgress"}),
        an_object("waiting-1", spec={"serviceRef": {"name": "api"}, "incidentRef": {"name": "waiting"}}),
        an_object("old-1", spec={"serviceRef": {"name": "api"}}, status={"phase": "Completed"}),
        an_object("elsewhere-1", "other", spec={"serviceRef": {"name": "api"}}),
    ):
        world.store.put("recoveryplans", plan)
    for name in ("waiting-1", "old-1"):
        world.store.put("planapprovals", an_object(f"yes-{name}", spec={"planRef": {"name": name}}))
    policy = an_object("default")
    world.store.put("recoverypolicies", policy)
    world.announce("recoverypolicies", policy, True)
    held, runs = ("recoveryplans", "shop", "held-1"), ("recoveryplans", "shop", "runs-1")
    plans = {held, runs, ("recoveryplans", "shop", "waiting-1"), ("planapprovals", "shop", "yes-waiting-1")}
    assert set(world.queued) == {WAITING, *plans}
    world.queued.clear()
    world.announce("recoverypolicies", policy, True)
    assert world.queued == [held]
    world.queued.clear()
    world.store.remove("recoverypolicies", policy)
    world.announce("recoverypolicies", policy, False)
    assert set(world.queued) - {("recoverypolicies", "shop", "default")} == {WAITING, *plans}, "so does its end"
    world.queued.clear()
    world.store.put("recoverypolicies", policy | {"metadata": policy["metadata"] | {"uid": "again"}})
    world.store.put("recoverypolicies", an_object("default", "bokgu-system"))
    world.announce("recoverypolicies", an_object("default", "bokgu-system"), False)
    everywhere = {WAITING, ("incidents", "other", "elsewhere"), ("recoveryplans", "other", "elsewhere-1"), *plans}
    own = ("recoverypolicies", "bokgu-system", "default")
    assert set(world.queued) == {own, ("recoverypolicies", "shop", "default"), *everywhere}


def test_a_service_wakes_its_plans_but_those_that_nothing_is_left_to_do_about() -> None:
    world = told()
    service = {"serviceRef": {"name": "api"}, "incidentRef": {"name": "over"}}
    over = {"phase": "Completed"}
    for plan in (
        an_object("runs", spec=service, status={"phase": "InProgress"}),
        an_object("over", spec=service, status=over),
        an_object("goes", spec=service, status=over),
    ):
        if plan["metadata"]["name"] == "goes":
            plan["metadata"]["deletionTimestamp"] = "2026-11-24T08:00:00Z"
        world.store.put("recoveryplans", plan)
    protected = an_object("api", spec={"region": "us-east-1", "ecs": {"cluster": "shop", "service": "api"}})
    world.store.put("protectedservices", protected)
    world.announce("protectedservices", protected, True)
    plans = {name for plural, _, name in world.queued if plural == "recoveryplans"}
    assert plans == {"runs", "goes"}


def test_kopf_remembers_nothing_of_an_object() -> None:
    memories = NoMemories()
    asyncio.run(memories.recall(an_object("one"), noticed_by_listing=True))
    assert list(memories.iter_all_memories()) == []
