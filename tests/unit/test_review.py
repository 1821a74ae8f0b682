import json
import re
from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.vocabulary import Decision, PlanPhase
from bokgu.commands.page import WIDTH
from bokgu.commands.review import Review, find_status_write
from bokgu.commands.review_findings import (
    Refused,
    Statement,
    check_plan,
    choose_role,
    compare,
    decide_validity,
    find_warnings,
)
from bokgu.commands.review_text import format_review
from bokgu.core.approval.digest import plan_digest
from bokgu.core.approval.missing import find_missing
from bokgu.core.unread import find_unread
from tests.unit.facts import MINUTE, NOW, ROLES, incident, plan, protected_service, revision_arn
from tests.unit.test_approval import changed, full_plan, leaves

CLUSTER = "the-cluster"
OBSERVED = {
    "desiredCount": 3,
    "runningCount": 2,
    "pendingCount": 0,
    "taskDefinition": "api:2",
    "serviceRevisionArn": revision_arn(2),
    "rolloutState": "COMPLETED",
}


def entry(role: str, approver: str, decision: str = "Approve", *, reason: str = "Accepted") -> dict[str, Any]:
    proof = {"verifiedBy": "Signed"} if reason == "Accepted" else {}
    base = {"role": role, "approver": approver, "decision": decision, "reason": reason, **proof}
    return {
        **base,
        "at": "2026-11-24T07:58:00Z",
        "ref": "by-" + approver.partition("@")[0],
        "uid": f"uid-{approver}-{role}",
    }


def review(spec: dict[str, Any] | None = None, *, meta: dict[str, Any] | None = None, **status: Any) -> Review:
    """A plan that waits for two people, in a world that is as it was."""
    raw = json.loads(plan().model_dump_json(by_alias=True, exclude_none=True))
    raw["spec"] = deepcopy(spec or raw["spec"])
    raw["metadata"] |= meta or {}
    known = {
        "phase": "AwaitingApproval",
        "digest": plan_digest(CLUSTER, raw),
        "clusterID": CLUSTER,
        "requiredApprovals": list(ROLES),
        "approvalCount": "0/2",
    }
    raw["status"] = {key: value for key, value in {**known, **status}.items() if value is not None}
    return Review(
        raw=raw,
        plan=RecoveryPlan.model_validate(raw),
        incident=incident(status={"phase": "AwaitingApproval"}),
        protected=protected_service(status={"service": OBSERVED}),
        recorded_at=NOW - MINUTE,
        cluster_id=None,
        now=NOW,
    )


def changed_review(one: Review, **changes: Any) -> Review:
    return Review(**{**vars(one), **changes})


def said(**changes: Any) -> Statement:
    base: dict[str, Any] = {
        "role": "service_owner",
        "decision": Decision.APPROVE,
        "approver": "bob@example.com",
        "approver_from": "--as",
        "valid_until": NOW + 120 * MINUTE,
        "valid_because": "--valid-for 2h",
        "signed": True,
    }
    return Statement(**{**base, **changes})


# What is signed


def test_s8_the_digest_is_computed_and_not_taken_from_the_status() -> None:
    one = review()
    assert check_plan(one, Decision.APPROVE) == plan_digest(CLUSTER, one.raw)
    forged = review(digest="sha256:" + "0" * 64)
    with pytest.raises(Refused, match="is not the one in its status"):
        check_plan(forged, Decision.APPROVE)


@pytest.mark.parametrize("path", leaves(review().raw["spec"]), ids=lambda p: ".".join(map(str, p)))
def test_s8_a_plan_that_is_not_the_one_of_the_digest_is_refused(path: tuple[str | int, ...]) -> None:
    one = review()
    tampered = changed_review(one, raw=changed(one.raw, ("spec", *path)))
    with pytest.raises(Refused, match="is not the one in its status"):
        check_plan(tampered, Decision.APPROVE)


def test_s8_a_status_of_another_cluster_is_refused() -> None:
    check_plan(changed_review(review(), cluster_id=CLUSTER), Decision.APPROVE)
    with pytest.raises(Refused, match="an approval would count there"):
        check_plan(changed_review(review(), cluster_id="this one"), Decision.APPROVE)


def test_s8_what_this_version_cannot_show_is_refused() -> None:
    raw = review().raw["spec"]
    raw["steps"][0]["parameters"]["force"] = True
    raw["expedite"] = {"now": 1}
    with pytest.raises(Refused, match=r"spec\.steps\[0\]\.parameters\.force, spec\.expedite"):
        check_plan(review(raw), Decision.APPROVE)


