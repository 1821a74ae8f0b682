"""Objects with fields of a later version: they are carried along, and what a plan says in them is not passed over."""

from copy import deepcopy
from typing import Any

import pytest
from pydantic import BaseModel

from bokgu.api.crds import KINDS, build_crd
from bokgu.api.fields import StatusModel
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.core.approval.digest import find_unknown, plan_digest
from bokgu.core.approval.judgement import Judgement
from bokgu.core.execution import decide
from bokgu.core.unread import drop_unread, find_unread
from tests.unit.facts import ALICE, BOB, facts, plan, protected_service, tally
from tests.unit.small_world import World
from tests.unit.test_approval import full_plan

KNOWN = RecoveryPlan.model_validate(full_plan()).spec
LATER = [
    (("spec",), "expedite", {"now": True}),
    (("spec", "steps", 1), "waves", 2),
    (("spec", "steps", 0, "parameters"), "force", True),
    (("spec", "preconditions"), "zones", ["a", "b"]),
]


def with_later(document: dict[str, Any], path: tuple[str | int, ...], name: str, value: Any) -> dict[str, Any]:
    copy = deepcopy(document)
    node: Any = copy
    for key in path:
        node = node[key]
    node[name] = value
    return copy


# Plans


@pytest.mark.parametrize(("path", "name", "value"), LATER)
def test_s8_what_is_approved_with_a_plan_covers_what_this_version_does_not_know(
    path: tuple[str | int, ...], name: str, value: Any
) -> None:
    later = with_later(full_plan(), path, name, value)
    assert plan_digest("c", later) != plan_digest("c", full_plan())
    (found,) = find_unknown("c", later, KNOWN)
    assert found.endswith(f".{name}")
    later["status"] = {"digest": plan_digest("c", later)}
    assert find_unknown("c", later, KNOWN) == [found]


@pytest.mark.parametrize(("path", "name", "value"), LATER)
def test_s8_a_default_of_a_later_crd_changes_neither_digest_nor_approvals(
    path: tuple[str | int, ...], name: str, value: Any
) -> None:
    """The API server puts it into what it has stored long ago."""
    stored = full_plan() | {"status": {"digest": plan_digest("c", full_plan())}}
    later = with_later(stored, path, name, value)
    assert plan_digest("c", later) == plan_digest("c", stored)
    assert find_unknown("c", later, KNOWN) == []


def test_s8_the_digest_that_was_published_hides_no_change_of_what_is_known() -> None:
    stored = full_plan() | {"status": {"digest": plan_digest("c", full_plan())}}
    later = with_later(stored, ("spec",), "expedite", {"now": True})
    later["spec"]["steps"][1]["parameters"]["desiredCount"] = 50
    assert plan_digest("c", later) not in {plan_digest("c", full_plan()), stored["status"]["digest"]}
    assert find_unknown("c", later, KNOWN) == ["spec.expedite"]


@pytest.mark.parametrize("people", [(ALICE, BOB), ()])
def test_s1_a_plan_that_is_not_understood_waits(people: tuple[Judgement, ...]) -> None:
    known = facts(unread=("spec.expedite",), protected_service=protected_service(), tally=tally(*people))
    outcome = decide(plan(), known)
    assert outcome.effect is None
    assert (outcome.status.reason, outcome.status.started_at) == ("UnknownField", None)
    gate = outcome.status.gates[0]
    assert (gate.name, gate.passed, gate.value) == ("PlanUnderstood", False, "spec.expedite")
    assert "let the version run that made the plan" in (gate.message or "")


def test_what_is_dropped_is_what_is_found() -> None:
    known = KNOWN.to_dict()
    assert find_unread(full_plan()["spec"], known) == []
    assert drop_unread(full_plan()["spec"], known) == full_plan()["spec"]
    for path, name, value in LATER:
        later = with_later(full_plan(), path, name, value)["spec"]
        assert drop_unread(later, known) == full_plan()["spec"]


# Status


def test_a_status_is_written_back_with_fields_of_a_later_version() -> None:
    world = World(plan())
    while not world.status.steps or world.status.steps[0].intent is None:
        world.do()
    later = world.status.to_dict()
    places: tuple[tuple[str | int, ...], ...] = (
        (),
        ("steps", 0),
        ("steps", 0, "intent"),
        ("steps", 0, "intent", "before"),
    )
    for path in places:
        later = with_later(later, path, "later", {"said": [1]})
    world.plan = plan(status=later)
    for _ in range(6):
        world.do()
        world.settle()
    status = world.status.to_dict()
    assert status["steps"][0]["phase"] != later["steps"][0]["phase"]
    for path in places:
        node: Any = status
        for key in path:
            node = node[key]
        assert node["later"] == {"said": [1]}, path


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind_name)
def test_every_status_carries_what_it_does_not_know(kind: Any) -> None:
    model = kind.model_fields["status"].annotation
    assert issubclass(model, StatusModel)
    assert model.model_validate({"later": {"a": 1}}).to_dict()["later"] == {"a": 1}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind_name)
def test_no_spec_carries_what_it_does_not_know(kind: Any) -> None:
    """What is shown to people, and done, is what is known."""
    schema = str(build_crd(kind)["spec"]["versions"][0]["schema"])
    assert "x-kubernetes-preserve-unknown-fields" not in schema
    todo, seen = [kind.model_fields["spec"].annotation], set[Any]()
    while todo:
        model = todo.pop()
        if isinstance(model, type) and issubclass(model, BaseModel) and model not in seen:
            seen.add(model)
            assert model.model_config.get("extra") == "ignore", model
            todo += [field.annotation for field in model.model_fields.values()]
        todo += getattr(model, "__args__", ())
