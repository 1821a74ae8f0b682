"""What the API server stored for another version, or under another CRD, stops nothing but itself (S12)."""

import asyncio
from contextlib import nullcontext
from datetime import timedelta
from typing import Any, Self, cast

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from bokgu.api.crds import KINDS
from bokgu.api.detector import Detector
from bokgu.api.incident import Incident
from bokgu.api.observed import AwsError
from bokgu.api.protected_service import ProtectedService
from bokgu.api.unchecked import Unreadable, objects_at, text_at, value_at
from bokgu.config import Settings
from bokgu.reconcile.context import Context
from bokgu.reconcile.plan_facts import gather_facts
from bokgu.reconcile.protected_service import _free_lock
from bokgu.reconcile.sharding import find_shard, is_ours
from bokgu.runtime import controller
from bokgu.runtime.handlers import build_announcer
from bokgu.runtime.queue import Queue
from bokgu.runtime.store import Key, Raw, Store, key_of
from tests.unit import facts
from tests.unit.facts import NOW
from tests.unit.unasked_aws import UnaskedAws

NAMES = (
    "serviceRef",
    "incidentRef",
    "planRef",
    "region",
    "ecs",
    "cluster",
    "service",
    "name",
    "phase",
    "plans",
    "steps",
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.sampled_from(("shop", "Resolved", "Approved")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from((*NAMES, "steps", "target", "intent", "token", "outcome", "resolvedAt")), inner
        )
    ),
    max_leaves=12,
)
PLURALS = st.sampled_from([kind.plural for kind in KINDS])


def body(name: str, version: int, **rest: Any) -> Raw:
    metadata = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {"metadata": metadata, **rest}


@settings(max_examples=300)
@given(st.lists(st.tuples(PLURALS, st.sampled_from("ab"), ANYTHING, ANYTHING), max_size=6), PLURALS)
def test_s12_whatever_is_stored_is_taken_in_told_of_replaced_and_forgotten(
    stored: list[tuple[str, str, Any, Any]], last: str
) -> None:
    store, queued = Store(), set[Key]()
    announce = build_announcer(store, queued.add, "shop")
    stored.append((last, "a", {"region": "eu-central-1"}, None))
    for version, (plural, name, spec, status) in enumerate(stored, start=1):
        one = body(f"{plural}-{name}", version, spec=spec, status=status)
        assert store.put(plural, one)
        announce(plural, one, False)
        assert key_of(plural, one) in queued
        assert find_shard(store, key_of(plural, one)) == "default"
    for kind in KINDS:
        for one in store.all(kind.plural):
            assert store.remove(kind.plural, one)
            announce(kind.plural, one, False)
        assert list(store.all(kind.plural)) == []
        assert list(store.related(kind.plural, "shop", "shop")) == []


def test_what_stands_at_the_end_of_a_path() -> None:
    raw = {"spec": {"name": "api", "count": 3, "list": [{"a": 1}, "b", None]}, "status": None}
    assert text_at(raw, "spec", "name") == "api"
    assert [text_at(raw, *path) for path in (("spec", "count"), ("status", "phase"), ("spec", "name", "x"), ())] == [
        ""
    ] * 4
    others: tuple[object, ...] = (None, [], "spec", 3)
    assert [text_at(other, "spec") for other in others] == [""] * 4
    assert objects_at(raw, "spec", "list") == [{"a": 1}]
    assert objects_at(raw, "spec", "name") == []
    assert (value_at(raw, "spec", "count"), value_at(raw, "status", "phase")) == (3, None)


SECRET = "hunter2-stands-there"
BROKEN: Key = ("protectedservices", "shop", "broken")


def broken(version: int = 1, **spec: Any) -> Raw:
    """A ProtectedService of a mode that this version does not know."""
    return body("broken", version, spec={"region": "us-east-1", "mode": SECRET, **spec})


class Kube:
    """Takes Events."""

    def __init__(self) -> None:
        self.clock_ahead = timedelta()
        self.events: list[tuple[tuple[str, str, str], str, str]] = []

    async def create_event(self, about: Any, *, reason: str, note: str, **_: Any) -> None:
        self.events.append((about.key, reason, note))


def context(*objects: tuple[str, Raw]) -> tuple[Context, Kube]:
    store, nothing, kube = Store(), cast(Any, None), Kube()
    for plural, one in objects:
        store.put(plural, one)
    return Context(
        kube=cast(Any, kube),
        aws=cast(Any, UnaskedAws()),
        history=nothing,
        objects=store,
        settings=Settings(),
        cluster_id="cluster",
        clock=lambda: NOW,
        announce=lambda *_: None,
        enqueue=lambda _: None,
        started_at=NOW,
    ), kube


