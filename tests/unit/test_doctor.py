"""`bokgu doctor`: each check on facts, and how outcomes are told. Who gathers them is tested in tests/integration."""

import asyncio
import copy
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from bokgu.__main__ import main
from bokgu.api.crds import KINDS, build_crd
from bokgu.api.history import HistoryError
from bokgu.api.incident import Incident
from bokgu.api.observed import AwsError, CallerIdentity, Series, Verdict
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_policy import RecoveryPolicy
from bokgu.api.role_grants import ROLE_NOT_ALLOWED
from bokgu.aws.client import AwsClient
from bokgu.aws.identity import measure_ahead
from bokgu.commands.doctor import SOMETHING_FAILED
from bokgu.commands.doctor_facts import Facts, Watched, _find_watches, _identify, place_of
from bokgu.commands.doctor_findings import find_bills, judge
from bokgu.commands.doctor_text import MOST, describe_outcomes, format_outcomes
from bokgu.config import Settings
from bokgu.core.approval.admission import APPROVAL_POLICY, STATUS_POLICY
from bokgu.core.doctor.aws import Place, check_identity, check_service, check_watch, check_watches_exist
from bokgu.core.doctor.clock import check_clock
from bokgu.core.doctor.cluster import FoundCrd, check_admission, check_cluster, check_crd, find_difference
from bokgu.core.doctor.cost import Bill, check_cost, count_reads, sum_up
from bokgu.core.doctor.history import TTL, check_expiry, check_history
from bokgu.core.doctor.life import PATIENCE, Sighting, check_life, read_sighting
from bokgu.core.doctor.outcome import Level, Outcome, Unread, fail, warn, well, worst
from bokgu.core.doctor.people import check_heartbeat, check_policies, check_receivers
from bokgu.core.doctor.permissions import check_permissions, name_identity
from bokgu.core.doctor.rights import CLUSTER_RULES, HOME_RULES, Rule, check_rights, list_rights
from bokgu.core.watch import Watch, watch_of
from bokgu.history.setup import TTL_ATTRIBUTE
from tests.unit.facts import MINUTE, NOW, detector, protected_service, service, watch
from tests.unit.unasked_aws import UnaskedAws

ROOT = Path(__file__).parents[2]
FORBIDDEN = Unread("403 Forbidden: no", forbidden=True)
AWAY = Unread("Unreachable: no route")
HERE = Place("us-east-1")
ROLE = "arn:aws:iam::111111111111:role/shop-bokgu"
ROLED = Place("us-east-1", ROLE, "shop")
DENIED = AwsError("DescribeServices", "AccessDeniedException", "no", sent=False)
USER = "arn:aws:iam::111111111111:user/olga"
SECRET = "bokgu-system/bokgu-alerts"


def policy(**spec: Any) -> RecoveryPolicy:
    return RecoveryPolicy.model_validate({"metadata": {"name": "default", "namespace": "shop"}, "spec": spec})


def told(outcome: Outcome) -> tuple[Level, str, str]:
    """Every outcome that is not well says what to do."""
    assert bool(outcome.hint) == (outcome.level is not Level.OK), outcome
    return outcome.level, outcome.message, outcome.hint


# The cluster


def test_a_cluster_that_does_not_answer_fails() -> None:
    assert told(check_cluster("alice@example.com")) == (Level.OK, "reached as alice@example.com", "")
    level, message, hint = told(check_cluster(AWAY))
    assert (level, "no route" in message, "kubectl" in hint) == (Level.FAILED, True, True)


def stored(kind: Any) -> dict[str, Any]:
    """A CRD as the API server answers it: without what is empty, with what it fills in, and with numbers as they come
    through JSON."""

    def drop(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: drop(one) for key, one in value.items() if one not in ("", [])}
        return [drop(one) for one in value] if isinstance(value, list | tuple) else value

    body: dict[str, Any] = json.loads(json.dumps(drop(build_crd(kind))))
    body["spec"]["conversion"] = {"strategy": "None"}
    body["status"] = {"acceptedNames": body["spec"]["names"]}
    return body


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind_name)
def test_the_crds_of_this_version_are_known_as_such(kind: Any) -> None:
    body = yaml.safe_load((ROOT / "crds" / f"bokgu.dev_{kind.plural}.yaml").read_text())
    assert find_difference(build_crd(kind), body) is None
    assert find_difference(build_crd(kind), stored(kind)) is None
    assert told(check_crd(kind, FoundCrd(stored(kind), served=True)))[0] is Level.OK


