from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.fields import parse_duration
from bokgu.api.observed import ServiceRevision
from bokgu.api.protected_service import Recovery
from bokgu.api.recovery_plan import FINALIZER, RecoveryPlan
from bokgu.api.recovery_policy import RecoveryPolicy
from bokgu.api.vocabulary import Action, Comparison, Confidence, OnFailure, RootCause, Trait
from bokgu.core.detection import breaches
from bokgu.core.planning import Decision, build_plan, decide_plan, plan_manifest
from bokgu.core.planning_facts import NoPlan, PlanningFacts
from bokgu.core.surroundings import Surroundings
from bokgu.core.track_record import TrackRecord
from bokgu.core.verification import parse_expression
from bokgu.runbooks import load_builtin_runbooks
from tests.unit.facts import (
    INCIDENT_UID,
    MINUTE,
    NOW,
    classification,
    deploying,
    incident,
    policies,
    protected_service,
    revision_arn,
    runbook,
    service,
    service_deployment,
    task_definition,
    watch,
)


def good(number: int = 1, **fields: Any) -> dict[str, Any]:
    """Status of a ProtectedService that knows a good revision."""
    known = {
        "serviceRevisionArn": revision_arn(number),
        "taskDefinition": task_definition(number),
        "servedFrom": NOW - 9000 * MINUTE,
        "servedUntil": NOW - 60 * MINUTE,
        **fields,
    }
    return {"lastKnownGood": known}


FEWER = [{"name": "scale-out", "action": "scale_out", "parameters": {"scaleStepPercent": 20}}]
"""Steps that do something else than those of `runbook()`."""

BAD_DEPLOYMENT = classification(rootCause="BadDeployment", newRevisionAtFault=True)


def planning(**changes: Any) -> PlanningFacts:
    one = changes.pop("watch", watch())
    return PlanningFacts(
        **{
            "incident": incident(),
            "classification": classification(),
            "protected_service": protected_service(status=good()),
            "service": service(),
            "watch": one,
            "condition": one.conditions[0] if one else None,
            "now": NOW,
            "runbooks": load_builtin_runbooks(),
            **changes,
        }
    )


def built(**changes: Any) -> RecoveryPlan:
    plan = build_plan(planning(**changes))
    assert isinstance(plan, RecoveryPlan)
    return plan


def read_back(plan: RecoveryPlan) -> RecoveryPlan:
    return RecoveryPlan.model_validate(plan_manifest(plan))


@pytest.mark.parametrize("cause", [classification(), BAD_DEPLOYMENT])
def test_the_same_facts_give_the_same_plan_and_it_reads_back(cause: Any) -> None:
    one = built(classification=cause)
    assert one == built(classification=cause)
    assert read_back(one).spec == one.spec


def test_the_manifest_is_owned_by_its_incident_and_has_the_finalizer() -> None:
    manifest = plan_manifest(built())
    assert manifest["metadata"]["name"] == "incident-1-1"
    assert manifest["metadata"]["finalizers"] == [FINALIZER]
    assert manifest["metadata"]["ownerReferences"][0]["uid"] == incident().metadata.uid
    assert "status" not in manifest


