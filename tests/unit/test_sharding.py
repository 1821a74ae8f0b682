"""Which shard acts for what, and what a move between shards changes."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from bokgu.api.shards import read_shard, with_shard
from bokgu.config import Settings
from bokgu.reconcile.context import Context, Key
from bokgu.reconcile.sharding import carry_shard, find_shard, inherit_labels, is_ours
from bokgu.runtime.handlers import build_announcer
from bokgu.runtime.state import State
from bokgu.runtime.store import Store
from tests.unit import facts

Raw = dict[str, Any]
NOW = datetime(2026, 11, 30, tzinfo=UTC)


def an_object(name: str, *, shard: str | None = None, version: int = 1, **body: Any) -> Raw:
    metadata: Raw = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "resourceVersion": str(version)}
    if shard is not None:
        metadata["labels"] = {"bokgu.dev/shard": shard, "team": "a"}
    return {"metadata": metadata, "spec": {}, **body}


def service(shard: str | None = None, version: int = 1) -> Raw:
    spec = {"region": "eu-west-1", "ecs": {"cluster": "c", "service": "api"}}
    return an_object("api", shard=shard, version=version, spec=spec)


OF_API = {"serviceRef": {"name": "api"}}


class Kube:
    """Takes what is put, as the API server would."""

    def __init__(self) -> None:
        self.clock_ahead = timedelta()
        self.put: list[tuple[str, Raw]] = []

    async def replace(self, plural: str, body: Raw) -> Raw:
        self.put.append((plural, body))
        return {**body, "metadata": {**body["metadata"], "resourceVersion": "100"}}


def context(shard: str = "default", **objects: list[Raw]) -> Context:
    store, nothing = Store(), cast(Any, None)
    for plural, bodies in objects.items():
        for body in bodies:
            store.put(plural, body)
    return Context(
        kube=cast(Any, Kube()),
        aws=nothing,
        history=nothing,
        objects=store,
        settings=Settings(shard=shard),
        cluster_id="cluster",
        clock=lambda: NOW,
        announce=lambda *_: None,
        enqueue=lambda _: None,
        started_at=NOW,
    )


@pytest.mark.parametrize(
    ("labels", "shard"),
    [(None, "default"), ({}, "default"), ({"bokgu.dev/shard": ""}, "default"), ({"bokgu.dev/shard": "eu"}, "eu")],
)
def test_what_has_no_label_is_of_the_default_shard(labels: Any, shard: str) -> None:
    assert read_shard({"metadata": {"labels": labels}}) == shard


def test_the_default_shard_needs_no_label() -> None:
    assert with_shard({"team": "a", "bokgu.dev/shard": "us"}, "default") == {"team": "a"}
    assert with_shard({"team": "a"}, "eu") == {"team": "a", "bokgu.dev/shard": "eu"}


@pytest.mark.parametrize(
    ("key", "shard"),
    [
        (("protectedservices", "shop", "api"), "eu"),
        (("incidents", "shop", "i"), "eu"),
        (("history", "shop", "i"), "eu"),
        (("recoveryplans", "shop", "p"), "eu"),
        (("planapprovals", "shop", "a"), "eu"),
        (("detectors", "shop", "d"), "eu"),
        (("runbooks", "shop", "r"), "default"),
        (("incidents", "shop", "gone"), None),
        (("scopes", "", "eu-west-1"), None),
        (("eventlooks", "shop", "api"), None),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else str(value),
)
def test_what_is_about_a_service_is_where_the_service_is_whatever_its_own_label_says(
    key: Key, shard: str | None
) -> None:
    one = context(
        protectedservices=[service("eu")],
        incidents=[an_object("i", shard="us", spec=OF_API)],
        recoveryplans=[an_object("p", spec=OF_API)],
        planapprovals=[an_object("a", shard="us", spec={"planRef": {"name": "p"}})],
        detectors=[an_object("d", spec=OF_API)],
        runbooks=[an_object("r")],
    )
    assert find_shard(one.objects, key) == shard


def test_what_has_lost_its_service_stays_where_its_label_says() -> None:
    one = context(recoveryplans=[an_object("p", shard="eu", spec=OF_API)], planapprovals=[an_object("a")])
    assert find_shard(one.objects, ("recoveryplans", "shop", "p")) == "eu"
    assert find_shard(one.objects, ("planapprovals", "shop", "a")) == "default"


@pytest.mark.parametrize("spec", [None, {}])
def test_an_object_that_says_nothing_is_of_the_default_shard(spec: Any) -> None:
    one = context(protectedservices=[service("eu")], incidents=[an_object("i", spec=spec)])
    assert find_shard(one.objects, ("incidents", "shop", "i")) == "default"


def test_each_object_is_of_exactly_one_shard() -> None:
    objects: dict[str, list[Raw]] = {
        "protectedservices": [service("eu")],
        "incidents": [an_object("i", spec=OF_API), an_object("j", spec={"serviceRef": {"name": "other"}})],
        "recoveryplans": [an_object("p", shard="us", spec=OF_API)],
    }
    shards = [context(shard, **objects) for shard in ("default", "eu", "us")]
    for plural, bodies in objects.items():
        for body in bodies:
            assert sum(is_ours(one, (plural, "shop", body["metadata"]["name"])) for one in shards) == 1


def test_s5_an_intent_that_was_stored_and_not_sent_is_sent_by_who_stored_it_though_the_service_moved() -> None:
    status = {"steps": [{"name": "s", "rollback": {"intent": {"token": "t-undo-1"}}, "intent": {"token": "t"}}]}
    plan, key = an_object("p", spec=OF_API, status=status), ("recoveryplans", "shop", "p")
    one = context(protectedservices=[service("eu")], recoveryplans=[plan])
    assert not is_ours(one, key)
    one.unsent["t-undo-1"] = 1.0
    assert is_ours(one, key)
    assert not is_ours(one, ("protectedservices", "shop", "api"))


def test_what_is_made_for_a_service_has_its_label() -> None:
    assert inherit_labels(context(protectedservices=[service("eu")]), "shop", "api") == {
        "labels": {"bokgu.dev/shard": "eu"}
    }
    assert inherit_labels(context(protectedservices=[service()]), "shop", "api") == {}
    assert inherit_labels(context(), "shop", "api") == {}


@pytest.mark.parametrize(
    ("now", "own", "labels"),
    [
        ("eu", None, {"bokgu.dev/shard": "eu"}),
        ("eu", "us", {"bokgu.dev/shard": "eu", "team": "a"}),
        (None, "us", {"team": "a"}),
        ("eu", "eu", None),
    ],
)
def test_an_incident_takes_the_label_of_its_service(now: str | None, own: str | None, labels: Raw | None) -> None:
    one = context("eu", protectedservices=[service(now)], incidents=[an_object("i", shard=own, spec=OF_API)])
    asyncio.run(carry_shard(one, ("incidents", "shop", "i")))
    put = cast(Kube, one.kube).put
    assert [body["metadata"]["labels"] for _, body in put] == ([] if labels is None else [labels])


@pytest.mark.parametrize(
    ("plural", "phase"), [("incidents", "Resolved"), ("recoveryplans", "Completed"), ("recoveryplans", "RolledBack")]
)
def test_what_is_over_keeps_the_label_that_it_had(plural: str, phase: str) -> None:
    over = an_object("x", spec=OF_API, status={"phase": phase})
    one = context("eu", protectedservices=[service("eu")], **{plural: [over]})
    asyncio.run(carry_shard(one, (plural, "shop", "x")))
    assert cast(Kube, one.kube).put == []


def test_a_service_that_moves_wakes_its_scope_and_all_that_is_about_it() -> None:
    store, queued = Store(), list[Key]()
    announce = build_announcer(store, queued.append, "bokgu-system")
    for plural, body in (
        ("incidents", an_object("i", spec=OF_API)),
        ("recoveryplans", an_object("p", spec={**OF_API, "incidentRef": {"name": "i"}})),
    ):
        store.put(plural, body)
    for shard, version, scopes in ((None, 1, 1), (None, 2, 0), ("eu", 3, 1)):
        body = service(shard, version)
        store.put("protectedservices", body)
        queued.clear()
        announce("protectedservices", body, False)
        assert queued.count(("scopes", "", "eu-west-1")) == scopes
        assert {("incidents", "shop", "i"), ("recoveryplans", "shop", "p")} <= set(queued)


def test_metrics_tell_of_the_own_shard_and_of_how_many_services_the_others_have() -> None:
    mine, others = facts.protected_service(), facts.protected_service()
    bodies = []
    for name, shard, one in (("api", "eu", mine), ("web", "us", others)):
        body = one.to_dict() | {"metadata": {**one.metadata.to_dict(), "name": name, "uid": name}}
        body["metadata"]["labels"] = {"bokgu.dev/shard": shard}
        bodies.append(body)
    state = State(context("eu", protectedservices=bodies), {})
    assert [name for _, name in state.services] == ["api"]
    assert state.shards == {"eu": 1, "us": 1}