def changed(kind: Any, path: str, value: Any) -> dict[str, Any]:
    """A CRD of which something was different in the version before; None takes it away."""
    body = copy.deepcopy(stored(kind))
    node = body["spec"]["versions"][0]
    *parents, last = path.split(".")
    for name in parents:
        node = node[name]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return body


SPEC = "schema.openAPIV3Schema.properties.spec"


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (f"{SPEC}.properties.dryRun", None, "schema.spec.dryRun"),
        (f"{SPEC}.properties.later", {"type": "string"}, "schema.spec.later"),
        (f"{SPEC}.properties.mode.enum", ["Observe"], "schema.spec.mode.enum"),
        (f"{SPEC}.x-kubernetes-validations", None, "schema.spec.x-kubernetes-validations"),
        ("additionalPrinterColumns", [], "additionalPrinterColumns"),
        ("name", "v1", "version v1alpha1"),
    ],
)
def test_a_crd_of_another_version_is_told_and_where_it_differs(path: str, value: Any, where: str) -> None:
    found = FoundCrd(changed(ProtectedService, path, value), served=True)
    level, message, hint = told(check_crd(ProtectedService, found))
    assert (level, where in message, "crds/" in hint) == (Level.FAILED, True, True), message


def test_selectable_fields_count() -> None:
    assert "selectableFields" in str(find_difference(build_crd(Incident), changed(Incident, "selectableFields", None)))


@pytest.mark.parametrize(
    ("found", "level", "said"),
    [
        (FoundCrd(None, served=False), Level.FAILED, "does not serve"),
        (FoundCrd(None, served=True), Level.FAILED, "no such"),
        (FoundCrd(FORBIDDEN, served=True), Level.WARNING, "not known"),
        (FoundCrd(FORBIDDEN, served=True, selects=False), Level.FAILED, "another version"),
        (FoundCrd(FORBIDDEN, served=False), Level.FAILED, "does not serve"),
    ],
)
def test_a_crd_that_is_missing_or_cannot_be_read(found: FoundCrd, level: Level, said: str) -> None:
    outcome = told(check_crd(ProtectedService, found))
    assert (outcome[0], said in outcome[1]) == (level, True)


def test_admission_policies() -> None:
    documents = list(yaml.safe_load_all((ROOT / "deploy/admission-policies.yaml").read_text()))
    found: dict[str, Any] = {}
    for name in (STATUS_POLICY, APPROVAL_POLICY):
        policy_, binding = (
            next(d for d in documents if d["kind"] == kind and d["metadata"]["name"] == name)
            for kind in ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
        )
        found[name] = (policy_, binding)
    assert [told(outcome)[0] for outcome in check_admission(found)] == [Level.OK, Level.OK]
    lost: dict[str, Any] = {STATUS_POLICY: (found[STATUS_POLICY][0], None), APPROVAL_POLICY: FORBIDDEN}
    missing, unread = (told(outcome) for outcome in check_admission(lost))
    assert (missing[0], "missing" in missing[1], "deploy/" in missing[2]) == (Level.FAILED, True, True)
    assert unread[0] is Level.WARNING


def rules(document: Mapping[str, Any]) -> tuple[Rule, ...]:
    return tuple(
        Rule(group, tuple(rule["resources"]), tuple(rule["verbs"]), tuple(rule.get("resourceNames", ())))
        for rule in document["rules"]
        for group in rule["apiGroups"]
    )


def test_the_rights_that_are_checked_are_those_of_the_chart() -> None:
    documents = list(yaml.safe_load_all((ROOT / "deploy/account.yaml").read_text()))
    (role,) = (d for d in documents if d["kind"] == "ClusterRole")
    assert rules(role) == CLUSTER_RULES
    assert tuple(rule for d in documents if d["kind"] == "Role" for rule in rules(d)) == HOME_RULES


def test_rights_are_on_what_settings_name() -> None:
    rights = list_rights("home", {"bokgu-alerts": "pagers"})
    assert {(r.name, r.namespace) for r in rights if r.resource == "secrets"} == {("pagers", "home")}