@pytest.mark.parametrize(
    ("changes", "reason", "wait"),
    [
        ({"protected_service": protected_service(mode="Observe")}, "ObserveOnly", True),
        ({"classification": classification(rootCause="Unknown")}, "NoSafeAction", False),
        ({"classification": classification(newRevisionAtFault=True)}, "NoSafeAction", False),
        ({"classification": classification(rootCause="BadDeployment")}, "NoSafeAction", False),
        ({"watch": None}, "NotMeasured", False),
        ({"condition": None}, "NotMeasured", False),
        ({"service": deploying(2, 1)}, "DeploymentInProgress", True),
        ({"protected_service": protected_service(allowedActions=[])}, "ActionNotAllowed", True),
        ({"protected_service": protected_service(mode="Auto", allowedActions=[])}, "ActionNotAllowed", True),
        ({"protected_service": protected_service(limits={})}, "AtMaximum", False),
        ({"service": service(desired=10)}, "AtMaximum", False),
        ({"service": service(desired=0)}, "ScaledToZero", False),
        ({"service": service(controller="CODE_DEPLOY")}, "ServiceUnsupported", False),
        ({"service": service(controller="EXTERNAL")}, "ServiceUnsupported", False),
        ({"service": service(scheduling_strategy="DAEMON")}, "ServiceUnsupported", False),
        ({"service": service(status="DRAINING")}, "ServiceUnsupported", False),
        ({"frozen_by": "api-data-corruption-1"}, "DataCorruption", True),
        ({"classification": BAD_DEPLOYMENT, "protected_service": protected_service()}, "NoLastKnownGood", False),
        (
            {"classification": BAD_DEPLOYMENT, "protected_service": protected_service(status=good(2))},
            "NoLastKnownGood",
            False,
        ),
        (
            {
                "classification": BAD_DEPLOYMENT,
                "protected_service": protected_service(status=good(servedUntil=NOW - 73 * 60 * MINUTE)),
            },
            "LastKnownGoodTooOld",
            False,
        ),
    ],
)
def test_there_is_no_plan_when(changes: dict[str, Any], reason: str, wait: bool) -> None:
    no = build_plan(planning(**changes))
    assert isinstance(no, NoPlan)
    assert (no.reason, no.wait) == (reason, wait)
    assert no.message


def test_propose_plans_what_is_not_allowed_yet() -> None:
    assert built(protected_service=protected_service(mode="Propose", allowedActions=[])).spec.steps


@pytest.mark.parametrize(
    ("desired", "percent", "maximum", "wanted"),
    [(3, 50, 10, 5), (4, 50, 10, 6), (1, 50, 10, 2), (1, 1, 10, 2), (8, 50, 10, 10), (9, 1, 10, 10), (10, 100, 99, 20)],
)
def test_s11_a_scale_out_adds_its_share_at_least_one_and_at_most_the_maximum(
    desired: int, percent: int, maximum: int, wanted: int
) -> None:
    limits = {"maxDesiredCount": maximum, "scaleStepPercent": percent}
    plan = built(service=service(desired=desired), protected_service=protected_service(limits=limits))
    step = plan.spec.steps[-1]
    assert step.action is Action.SCALE_OUT
    assert step.parameters
    assert step.parameters.desired_count == wanted
    assert step.rollback is None


def test_a_rollback_names_the_good_revision_and_has_an_undo() -> None:
    check, step = built(classification=BAD_DEPLOYMENT).spec.steps
    assert check.action is Action.HEALTH_CHECK
    assert step.action is Action.ROLLBACK
    assert step.parameters
    assert step.parameters.service_revision_arn == revision_arn(1)
    assert step.rollback
    assert step.on_failure is OnFailure.ROLL_BACK


def test_a_rollback_that_could_not_be_undone_is_not_planned() -> None:
    """The circuit breaker stops deployments without rolling back: tasks of two service revisions are left."""
    left = deploying(2, 1, state="FAILED")
    outcome = build_plan(planning(classification=BAD_DEPLOYMENT, service=left))
    assert isinstance(outcome, NoPlan)
    assert (outcome.reason, outcome.wait) == ("RevisionsMixed", True)


@pytest.mark.parametrize(
    ("settings", "reason", "wait"),
    [
        (({}, {}), "NothingToRestore", False),
        (({"platformVersion": "1.4.0"}, {"platformVersion": "1.4.0"}), "NothingToRestore", False),
        (({"platformVersion": "1.4.0"}, {"platformVersion": "1.3.0"}), None, False),
        (({}, {"loadBalancers": [{"containerPort": 80}]}), None, False),
        (({},), "RevisionsUnknown", True),
    ],
)
def test_a_rollback_that_would_restore_nothing_is_not_planned(
    settings: tuple[dict[str, Any], ...], reason: str | None, wait: bool
) -> None:
    """A forced deployment makes another service revision of the same task definition."""
    known = {
        revision_arn(n): ServiceRevision(revision_arn(n), task_definition(1), NOW, made)
        for n, made in enumerate(settings, 1)
    }
    forced = service(task_definition=task_definition(1))
    outcome = build_plan(planning(classification=BAD_DEPLOYMENT, service=forced, revisions=known))
    if reason is None:
        assert isinstance(outcome, RecoveryPlan)
        return
    assert isinstance(outcome, NoPlan)
    assert (outcome.reason, outcome.wait) == (reason, wait)


