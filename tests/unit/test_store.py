import json
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.runtime.store import Store, key_of

KEY = ("recoveryplans", "shop", "p")


def body(version: int, uid: str = "u1", *, name: str = "p", service: str | None = "api") -> dict[str, Any]:
    spec = {"serviceRef": {"name": service}} if service else {}
    metadata = {"namespace": "shop", "name": name, "uid": uid, "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": spec}


def stored(*bodies: dict[str, Any]) -> Store:
    store = Store()
    for one in bodies:
        store.put("recoveryplans", one)
    return store


@pytest.mark.parametrize("order", list(permutations([9, 10, 11])))
def test_only_a_higher_version_replaces_and_versions_are_numbers(order: tuple[int, ...]) -> None:
    assert stored(*(body(v) for v in order)).get(KEY) == body(11)


def test_the_same_version_is_no_news() -> None:
    store = Store()
    assert [store.put("recoveryplans", body(v)) for v in (5, 5, 4, 6)] == [True, False, False, True]


def test_a_removed_uid_never_comes_back_but_its_name_may() -> None:
    store = stored(body(5))
    assert store.remove("recoveryplans", body(6))
    assert not store.put("recoveryplans", body(7))
    assert store.get(KEY) is None
    assert store.put("recoveryplans", body(8, "u2"))


def test_a_late_deletion_of_the_former_object_leaves_the_new_one() -> None:
    store = stored(body(5), body(8, "u2"))
    assert not store.remove("recoveryplans", body(6))
    assert store.get(KEY) == body(8, "u2")


def test_an_older_object_of_the_same_name_does_not_replace_the_newer() -> None:
    store = stored(body(8, "u2"))
    assert not store.put("recoveryplans", body(5))


def test_what_refers_to_a_service_is_found_and_follows_a_change() -> None:
    store = stored(body(1), body(2, "u2", name="q"), body(3, "u3", name="r", service=None))
    assert [o["metadata"]["name"] for o in store.related("recoveryplans", "shop", "api")] == ["p", "q"]
    store.put("recoveryplans", body(4, service="web"))
    assert [o["metadata"]["name"] for o in store.related("recoveryplans", "shop", "api")] == ["q"]
    assert [o["metadata"]["name"] for o in store.related("recoveryplans", "shop", "web")] == ["p"]
    store.remove("recoveryplans", body(9, "u2", name="q"))
    assert list(store.related("recoveryplans", "shop", "api")) == []
    assert list(store.related("recoveryplans", "other", "api")) == []


def test_all_objects_are_those_of_the_kind() -> None:
    store = stored(body(1), body(2, "u2", name="q"))
    assert len(list(store.all("recoveryplans"))) == 2
    elsewhere = body(3, "u3")
    elsewhere["metadata"]["namespace"] = "bank"
    store.put("recoveryplans", elsewhere)
    assert len(list(store.all("recoveryplans"))) == 3
    assert list(store.all("recoveryplans", "bank")) == [elsewhere]


SERVICES = st.lists(st.sampled_from(["api", "web"]), max_size=5)


@given(SERVICES, SERVICES, st.booleans(), st.randoms(use_true_random=False))
def test_in_any_order_and_repeated_the_end_is_the_same(
    former: list[str], latter: list[str], ended: bool, random: Any
) -> None:
    """The life of one object, then of another one of the same name."""
    lives = [("u1", former, bool(latter)), ("u2", latter, ended)]
    words = [
        (what, uid, s)
        for uid, life, over in lives
        for what, s in [*(("put", s) for s in life), ("remove", "api")][: None if over else -1]
    ]
    history = [(what, body(version, uid, service=service)) for version, (what, uid, service) in enumerate(words, 1)]
    gone = {one["metadata"]["uid"] for what, one in history if what == "remove"}
    living = [one for what, one in history if what == "put" and one["metadata"]["uid"] not in gone]
    shuffled = [*history, *history]
    random.shuffle(shuffled)
    store = Store()
    for what, one in shuffled:
        (store.put if what == "put" else store.remove)("recoveryplans", one)
    assert store.get(KEY) == (living[-1] if living else None)
    assert list(store.all("recoveryplans", "shop")) == living[-1:]
    assert list(store.all("recoveryplans", "other")) == []
    for service in ("api", "web"):
        expected = [living[-1]] if living and living[-1]["spec"]["serviceRef"]["name"] == service else []
        assert list(store.related("recoveryplans", "shop", service)) == expected


def test_a_key_names_kind_namespace_and_name() -> None:
    assert key_of("recoveryplans", body(1)) == KEY


def test_of_managed_fields_is_kept_who_wrote_and_not_what() -> None:
    entry = {"manager": "bokgu", "operation": "Update", "subresource": "status", "time": "2026-01-01T00:00:00Z"}
    one = body(1)
    one["metadata"]["managedFields"] = [{**entry, "fieldsType": "FieldsV1", "fieldsV1": {"f:status": {}}}]
    found = stored(one).get(KEY)
    assert found is not None
    assert found["metadata"]["managedFields"] == [{**entry, "fieldsType": "FieldsV1"}]
    assert "fieldsV1" in one["metadata"]["managedFields"][0]