def test_rights_that_are_missing_are_named() -> None:
    rights = list_rights("bokgu-system")
    answers = dict.fromkeys(rights, True)
    (full,) = check_rights("bokgu", answers)
    assert told(full)[0] is Level.OK
    lost = [right for right in rights if right.resource == "incidents/status" or right.name == "bokgu-signers"]
    (outcome,) = check_rights("bokgu", answers | dict.fromkeys(lost, False))
    level, message, hint = told(outcome)
    assert level is Level.FAILED
    assert "update incidents/status.bokgu.dev" in message
    assert "get configmaps bokgu-signers in bokgu-system" in message
    assert "account.yaml" in hint
    (many,) = check_rights("bokgu", dict.fromkeys(rights, False))
    assert f"and {len(rights) - 3} more" in many.message
    assert [told(outcome)[0] for outcome in check_rights("bokgu", FORBIDDEN)] == [Level.WARNING]
    assert [told(outcome)[0] for outcome in check_rights("bokgu", AWAY)] == [Level.FAILED]


# The operator


def sighting(*, behind: bool = False, age: timedelta = timedelta(hours=1), wrote: bool = True) -> Sighting:
    written = NOW - MINUTE if wrote else None
    return Sighting("Runbook shop/r", 2, 1 if behind else 2, NOW - age, written)


@pytest.mark.parametrize(
    ("sightings", "level", "said"),
    [
        ([], Level.WARNING, "no object"),
        ([sighting()], Level.OK, "wrote a status last at 2026-11-24T07:59:00Z"),
        ([sighting(), sighting(behind=True)], Level.FAILED, "waits for 1h"),
        ([sighting(behind=True, wrote=False)], Level.FAILED, "never written"),
        ([sighting(), sighting(behind=True, age=PATIENCE)], Level.WARNING, "is being looked at"),
        ([sighting(behind=True)] * 3, Level.FAILED, "and 2 more"),
    ],
)
def test_an_operator_lives_where_it_has_acted_on_every_change(
    sightings: list[Sighting], level: Level, said: str
) -> None:
    outcome = told(check_life(sightings, NOW))
    assert (outcome[0], said in outcome[1]) == (level, True), outcome


def test_a_sighting_is_read_from_managed_fields() -> None:
    def entry(manager: str, minute: int, subresource: str | None = None) -> dict[str, Any]:
        time = f"2026-11-24T07:{minute:02}:00Z"
        return {"manager": manager, "time": time, **({"subresource": subresource} if subresource else {})}

    fields = [entry("kubectl", 10), entry("bokgu", 20, "status"), entry("other", 30, "status")]
    raw = {
        "metadata": {"name": "r", "namespace": "shop", "generation": 3, "managedFields": fields},
        "status": {"observedGeneration": 2},
    }
    moment = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
    found = read_sighting("Runbook", raw, "bokgu")
    assert found == Sighting("Runbook shop/r", 3, 2, moment + 10 * MINUTE, moment + 20 * MINUTE)
    bare = read_sighting("Runbook", {"metadata": {"name": "r", "namespace": "shop", "generation": 1}}, "bokgu")
    assert (bare.observed, bare.changed_at, bare.written_at) == (None, None, None)
    assert check_life([bare], NOW).level is Level.FAILED


# Clocks


@pytest.mark.parametrize(
    ("seconds", "level", "said"),
    [
        (0, Level.OK, "the same"),
        (-2, Level.OK, "the same"),
        (3, Level.WARNING, "3s ahead of"),
        (-299, Level.WARNING, "4m59s behind"),
        (300, Level.FAILED, "5m ahead of"),
    ],
)
def test_clocks_that_differ(seconds: int, level: Level, said: str) -> None:
    outcome = told(check_clock("AWS", timedelta(seconds=seconds)))
    assert (outcome[0], said in outcome[1]) == (level, True)