GUESS = [{"source": "Evidence", "fact": "not available: FilterLogEvents: AccessDenied"}]


@pytest.mark.parametrize(
    ("found", "changes", "reason"),
    [
        (BAD_DEPLOYMENT, {}, "NotSure"),
        (classification(), {}, "NotSure"),
        (classification(rootCause="OutOfMemory", traits=["Leaking"]), {}, "NotSure"),
        (classification(rootCause="Unknown"), {}, "NoSafeAction"),
        (classification(), {"runbooks": (runbook(serviceSelector={"environment": "production"}),)}, None),
    ],
)
def test_s1_nothing_is_changed_on_a_guess(found: Any, changes: dict[str, Any], reason: str | None) -> None:
    guess = classification(**{**found.to_dict(), "confidence": "low", "evidence": GUESS})
    outcome = build_plan(planning(classification=guess, **changes))
    assert ((outcome.reason, outcome.wait) if isinstance(outcome, NoPlan) else (None, False)) == (reason, False)
    if isinstance(outcome, NoPlan) and reason == "NotSure":
        assert "not available: FilterLogEvents: AccessDenied" in outcome.message


def test_a_next_rung_changes_nothing_on_a_guess_either() -> None:
    first = runbook(serviceSelector={"environment": "production"}, escalatesTo="next")
    books = (first, runbook("next", rootCauses=["TrafficSurge"], steps=FEWER))
    no = build_plan(
        planning(
            classification=classification(confidence="low"), runbooks=books, track_records={"ours": TrackRecord(0, 3)}
        )
    )
    assert isinstance(no, NoPlan)
    assert "nothing is changed on a guess" in no.message


def test_a_guess_does_not_climb_to_a_rung_that_acts_whatever_the_cause() -> None:
    books = (runbook(rootCauses=["TrafficSurge"], escalatesTo="anyway"), runbook("anyway", onlyByName=True))
    no = build_plan(planning(classification=classification(confidence="low"), runbooks=books))
    assert isinstance(no, NoPlan)
    assert (no.reason, no.wait) == ("NotSure", False)


def test_a_good_revision_that_still_serves_is_never_too_old() -> None:
    ours = protected_service(status=good(servedUntil=None))
    assert built(classification=BAD_DEPLOYMENT, protected_service=ours)


def test_the_plan_remembers_the_world_it_was_made_for() -> None:
    spec = built().spec
    assert spec.preconditions.to_dict() == {
        "target": {"region": "us-east-1", "cluster": "shop", "service": "api"},
        "serviceRevisionArn": revision_arn(2),
        "serviceDeploymentArn": service().current_service_deployment,
        "taskDefinition": task_definition(2),
        "desiredCount": 3,
        "rootCause": "TrafficSurge",
    }
    assert spec.expires_at == NOW + 60 * MINUTE
    assert spec.suspend is None


ENDED = {"plan": "plan-0", "uid": "other", "incidentUid": "another", "startedAt": NOW - 20 * MINUTE}
FAILED = {**ENDED, "finishedAt": NOW - 10 * MINUTE, "outcome": "Failed"}
NIGHTS = {"name": "nights", "kind": "Allow", "schedule": "0 22 * * *", "duration": "2h"}
NEXT_WEEK = {"name": "days", "kind": "Allow", "schedule": "0 22 2 12 *", "duration": "2h"}


