import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.recovery_policy import RecoveryPolicy
from bokgu.core.approval import auto
from bokgu.core.approval.auto import AutoVerdict, enter_start, judge_auto
from tests.unit.facts import (
    DIGEST,
    MINUTE,
    NOW,
    PLAN_UID,
    classification,
    health_check,
    incident,
    metadata,
    plan,
    protected_service,
    restart,
    roll_back,
    scale_out,
    stop_task,
)

HOUR = 60 * MINUTE
NAMED = {"service": "api", "action": "scale_out", "rootCause": "TrafficSurge"}
OWN = {"name": "plan-1", "uid": PLAN_UID, "digest": DIGEST, "madeByOperator": True}


def policy(*auto: dict[str, Any], most: int = 1, started: tuple[tuple[str, timedelta], ...] = ()) -> RecoveryPolicy:
    starts = [{"plan": f"plan-of-{uid}"[:40], "uid": uid, "at": NOW - ago} for uid, ago in started]
    return RecoveryPolicy.model_validate(
        {
            "kind": "RecoveryPolicy",
            "metadata": metadata("default", "policy-uid"),
            "spec": {"auto": auto or [NAMED], "maxAutoPerHour": most},
            "status": {"autoStarts": starts},
        }
    )


def told(*plans: dict[str, Any], **cause: Any) -> Any:
    return incident(status={"classification": classification(**cause).to_dict(), "plans": list(plans or [OWN])})


def judge(**changes: Any) -> AutoVerdict | None:
    given_ = {
        "plan": plan(health_check(), scale_out()),
        "policy": policy(),
        "protected_service": protected_service(mode="Auto"),
        "incident": told(),
        "enabled": True,
        "plans": (),
        "hour": HOUR,
        "now": NOW,
        **changes,
    }
    return judge_auto(given_.pop("plan"), **given_)


def test_a_plan_that_the_policy_names_starts_by_itself() -> None:
    assert judge() == AutoVerdict(True, "", "policy-uid", "RecoveryPolicy/default")


@pytest.mark.parametrize("mode", ["Observe", "Propose", "Approve"])
def test_s1_no_other_mode_is_asked(mode: str) -> None:
    assert judge(protected_service=protected_service(mode=mode)) is None
    assert judge(protected_service=None) is None


MISSING: list[tuple[dict[str, Any], str]] = [
    ({"enabled": False}, "BOKGU_AUTO_NAMESPACES"),
    ({"policy": None}, "no RecoveryPolicy"),
    ({"incident": None}, "did not make this plan"),
    ({"incident": told({**OWN, "madeByOperator": False})}, "did not make this plan"),
    ({"incident": told({**OWN, "uid": "another"})}, "did not make this plan"),
    ({"incident": told(OWN, {**OWN, "uid": "another"})}, "did not make this plan"),
    ({"incident": incident(status={"plans": [OWN]})}, "is not the one that was diagnosed"),
    ({"incident": told(rootCause="BadDeployment")}, "is not the one that was diagnosed"),
    ({"incident": told(confidence="low")}, "low confidence"),
    ({"policy": policy({**NAMED, "service": "web"})}, "does not name scale_out"),
    ({"policy": policy({**NAMED, "action": "service_restart"})}, "does not name scale_out"),
    ({"policy": policy({**NAMED, "rootCause": "CpuSaturation"})}, "does not name scale_out"),
    ({"plan": plan(scale_out(), restart())}, "does not name service_restart"),
    ({"policy": policy(most=0)}, "0 plans of at most 0"),
    ({"policy": policy(started=(("another", 59 * MINUTE),))}, "until 2026-11-24T08:01:00Z"),
]


@pytest.mark.parametrize(("changes", "message"), MISSING, ids=[message for _, message in MISSING])
def test_s1_nothing_starts_by_itself_where_one_premise_is_missing(changes: dict[str, Any], message: str) -> None:
    verdict = judge(**changes)
    assert verdict is not None
    assert not verdict.granted
    assert message in verdict.message


@given(st.lists(st.sampled_from(range(len(MISSING))), min_size=1, max_size=5), st.booleans())
def test_s1_nothing_makes_up_for_a_missing_premise(missing: list[int], claimed: bool) -> None:
    changes: dict[str, Any] = {}
    for index in missing:
        changes |= MISSING[index][0]
    if claimed and changes.get("policy", ...) is ...:
        changes["policy"] = policy(started=((PLAN_UID, MINUTE),))
    verdict = judge(**changes)
    assert verdict is not None
    assert not verdict.granted


def test_s7_the_budget_is_that_of_one_hour() -> None:
    assert judge(policy=policy(started=(("another", 60 * MINUTE),))).granted  # type: ignore[union-attr]
    assert judge(policy=policy(most=2, started=(("another", MINUTE),))).granted  # type: ignore[union-attr]


def test_s7_a_plan_that_has_begun_is_counted_once() -> None:
    verdict = judge(policy=policy(started=((PLAN_UID, MINUTE),)))
    assert verdict is not None
    assert (verdict.granted, verdict.claimed) == (True, True)