def test_a_clock_that_is_not_told_is_a_warning() -> None:
    assert told(check_clock("AWS", None))[0] is Level.WARNING


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ("Tue, 24 Nov 2026 08:00:00 GMT", 0),
        ("Tue, 24 Nov 2026 08:00:02 GMT", 0),
        ("Tue, 24 Nov 2026 07:59:59 GMT", 0),
        ("Tue, 24 Nov 2026 08:00:09 GMT", 6),
        ("Tue, 24 Nov 2026 07:59:00 GMT", -59),
        ("yesterday", None),
        (None, None),
    ],
)
def test_a_call_takes_time_that_is_no_difference_of_clocks(date: str | None, seconds: int | None) -> None:
    found = measure_ahead(date, NOW, NOW + timedelta(seconds=3))
    assert found == (None if seconds is None else timedelta(seconds=seconds))


# AWS


def test_who_one_is() -> None:
    me = CallerIdentity("123456789012", "arn:aws:sts::123456789012:assumed-role/bokgu/1", timedelta())
    assert "123456789012" in told(check_identity(HERE, me))[1]


@pytest.mark.parametrize(
    ("error", "place", "advice"),
    [
        (AwsError("AssumeRole", ROLE_NOT_ALLOWED, "no", sent=False), ROLED, f"shop={ROLE}"),
        (AwsError("AssumeRole", "AccessDenied", "no", sent=False), ROLED, "trust policy"),
        (DENIED, ROLED, f"bokgu iam-policy -A --for {ROLE}"),
        (DENIED, HERE, "bokgu iam-policy -A --for own"),
        (AwsError("X", "ExpiredToken", "no", sent=False), HERE, "credentials"),
        (AwsError("X", "Unreachable", "Unable to locate credentials", sent=False), HERE, "credentials"),
        (AwsError("X", "Unreachable", "no route", sent=False), HERE, "endpoints of us-east-1"),
        (AwsError("X", "SignatureDoesNotMatch", "expired", sent=False), HERE, "clock"),
        (AwsError("X", "NoSession", "profile", sent=False), HERE, "AWS_PROFILE"),
        (AwsError("X", "Strange", "?", sent=False), HERE, "API reference"),
    ],
)
def test_what_aws_refuses_comes_with_what_to_do(error: AwsError, place: Place, advice: str) -> None:
    level, message, hint = told(check_identity(place, error))
    assert (level, error.code in message, advice in hint) == (Level.FAILED, True, True), hint


def test_a_role_that_is_not_assumed_here_says_nothing_of_the_operator() -> None:
    assert told(check_identity(ROLED, FORBIDDEN))[0] is Level.WARNING
    ready = {"type": "Ready", "status": "False", "reason": "RoleNotAllowed", "lastTransitionTime": NOW}
    outcome = told(check_service(protected_service(status={"conditions": [ready]}), ROLED, AWAY))
    assert "the operator says Ready=False, RoleNotAllowed" in outcome[1]


OPERATOR = "arn:aws:iam::111111111111:role/bokgu"
UPDATE = Verdict("ecs:UpdateService", "arn:aws:ecs:us-east-1:111111111111:service/shop/api", "allowed")
RUN = Verdict("ecs:DescribeTasks", "arn:aws:ecs:us-east-1:111111111111:task/shop/*", "allowed")
LIST = Verdict("ecs:ListTasks", "*", "allowed")


@pytest.mark.parametrize(
    ("found", "level", "message"),
    [
        ((UPDATE, RUN, LIST), Level.OK, f"all 3 actions are allowed to {OPERATOR}"),
        (
            (replace(UPDATE, decision="implicitDeny"), RUN),
            Level.FAILED,
            f"may not ecs:UpdateService on {UPDATE.resource}",
        ),
        ((replace(UPDATE, decision="explicitDeny"),), Level.FAILED, f"{UPDATE.resource}, which a policy denies"),
        ((replace(LIST, decision="implicitDeny"),), Level.FAILED, "may not ecs:ListTasks on *"),
        ((UPDATE, replace(RUN, decision="implicitDeny")), Level.WARNING, "/shop/*, if that is needed in full"),
        (
            (replace(UPDATE, decision="implicitDeny"), replace(LIST, decision="implicitDeny")),
            Level.FAILED,
            f"{UPDATE.resource}, nor ecs:ListTasks",
        ),
        (DENIED, Level.WARNING, f"{OPERATOR} may not ask IAM about itself"),
        (AwsError("SimulatePrincipalPolicy", "Unreachable", "no route", sent=False), Level.WARNING, "Unreachable"),
    ],
)
def test_permissions_are_those_that_iam_tells(
    found: tuple[Verdict, ...] | AwsError, level: Level, message: str
) -> None:
    outcome = told(check_permissions(HERE, OPERATOR, found))
    assert (outcome[0], message in outcome[1]) == (level, True), outcome
    assert (level is Level.OK) == (not outcome[2])


