"""Plans of mode Propose, beside what was done instead."""

from datetime import timedelta
from typing import Any

import pytest

from bokgu.api.observed import ServiceDeployment
from bokgu.api.protected_service import MOST_PROPOSALS, Proposal
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.vocabulary import Deed
from bokgu.core.proposals import find_deed, judge_proposal, keep_proposals, score_proposals
from tests.unit.facts import (
    NOW,
    health_check,
    incident,
    plan,
    restart,
    revision_arn,
    roll_back,
    scale_out,
    service,
    service_deployment_arn,
    task_definition,
)

MINUTE = timedelta(minutes=1)
MADE = NOW - 30 * MINUTE
SEEN = {"serviceDeploymentArn": service_deployment_arn(2), "taskDefinition": task_definition(2), "desiredCount": 3}


def proposed(*steps: dict[str, Any], **fields: Any) -> RecoveryPlan:
    seen = {**SEEN, "rootCause": "TrafficSurge"}
    return plan(*steps, meta={"creationTimestamp": MADE}, preconditions=seen, **fields)


def deployment(number: int, after: timedelta, status: str = "SUCCESSFUL") -> ServiceDeployment:
    return ServiceDeployment(service_deployment_arn(number), status, revision_arn(number), MADE + after, None)


THEIRS = deployment(2, -60 * MINUTE)


@pytest.mark.parametrize(
    ("now", "deployments", "deed"),
    [
        ({}, [THEIRS], Deed.NOTHING),
        ({"desired": 5}, [THEIRS], Deed.SCALED_OUT),
        ({"desired": 2}, [THEIRS], Deed.SCALED_IN),
        ({}, [deployment(3, MINUTE), THEIRS], Deed.RESTARTED),
        ({"desired": 5}, [deployment(3, MINUTE), THEIRS], Deed.RESTARTED),
        ({"task_definition": task_definition(1)}, [deployment(3, MINUTE), THEIRS], Deed.ROLLED_BACK),
        ({"task_definition": task_definition(3)}, [deployment(3, MINUTE), THEIRS], Deed.DEPLOYED),
        ({"task_definition": task_definition(1)}, [deployment(2, -MINUTE, "ROLLBACK_SUCCESSFUL")], Deed.ROLLED_BACK),
        ({}, [deployment(1, -90 * MINUTE), THEIRS], Deed.NOTHING),
    ],
)
def test_what_was_done_is_told_by_what_is_seen(
    now: dict[str, Any], deployments: list[ServiceDeployment], deed: Deed
) -> None:
    seen = service(**{"task_definition": task_definition(2), **now})
    assert find_deed(proposed(scale_out()), seen, deployments, task_definition(1)) is deed


def judged(one: RecoveryPlan, deed: Deed) -> Proposal | None:
    return judge_proposal(one, incident(status={"resolvedAt": NOW}), deed, now=NOW + MINUTE, minute=MINUTE)


@pytest.mark.parametrize(
    ("step", "deed", "matched"),
    [
        (scale_out(), Deed.SCALED_OUT, True),
        (scale_out(), Deed.NOTHING, False),
        (restart(), Deed.RESTARTED, True),
        (restart(), Deed.DEPLOYED, False),
        (roll_back(), Deed.ROLLED_BACK, True),
        (roll_back(), Deed.RESTARTED, False),
    ],
)
def test_a_proposal_matches_where_the_same_was_done(step: dict[str, Any], deed: Deed, matched: bool) -> None:
    found = judged(proposed(health_check(), step), deed)
    assert found
    assert (found.matched, found.deed, found.action) == (matched, deed, step["action"])


def test_what_ran_or_changes_nothing_or_is_not_over_is_no_proposal() -> None:
    assert judged(proposed(scale_out(), status={"startedAt": NOW}), Deed.SCALED_OUT) is None
    assert judged(proposed(health_check()), Deed.NOTHING) is None
    assert judge_proposal(proposed(scale_out()), incident(), Deed.SCALED_OUT, now=NOW, minute=MINUTE) is None


@pytest.mark.parametrize(("minutes", "counts"), [(0, True), (15, True), (16, False)])
def test_what_was_over_long_ago_is_not_judged_by_how_the_service_is_today(minutes: int, counts: bool) -> None:
    over = incident(status={"resolvedAt": NOW})
    found = judge_proposal(proposed(scale_out()), over, Deed.SCALED_OUT, now=NOW + minutes * MINUTE, minute=MINUTE)
    assert (found is not None) is counts


def case(number: int, matched: bool = True, action: str = "scale_out") -> Proposal:
    raw = {"incident": f"i-{number}", "incidentUid": f"uid-{number}", "at": NOW + number * MINUTE}
    deed = "ScaledOut" if matched else "Nothing"
    return Proposal.model_validate(
        {**raw, "rootCause": "TrafficSurge", "action": action, "deed": deed, "matched": matched}
    )


def test_what_was_judged_once_stays_and_the_latest_are_kept() -> None:
    again = case(1, matched=False)
    assert keep_proposals([case(1)], [again]) == (case(1),)
    kept = keep_proposals([case(n) for n in range(MOST_PROPOSALS)], [case(MOST_PROPOSALS)])
    assert (len(kept), kept[0]) == (MOST_PROPOSALS, case(MOST_PROPOSALS))
    assert case(0) not in kept


@pytest.mark.parametrize(("cases", "missed", "earned"), [(9, 0, False), (10, 1, True), (10, 2, False), (20, 2, True)])
def test_auto_is_earned_by_ten_cases_of_which_nine_in_ten_were_done(cases: int, missed: int, earned: bool) -> None:
    (score,) = score_proposals(case(n, matched=n >= missed) for n in range(cases))
    assert (score.cases, score.matched, score.earned) == (cases, cases - missed, earned)


def test_each_action_against_each_cause_has_a_score_of_its_own() -> None:
    scores = score_proposals([case(1), case(2), case(3, action="service_restart")])
    assert [(s.action, s.cases) for s in scores] == [("scale_out", 2), ("service_restart", 1)]
