"""The lines that the log has of a decision."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
import structlog

from bokgu.core.changes import find_incident_changes, find_plan_changes
from bokgu.core.traces import trace_of
from bokgu.reconcile.decisions import name_pass
from bokgu.runtime import controller
from bokgu.runtime.queue import Queue
from bokgu.runtime.store import Store
from tests.unit.facts import DIGEST, INCIDENT_UID, NOW, approval, classification, incident, plan, roll_back
from tests.unit.test_plan_incident import Past, context
from tests.unit.test_traces import written

Line = tuple[str, dict[str, Any]]


def lines(changes: Any) -> list[Line]:
    return [(c.event, {name: value for name, value in c.facts.items() if value is not None}) for c in changes]


def of_incident(old: dict[str, Any], new: dict[str, Any]) -> list[Line]:
    return lines(find_incident_changes(incident(status=old).status, incident(status=new).status))


def of_plan(old: dict[str, Any], new: dict[str, Any]) -> list[Line]:
    return lines(find_plan_changes(plan(status=old).status, plan(status=new).status))


def gate(name: str, reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"name": name, "passed": reason is None, **({"reason": reason} if reason else {}), **fields}


def test_nothing_new_is_no_line() -> None:
    same = {"phase": "Classified", "classification": classification().to_dict()}
    assert of_incident(same, same) == []
    assert (
        of_plan(
            {"phase": "Approved", "gates": [gate("Budget", "Used")]},
            {"phase": "Approved", "gates": [gate("Budget", "Used")]},
        )
        == []
    )


def test_a_cause_a_plan_and_a_phase_are_a_line_each() -> None:
    entry = {"name": "plan-1", "uid": "uid-1", "digest": DIGEST, "runbook": "traffic-surge"}
    new = {"phase": "AwaitingApproval", "classification": classification().to_dict(), "plans": [entry]}
    assert of_incident({}, new) == [
        ("cause told", {"root_cause": "TrafficSurge", "new_revision_at_fault": False, "confidence": "high"}),
        ("plan made", {"plan": "plan-1", "runbook": "traffic-surge"}),
        ("incident phase", {"was": "Detected", "now": "AwaitingApproval"}),
    ]


def test_a_cause_in_other_figures_is_no_news() -> None:
    old, new = (classification(toldAt=NOW, estimatedResolutionTime=t).to_dict() for t in ("15m", "20m"))
    assert of_incident({"classification": old}, {"classification": new}) == []


def test_another_reason_for_the_same_phase_is_a_decision() -> None:
    found = of_incident({"phase": "Classified", "reason": "Storm"}, {"phase": "Classified", "reason": "Paused"})
    assert found == [("incident phase", {"was": "Classified", "now": "Classified", "reason": "Paused"})]


def test_a_gate_is_told_when_it_closes_and_when_it_opens() -> None:
    closed = gate("Budget", "BudgetUsedUp", value="2", limit="1", blockedUntil=NOW)
    facts = {"gate": "Budget", "reason": "BudgetUsedUp", "value": "2", "limit": "1", "until": "2026-11-24T08:00:00Z"}
    assert of_plan({"gates": [gate("Budget")]}, {"gates": [closed]}) == [("gate closed", facts)]
    assert of_plan({"gates": [closed]}, {"gates": [gate("Budget")]}) == [("gate opened", {"gate": "Budget"})]
    assert of_plan({"gates": [closed]}, {"gates": []}) == []
    other = gate("Budget", "StormActive")
    assert [event for event, _ in of_plan({"gates": [closed]}, {"gates": [other]})] == ["gate closed"]


def test_missing_approvals_are_no_closed_gate() -> None:
    assert of_plan({}, {"gates": [gate("Approved", "ApprovalsMissing")]}) == []


def test_steps_undos_and_answers_are_a_line_each() -> None:
    begun = plan(roll_back(), status={"phase": "InProgress", "steps": [{"name": "rollback"}]}).status
    wrote = {**written(name="rollback"), "phase": "InProgress"}
    sent = plan(roll_back(), status={"phase": "InProgress", "steps": [wrote]}).status
    answer = {"step": "rollback", "of": "step", "operation": "UpdateService", "token": "token-1", "result": "Accepted"}
    assert lines(find_plan_changes(begun, sent)) == [
        ("aws write answered", answer),
        ("step phase", {"step": "rollback", "was": "Pending", "now": "InProgress"}),
    ]
    failed = {**wrote, "phase": "Failed", "reason": "Timeout", "rollback": {"phase": "InProgress"}}
    back = plan(roll_back(), status={"phase": "RollingBack", "reason": "Timeout", "steps": [failed]}).status
    assert lines(find_plan_changes(sent, back)) == [
        ("step phase", {"step": "rollback", "was": "InProgress", "now": "Failed", "reason": "Timeout"}),
        ("undo phase", {"step": "rollback", "was": "Pending", "now": "InProgress"}),
        ("plan phase", {"was": "InProgress", "now": "RollingBack", "reason": "Timeout"}),
    ]


@pytest.mark.parametrize(
    ("result", "warning"), [("Accepted", False), ("Adopted", False), ("Refused", True), ("Unknown", True)]
)
def test_a_write_that_aws_did_not_take_is_a_warning(result: str, warning: bool) -> None:
    old, new = (
        plan(roll_back(), status={"steps": [s]}).status
        for s in ({"name": "rollback"}, written(result, name="rollback"))
    )
    assert next(find_plan_changes(old, new)).warning is warning


def test_neither_arguments_nor_the_words_of_aws_are_in_a_line() -> None:
    old, new = (
        plan(roll_back(), status={"steps": [s]}).status
        for s in ({"name": "rollback"}, written("Refused", name="rollback"))
    )
    said = repr(list(find_plan_changes(old, new)))
    assert "hunter2" not in said
    assert "words of AWS" not in said


# What each line of a pass is about


def filled(*objects: Any) -> Store:
    store = Store()
    for one in objects:
        store.put(one.plural, one.to_dict())
    return store


def test_a_pass_is_named_by_incident_plan_step_and_trace() -> None:
    entry = {"name": "plan-1", "uid": "uid-1", "digest": DIGEST}
    working = plan(roll_back(), status={"steps": [{"name": "rollback", "phase": "Verifying"}]})
    store = filled(incident(status={"plans": [entry]}), working, approval())
    about = {"incident": "incident-1", "plan": "plan-1", "step": "rollback", "trace_id": trace_of(INCIDENT_UID)}
    name = approval().metadata.name
    for plural, object_name in (("incidents", "incident-1"), ("recoveryplans", "plan-1"), ("planapprovals", name)):
        found = name_pass(store, (plural, "shop", object_name))
        assert found == {"kind": plural, "namespace": "shop", "name": object_name, **about}


def test_an_object_of_another_shape_is_named_as_far_as_that_goes() -> None:
    """Its own pass says what is wrong with it; it must not stop the worker."""
    store = Store()
    for plural, body in (
        ("recoveryplans", {"spec": {"incidentRef": "x"}}),
        ("incidents", {"status": {"plans": ["x"]}}),
    ):
        metadata = {"namespace": "shop", "name": "odd", "uid": plural, "resourceVersion": "1"}
        store.put(plural, {"metadata": metadata, "spec": {"serviceRef": {"name": "api"}}, **body})
        assert name_pass(store, (plural, "shop", "odd")) == {"kind": plural, "namespace": "shop", "name": "odd"}


def test_all_that_a_pass_logs_is_about_it_and_nothing_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[dict[str, Any]] = []
    both = asyncio.Event()
    around = context(Past(), incident())
    around.aws = cast(Any, SimpleNamespace(with_grant=lambda _: None))

    async def one_pass(_context: Any, _key: Any) -> None:
        await asyncio.sleep(0)
        heard.append(structlog.contextvars.get_contextvars())
        if len(heard) == 2:
            both.set()

    monkeypatch.setitem(controller.PASSES, "incidents", one_pass)

    async def run() -> None:
        queue = Queue()
        for name in ("incident-1", "incident-2"):
            queue.add(("incidents", "shop", name))
        task = asyncio.create_task(controller.work(around, queue))
        await asyncio.wait_for(both.wait(), 5)
        queue.close()
        await task
        heard.append(structlog.contextvars.get_contextvars())

    asyncio.run(run())
    first, second, after = heard
    assert (first["incident"], first["trace_id"]) == ("incident-1", trace_of(INCIDENT_UID))
    assert (second["incident"], second.get("trace_id")) == ("incident-2", None)
    assert after == {}


def test_a_pass_over_something_else_or_over_what_is_gone_has_the_names_there_are() -> None:
    store = filled()
    for plural in ("protectedservices", "scopes", "recoveryplans", "planapprovals"):
        assert name_pass(store, (plural, "shop", "x")) == {"kind": plural, "namespace": "shop", "name": "x"}
    assert name_pass(store, ("history", "shop", "x"))["incident"] == "x"