def test_what_is_over_is_told_from_what_is_open() -> None:
    def names(bodies: Iterable[dict[str, Any]]) -> list[str]:
        return [one["metadata"]["name"] for one in bodies]

    store = stored(body(1), body(2, "u2", name="q"))
    store.put("recoveryplans", {**body(3), "status": {"phase": "Completed"}})
    store.put("detectors", {**body(4, "u4"), "status": {"phase": "Completed"}})
    assert names(store.open("recoveryplans", "shop")) == ["q"]
    assert names(store.latest_ended("recoveryplans", "shop")) == ["p"]
    assert names(store.open("detectors", "shop")) == ["p"]
    store.remove("recoveryplans", body(5))
    assert names(store.latest_ended("recoveryplans", "shop")) == []
    assert names(store.all("recoveryplans", "shop")) == ["q"]


def test_what_is_over_is_found_by_when_it_ended() -> None:
    def found(since: datetime | None = None) -> list[str]:
        return [one["metadata"]["name"] for one in store.latest_ended("recoveryplans", "shop", since)]

    def end(version: int, name: str, at: str | None) -> None:
        status = {"phase": "Completed"} | ({"finishedAt": at} if at else {})
        store.put("recoveryplans", {**body(version, name, name=name), "status": status})

    store = stored()
    end(1, "second", "2026-11-24T08:00:02Z")
    end(2, "first", "2026-11-24T08:00:01Z")
    end(3, "third", "2026-11-24T08:00:03Z")
    assert found() == ["third", "second", "first"]
    end(4, "second", "2026-11-24T08:00:02.5Z")
    assert found(datetime(2026, 11, 24, 8, 0, 2, tzinfo=UTC)) == ["third", "second"]
    end(5, "untold", None)  # Nobody may overlook it.
    assert found(datetime(2026, 11, 24, 8, 0, 3, tzinfo=UTC)) == ["untold", "third"]
    end(6, "second", "2026-11-24T08:00:04Z")
    store.remove("recoveryplans", body(7, "untold", name="untold"))
    assert found() == ["second", "third", "first"]
    store.put("recoveryplans", {**body(8, "third", name="third"), "status": {"phase": "InProgress"}})
    assert found() == ["second", "first"]


def test_plans_that_have_begun_are_told_from_those_that_wait_and_those_that_are_over() -> None:
    def begun() -> list[str]:
        return [one["metadata"]["name"] for one in store.begun("recoveryplans", "shop")]

    store = stored(body(1))
    assert begun() == []
    store.put("recoveryplans", {**body(2), "status": {"phase": "InProgress", "startedAt": "2026-11-24T08:00:00Z"}})
    assert begun() == ["p"]
    store.put("recoveryplans", {**body(3), "status": {"phase": "Completed", "startedAt": "2026-11-24T08:00:00Z"}})
    assert begun() == []
    store.put("recoveryplans", {**body(4), "status": {"phase": "InProgress", "startedAt": "2026-11-24T08:00:00Z"}})
    store.remove("recoveryplans", body(5))
    assert begun() == []


def test_when_objects_were_created_is_known_in_order_and_that_something_has_changed() -> None:
    store, changes = Store(), []
    for version, uid, name, at in (
        (1, "u1", "p", "02"),
        (2, "u2", "q", "01"),
        (3, "u1", "p", "02"),
        (4, "u4", "q", "03"),
    ):
        one = body(version, uid, name=name)
        one["metadata"]["creationTimestamp"] = at
        store.put("recoveryplans", one)
        changes.append(store.changes("recoveryplans", "shop"))
    assert store.created("recoveryplans", "shop") == ["02", "03"]
    assert changes == [1, 2, 3, 4]
    store.put("recoveryplans", body(2))
    assert store.changes("recoveryplans", "shop") == 4
    store.remove("recoveryplans", body(5))
    assert store.created("recoveryplans", "shop") == ["03"]
    assert store.changes("recoveryplans", "shop") == 5
    assert store.changes("recoveryplans", "other") == 0


def test_what_is_over_shares_its_words_and_says_the_same() -> None:
    text = json.dumps(
        {**body(1), "status": {"phase": "Completed", "steps": [{"name": "look", "output": "x" * 50}, None, 1]}}
    )
    first, second = json.loads(text), json.loads(text.replace('"p"', '"q"').replace('"u1"', '"u2"'))
    store = stored(first, second)
    found, other = (store.get(("recoveryplans", "shop", name)) for name in "pq")
    assert found is not None
    assert other is not None
    assert (found, other) == (first, second)
    assert found["status"]["phase"] is other["status"]["phase"]
    assert first["status"]["phase"] is not second["status"]["phase"]