def test_all_that_is_known_is_shown() -> None:
    assert find_unread(full_plan()["spec"], RecoveryPlan.model_validate(full_plan()).spec.to_dict()) == []


@pytest.mark.parametrize(
    ("status", "message"),
    [
        *(({"phase": str(phase)}, "the plan is over") for phase in PlanPhase if phase.terminal),
        ({"digest": None}, "not published"),
        ({"clusterID": None}, "not published"),
    ],
)
def test_a_plan_that_nothing_may_be_said_to_is_refused(status: dict[str, Any], message: str) -> None:
    for decision in Decision:
        with pytest.raises(Refused, match=message):
            check_plan(review(**status), decision)


def test_an_expired_plan_is_refused_and_a_running_one_is_not() -> None:
    late = NOW + 61 * MINUTE
    with pytest.raises(Refused, match="expired"):
        check_plan(changed_review(review(), now=late), Decision.APPROVE)
    runs = review(phase="InProgress", startedAt="2026-11-24T07:58:00Z")
    check_plan(changed_review(runs, now=late), Decision.REJECT)


def test_a_plan_that_is_being_deleted_may_only_be_rejected() -> None:
    one = review(meta={"deletionTimestamp": "2026-11-24T07:58:00Z"})
    check_plan(one, Decision.REJECT)
    with pytest.raises(Refused, match="deleted"):
        check_plan(one, Decision.APPROVE)


# Roles, and for how long


def test_the_role_is_the_only_one_that_is_missing() -> None:
    one = review(approvals=[entry("system_admin", "alice@example.com")])
    assert find_missing(one.plan) == ("service_owner",)
    assert choose_role(one.plan, None) == "service_owner"
    assert choose_role(one.plan, "anything") == "anything"


def test_a_role_that_cannot_be_told_is_asked_for() -> None:
    with pytest.raises(Refused, match="--role: system_admin, service_owner"):
        choose_role(review().plan, None)
    both = [entry("system_admin", "alice@example.com"), entry("service_owner", "bob@example.com")]
    with pytest.raises(Refused, match="no role is missing"):
        choose_role(review(approvals=both).plan, None)


def test_a_role_that_needs_two_people_is_missing_until_both_have_spoken() -> None:
    one = review(requiredApprovals=["dba", "dba"], approvals=[entry("dba", "alice@example.com")])
    assert find_missing(one.plan) == ("dba",)
    assert choose_role(one.plan, None) == "dba"


def test_what_does_not_count_fills_nothing_and_one_person_fills_one_role() -> None:
    lacks = review(approvals=[entry("system_admin", "alice@example.com", reason="RoleNotHeld")])
    assert find_missing(lacks.plan) == ROLES
    same = [entry("system_admin", "alice@example.com"), entry("service_owner", "alice@example.com")]
    assert len(find_missing(review(approvals=same).plan)) == 1


def test_an_approval_outlives_a_plan_that_starts_in_the_last_moment() -> None:
    spec = {**review().raw["spec"], "estimatedTotalDuration": "15m"}
    until, why = decide_validity(review(spec).plan, NOW, None)
    assert until == NOW + 75 * MINUTE
    assert "as long as it takes" in why


def test_an_approval_is_valid_for_an_hour_at_least_and_as_long_as_asked() -> None:
    spec = {**review().raw["spec"], "estimatedTotalDuration": "15m", "expiresAt": "2026-11-24T08:01:00Z"}
    assert decide_validity(review(spec).plan, NOW, None)[0] == NOW + timedelta(hours=1)
    assert decide_validity(review(spec).plan, NOW, 5 * MINUTE) == (NOW + 5 * MINUTE, "--valid-for 5m")
    # A plan that runs longer than it was to wait.
    assert decide_validity(review(spec).plan, NOW + 59 * MINUTE, None)[0] > NOW + 74 * MINUTE


# What has changed


def test_a_world_that_is_the_same_differs_in_nothing() -> None:
    told = {"phase": "AwaitingApproval", "classification": _classification("TrafficSurge")}
    one = changed_review(review(), incident=incident(status=told))
    assert {d.what: d.same for d in compare(one)} == {
        "service revision": True,
        "service deployment": None,
        "desired count": True,
        "root cause": True,
    }
    assert find_warnings(one, said()) == ()


