from collections import Counter
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.incident import Incident
from bokgu.api.recovery_plan import MOST_PEOPLE
from bokgu.api.recovery_policy import RecoveryPolicy
from bokgu.api.vocabulary import PEOPLES_PROOFS, Action, Severity
from bokgu.core.approval.requirement import Requirement, Stakes, build_requirement, find_stakes, minimum_roles
from tests.unit.facts import MINUTE, NOW, classification, incident, metadata, plan

CRITICAL = Stakes(Severity.CRITICAL, "production", frozenset({"scale_out"}))
LOW = Stakes(Severity.LOW, "staging", frozenset({"scale_out"}))
MADE = NOW - 30 * MINUTE


def policy(*rules: dict[str, Any]) -> RecoveryPolicy:
    named = [{"name": f"rule-{i}", **rule} for i, rule in enumerate(rules)]
    body = {"kind": "RecoveryPolicy", "metadata": metadata("default", "policy-uid"), "spec": {"approvals": named}}
    return RecoveryPolicy.model_validate(body)


def required(*rules: dict[str, Any], stakes: Stakes = CRITICAL, **spec: Any) -> Requirement:
    return build_requirement(plan(**spec), stakes, policy(*rules))


PEOPLE = ["alice", "bob", "carol", "dan"]
ROLES = st.builds(
    lambda name, people, named: {"name": name, "people": people, **({"identities": sorted(named)} if named else {})},
    st.sampled_from(["service_owner", "system_admin", "dba", "security"]),
    st.integers(1, 8),
    st.sets(st.sampled_from(PEOPLE)),
)
RULES = st.fixed_dictionaries(
    {},
    optional={
        "severities": st.lists(st.sampled_from(list(Severity)), min_size=1, max_size=2, unique=True),
        "actions": st.lists(st.sampled_from(["scale_out", "service_restart"]), min_size=1, unique=True),
        "environments": st.lists(st.sampled_from(["production", "staging"]), min_size=1, unique=True),
        "roles": st.lists(ROLES, max_size=3, unique_by=lambda role: str(role["name"])),
        "proofs": st.lists(st.sampled_from(sorted(PEOPLES_PROOFS)), min_size=1, max_size=2, unique=True),
        "expiresAfter": st.sampled_from(["30s", "5m", "2h"]),
    },
)
STAKES = st.builds(
    Stakes,
    st.none() | st.sampled_from(list(Severity)),
    st.none() | st.sampled_from(["production", "staging"]),
    st.frozensets(st.sampled_from([str(Action.SCALE_OUT), str(Action.SERVICE_RESTART), "health_check"])),
)


def at_least(more: Requirement, less: Requirement) -> bool:
    """Whether whatever satisfies `more` satisfies `less` too."""
    if more.problem:
        return True
    ends = [e or datetime.max.replace(tzinfo=NOW.tzinfo) for e in (more.until, less.until)]
    return (
        less.problem is None
        and Counter(less.roles) <= Counter(more.roles)
        and all(role in more.identities and more.identities[role] <= named for role, named in less.identities.items())
        and more.proofs <= less.proofs
        and ends[0] <= ends[1]
    )


@given(st.lists(RULES, max_size=4), RULES, STAKES)
def test_s1_another_rule_never_lowers_what_is_required(
    rules: list[dict[str, Any]], another: dict[str, Any], stakes: Stakes
) -> None:
    assert at_least(required(*rules, another, stakes=stakes), required(*rules, stakes=stakes))


@given(st.lists(RULES, max_size=4), STAKES)
def test_s1_no_rules_lower_the_built_in_minimum_or_what_the_plan_says(
    rules: list[dict[str, Any]], stakes: Stakes
) -> None:
    found = required(*rules, stakes=stakes, requiredApprovals=["dba"])
    assert set(found.roles) >= {*minimum_roles(stakes.worst), "dba"} or found.problem