@pytest.mark.parametrize(
    ("recoveries", "windows", "begins"),
    [
        ([FAILED], [], 110 * MINUTE),
        ([{**FAILED, "incidentUid": INCIDENT_UID}], [], timedelta()),
        ([], [NIGHTS], 14 * 60 * MINUTE),
        ([FAILED], [NIGHTS], 14 * 60 * MINUTE),
        ([], [NEXT_WEEK], timedelta()),
    ],
)
def test_a_plan_that_may_not_begin_yet_lives_until_it_may(
    recoveries: list[dict[str, Any]], windows: list[dict[str, Any]], begins: timedelta
) -> None:
    """NOW is 08:00 UTC. What is more than a day ahead is another day's world."""
    around = Surroundings(recoveries=tuple(Recovery.model_validate(r) for r in recoveries))
    policy = policies(windows=windows).own.found
    assert built(around=around, policy=policy).spec.expires_at == NOW + begins + 60 * MINUTE


@pytest.mark.parametrize(("period", "hold"), [("1m", "5m"), ("10s", "50s"), ("5m", "25m")])
def test_validation_windows_follow_the_period(period: str, hold: str) -> None:
    validation = built(watch=watch(period=period, settle="2m")).spec.steps[-1].validation
    assert validation
    assert validation.for_ == hold
    assert parse_duration(validation.timeout) == 2 * parse_duration(hold) + 2 * MINUTE


def test_a_rollback_is_verified_twice_as_long() -> None:
    validation = built(classification=BAD_DEPLOYMENT).spec.steps[-1].validation
    assert validation
    assert validation.for_ == "10m"


@pytest.mark.parametrize(
    ("comparison", "thresholds", "expression"),
    [
        ("GreaterThanThreshold", {"medium": "0.05", "high": "0.1"}, "error_rate <= 0.05"),
        ("GreaterThanThreshold", {"critical": "0.3"}, "error_rate <= 0.3"),
        ("GreaterThanOrEqualToThreshold", {"high": "1"}, "error_rate < 1"),
        ("LessThanThreshold", {"high": "-1.5"}, "error_rate >= -1.5"),
        ("LessThanOrEqualToThreshold", {"critical": "0"}, "error_rate > 0"),
    ],
)
def test_the_metric_must_be_on_the_right_side_of_the_lowest_threshold(
    comparison: str, thresholds: dict[str, str], expression: str
) -> None:
    one = watch(condition={"comparison": comparison, "thresholds": thresholds})
    validation = built(watch=one).spec.steps[-1].validation
    assert validation
    assert validation.expression == expression
    assert parse_expression(validation.expression or "").name == "error_rate"


@pytest.mark.parametrize("comparison", list(Comparison))
@given(value=st.sampled_from([-1.0, 0.0, 0.05, 1.0]))
def test_a_step_is_good_exactly_where_the_detector_sees_no_breach(comparison: Comparison, value: float) -> None:
    """Also at the threshold itself: where any error is trouble, none must count as good."""
    one = watch(condition={"comparison": comparison, "thresholds": {"high": "0"}})
    validation = built(watch=one).spec.steps[-1].validation
    assert validation
    assert validation.expression
    good = parse_expression(validation.expression).holds(value)
    assert good is not breaches(one.conditions[0], value, "0")


def test_a_step_is_good_only_where_the_detector_lets_the_trouble_end() -> None:
    """Between the two the plan completes as Recovered, and is escalated as Relapsed when the watch ends."""
    one = watch(condition={"clearThreshold": "0.02"})
    validation = built(watch=one).spec.steps[-1].validation
    assert validation
    assert validation.expression
    assert parse_expression(validation.expression).limit == 0.02


@pytest.mark.parametrize(
    ("severity", "impact", "roles"),
    [
        ("low", "medium", ("service_owner",)),
        ("low", "high", ("system_admin", "service_owner")),
        ("critical", "low", ("system_admin", "service_owner")),
    ],
)
def test_s1_the_worse_of_severity_and_impact_says_who_must_approve(
    severity: str, impact: str, roles: tuple[str, ...]
) -> None:
    plan = built(incident=incident(severity=severity), classification=classification(impactLevel=impact))
    assert plan.spec.required_approvals == roles