def test_the_field_is_told_once_a_version_and_what_stands_in_it_never(monkeypatch: pytest.MonkeyPatch) -> None:
    # A logger that was used after configure_logs keeps its processors, whatever is captured.
    monkeypatch.setattr("bokgu.reconcile.context.log", structlog.get_logger())
    one, _ = context()
    with capture_logs() as lines:
        for version in (1, 1, 2):
            with pytest.raises(Unreadable) as found:
                one.parse(ProtectedService, broken(version))
            assert found.value.key == BROKEN
            assert one.readable(ProtectedService, [broken(version)]) == []
    assert len(lines) == 2
    said = str(found.value)
    assert said.startswith("ProtectedService shop/broken cannot be read by this version: spec.")
    assert SECRET not in said + repr(found.value) + repr(lines)
    assert found.value.__cause__ is None


def test_what_was_corrected_is_read() -> None:
    one, _ = context()
    with pytest.raises(Unreadable):
        one.parse(ProtectedService, broken())
    good = facts.protected_service().to_dict()
    assert one.parse(ProtectedService, {**good, "metadata": broken(2)["metadata"]}).metadata.name == "broken"


def pass_over(one: Context, key: Key) -> Queue:
    """A pass over this; the queue as it leaves it."""

    async def run() -> Queue:
        queue = Queue()
        queue.add(key)
        assert await queue.take() == key
        await controller._pass(one, queue, key)
        return queue

    return asyncio.run(run())


def test_s12_a_pass_over_it_tells_people_and_is_made_again_only_when_it_changes() -> None:
    one, kube = context(("protectedservices", broken()))
    assert is_ours(one, BROKEN)
    with capture_logs() as lines:
        queue = pass_over(one, BROKEN)
    ((about, reason, note),) = kube.events
    assert (about, reason) == (BROKEN, "Unreadable")
    assert "spec." in note
    assert "correct it" in note
    assert SECRET not in note + repr(lines)
    assert queue._due_at == {}


def test_s12_a_pass_that_needs_it_is_made_again() -> None:
    """What would be decided without it may be wrong: nothing is."""
    detector = facts.detector().to_dict()
    detector["spec"]["serviceRef"] = {"name": "broken"}
    key = key_of("detectors", detector)
    one, kube = context(("protectedservices", broken()), ("detectors", detector))
    assert one.find(Detector, key[1], key[2]) is not None
    queue = pass_over(one, key)
    assert list(queue._due_at) == [key]
    assert kube.events == []


def test_an_object_that_fits_is_found_beside_it() -> None:
    one, _ = context(
        ("incidents", body("odd", 1, spec={"serviceRef": {"name": "api"}, "type": "new_type"})),
        ("incidents", {**facts.incident().to_dict()}),
    )
    assert [i.metadata.name for i in one.find_related(Incident, "shop", "api")] == ["incident-1"]


def test_s12_a_lock_is_told_of_a_plan_that_cannot_be_read_by_its_phase() -> None:
    held = facts.protected_service(status=facts.locked_by("broken", "uid-broken"))
    for phase, plan in (("InProgress", "broken"), ("Completed", None)):
        strange = body("broken", 1, spec={"steps": SECRET}, status={"phase": phase})
        one, _ = context(("recoveryplans", strange))
        active = asyncio.run(_free_lock(one, held)).active_plan
        assert (active.name if active else None) == plan


class Away:
    """An AWS that nobody reaches."""

    def with_grant(self, _grant: Any) -> Self:
        return self

    async def read(self, _service: str, operation: str, *_: Any, **__: Any) -> Raw:
        raise AwsError(operation, "Unreachable", "no", sent=False)


class Asked(Kube):
    """Answers what is asked about approvals: nobody vouches for any."""

    async def get(self, plural: str, _namespace: str, name: str) -> Raw:
        return strange(plural, name)

    async def config_map(self, *_: str) -> None:
        return None

    async def admission_policy(self, *_: str) -> tuple[None, None]:
        return None, None


def strange(plural: str, name: str) -> Raw:
    return body(name, 1, spec={"mode": SECRET, "type": SECRET, "kind": plural})


@pytest.mark.parametrize(("phase", "held"), [("RollingBack", False), ("InProgress", True)])
def test_s1_an_undo_is_not_held_up_by_objects_that_cannot_be_read(phase: str, held: bool) -> None:
    status = {"phase": phase, "startedAt": NOW, "target": facts.protected_service().spec.target.to_dict()}
    plan = facts.plan(facts.scale_out(), status=status)
    raw = plan.to_dict() | {"metadata": plan.metadata.to_dict()}
    names = (("incidents", "incident-1"), ("protectedservices", "api"))
    one, _ = context(*((plural, strange(plural, name)) for plural, name in names), ("recoveryplans", raw))
    one.kube, one.aws = cast(Any, Asked()), cast(Any, Away())
    with pytest.raises(Unreadable) if held else nullcontext():
        found = asyncio.run(gather_facts(one, raw, plan))
        assert (found.incident, found.protected_service) == (None, None)
        assert found.problem
        assert found.problem.code == "Unreachable"