def test_iam_is_asked_about_roles_by_their_own_arn() -> None:
    def of(place: Place, arn: str) -> str:
        return name_identity(place, CallerIdentity("111111111111", arn, None))

    session = "arn:aws-cn:sts::111111111111:assumed-role/bokgu/botocore-session-1"
    assert of(HERE, session) == "arn:aws-cn:iam::111111111111:role/bokgu"
    assert of(ROLED, session) == ROLE
    assert of(HERE, USER) == USER


def test_services() -> None:
    mine = protected_service()
    assert told(check_service(mine, HERE, service()))[1] == "ACTIVE, 3/3 tasks run"
    assert told(check_service(mine, HERE, service(status="INACTIVE")))[0] is Level.FAILED
    assert told(check_service(mine, HERE, DENIED))[0] is Level.FAILED
    assert told(check_service(mine, HERE, AWAY))[0] is Level.WARNING
    missing = AwsError("DescribeServices", "MISSING", "no service", sent=False)
    assert "spec.ecs" in told(check_service(mine, HERE, missing))[2]


FULL, EMPTY = Series(((NOW, 1.0),), 60), Series((), 60)


@pytest.mark.parametrize(
    ("found", "level", "said"),
    [
        ({"errors": EMPTY, "requests": FULL}, Level.OK, "2 queries answered, 1 with datapoints"),
        ({"errors": EMPTY, "requests": EMPTY}, Level.WARNING, "no datapoint of errors, requests"),
        ({"errors": DENIED, "requests": FULL}, Level.FAILED, "errors: "),
        ({"errors": DENIED, "requests": DENIED}, Level.FAILED, "(and 1 more)"),
        (AWAY, Level.WARNING, "not asked"),
    ],
)
def test_watches(found: Any, level: Level, said: str) -> None:
    outcome = told(check_watch(watch(), HERE, found))
    assert (outcome[0], said in outcome[1]) == (level, True), outcome


def test_a_service_that_nothing_watches_is_told() -> None:
    mine = protected_service()
    (outcome,) = check_watches_exist([mine], [])
    assert told(outcome)[0] is Level.WARNING
    assert not list(check_watches_exist([mine], [watch()]))
    assert not list(check_watches_exist([protected_service(detection={"presets": ["ecs-running"]})], []))


# Cost


def every(interval: timedelta, **spec: Any) -> Watch:
    return replace(watch_of(detector(**spec)), interval=interval)


def test_a_minute_a_metric_costs_what_the_docs_say() -> None:
    bill = Bill(HERE, 1000 * 4 * 1440, 0)
    assert bill.dollars == Decimal(1728)
    (outcome,) = [o for o in check_cost([bill], 1000) if o.subject == "all"]
    assert told(outcome)[0] is Level.WARNING
    assert "5,760,000 metrics a day, 1,728.00 USD a month" in outcome.message
    assert "1,728 USD" in (ROOT / "docs/detection.md").read_text()


def test_equal_queries_are_asked_once_where_one_looks_for_all() -> None:
    (one,) = count_reads([(HERE, every(MINUTE))])
    assert (one.metrics, one.searches) == (2 * 1440, 0)
    assert count_reads([(HERE, every(MINUTE)), (HERE, every(MINUTE))]) == (one,)
    assert [b.metrics for b in count_reads([(HERE, every(MINUTE)), (ROLED, every(MINUTE))])] == [2880, 2880]
    assert count_reads([(HERE, every(MINUTE)), (HERE, every(5 * MINUTE))]) == (one,), "a multiple shares its moments"
    (two,) = count_reads([(HERE, every(2 * MINUTE)), (HERE, every(3 * MINUTE))])
    assert two.metrics == 2 * (720 + 480 - 240)


