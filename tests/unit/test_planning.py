from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.fields import parse_duration
from bokgu.api.recovery_plan import FINALIZER, RecoveryPlan
from bokgu.api.vocabulary import Action, Comparison, OnFailure, RootCause
from bokgu.core.detection import breaches
from bokgu.core.planning import NoPlan, PlanningFacts, build_plan, plan_manifest
from bokgu.core.runbooks import RUNBOOKS, choose_runbook
from bokgu.core.verification import parse_expression
from tests.unit.facts import (
    MINUTE,
    NOW,
    classification,
    deploying,
    incident,
    protected_service,
    revision_arn,
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
        ({"protected_service": protected_service(limits={})}, "AtMaximum", False),
        ({"service": service(desired=10)}, "AtMaximum", False),
        ({"service": service(desired=0)}, "ScaledToZero", False),
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


def test_s1_without_a_cause_there_is_no_write() -> None:
    assert all(choose_runbook(RootCause.UNKNOWN, new) is None for new in (False, True))
    assert {r.root_cause for r in RUNBOOKS} == {RootCause.BAD_DEPLOYMENT, RootCause.TRAFFIC_SURGE}


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


def test_a_good_revision_that_still_serves_is_never_too_old() -> None:
    ours = protected_service(status=good(servedUntil=None))
    assert built(classification=BAD_DEPLOYMENT, protected_service=ours)


def test_the_plan_remembers_the_world_it_was_made_for() -> None:
    spec = built().spec
    assert spec.preconditions.to_dict() == {
        "serviceRevisionArn": revision_arn(2),
        "serviceDeploymentArn": service().current_service_deployment,
        "desiredCount": 3,
        "rootCause": "TrafficSurge",
    }
    assert spec.expires_at == NOW + 60 * MINUTE
    assert spec.suspend is None


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
    assert parse_expression(validation.expression).name == "error_rate"


@pytest.mark.parametrize("comparison", list(Comparison))
@given(value=st.sampled_from([-1.0, 0.0, 0.05, 1.0]))
def test_a_step_is_good_exactly_where_the_detector_sees_no_breach(comparison: Comparison, value: float) -> None:
    """Also at the threshold itself: where any error is trouble, none must count as good."""
    one = watch(condition={"comparison": comparison, "thresholds": {"high": "0"}})
    validation = built(watch=one).spec.steps[-1].validation
    assert validation
    good = parse_expression(validation.expression).holds(value)
    assert good is not breaches(one.conditions[0], value, "0")


def test_a_step_is_good_only_where_the_detector_lets_the_trouble_end() -> None:
    """Between the two the plan completes as Recovered, and is escalated as Relapsed when the watch ends."""
    one = watch(condition={"clearThreshold": "0.02"})
    validation = built(watch=one).spec.steps[-1].validation
    assert validation
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


def test_every_write_comes_with_its_risks() -> None:
    for cause in (classification(), BAD_DEPLOYMENT):
        assert len(built(classification=cause).spec.risks) == 2


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