def test_what_is_different_is_told_and_warned_of() -> None:
    now = {**OBSERVED, "desiredCount": 4, "serviceRevisionArn": revision_arn(3)}
    told = {"phase": "AwaitingApproval", "classification": _classification("BadDeployment")}
    one = changed_review(review(), protected=protected_service(status={"service": now}), incident=incident(status=told))
    assert [d.what for d in compare(one) if d.same is False] == ["service revision", "desired count", "root cause"]
    warnings = "\n".join(find_warnings(one, said()))
    assert "desired count was 3, is 4): it will be cancelled, not run" in warnings
    assert "against TrafficSurge, and the incident is told as BadDeployment now" in warnings
    runs = review(phase="InProgress", startedAt="2026-11-24T07:58:00Z")
    runs = changed_review(runs, protected=one.protected)
    assert "cancelled" not in "\n".join(find_warnings(runs, said()))


def test_who_approves_a_dry_run_is_told_what_the_approval_is_good_for() -> None:
    asked = {
        "type": "DryRun",
        "status": "True",
        "reason": "Asked",
        "message": "spec.dryRun of the ProtectedService: said",
    }
    conditions = [{**asked, "lastTransitionTime": "2026-11-24T07:58:00Z"}]
    (warning,) = find_warnings(review(conditions=conditions), said())
    assert "spec.dryRun of the ProtectedService" in warning
    assert "also where the dry run is turned off" in warning
    assert find_warnings(review(conditions=[{**conditions[0], "status": "False"}]), said()) == ()


def _classification(cause: str) -> dict[str, Any]:
    return {
        "category": "Capacity",
        "rootCause": cause,
        "confidence": "high",
        "impactLevel": "high",
        "priority": 1,
        "estimatedResolutionTime": "15m",
    }


def test_what_is_not_known_is_neither_same_nor_changed() -> None:
    one = changed_review(review(), protected=None, incident=None)
    assert {d.same for d in compare(one)} == {None}
    assert find_warnings(one, said()) == ()


@pytest.mark.parametrize(
    ("status", "statement", "warning"),
    [
        ({}, {"role": "dba"}, "dba is not among the roles that the plan needs (system_admin, service_owner)"),
        ({"approvals": [entry("service_owner", "carol")]}, {}, "the role service_owner is filled already"),
        ({"approvals": [entry("service_owner", "bob@example.com")]}, {}, "before (by-bob), and it counts"),
        (
            {"approvals": [entry("service_owner", "bob@example.com", reason="RoleNotHeld")]},
            {},
            "and it does not count: RoleNotHeld",
        ),
        ({"approvals": [entry("system_admin", "bob@example.com")]}, {}, "one person fills one role only"),
        ({"approvals": [entry("system_admin", "carol", "Reject")]}, {}, "carol has rejected the plan"),
        ({}, {"valid_until": NOW + MINUTE}, "it may expire while the plan runs"),
        ({}, {"signed": False}, "it is not signed: it counts only if bob@example.com creates it"),
        ({}, {"signed": False, "carried_by": "x"}, "it counts only where BOKGU_DELEGATES names x"),
        (
            {"phase": "InProgress", "startedAt": "2026-11-24T07:58:00Z"},
            {"decision": Decision.REJECT},
            "a Reject stops it, and undoes what can be undone",
        ),
    ],
)
def test_what_may_have_no_effect_is_warned_of(status: Any, statement: Any, warning: str) -> None:
    assert any(warning in found for found in find_warnings(review(**status), said(**statement)))


def test_nothing_is_warned_of_where_all_is_well() -> None:
    assert find_warnings(review(), said()) == ()
    assert find_warnings(review(), said(signed=False, created_here=True)) == ()
    assert find_warnings(review(), said(decision=Decision.REJECT, role="dba")) == ()


def test_an_incident_that_is_better_and_a_service_that_is_taken_are_warned_of() -> None:
    better = incident(status={"phase": "AwaitingApproval", "mitigatedAt": "2026-11-24T07:59:00Z"})
    assert "gone since 2026-11-24T07:59:00Z" in find_warnings(changed_review(review(), incident=better), said())[0]
    resolved = incident(status={"phase": "Resolved"})
    assert find_warnings(changed_review(review(), incident=resolved), said()) == ("the incident is resolved",)
    taken = protected_service(status={"service": OBSERVED, "activePlan": {"name": "plan-0", "uid": "other"}})
    assert "plan-0" in find_warnings(changed_review(review(), protected=taken), said())[0]


def test_when_a_status_was_written_is_told_by_its_managed_fields() -> None:
    times = [{"subresource": "status", "time": "2026-11-24T07:59:00Z"}, {"time": "2026-11-24T08:30:00Z"}]
    assert find_status_write({"metadata": {"managedFields": times}}) == NOW - MINUTE
    assert find_status_write({"metadata": {}}) is None