@pytest.mark.parametrize(("started", "allowed"), [(0, True), (1, True), (2, False)])
def test_s7_a_start_is_entered_while_the_budget_of_the_hour_lasts(started: int, allowed: bool) -> None:
    """However the plan was judged before: another one's entry may have come since."""
    starts = [{"plan": "old", "uid": "old", "at": NOW - 61 * MINUTE}]
    starts += [{"plan": f"p{i}", "uid": f"u{i}", "at": NOW - MINUTE} for i in range(started)]
    policy = RecoveryPolicy.model_validate(
        {
            "kind": "RecoveryPolicy",
            "metadata": metadata("default", "uid"),
            "spec": {"maxAutoPerHour": 2},
            "status": {"autoStarts": starts},
        }
    )
    entered = enter_start(policy, plan(), (), hour=60 * MINUTE, now=NOW)
    assert (entered is not None) is allowed
    if entered:
        assert [s.uid for s in entered.auto_starts][-1] == plan().metadata.uid
        assert len(entered.auto_starts) == len(starts) + 1


def begun(uid: str, proof: str, ago: timedelta) -> RecoveryPlan:
    """A plan that has sent its first step, on an approval of that proof."""
    counted = {"uid": "a", "approver": "x", "role": "service_owner", "proof": proof}
    intent = {
        "token": "t",
        "attempt": 1,
        "planUID": uid,
        "digest": DIGEST,
        "approvals": [counted],
        "request": {"service": "ecs", "operation": "UpdateService", "arguments": "{}"},
        "before": {"desiredCount": 3, "taskDefinition": "api:1"},
        "holder": "h",
        "writtenAt": NOW - ago,
    }
    status = {"startedAt": NOW - ago, "phase": "InProgress", "steps": [{"name": "s", "intent": intent}]}
    return plan(health_check(), scale_out(), meta={"uid": uid}, status=status)


@pytest.mark.parametrize(
    ("proof", "ago", "granted"), [("Auto", MINUTE, False), ("Auto", 2 * HOUR, True), ("Signed", MINUTE, True)]
)
def test_s7_a_policy_that_was_created_anew_forgets_no_start(proof: str, ago: timedelta, granted: bool) -> None:
    verdict = judge(plans=[begun("other", proof, ago)])
    assert verdict is not None
    assert verdict.granted is granted


@pytest.mark.parametrize(("proof", "granted"), [("Auto", True), ("Signed", False)])
def test_s1_a_plan_that_people_let_start_goes_on_with_people_only(proof: str, granted: bool) -> None:
    verdict = judge(plan=begun(PLAN_UID, proof, MINUTE))
    assert verdict is not None
    assert (verdict.granted, verdict.claimed) == (granted, granted)


def evidence(*sources: str) -> list[dict[str, str]]:
    return [{"source": source, "fact": f"fact {i}"} for i, source in enumerate(sources)]


DESTRUCTIVE = {
    "service_restart": restart(),
    "rollback_to_previous_version": roll_back(),
    "stop_unhealthy_tasks": stop_task(),
    "scale_in": {**scale_out(2), "name": "in", "action": "scale_in"},
}


@pytest.mark.parametrize("action", DESTRUCTIVE)
@pytest.mark.parametrize(
    ("sources", "granted"),
    [
        ((), False),
        (("GetMetricData",), False),
        (("GetMetricData", "GetMetricData"), False),
        (("DescribeServices", "DescribeTasks", "stored events", "DescribeTaskDefinition"), False),
        (("GetMetricData", "Incident", "Evidence", "Detector"), False),
        (("GetMetricData", "DescribeServices"), True),
        (("FilterLogEvents", "DescribeTasks"), True),
        (("FilterLogEvents", "GetMetricData"), True),
        (("LookupEvents", "stored events"), True),
    ],
)
def test_s1_nothing_is_destroyed_without_people_on_the_word_of_one_source(
    action: str, sources: tuple[str, ...], granted: bool
) -> None:
    verdict = judge(
        plan=plan(health_check(), DESTRUCTIVE[action]),
        policy=policy({**NAMED, "action": action}),
        incident=told(evidence=evidence(*sources)),
    )
    assert verdict is not None
    assert verdict.granted is granted
    if not granted:
        assert f"{action} needs evidence of 2 different sources" in verdict.message
        assert "people's approval is the second word" in verdict.message


def test_what_destroys_nothing_needs_no_second_source() -> None:
    assert judge(incident=told(evidence=evidence("GetMetricData"))).granted  # type: ignore[union-attr]


def test_giving_back_what_the_plan_itself_raised_destroys_nothing() -> None:
    raised = scale_out(parameters={"minCapacity": 5})
    back = {**raised, "name": "in", "action": "scale_in", "parameters": {"minCapacity": 3}}
    seen = {**plan().spec.preconditions.to_dict(), "scalableTarget": {"minCapacity": 3, "maxCapacity": 9}}
    one = plan(raised, back, preconditions=seen)
    assert judge(plan=one, incident=told(evidence=evidence("GetMetricData"))).granted  # type: ignore[union-attr]


def test_every_source_that_a_diagnosis_names_is_known_or_nobodys_word() -> None:
    """A new source that nobody has placed would silently count for nothing."""
    core = Path(auto.__file__).parents[1]
    texts = [path.read_text() for path in (core / "causes").glob("*.py")]
    texts += [(core / name).read_text() for name in ("diagnosis.py", "case.py")]
    named = {name for text in texts for name in re.findall(r'quote\(\s*"([A-Za-z ]+)"', text)}
    named |= {name for text in texts for name in re.findall(r'"(stored events|Describe\w+)"', text)}
    assert named - set(auto.SOURCES) == {"Incident", "Evidence"}
