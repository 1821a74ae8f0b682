"""What a plan is made from, gathered from the store and the history, without AWS."""

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bokgu.api.detector import DetectorCondition
from bokgu.api.history import HistoryError, IncidentRecord, PlanRecord, Question
from bokgu.api.observed import AwsError, ScalableTarget, ServiceRevision, TaskDefinition
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.vocabulary import IncidentType, PlanPhase, Severity, Verdict
from bokgu.config import Settings
from bokgu.core.planning import Decision
from bokgu.core.planning_facts import NoPlan
from bokgu.reconcile import planning
from bokgu.reconcile.context import Context
from bokgu.reconcile.planning import plan_incident
from bokgu.reconcile.runbook import find_runbooks
from bokgu.reconcile.watches import Measured
from bokgu.runtime.store import Store
from tests.unit.facts import (
    MINUTE,
    NOW,
    classification,
    incident,
    plan,
    protected_service,
    runbook,
    service,
    task_definition,
    watch,
)
from tests.unit.test_planning import BAD_DEPLOYMENT, LEAK, good


class Past:
    """A history with these records, or one that does not answer."""

    def __init__(self, *records: IncidentRecord, problem: HistoryError | None = None) -> None:
        self.records, self.problem, self.asked = records, problem, 0

    async def find(self, question: Question) -> tuple[IncidentRecord, ...]:
        self.asked += 1
        if self.problem:
            raise self.problem
        return self.records

    async def store(self, record: IncidentRecord, *, keep: bool = False) -> None:
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
                verdict=Verdict.FAILED if phase is PlanPhase.FAILED else Verdict.PASSED,
                started_at=begun,
            ),
        ),
    )


def context(past: Past, *objects: Any) -> Context:
    store, nothing = Store(), cast(Any, None)
    for one in objects:
        store.put(one.plural, one.to_dict() | {"metadata": one.metadata.to_dict()})
    return Context(
        kube=cast(Any, SimpleNamespace(clock_ahead=timedelta())),
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


@pytest.fixture(autouse=True)
def scaling(monkeypatch: pytest.MonkeyPatch) -> list[ScalableTarget | AwsError]:
    """What Application Auto Scaling answers, once each; none is left, and it owns nothing."""
    answers: list[ScalableTarget | AwsError] = []

    async def describe(_aws: Any, _target: Any) -> ScalableTarget | None:
        answer = answers.pop() if answers else None
        if isinstance(answer, AwsError):
            raise answer
        return answer

    monkeypatch.setattr(planning, "fetch_scalable_target", describe)
    return answers


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


def test_nothing_is_planned_on_a_service_that_another_incident_freezes() -> None:
    corrupted = incident(type="data_corruption", meta={"name": "corrupted", "uid": "other"})
    own = incident()
    assert isinstance(decide(context(Past(), own)).outcome, RecoveryPlan)
    outcome = decide(context(Past(), own, corrupted)).outcome
    assert isinstance(outcome, NoPlan)
    assert (outcome.reason, outcome.wait) == ("DataCorruption", True)
    assert outcome.message.startswith("corrupted reports")


@pytest.mark.parametrize(("hours", "reason"), [(1, "TooSoon"), (7, None)])
@pytest.mark.parametrize("known_to", ["history", "ProtectedService"])
def test_when_a_runbook_last_began_outlives_its_incident(known_to: str, hours: int, reason: str | None) -> None:
    begun, name = NOW - hours * 60 * MINUTE, "out-of-memory-leaking"
    past, status = Past(), good()
    if known_to == "history":
        helped = tried(1, "Recovered", PlanPhase.COMPLETED)
        (ran,) = helped.plans
        past = Past(
            helped.model_copy(update={"plans": (ran.model_copy(update={"runbook": name, "started_at": begun}),)})
        )
    else:
        status |= {"begunRecoveries": [{"runbook": name, "at": begun}]}
    outcome = decide(context(past), classification=LEAK, protected=protected_service(status=status)).outcome
    assert (outcome.reason if isinstance(outcome, NoPlan) else None) == reason


def test_the_later_of_two_beginnings_counts() -> None:
    name = "out-of-memory-leaking"
    early, late = NOW - 420 * MINUTE, NOW - 300 * MINUTE
    helped = tried(1, "Recovered", PlanPhase.COMPLETED)
    (ran,) = helped.plans
    for stored, own in ((early, late), (late, early)):
        past = Past(
            helped.model_copy(update={"plans": (ran.model_copy(update={"runbook": name, "started_at": stored}),)})
        )
        protected = protected_service(status=good() | {"begunRecoveries": [{"runbook": name, "at": own}]})
        outcome = decide(context(past), classification=LEAK, protected=protected).outcome
        assert isinstance(outcome, NoPlan)
        assert outcome.reason == "TooSoon"


@pytest.mark.parametrize(
    ("platform", "reason"), [("1.4.0", "NothingToRestore"), ("1.3.0", None), (None, "RevisionsUnknown")]
)
def test_ecs_is_asked_whether_a_rollback_would_restore_anything(
    platform: str | None, reason: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def describe(_aws: Any, _target: Any, arns: tuple[str, ...]) -> dict[str, ServiceRevision]:
        if platform is None:
            raise AwsError("DescribeServiceRevisions", "AccessDenied", "no", sent=False)
        settings = ({"platformVersion": platform}, {"platformVersion": "1.4.0"})
        return {arn: ServiceRevision(arn, task_definition(1), NOW, s) for arn, s in zip(arns, settings, strict=True)}

    async def define(_aws: Any, _target: Any, name: str) -> TaskDefinition:
        return TaskDefinition(name, NOW)

    monkeypatch.setattr(planning, "fetch_service_revisions", describe)
    monkeypatch.setattr(planning, "fetch_task_definition", define)
    forced = service(task_definition=task_definition(1))
    outcome = decide(context(Past()), classification=BAD_DEPLOYMENT, service=forced).outcome
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


def test_a_plan_that_scales_asks_who_owns_the_count(scaling: list[ScalableTarget | AwsError]) -> None:
    scaling.append(ScalableTarget(3, 12))
    made = decide(context(Past())).outcome
    assert isinstance(made, RecoveryPlan)
    assert made.spec.preconditions.scalable_target
    assert (made.spec.preconditions.scalable_target.min_capacity, len(made.spec.steps)) == (3, 4)


def test_s4_where_nobody_says_who_owns_the_count_nothing_is_scaled(scaling: list[ScalableTarget | AwsError]) -> None:
    scaling.append(AwsError("DescribeScalableTargets", "AccessDeniedException", "no", sent=False))
    no = decide(context(Past())).outcome
    assert isinstance(no, NoPlan)
    assert (no.reason, no.wait) == ("ScalingUnknown", True)
    assert "DescribeScalableTargets: AccessDeniedException" in no.message


def test_a_plan_that_does_not_scale_does_not_ask(scaling: list[ScalableTarget | AwsError]) -> None:
    scaling.append(ScalableTarget(3, 12))
    assert isinstance(decide(context(Past()), classification=LEAK).outcome, RecoveryPlan)
    assert len(scaling) == 1