def test_s1_a_plan_keeps_the_roles_that_the_policy_demanded_when_it_was_made() -> None:
    rules = [
        {"name": "rollbacks", "actions": ["rollback_to_previous_version"], "roles": [{"name": "dba"}]},
        {"name": "scaling", "actions": ["scale_out"], "roles": [{"name": "capacity", "people": 2}]},
        {"name": "staging", "environments": ["staging"], "roles": [{"name": "qa"}]},
    ]
    policy = RecoveryPolicy.model_validate(
        {"kind": "RecoveryPolicy", "metadata": {"name": "default", "namespace": "shop"}, "spec": {"approvals": rules}}
    )
    plan = built(policy=policy)
    assert [s.action for s in plan.spec.steps if s.action.writes] == ["scale_out"]
    assert plan.spec.required_approvals[-1] == "capacity"
    assert {"dba", "qa"}.isdisjoint(plan.spec.required_approvals)


def test_while_paused_no_plan_is_made_and_the_incident_waits() -> None:
    paused = build_plan(planning(paused_by=("spec.pause of RecoveryPolicy shop/default",)))
    assert isinstance(paused, NoPlan)
    assert (paused.reason, paused.wait) == ("Paused", True)
    assert "spec.pause of RecoveryPolicy shop/default" in paused.message


@pytest.mark.parametrize(
    "changes",
    [
        {"incident": incident(description="d" * 2048)},
        {"watch": watch(condition={"name": "c" * 63})},
        {"incident": incident(meta={"name": "i" * 253})},
    ],
    ids=["description", "condition", "name"],
)
def test_s12_the_longest_input_that_the_schema_admits_still_gives_a_plan(changes: dict[str, Any]) -> None:
    plan = built(**changes)
    assert read_back(plan).spec == plan.spec
    assert len(plan.metadata.name) <= 253


@pytest.mark.parametrize(
    ("status", "minutes_ago", "reason"),
    [
        ("ROLLBACK_REQUESTED", None, "EcsRollsBack"),
        ("ROLLBACK_IN_PROGRESS", None, "EcsRollsBack"),
        ("ROLLBACK_SUCCESSFUL", 4, "EcsRolledBack"),
        ("ROLLBACK_SUCCESSFUL", 11, None),
        ("SUCCESSFUL", 4, None),
    ],
)
def test_where_ecs_rolls_back_by_itself_it_is_waited_for(
    status: str, minutes_ago: int | None, reason: str | None
) -> None:
    ended = None if minutes_ago is None else NOW - minutes_ago * MINUTE
    latest = replace(service_deployment(2, NOW - 20 * MINUTE, status), finished_at=ended)
    plan = build_plan(planning(deployments=(latest,), patience=10 * MINUTE))
    found = (plan.reason, plan.wait) if isinstance(plan, NoPlan) else (None, True)
    assert found == (reason, True)


def test_where_ecs_has_rolled_back_since_the_cause_was_told_nothing_rolls_back_again() -> None:
    latest = service_deployment(3, NOW - 70 * MINUTE, "ROLLBACK_SUCCESSFUL")
    no = build_plan(planning(classification=BAD_DEPLOYMENT, deployments=(latest,), patience=10 * MINUTE))
    assert isinstance(no, NoPlan)
    assert (no.reason, no.wait) == ("NoSafeAction", False)
    assert "Do not roll back once more" in no.message


@pytest.mark.parametrize(
    ("now", "reason"), [(service(3), "ToldBefore"), (deploying(3, 2), "DeploymentInProgress"), (service(2), None)]
)
def test_s4_what_was_told_of_one_deployment_plans_nothing_against_another(now: Any, reason: str | None) -> None:
    """Else the fix that the team has deployed meanwhile would be rolled back."""
    no = build_plan(planning(classification=BAD_DEPLOYMENT, service=now))
    assert ((no.reason, no.wait) if isinstance(no, NoPlan) else (None, True)) == (reason, True)


# Which runbook


LEAK = classification(rootCause="OutOfMemory", traits=["Leaking"])
LOAD = classification(rootCause="MemorySaturation", traits=["LoadDriven"])