# The text

OTHERS = (
    *("high", "low", "medium", "critical", "Stop", "RollBack", "service_down", "Unknown", "scale_out"),
    *("service_restart", "log", "7m", "2026-11-25T08:00:00Z", revision_arn(9)),
)


def text_of(spec: dict[str, Any]) -> str:
    raw = {"kind": "RecoveryPlan", "metadata": review().raw["metadata"], "spec": spec, "status": review().raw["status"]}
    one = changed_review(review(), raw=raw, plan=RecoveryPlan.model_validate(raw))
    return format_review(one, said(), "the digest", "text")


@pytest.mark.parametrize("path", leaves(full_plan()["spec"]), ids=lambda p: ".".join(map(str, p)))
def test_s8_nothing_of_the_spec_can_change_without_a_change_of_what_is_shown(path: tuple[str | int, ...]) -> None:
    spec = full_plan()["spec"]
    before, tried = text_of(spec), 0
    for value in (None, *OTHERS):
        other = changed(spec, path)
        node: Any = other
        for key in path[:-1]:
            node = node[key]
        if value is not None:
            node[path[-1]] = value
        try:
            after = text_of(other)
        except ValidationError:
            continue
        if other == spec:
            continue
        tried += 1
        assert after != before
    assert tried


def test_a_plan_that_moves_the_range_of_auto_scaling_reads_well() -> None:
    text = text_of(full_plan()["spec"])
    for expected in (
        "minCapacity 5",
        "maxCapacity 14",
        "duration 30m",
        "calm true",
        "given up after 75m, on failure Stop; changes nothing",
        "  unknown   range of Application Auto Scaling: 3 to 12, suspended: DynamicScalingIn then; not known now",
    ):
        assert expected in text


def test_the_text_fits_and_tells_what_is_asked_for() -> None:
    one = changed_review(
        review(
            {**review().raw["spec"], "ifNothingIsDone": "users see errors", "risks": full_plan()["spec"]["risks"]},
            approvals=[entry("system_admin", "alice@example.com"), entry("dba", "eve", reason="InvalidSignature")],
            gates=[
                {"name": "Approved", "passed": False, "message": "waits"},
                {"name": "Lock", "passed": False, "message": "plan-0 is at work"},
            ],
        ),
        notes=("a note",),
    )
    text = format_review(one, said(), "the digest", "text")
    for expected in (
        "shop/plan-1: AwaitingApproval, approvals 0/2",
        "  step 1    scale-out (scale_out)",
        "desiredCount 5",
        "nothing undoes it",
        "  else      users see errors",
        "  risk      d (probability low, impact low); m",
        "alice@example.com says Approve as system_admin, 2m ago: counts (Signed)",
        "does not count: InvalidSignature",
        "  missing   service_owner",
        "  blocked   Lock: plan-0 is at work",
        "  note      a note",
        "2/3 tasks run",
        "told 1m ago",
        "in 1h",
        "Approve as service_owner, in the name of bob@example.com (--as)",
    ):
        assert expected in text, expected
    assert "Approved:" not in text
    assert "\x1b" not in text
    assert all(len(line) <= WIDTH for line in text.splitlines())
    coloured = format_review(one, said(), "the digest", "text", colour=True)
    assert "\x1b[33m" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == text


def test_s8_what_moves_a_cursor_or_turns_the_writing_is_shown_escaped() -> None:
    evil = "fine\x1b[2J\u202egnihton\nstep 1  nothing \x9b1A"
    text = format_review(review({**review().raw["spec"], "chosenBecause": evil}), said(), "d", "text")
    assert all(c.isprintable() for line in text.splitlines() for c in line)
    assert r"fine\x1b[2J\u202egnihton step 1 nothing \x9b1A" in text
    for output in ("yaml", "json"):
        shown = format_review(review({**review().raw["spec"], "chosenBecause": evil}), said(), "d", output)
        assert shown.isascii()
        assert "\x1b" not in shown


def test_programs_get_the_same() -> None:
    one = review()
    as_json = json.loads(format_review(one, said(), "the digest", "json"))
    assert yaml.safe_load(format_review(one, said(), "the digest", "yaml")) == as_json
    assert as_json["plan"]["spec"] == one.raw["spec"]
    assert as_json["approval"]["validUntil"] == "2026-11-24T10:00:00Z"
    assert as_json["missing"] == list(ROLES)
