"""From a labelled incident to its plan, all through the core: what is planned is what the label calls safe."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bokgu.api.incident import SimilarIncidents
from bokgu.api.observed import EcsService
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.vocabulary import Severity
from bokgu.commands.case_file import parse_case
from bokgu.core.classification import classify_incident
from bokgu.core.diagnosis import diagnose
from bokgu.core.planning import build_plan
from bokgu.core.planning_facts import NoPlan, PlanningFacts
from bokgu.runbooks import load_builtin_runbooks
from tests.diagnosis.corpus import LabelledCase, read_corpus
from tests.unit.facts import incident, protected_service, watch

RUNBOOKS = load_builtin_runbooks()


def plan_for(case: LabelledCase) -> RecoveryPlan | NoPlan:
    """The plan for the incident where the service allows everything, is measured, and knows a good revision."""
    evidence = parse_case({"incident": case.raw["incident"], "evidence": case.raw["evidence"]})
    now, service = evidence.detected_at, evidence.service
    if service is None:
        return NoPlan("Unreadable", "ECS does not know the service", wait=True)
    good = {
        "serviceRevisionArn": f"{service.arn}/good",
        "taskDefinition": f"{service.task_definition}0",
        "servedFrom": now - timedelta(days=1),
        "servedUntil": now - timedelta(hours=1),
    }
    protected = protected_service(limits={"maxDesiredCount": 1000}, status={"lastKnownGood": good})
    severity, type_ = case.raw["incident"]["severity"], case.raw["incident"]["type"]
    trouble = incident(type=type_, severity=severity, detectedAt=now)
    found = classify_incident(
        trouble, diagnose(evidence), protected, service, SimilarIncidents(count=0), runbooks=RUNBOOKS
    )
    assert found.impact_level.rank >= Severity(severity).rank
    seen = watch()
    return build_plan(
        PlanningFacts(
            incident=trouble,
            classification=found,
            protected_service=protected,
            service=_settled(service),
            watch=seen,
            condition=seen.conditions[0],
            now=now,
            runbooks=RUNBOOKS,
        )
    )


def _settled(service: EcsService) -> EcsService:
    """The service once its deployment has ended: until then nothing is planned."""
    return replace(service, deployments=tuple(replace(d, rollout_state="COMPLETED") for d in service.deployments))


@pytest.mark.parametrize("case", read_corpus(), ids=lambda case: case.name)
def test_s1_a_plan_writes_only_what_the_label_calls_safe(case: LabelledCase) -> None:
    planned, safe = plan_for(case), case.label["safeAutomaticAction"]
    writes = (
        [step.action for step in planned.spec.steps if step.action.writes] if isinstance(planned, RecoveryPlan) else []
    )
    assert set(writes) <= {safe}
    if case.verdict["safeAutomaticAction"] != "none":
        assert writes, planned
    elif isinstance(planned, NoPlan):
        assert planned.message
    else:
        pytest.fail("a plan that would do nothing useful")


def test_all_four_types_get_plans() -> None:
    types = {case.raw["incident"]["type"] for case in read_corpus() if isinstance(plan_for(case), RecoveryPlan)}
    assert types == {"service_down", "high_error_rate", "resource_exhaustion", "data_corruption"}