def decided(**changes: Any) -> Decision:
    return decide_plan(planning(**changes))


def test_a_leak_is_restarted_with_no_undo_and_verified() -> None:
    check, step = built(classification=LEAK).spec.steps
    assert check.action is Action.HEALTH_CHECK
    assert (step.action, step.rollback, step.on_failure) == (Action.SERVICE_RESTART, None, OnFailure.STOP)
    assert step.description == "Replace all 3 tasks by new ones of the same revision (api:2)."
    assert step.validation
    assert step.validation.for_ == "5m"


@pytest.mark.parametrize(("percent", "reason"), [(None, "WouldInterrupt"), (99, "WouldInterrupt"), (100, None)])
def test_a_leak_is_restarted_only_where_new_tasks_run_before_old_ones_stop(
    percent: int | None, reason: str | None
) -> None:
    plan = build_plan(planning(classification=LEAK, service=service(minimum_healthy_percent=percent)))
    assert (plan.reason if isinstance(plan, NoPlan) else None) == reason


def test_the_advice_of_the_runbook_says_what_a_person_should_do() -> None:
    slow = classification(rootCause="HealthCheckFailure", traits=["SlowStart"])
    no = build_plan(planning(classification=slow, service=service(grace_seconds=30)))
    assert isinstance(no, NoPlan)
    assert no.reason == "NoSafeAction"
    assert "healthCheckGracePeriodSeconds for api: it is 30 s" in no.message


def test_a_zonal_failure_names_the_zone_that_the_evidence_names() -> None:
    fact = {"source": "DescribeTasks", "fact": "4 of 4 failing tasks run in eu-central-1b, none in eu-central-1a"}
    zonal = classification(rootCause="NetworkFailure", traits=["Zonal"], evidence=[fact])
    no = build_plan(planning(classification=zonal))
    assert isinstance(no, NoPlan)
    assert "away from eu-central-1b" in no.message


def test_where_a_plan_is_impossible_the_advice_says_what_is_left() -> None:
    no = build_plan(planning(service=service(desired=10)))
    assert isinstance(no, NoPlan)
    assert no.message.startswith("10 tasks are wanted and spec.limits.maxDesiredCount is 10. Raise the maximum")


def test_corrupted_data_freezes_the_service_while_its_cause_is_not_sure() -> None:
    corrupted = incident(type="data_corruption")
    low = LOAD.model_copy(update={"confidence": Confidence.LOW})
    no = build_plan(planning(classification=low, incident=corrupted))
    assert isinstance(no, NoPlan)
    assert (no.reason, no.wait) == ("NoSafeAction", False)
    assert "freezes" in no.message
    assert isinstance(build_plan(planning(classification=LOAD, incident=corrupted)), RecoveryPlan)


def test_the_classic_plan_restarts_and_says_what_it_leaves_out() -> None:
    ours = protected_service(runbooks=["classic-service-down"])
    unknown = classification(rootCause="Unknown", confidence="low")
    plan = built(
        protected_service=ours,
        classification=unknown,
        incident=incident(type="service_down"),
        service=service(running=0),
    )
    check, step = plan.spec.steps
    assert (check.timeout, check.required_resources, check.validation) == ("5m", ("logs",), None)
    assert "error_pattern_analysis of logs is left out" in (check.description or "")
    assert (step.timeout, step.rollback) == ("10m", None)
    assert "nothing takes it back" in (step.description or "")
    assert step.validation
    assert step.validation.criteria == "health_check_pass"
    assert plan.spec.risks[-1].description.startswith("the runbook acts whatever the cause (Unknown)")
    assert plan.spec.chosen_because == (
        "classic-service-down is against whatever the cause is. The ProtectedService names it."
    )