def test_log_patterns_are_counted_apart() -> None:
    query = {"name": "errors", "log": {"logGroup": "/ecs/api", "pattern": "ERROR"}}
    condition = {"ratio": None, "query": "errors"}
    (bill,) = count_reads([(HERE, every(MINUTE, queries=[query], condition=condition))])
    assert (bill.metrics, bill.searches) == (0, 1440)
    assert "1,440 log searches a day" in next(iter(check_cost([bill], 1))).message
    assert sum_up([bill]) == {"metricsPerDay": 0, "logSearchesPerDay": 1440, "usdPerMonth": "0.00"}


def test_several_scopes_are_summed_up() -> None:
    bills = [Bill(HERE, 1440, 0), Bill(ROLED, 2880, 0)]
    assert [(o.subject, o.level) for o in check_cost(bills, 2)][-1] == ("all", Level.OK)
    assert len(list(check_cost(bills[:1], 1))) == 1
    assert [o.message for o in check_cost([], 1)] == ["1 services: 0 metrics a day, 0.00 USD a month (GetMetricData)"]


# History


@pytest.mark.parametrize(
    ("found", "level", "advice"),
    [
        (0, Level.OK, ""),
        (HistoryError("TableMissing", "there is no table"), Level.FAILED, "bokgu history init"),
        (HistoryError("AccessDenied", "no"), Level.FAILED, "bokgu iam-policy"),
        (HistoryError("Strange", "?"), Level.FAILED, "docs/history.md"),
        (FORBIDDEN, Level.WARNING, "operator's account"),
    ],
)
def test_history(found: Any, level: Level, advice: str) -> None:
    outcome = told(check_history("tables of production", found))
    assert (outcome[0], advice in outcome[2]) == (level, True)


def test_old_incidents_go() -> None:
    assert TTL == TTL_ATTRIBUTE
    ttls: dict[str, str | HistoryError | None] = {
        "well": TTL,
        "off": None,
        "odd": "expires",
        "denied": HistoryError("AccessDenied", "no"),
        "lost": HistoryError("TableMissing", "no table"),
    }
    found = {o.subject: told(o)[0] for o in check_expiry(ttls)}
    assert found == {
        "TTL of well": Level.OK,
        "TTL of off": Level.WARNING,
        "TTL of odd": Level.FAILED,
        "TTL of denied": Level.WARNING,
    }


# People


def routed(*receivers: str) -> RecoveryPolicy:
    return policy(alerts=[{"name": "all", "receivers": list(receivers)}])


@pytest.mark.parametrize(
    ("receivers", "policies", "levels"),
    [
        (frozenset({"default"}), [], [Level.OK]),
        (frozenset({"slack"}), [], [Level.OK, Level.WARNING]),
        (frozenset({"slack"}), [routed("slack")], [Level.OK]),
        (frozenset({"slack"}), [routed("pager")], [Level.OK, Level.FAILED]),
        (frozenset(), [], [Level.WARNING]),
        (None, [routed("pager")], [Level.WARNING, Level.FAILED]),
        (FORBIDDEN, [routed("pager")], [Level.WARNING]),
        (AWAY, [], [Level.FAILED]),
    ],
)
def test_receivers(receivers: Any, policies: list[RecoveryPolicy], levels: list[Level]) -> None:
    assert [told(outcome)[0] for outcome in check_receivers(SECRET, receivers, policies)] == levels


def test_what_creates_the_secret_names_it() -> None:
    (outcome,) = check_receivers(SECRET, None, [])
    assert "kubectl create secret generic bokgu-alerts -n bokgu-system" in outcome.hint


def test_a_heartbeat_that_nobody_hears() -> None:
    assert [told(check_heartbeat(there))[0] for there in (True, False)] == [Level.OK, Level.WARNING]


def test_a_policy_in_each_namespace_with_services() -> None:
    mine = [protected_service(), protected_service(meta={"namespace": "bank"})]
    found = {o.subject: told(o)[0] for o in check_policies(mine, {"shop": policy()})}
    assert found == {"shop": Level.OK, "bank": Level.WARNING}
    assert [told(o)[0] for o in check_policies(mine[:1], {"shop": policy(pause=True)})] == [Level.WARNING]
    assert [told(o)[0] for o in check_policies(mine, FORBIDDEN)] == [Level.WARNING] * 2


# All of it