@given(st.lists(RULES, max_size=4), STAKES, st.sampled_from(list(Severity)))
def test_s6_what_is_not_known_is_held_to_every_rule(
    rules: list[dict[str, Any]], stakes: Stakes, worst: Severity
) -> None:
    known = Stakes(worst, "production", stakes.actions)
    assert at_least(required(*rules, stakes=Stakes(None, None, stakes.actions)), required(*rules, stakes=known))


@given(st.lists(RULES, max_size=4), STAKES)
def test_the_people_fit_into_status(rules: list[dict[str, Any]], stakes: Stakes) -> None:
    assert len(required(*rules, stakes=stakes).roles) <= MOST_PEOPLE


def test_rules_that_are_about_other_plans_demand_nothing() -> None:
    rule = {"severities": ["critical"], "roles": [{"name": "dba"}], "proofs": ["Signed"]}
    assert required(rule, stakes=LOW) == required(stakes=LOW)
    assert required(rule).roles == ("system_admin", "service_owner", "dba")


def test_a_role_that_needs_two_people_stands_twice_and_two_rules_unite_to_the_higher_number() -> None:
    found = required({"roles": [{"name": "dba", "people": 2}]}, {"roles": [{"name": "dba"}]})
    assert found.roles == ("system_admin", "service_owner", "dba", "dba")


def test_approvals_end_with_the_shortest_rule_counted_from_the_plan() -> None:
    assert required({"expiresAfter": "5m"}, {"expiresAfter": "2h"}).until == MADE + 5 * MINUTE


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (({"proofs": ["Signed"]}, {"proofs": ["Cluster"]}), "no proof that they all accept"),
        (
            (
                {"roles": [{"name": "dba", "identities": ["alice"]}]},
                {"roles": [{"name": "dba", "identities": ["bob"]}]},
            ),
            "needs 1 people as dba, and its rules allow nobody",
        ),
        (
            tuple({"roles": [{"name": name, "people": 8}]} for name in ("dba", "security", "network")),
            "at most 16 can be counted",
        ),
    ],
)
def test_s6_rules_that_contradict_each_other_let_nothing_through(rules: Any, message: str) -> None:
    assert message in (required(*rules).problem or "")


def test_s6_a_policy_that_cannot_be_read_lets_nothing_through() -> None:
    assert build_requirement(plan(), LOW, None, problem="it cannot be read").problem == "it cannot be read"


# What incidents ask for


def told(name: str, severity: str, impact: str | None = None, **fields: Any) -> Incident:
    status = {"classification": classification(impactLevel=impact).to_dict()} if impact else {}
    return incident(meta={"name": name, "uid": f"uid-{name}"}, severity=severity, status={**status, **fields})


HARMLESS = incident(severity="low", status={"classification": classification(impactLevel="low").to_dict()})


@pytest.mark.parametrize(
    ("others", "worst"),
    [
        ([], "low"),
        ([told("a", "medium")], "medium"),
        ([told("a", "critical")], "critical"),
        ([told("a", "low", "high")], "high"),
        ([told("a", "low"), told("b", "high")], "high"),
    ],
)
def test_s1_a_harmless_incident_is_no_easier_way_while_a_grave_one_is_open(others: list[Incident], worst: str) -> None:
    assert find_stakes(plan(), HARMLESS, others, "production").worst == worst


@pytest.mark.parametrize("bound", [None, incident(severity="low")])
def test_s1_an_incident_that_nobody_has_classified_counts_as_the_worst(bound: Incident | None) -> None:
    assert find_stakes(plan(), bound, [told("a", "low")], None).worst is None


def test_s1_what_was_needed_at_the_start_is_needed_to_the_end() -> None:
    for severity, needed in (
        (Severity.LOW, ("system_admin", "service_owner")),
        (Severity.CRITICAL, ("service_owner",)),
    ):
        stakes = Stakes(severity, "production", frozenset({"scale_out"}))
        waiting = build_requirement(plan(status={"requiredApprovals": needed}), stakes, None)
        begun = build_requirement(plan(status={"startedAt": NOW, "requiredApprovals": needed}), stakes, None)
        assert waiting.roles != needed
        assert begun.roles == needed