@pytest.mark.parametrize(
    ("helped", "tried", "gives_way"), [(0, 2, False), (0, 3, True), (1, 3, False), (1, 4, True), (2, 6, False)]
)
def test_a_runbook_that_did_not_help_here_gives_way_to_the_next_rung(helped: int, tried: int, gives_way: bool) -> None:
    name = "memory-saturation-load"
    found = decided(classification=LOAD, track_records={name: TrackRecord(helped, tried)})
    assert isinstance(found.outcome, RecoveryPlan)
    spec = found.outcome.spec
    assert spec.runbook_ref
    if gives_way:
        assert spec.runbook_ref.name == "memory-saturation-restart"
        assert [g.because.reason for g in found.gave_way] == ["DidNotHelpHere"]
        assert f"{name} gave way: {name} helped {helped} of {tried} times here" in (spec.chosen_because or "")
        assert spec.track_record is None
    else:
        assert spec.runbook_ref.name == name
        assert spec.track_record == f"helped {helped} of {tried} times here"


def test_where_no_rung_is_left_the_incident_says_so() -> None:
    records = {"traffic-surge": TrackRecord(0, 3)}
    no = build_plan(planning(track_records=records))
    assert isinstance(no, NoPlan)
    assert (no.reason, no.wait) == ("DidNotHelpHere", False)
    assert no.message.startswith("traffic-surge helped 0 of 3 times here. Raise the maximum")


def test_a_rung_against_other_trouble_is_passed_over() -> None:
    records = {"out-of-memory-leaking": TrackRecord(0, 3)}
    found = decided(classification=LEAK, track_records=records)
    assert isinstance(found.outcome, NoPlan)
    assert found.outcome.reason == "DidNotHelpHere"
    assert "LoadDriven" not in found.outcome.message
    both = classification(rootCause="OutOfMemory", traits=["Leaking", "LoadDriven"])
    assert built(classification=both, track_records=records).spec.steps[-1].action is Action.SCALE_OUT


@pytest.mark.parametrize(("environment", "planned"), [("production", True), ("staging", False)])
def test_a_rung_for_other_services_is_passed_over(environment: str, planned: bool) -> None:
    rung = runbook("rung", onlyByName=True, serviceSelector={"environment": environment}, steps=FEWER)
    books = (runbook("ours", escalatesTo="rung"), rung)
    plan = build_plan(planning(runbooks=books, track_records={"ours": TrackRecord(0, 3)}))
    assert isinstance(plan, RecoveryPlan) is planned


@pytest.mark.parametrize(("hours", "reason"), [(1, "TooSoon"), (5, "TooSoon"), (6, None), (9, None)])
def test_a_leak_is_restarted_at_most_once_in_six_hours(hours: int, reason: str | None) -> None:
    begun = {"out-of-memory-leaking": NOW - hours * 60 * MINUTE}
    plan = build_plan(planning(classification=LEAK, last_begun=begun))
    assert (plan.reason if isinstance(plan, NoPlan) else None) == reason


def test_what_a_change_of_the_service_would_allow_gives_way_to_nothing() -> None:
    ours = protected_service(allowedActions=["service_restart"])
    no = build_plan(planning(classification=LOAD, protected_service=ours))
    assert isinstance(no, NoPlan)
    assert (no.reason, no.wait) == ("ActionNotAllowed", True)


def test_at_the_maximum_the_next_rung_is_taken() -> None:
    plan = built(classification=LOAD, protected_service=protected_service(limits={"maxDesiredCount": 3}))
    assert plan.spec.steps[-1].action is Action.SERVICE_RESTART
    assert "gave way: 3 tasks are wanted" in (plan.spec.chosen_because or "")


def test_a_runbook_of_the_namespace_makes_the_plan_with_its_own_words_and_windows() -> None:
    step = {
        "name": "more",
        "action": "scale_out",
        "description": "{service} of {cluster}: {desiredCount} → {wantedCount}",
        "parameters": {"scaleStepPercent": 10},
        "timeout": "20m",
        "requiredResources": ["ecs_service", "budget"],
        "onFailure": "Continue",
        "validation": {"criteria": "calm", "for": "7m", "timeout": "9m"},
    }
    ours = runbook("ours", steps=[step])
    plan = built(service=service(desired=8), runbooks=(*load_builtin_runbooks(), ours))
    (found,) = plan.spec.steps
    assert plan.spec.runbook_ref
    assert plan.spec.runbook_ref.name == "ours"
    assert found.description == "api of shop: 8 → 9"
    assert (found.timeout, found.required_resources, found.on_failure) == ("20m", ("ecs_service", "budget"), "Continue")
    assert found.validation
    assert (found.validation.criteria, found.validation.for_, found.validation.timeout) == ("calm", "7m", "9m")