def facts(**fields: Any) -> Facts:
    """A cluster and an AWS in which all is well."""
    mine = protected_service()
    found = Facts(NOW, "alice@example.com", "system:serviceaccount:bokgu-system:bokgu")
    found.cluster_ahead = timedelta()
    found.crds = {kind: FoundCrd(stored(kind), served=True) for kind in KINDS}
    found.rights = dict.fromkeys(list_rights("bokgu-system"), True)
    found.sightings = (sighting(),)
    found.services, found.policies = (mine,), (policy(),)
    found.identities = {HERE: CallerIdentity("123456789012", "arn", timedelta())}
    found.described = {mine.key: service()}
    found.watched = (Watched(HERE, watch(), {"errors": FULL, "requests": FULL}),)
    found.history = {"ConfigMaps of shop": 0}
    found.receivers = frozenset({"default"})
    return replace(found, **fields)


SETTINGS = Settings(heartbeat_url="https://example.com/beat")


def test_all_is_well() -> None:
    outcomes = judge(facts(), SETTINGS)
    assert [o for o in outcomes if o.level is not Level.OK] == []
    assert {o.check for o in outcomes} >= {
        *("cluster", "clock", "crds", "rights", "operator", "aws", "services", "metrics", "cost"),
        *("history", "alerts", "policies"),
    }
    assert [bill.metrics for bill in find_bills(facts())] == [2880]


def test_without_a_cluster_aws_is_looked_at_all_the_same() -> None:
    outcomes = judge(Facts(NOW, AWAY, "bokgu", identities=facts().identities), SETTINGS)
    assert [(o.check, o.level) for o in outcomes] == [
        ("cluster", Level.FAILED),
        ("aws", Level.OK),
        ("clock", Level.OK),
    ]


def test_without_aws_the_cluster_is_looked_at_all_the_same() -> None:
    mine = protected_service()
    away = AwsError("GetCallerIdentity", "Unreachable", "no route", sent=False)
    outcomes = judge(
        facts(
            identities={HERE: away},
            described={mine.key: AWAY},
            watched=(Watched(HERE, watch(), AWAY),),
        ),
        SETTINGS,
    )
    bad = {o.check: o.level for o in outcomes if o.level is not Level.OK}
    assert bad == {"aws": Level.FAILED, "services": Level.WARNING, "metrics": Level.WARNING}
    assert {o.check for o in outcomes if o.level is Level.OK} >= {"crds", "rights", "operator", "cost", "policies"}


def test_what_cannot_be_listed_or_read_is_told() -> None:
    outcomes = judge(
        facts(
            lists={"Runbook": FORBIDDEN},
            unreadable=("ProtectedService shop/later",),
            unwatchable={"Detector shop/lost": "there is no ProtectedService none: create it"},
        ),
        SETTINGS,
    )
    bad = {o.subject: o.level for o in outcomes if o.level is not Level.OK}
    assert bad == {
        "Runbook objects": Level.WARNING,
        "ProtectedService shop/later": Level.FAILED,
        "Detector shop/lost": Level.FAILED,
    }
    assert all(told(outcome) for outcome in outcomes)


def test_a_fresh_cluster_without_objects_is_no_failure() -> None:
    outcomes = judge(facts(services=(), policies=(), sightings=(), identities={}, watched=(), history={}), SETTINGS)
    assert worst(outcomes) is Level.WARNING


def test_settings_of_a_shell_that_is_not_the_operators_say_nothing_of_its_heartbeat() -> None:
    def heartbeats(user: str) -> list[Level]:
        return [o.level for o in judge(facts(user=user), Settings()) if o.subject == "heartbeat"]

    assert heartbeats("alice@example.com") == []
    assert heartbeats(facts().account) == [Level.WARNING]


# What is gathered


def test_each_detector_and_preset_is_asked_about_as_the_operator_would() -> None:
    mine = protected_service(roleArn=ROLE, detection={"presets": ["ecs-cpu"]})
    lost = detector(serviceRef={"name": "none"})
    found = facts(services=(mine,), detectors=(detector(), detector(suspend=True), lost))
    watched = _find_watches(found)
    assert [(str(w.watch.kind), w.place) for w in watched] == [("Preset", ROLED), ("Detector", ROLED)]
    assert found.unwatchable == {"Detector shop/api-errors": "there is no ProtectedService none: create it"}
    assert place_of(protected_service()) == HERE


