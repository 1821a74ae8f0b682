"""How long each stage of an incident took, told once."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import pytest

from bokgu.api.incident import Incident
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.core.stages import (
    Passage,
    Stage,
    look_back,
    measure_detection,
    measure_incident,
    measure_plan,
    measure_whole,
)
from tests.unit.facts import (
    DIGEST,
    MINUTE,
    NOW,
    PLAN_UID,
    classification,
    health_check,
    incident,
    plan,
    roll_back,
    scale_out,
)

OPENED = NOW - 30 * MINUTE
TOLD = NOW - 28 * MINUTE


def minutes(passages: Iterable[Passage]) -> list[tuple[Stage, float]]:
    return [(p.stage, p.took / MINUTE) for p in passages]


def opened(**status: Any) -> Incident:
    return incident(meta={"creationTimestamp": OPENED}, status=status, detectedAt=OPENED - MINUTE)


def told(at: datetime = TOLD) -> Any:
    return classification(toldAt=at).to_dict()


def entry(name: str = "plan-1", uid: str = PLAN_UID) -> dict[str, Any]:
    return {"name": name, "uid": uid, "digest": DIGEST}


def completed(finished: datetime = NOW - 10 * MINUTE, phase: str = "Completed") -> RecoveryPlan:
    return plan(status={"phase": phase, "finishedAt": finished})


def test_detection_is_counted_from_when_the_trouble_began() -> None:
    assert minutes([measure_detection(NOW - 3 * MINUTE, NOW)]) == [(Stage.DETECT, 3)]


def test_no_stage_takes_less_than_nothing() -> None:
    assert minutes([measure_detection(NOW + MINUTE, NOW)]) == [(Stage.DETECT, 0)]


def test_the_first_cause_ends_the_classification_and_another_one_does_not() -> None:
    new = opened(classification=told()).status
    assert minutes(measure_incident(opened(), new, None, NOW)) == [(Stage.CLASSIFY, 2)]
    later = opened(classification=told(NOW)).status
    assert minutes(measure_incident(opened(classification=told()), later, None, NOW)) == []


def test_a_plan_that_was_not_there_ends_the_planning() -> None:
    old = opened(classification=told())
    new = opened(classification=told(), plans=[entry()]).status
    assert minutes(measure_incident(old, new, None, NOW)) == [(Stage.PLAN, 28)]
    assert minutes(measure_incident(opened(classification=told(), plans=[entry()]), new, None, NOW)) == []


def test_planning_begins_with_the_first_cause_though_it_was_told_anew() -> None:
    timeline = [{"at": TOLD, "event": "Classified"}, {"at": NOW - MINUTE, "event": "Classified", "message": "anew"}]
    old = opened(classification=told(NOW - MINUTE), timeline=timeline)
    new = opened(classification=told(NOW - MINUTE), plans=[entry()]).status
    assert minutes(measure_incident(old, new, None, NOW)) == [(Stage.PLAN, 28)]


def test_the_next_rung_is_planned_from_the_cause_after_the_last_plan() -> None:
    timeline = [
        {"at": TOLD, "event": "Classified"},
        {"at": TOLD + MINUTE, "event": "Planned"},
        {"at": NOW - 2 * MINUTE, "event": "Classified", "message": "anew"},
    ]
    old = opened(classification=told(NOW), plans=[entry()], timeline=timeline)
    new = opened(classification=told(NOW), plans=[entry(), entry("plan-2", "another-uid")]).status
    assert minutes(measure_incident(old, new, None, NOW)) == [(Stage.PLAN, 2)]


@pytest.mark.parametrize(
    ("mitigated", "current", "expected"),
    [
        (NOW - 6 * MINUTE, None, 6),
        (NOW - 6 * MINUTE, completed(), 6),
        (NOW - 12 * MINUTE, completed(), 10),
        (None, completed(), 10),
        (NOW - 12 * MINUTE, completed(phase="Failed"), 12),
        (None, None, None),
    ],
)
def test_the_relapse_watch_begins_when_the_trouble_is_gone_and_the_plan_is_over(
    mitigated: datetime | None, current: RecoveryPlan | None, expected: float | None
) -> None:
    new = opened(phase="Resolved", resolvedAt=NOW, mitigatedAt=mitigated).status
    stages = [] if expected is None else [(Stage.RESOLVE, expected)]
    assert minutes(measure_incident(opened(phase="Verifying"), new, current, NOW)) == stages
    assert minutes(measure_incident(opened(phase="Resolved"), new, current, NOW)) == []


def test_the_whole_incident_is_counted_from_when_it_was_seen_once() -> None:
    new = opened(phase="Resolved", resolvedAt=NOW).status
    assert measure_whole(opened(phase="Verifying"), new) == 31 * MINUTE
    assert measure_whole(opened(phase="Resolved"), new) is None
    assert measure_whole(opened(), opened(phase="Escalated").status) is None


# Plans

MADE = {"creationTimestamp": OPENED}


def approved(since: datetime = NOW - 20 * MINUTE, status: str = "True") -> list[dict[str, Any]]:
    said = "Approved" if status == "True" else "ApprovalsMissing"
    return [{"type": "Approved", "status": status, "reason": said, "lastTransitionTime": since}]


def begun(**fields: Any) -> dict[str, Any]:
    return {"phase": "InProgress", "startedAt": NOW, "conditions": approved(), **fields}


def test_the_begin_of_a_plan_tells_how_long_people_and_gates_took() -> None:
    old, new = plan(meta=MADE), plan(meta=MADE, status=begun()).status
    assert minutes(measure_plan(old, new)) == [(Stage.APPROVE, 10), (Stage.START, 20)]
    assert minutes(measure_plan(plan(meta=MADE, status=begun()), new)) == []


def test_a_plan_that_never_begins_tells_nothing() -> None:
    new = plan(meta=MADE, status={"phase": "Expired", "conditions": approved(status="False")}).status
    assert minutes(measure_plan(plan(meta=MADE), new)) == []


def step(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "phase": "InProgress", "startedAt": NOW - 9 * MINUTE, **fields}


def measure_step(action: dict[str, Any], was: dict[str, Any], now: dict[str, Any]) -> list[tuple[Stage, float]]:
    old = plan(action, status=begun(steps=[step("one", **was)]))
    return minutes(measure_plan(old, plan(action, status=begun(steps=[step("one", **now)])).status))


EFFECTIVE = {"effectiveAt": NOW - 5 * MINUTE}
ENDED = {"phase": "Completed", "finishedAt": NOW}


@pytest.mark.parametrize("action", [scale_out(), roll_back()])
def test_a_step_tells_at_its_end_how_long_it_acted_and_was_verified(action: dict[str, Any]) -> None:
    assert measure_step(action, EFFECTIVE, EFFECTIVE | ENDED) == [(Stage.ACT, 4), (Stage.VERIFY, 5)]
    assert measure_step(action, {}, EFFECTIVE) == []
    assert measure_step(action, EFFECTIVE | ENDED, EFFECTIVE | ENDED) == []


def test_a_step_that_changes_nothing_is_only_verified() -> None:
    assert measure_step(health_check(), EFFECTIVE, EFFECTIVE | ENDED) == [(Stage.VERIFY, 5)]


def test_a_wait_is_no_stage() -> None:
    wait = {"name": "wait", "action": "wait", "parameters": {"duration": "5m"}, "timeout": "5m", "onFailure": "Stop"}
    assert measure_step(wait, EFFECTIVE, EFFECTIVE | ENDED) == []


def test_a_step_without_an_effect_tells_nothing() -> None:
    assert measure_step(scale_out(), {}, {"phase": "Failed", "finishedAt": NOW}) == []


def test_a_status_with_other_steps_tells_nothing_of_them() -> None:
    new = plan(scale_out(), status=begun(steps=[step("one", **EFFECTIVE, **ENDED)])).status
    assert minutes(measure_plan(plan(scale_out(), status=begun()), new)) == []


# Looked back on


def told_by(*events: tuple[Any, str, str]) -> list[dict[str, Any]]:
    return [{"at": at, "event": event, "message": message} for at, event, message in events]


def test_looking_back_tells_the_stages_that_were_measured_as_they_ended() -> None:
    """The same figures as the metrics have, from what is left on the objects."""
    timeline = told_by(
        (TOLD, "Classified", "a"), (NOW - 26 * MINUTE, "Planned", "plan-1: runbook x"), (NOW, "Resolved", "")
    )
    status = {"phase": "Resolved", "classification": told(), "plans": [entry()], "timeline": timeline}
    one = opened(**status, mitigatedAt=NOW - 12 * MINUTE, resolvedAt=NOW)
    done = {
        "name": "scale-out",
        "startedAt": NOW - 20 * MINUTE,
        "effectiveAt": NOW - 17 * MINUTE,
        "finishedAt": NOW - 13 * MINUTE,
    }
    said = {"type": "Approved", "status": "True", "reason": "Approved", "lastTransitionTime": NOW - 22 * MINUTE}
    current = plan(
        scale_out(),
        meta={"creationTimestamp": NOW - 26 * MINUTE},
        status={
            "phase": "Completed",
            "startedAt": NOW - 20 * MINUTE,
            "finishedAt": NOW - 13 * MINUTE,
            "steps": [done],
            "conditions": [said],
        },
    )
    found = look_back(one, (current,), OPENED - 3 * MINUTE)
    assert minutes(found) == [
        (Stage.DETECT, 3),
        (Stage.CLASSIFY, 2),
        (Stage.PLAN, 2),
        (Stage.APPROVE, 4),
        (Stage.START, 2),
        (Stage.ACT, 3),
        (Stage.VERIFY, 4),
        (Stage.RESOLVE, 12),
    ]
    assert [passage.what for passage in found][2:7] == ["plan-1", "plan-1", "plan-1", *["plan-1, scale-out"] * 2]


def test_the_next_plan_is_looked_back_on_from_the_cause_after_the_one_before() -> None:
    timeline = told_by(
        (TOLD, "Classified", "a"),
        (NOW - 20 * MINUTE, "Planned", "plan-1"),
        (NOW - 10 * MINUTE, "Classified", "b"),
        (NOW - 4 * MINUTE, "Planned", "plan-2: next rung y"),
    )
    one = opened(classification=told(NOW), plans=[entry(), entry("plan-2", "2")], timeline=timeline)
    plans = (plan(), plan(meta={"name": "plan-2"}))
    found = {p.what: p.took / MINUTE for p in look_back(one, plans, OPENED) if p.stage is Stage.PLAN}
    assert found == {"plan-1": 8, "plan-2": 6}


def test_an_incident_that_was_just_opened_was_only_detected() -> None:
    assert minutes(look_back(opened(), (), OPENED - MINUTE)) == [(Stage.DETECT, 1)]