@pytest.mark.parametrize(("asked", "hold", "wait"), [("1s", "5m", "5m"), ("5m", "5m", "9m"), ("30m", "30m", "30m")])
def test_a_runbook_only_lengthens_the_time_that_is_verified(asked: str, hold: str, wait: str) -> None:
    """One good datapoint proves nothing."""
    validation = {"for": asked, "timeout": "9m" if asked == "5m" else asked}
    ours = runbook("ours", steps=[{"name": "a", "action": "scale_out", "validation": validation}])
    found = built(runbooks=(ours,)).spec.steps[0].validation
    assert found
    assert (found.for_, found.timeout) == (hold, wait)


def test_s11_a_runbook_never_adds_more_than_the_service_allows() -> None:
    ours = runbook("ours", steps=[{"name": "a", "action": "scale_out", "parameters": {"scaleStepPercent": 1000}}])
    parameters = built(service=service(desired=4), runbooks=(ours,)).spec.steps[0].parameters
    assert parameters
    assert parameters.desired_count == 6


def test_the_longest_templates_still_give_a_plan_or_a_message() -> None:
    long = "{dependencies}" * 146
    ours = runbook("ours", steps=[{"name": "a", "action": "scale_out", "description": long}], advice=long[:798])
    one = protected_service(dependsOn=[f"{i:02}" + "d" * 251 for i in range(32)], limits={"maxDesiredCount": 4})
    plan = built(runbooks=(ours,), protected_service=one)
    assert read_back(plan).spec == plan.spec
    assert isinstance(build_plan(planning(runbooks=(ours,), protected_service=one, service=service(desired=4))), NoPlan)


def test_the_whole_takes_as_long_as_its_steps() -> None:
    assert built().spec.estimated_total_duration == "16m"


@given(
    cause=st.sampled_from(RootCause),
    new=st.sampled_from([True, False, None]),
    traits=st.sets(st.sampled_from(Trait)),
    desired=st.integers(0, 12),
    percent=st.sampled_from([None, 0, 50, 100]),
    records=st.dictionaries(
        st.sampled_from([r.metadata.name for r in load_builtin_runbooks()]),
        st.integers(0, 6).flatmap(lambda t: st.integers(0, t).map(lambda h: TrackRecord(h, t))),
        max_size=6,
    ),
    shuffle=st.randoms(use_true_random=False),
)
def test_same_facts_same_plan_and_never_a_plan_without_a_write(
    *,
    cause: RootCause,
    new: bool | None,
    traits: set[Trait],
    desired: int,
    percent: int | None,
    records: dict[str, TrackRecord],
    shuffle: Random,
) -> None:
    found = classification(rootCause=cause, newRevisionAtFault=new, traits=sorted(traits))
    books = list(load_builtin_runbooks())
    changes: dict[str, Any] = {
        "classification": found,
        "service": service(desired=desired, minimum_healthy_percent=percent),
        "track_records": records,
    }
    one = build_plan(planning(**changes))
    shuffle.shuffle(books)
    assert one == build_plan(planning(**changes, runbooks=tuple(books)))
    if isinstance(one, NoPlan):
        assert one.message
        return
    assert read_back(one).spec == one.spec
    actions = [step.action for step in one.spec.steps]
    assert any(action.writes for action in actions)
    assert desired > 0
    assert new is not None
    assert all(step.validation for step in one.spec.steps if step.action.writes)
    if Action.ROLLBACK in actions:
        assert new
        assert Trait.ROLLED_BACK_BY_ECS not in traits
    if Action.SERVICE_RESTART in actions and cause is RootCause.OUT_OF_MEMORY:
        assert percent == 100
