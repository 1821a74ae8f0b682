"""What a plan is made from, gathered from the store and the history, without AWS."""

import asyncio
from datetime import timedelta
from typing import Any, cast

import pytest

from bokgu.api.detector import DetectorCondition
from bokgu.api.history import HistoryError, IncidentRecord, PlanRecord, Question
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.vocabulary import IncidentType, PlanPhase, Severity
from bokgu.config import Settings
from bokgu.core.planning import Decision
from bokgu.core.planning_facts import NoPlan
from bokgu.reconcile.context import Context
from bokgu.reconcile.planning import plan_incident
from bokgu.reconcile.runbook import find_runbooks
from bokgu.reconcile.watches import Measured
from bokgu.runtime.store import Store
from tests.unit.facts import MINUTE, NOW, classification, incident, plan, protected_service, runbook, service, watch
from tests.unit.test_planning import LEAK, good


class Past:
    """A history with these records, or one that does not answer."""

    def __init__(self, *records: IncidentRecord, problem: HistoryError | None = None) -> None:
        self.records, self.problem, self.asked = records, problem, 0

    async def find(self, question: Question) -> tuple[IncidentRecord, ...]:
        self.asked += 1
        if self.problem:
            raise self.problem
        return self.records

    async def store(self, record: IncidentRecord) -> None:
        raise AssertionError("planning stores nothing")


def tried(number: int, outcome: str, phase: PlanPhase) -> IncidentRecord:
    """A past surge that traffic-surge was tried against."""
    begun = NOW - number * 1000 * MINUTE
    return IncidentRecord(
        id=f"past-{number}",
        type=IncidentType.HIGH_ERROR_RATE,
        severity=Severity.HIGH,
        service="api",
        environment="production",
        root_cause="TrafficSurge",
        detected_at=begun,
        outcome=outcome,
        plans=(
            PlanRecord(
                id=f"plan-{number}",
                runbook="traffic-surge",
                root_cause="TrafficSurge",
                outcome=phase,
                started_at=begun,
            ),
        ),
    )


def context(past: Past, *objects: Any) -> Context:
    store, nothing = Store(), cast(Any, None)
    for one in objects:
        store.put(one.plural, one.to_dict() | {"metadata": one.metadata.to_dict()})
    return Context(
        kube=nothing,
        aws=nothing,
        history=past,
        objects=store,
        settings=Settings(),
        cluster_id="cluster",
        clock=lambda: NOW,
        announce=lambda *_: None,
        enqueue=lambda _: None,
        started_at=NOW,
    )


def decide(one: Context, **changes: Any) -> Decision:
    seen = watch()
    condition: DetectorCondition = seen.conditions[0]
    facts: dict[str, Any] = {
        "classification": classification(),
        "protected": protected_service(status=good()),
        "service": service(),
        "measured": Measured(seen, condition, None),
        "deployments": (),
        "patience": timedelta(),
        "now": NOW,
        **changes,
    }
    return asyncio.run(plan_incident(one, incident(), **facts))


FAILED = tuple(tried(n, "Escalated", PlanPhase.FAILED) for n in (1, 2, 3))
HELPED = tuple(tried(n, "Recovered", PlanPhase.COMPLETED) for n in (4, 5))


def test_the_past_says_how_often_a_runbook_helped_here() -> None:
    made = decide(context(Past(*FAILED, *HELPED))).outcome
    assert isinstance(made, RecoveryPlan)
    assert made.spec.track_record == "helped 2 of 5 times here"


def test_a_runbook_that_never_helped_here_makes_no_plan_again() -> None:
    no = decide(context(Past(*FAILED))).outcome
    assert isinstance(no, NoPlan)
    assert (no.reason, no.wait) == ("DidNotHelpHere", False)


def test_without_a_past_that_answers_the_plan_is_made() -> None:
    made = decide(context(Past(problem=HistoryError("Throttled", "later")))).outcome
    assert isinstance(made, RecoveryPlan)
    assert made.spec.track_record is None


def test_the_past_is_not_asked_where_there_is_nothing_to_plan() -> None:
    past = Past()
    assert isinstance(decide(context(past), classification=classification(rootCause="Unknown")).outcome, NoPlan)
    assert past.asked == 0


@pytest.mark.parametrize(("hours", "reason"), [(1, "TooSoon"), (7, None)])
def test_a_plan_of_the_service_says_when_its_runbook_last_began(hours: int, reason: str | None) -> None:
    begun = NOW - hours * 60 * MINUTE
    former = plan(status={"startedAt": begun}, meta={"name": "former"}, runbookRef={"name": "out-of-memory-leaking"})
    never = plan(meta={"name": "never", "uid": "never"}, runbookRef={"name": "out-of-memory-leaking"})
    outcome = decide(context(Past(), former, never), classification=LEAK).outcome
    assert (outcome.reason if isinstance(outcome, NoPlan) else None) == reason


def test_runbooks_are_those_of_the_namespace_and_the_built_in_ones_that_it_does_not_replace() -> None:
    ours = runbook("traffic-surge", advice="call us")
    elsewhere = runbook("elsewhere").model_copy(
        update={"metadata": runbook("elsewhere").metadata.model_copy(update={"namespace": "other"})}
    )
    found = {r.metadata.name: r for r in find_runbooks(context(Past(), ours, elsewhere), "shop")}
    assert found["traffic-surge"].spec.advice == "call us"
    assert "elsewhere" not in found
    assert "unknown" in found


def test_s12_a_runbook_that_cannot_be_read_leaves_nothing_in_its_place() -> None:
    """The built-in one is what somebody wanted to replace."""
    one = context(Past())
    broken = runbook("traffic-surge").to_dict()
    broken["spec"]["steps"][0]["action"] = "action_of_a_later_release"
    one.objects.put("runbooks", broken | {"metadata": runbook("traffic-surge").metadata.to_dict()})
    assert "traffic-surge" not in {r.metadata.name for r in find_runbooks(one, "shop")}