def test_a_role_is_not_assumed_in_another_way_than_the_operator_does() -> None:
    aws = cast(AwsClient, UnaskedAws())
    named = Settings(assumable_roles={"shop": (ROLE,)})
    for chosen, cluster_id, why in (
        (Settings(), "5f0c", "BOKGU_ASSUMABLE_ROLES is not set"),
        (named, "", "kube-system may not be read"),
    ):
        found = asyncio.run(_identify(facts(cluster_id=cluster_id), chosen, ROLED, aws))
        assert isinstance(found, Unread)
        assert (found.forbidden, why in found.why) == (True, True)


# How it is told

MIXED = [
    well("crds", "Incident", "as it should be"),
    warn("clock", "AWS", "3s behind", "let NTP set it"),
    fail("services", "shop/api\x1b[2J", "gone", "delete it"),
]


def test_outcomes_are_a_table_with_what_to_do_beneath() -> None:
    lines = format_outcomes(MIXED, colour=False).splitlines()
    assert lines[0].split() == ["RESULT", "CHECK", "ABOUT", "FOUND"]
    assert lines[1].startswith("ok        crds")
    assert lines[3].strip() == "→ let NTP set it"
    assert "\x1b" not in "".join(lines)
    assert lines[-1] == "1 failed, 1 warning, 1 ok"
    coloured = format_outcomes(MIXED, colour=True)
    assert "\x1b[31mfailed" in coloured
    assert "\x1b[2J" not in coloured


def test_many_that_are_well_are_one_line_and_none_that_is_not_is_left_out() -> None:
    many = [well("services", f"shop/{n}", "3/3") for n in range(MOST + 1)]
    text = format_outcomes([*many, fail("services", "shop/x", "gone", "delete it")], colour=False)
    assert f"{MOST + 1} are well" in text
    assert ("shop/1" in text, "shop/x" in text) == (False, True)
    assert len(describe_outcomes(many, {})["checks"]) == MOST + 1
    assert "shop/1" in format_outcomes(many[:MOST], colour=False)


def test_warnings_that_are_alike_are_one_line_that_names_them() -> None:
    many = [warn("metrics", f"shop/{n}", f"not asked {n}", "see to aws first") for n in range(4)]
    lines = format_outcomes(many, colour=False).splitlines()
    assert "shop/0 and 3 more" in lines[1]
    assert "shop/1, shop/2, shop/3" in lines[1]
    assert len(lines) == 5
    failed = [replace(outcome, level=Level.FAILED) for outcome in many]
    assert len(format_outcomes(failed, colour=False).splitlines()) == 11, "what failed is always shown"
    different = [*many[:3], warn("metrics", "shop/x", "no datapoint", "look")]
    assert len(format_outcomes(different, colour=False).splitlines()) == 11


def test_outcomes_as_data() -> None:
    data = describe_outcomes(MIXED, {"usdPerMonth": "1.00"})
    assert data["result"] == "failed"
    assert data["cost"] == {"usdPerMonth": "1.00"}
    assert data["checks"][0] == {
        "check": "crds",
        "subject": "Incident",
        "level": "ok",
        "message": "as it should be",
    }
    assert data["checks"][1]["hint"] == "let NTP set it"


@pytest.mark.parametrize(
    ("outcomes", "level"), [([], Level.OK), (MIXED[:1], Level.OK), (MIXED[:2], Level.WARNING), (MIXED, Level.FAILED)]
)
def test_the_worst_counts(outcomes: list[Outcome], level: Level) -> None:
    assert worst(outcomes) is level


def test_with_neither_cluster_nor_aws_it_tells_both_and_ends_with_its_own_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "KUBECONFIG": str(tmp_path / "none"),
        "HOME": str(tmp_path),
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "BOKGU_AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    }.items():
        monkeypatch.setenv(name, value)
    assert main(["doctor", "-A", "-o", "json"]) == SOMETHING_FAILED
    found = json.loads(capsys.readouterr().out)
    assert [(one["check"], one["level"]) for one in found["checks"]] == [("cluster", "failed"), ("aws", "failed")]
    monkeypatch.setenv("AWS_PROFILE", "none")
    assert main(["doctor", "-A"]) == SOMETHING_FAILED
    assert "AWS_PROFILE" in capsys.readouterr().out
