"""Which IAM roles a namespace may assume (S1): a trust root, so closed where nothing is said."""

import asyncio
import re
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.observed import AwsError
from bokgu.api.role_grants import ROLE_NOT_ALLOWED, RoleGrant, grant_roles, parse_assumable_roles
from bokgu.aws.client import AwsClient
from bokgu.config import BadSetting, EventQueue, Settings, read_settings
from bokgu.reconcile.context import Context
from bokgu.reconcile.event_look import look_at
from bokgu.reconcile.reporting import Result
from bokgu.reconcile.role_grants import act_for, find_refusal
from bokgu.reconcile.scope import scope_key
from bokgu.reconcile.targets import find_elder
from bokgu.runtime.event_queue import EventDoor
from bokgu.runtime.handlers import scopes_of
from bokgu.runtime.store import Store
from tests.unit.facts import NOW, plan, protected_service, scale_out

A = "arn:aws:iam::111111111111:role"
CLUSTER = "5f0c2a52-6f5e-4b0e-9a57-1f0d2f4f3a10"


def covers(setting: str, namespace: str, arn: str) -> bool:
    return grant_roles(parse_assumable_roles(setting), CLUSTER, namespace).covers(arn)


@pytest.mark.parametrize(
    ("setting", "namespace", "arn", "allowed"),
    [
        (f"shop={A}/team-a", "shop", f"{A}/team-a", True),
        (f"shop={A}/team-a", "shop", f"{A}/team-ab", False),
        (f"shop={A}/team-a", "shop", f"{A}/team-a/b", False),
        (f"shop={A}/team-a", "shop", f"{A}/x/team-a", False),
        (f"shop={A}/team-a", "shop", f"{A}/Team-A", False),
        (f"shop={A}/team-a", "shop", f"{A}/team-a ", False),
        (f"shop={A}/team-a", "shop", f"{A}/team-a\n", False),
        (f"shop={A}/team-a", "shop", "arn:aws:iam::111111111112:role/team-a", False),
        (f"shop={A}/team-a", "shop", "arn:aws-cn:iam::111111111111:role/team-a", False),
        (f"shop={A}/team-a", "bank", f"{A}/team-a", False),
        (f"shop={A}/team-a", "shop-2", f"{A}/team-a", False),
        (f"shop={A}/team-a", "sho", f"{A}/team-a", False),
        (f"shop={A}/team-a/*", "shop", f"{A}/team-a/bokgu", True),
        (f"shop={A}/team-a/*", "shop", f"{A}/team-a", False),
        (f"shop={A}/team-a/*", "shop", f"{A}/team-ab/bokgu", False),
        (f"shop={A}/team-a*", "shop", f"{A}/team-ab", True),
        (f"shop={A}/team-a*", "shop", f"{A}/team-a*", False),
        (f"shop={A}/*", "shop", f"{A}/", False),
        (f"shop={A}/*", "shop", f"{A}/any", True),
        (f"shop={A}/*", "shop", "arn:aws:sts::111111111111:assumed-role/any/bokgu", False),
        (f"shop={A}/a, shop={A}/b,bank={A}/c", "shop", f"{A}/b", True),
        (f"shop={A}/a, shop={A}/b,bank={A}/c", "shop", f"{A}/c", False),
        (f"*={A}/all", "shop", f"{A}/all", True),
        (f"*={A}/all", "bank", f"{A}/all", True),
        (f"*={A}/all", "bank", f"{A}/all-2", False),
        (f"shop={A}/a=b", "shop", f"{A}/a=b", True),
    ],
)
def test_s1_a_namespace_may_assume_what_the_setting_says_and_nothing_else(
    setting: str, namespace: str, arn: str, allowed: bool
) -> None:
    assert covers(setting, namespace, arn) is allowed


@given(st.text(), st.text())
def test_s1_where_nothing_is_set_no_namespace_may_assume_any_role(namespace: str, arn: str) -> None:
    assert not grant_roles(read_settings({}).assumable_roles, CLUSTER, namespace).covers(arn)
    assert not grant_roles(read_settings({}).assumable_roles, CLUSTER, namespace).covers(f"{A}/team-a")


@given(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True))
def test_the_external_id_names_cluster_and_namespace_in_characters_that_sts_takes(namespace: str) -> None:
    external_id = grant_roles({}, CLUSTER, namespace).external_id or ""
    assert external_id == f"{CLUSTER}/{namespace}"
    assert re.fullmatch(r"[\w+=,.@:\/-]*", external_id, re.ASCII)
    assert 2 <= len(external_id) <= 1224


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("shop", "'shop' is not NAMESPACE=ARN"),
        (f"{A}/team-a", "is not NAMESPACE=ARN"),
        (f"shop={A}/a,", "'' is not NAMESPACE=ARN"),
        (f"={A}/a", "'' is not the name of a namespace"),
        (f"Shop={A}/a", "'Shop' is not the name of a namespace"),
        (f"sh*={A}/a", "'sh*' is not the name of a namespace"),
        ("shop=*", "'*' is not the ARN of an IAM role"),
        ("shop=", "'' is not the ARN of an IAM role"),
        ("shop=team-a", "'team-a' is not the ARN of an IAM role"),
        (f"shop={A}", "is not the ARN of an IAM role"),
        (f"shop={A}/", "is not the ARN of an IAM role"),
        (f"shop={A}*", "is not the ARN of an IAM role"),
        (f"shop={A}/a*b", "is not the ARN of an IAM role"),
        (f"shop={A}/**", "is not the ARN of an IAM role"),
        ("shop=arn:aws:iam::*:role/a", "is not the ARN of an IAM role"),
        ("shop=arn:aws:iam::111111111111:user/alice", "is not the ARN of an IAM role"),
        ("shop=arn:aws:sts::111111111111:assumed-role/a/b", "is not the ARN of an IAM role"),
        ("shop=arn:aws:iam::11111111111:role/a", "is not the ARN of an IAM role"),
    ],
)
def test_s12_a_bad_pair_says_what_is_wrong_with_it(value: str, message: str) -> None:
    with pytest.raises(BadSetting, match=re.escape(message)) as caught:
        read_settings({"BOKGU_ASSUMABLE_ROLES": value})
    assert str(caught.value).startswith("BOKGU_ASSUMABLE_ROLES=")


# Through the gateway


def ask(aws: AwsClient, arn: str) -> AwsError:
    async def read() -> None:
        await aws.read("ecs", "ListClusters", {}, region="us-east-1", role_arn=arn)

    async def write() -> None:
        await aws.write("ecs", "X", {}, region="us-east-1", role_arn=arn, session_name="s", deadline=0)

    found = []
    for call in (read, write):
        with pytest.raises(AwsError) as caught:
            asyncio.run(call())
        found.append(caught.value)
    assert (found[0].code, found[0].message, found[0].sent) == (found[1].code, found[1].message, found[1].sent)
    return found[0]


def test_s1_the_gateway_makes_no_call_with_a_role_that_it_was_not_given() -> None:
    """A pass that forgot whose object it is about is refused, too: it has no external id to show."""
    own = AwsClient("http://127.0.0.1:1", 1)
    for aws in (own, own.with_grant(grant_roles({"shop": (f"{A}/a",)}, CLUSTER, "bank"))):
        refused = ask(aws, f"{A}/a")
        assert (refused.code, refused.sent) == (ROLE_NOT_ALLOWED, False)
    assert "namespace bank may not assume" in refused.message
    assert f"bank={A}/a" in refused.message
    assert "BOKGU_ASSUMABLE_ROLES" in refused.message
    own.close()


def test_the_role_of_the_history_is_the_operators_own_and_no_namespaces() -> None:
    settings = read_settings({"BOKGU_HISTORY_ROLE_ARN": f"{A}/history"})
    assert settings.own_grant.covers(f"{A}/history")
    assert settings.own_grant.external_id is None
    assert not grant_roles(settings.assumable_roles, CLUSTER, "shop").covers(f"{A}/history")
    assert not read_settings({}).own_grant.covers(f"{A}/history")


# Passes


class Aws:
    """Remembers what it was given."""

    def __init__(self, grant: RoleGrant | None = None) -> None:
        self.grant = grant

    def with_grant(self, grant: RoleGrant) -> "Aws":
        return Aws(grant)


def context(setting: str, *objects: Any) -> Context:
    store, nothing = Store(), cast(Any, None)
    for one in objects:
        raw = one if isinstance(one, dict) else one.to_dict() | {"metadata": one.metadata.to_dict()}
        store.put("recoveryplans" if raw["kind"] == "RecoveryPlan" else "protectedservices", raw)
    return Context(
        kube=nothing,
        aws=cast(Any, Aws()),
        history=nothing,
        objects=store,
        settings=Settings(assumable_roles=parse_assumable_roles(setting)) if setting else Settings(),
        cluster_id=CLUSTER,
        clock=lambda: NOW,
        announce=nothing,
        enqueue=lambda _: None,
        started_at=NOW,
    )


def granted(one: Context, *key: str) -> RoleGrant:
    bound = act_for(one, cast(Any, key))
    assert bound.unsent is one.unsent
    assert bound.looks is one.looks
    return cast(Aws, bound.aws).grant or RoleGrant()


def test_s1_a_pass_may_assume_what_the_namespace_of_its_object_may() -> None:
    one = context(f"shop={A}/a,bank={A}/b")
    shop, bank = granted(one, "incidents", "shop", "i"), granted(one, "scopes", "bank", f"us-east-1 {A}/b")
    assert (shop.covers(f"{A}/a"), shop.covers(f"{A}/b"), shop.external_id) == (True, False, f"{CLUSTER}/shop")
    assert (bank.covers(f"{A}/a"), bank.covers(f"{A}/b"), bank.external_id) == (False, True, f"{CLUSTER}/bank")


def pinned(*steps: dict[str, Any]) -> dict[str, Any]:
    """A plan as it is stored, whose role was allowed when it was made."""
    target = {"region": "us-east-1", "cluster": "shop", "service": "api", "roleArn": f"{A}/was"}
    one = plan(scale_out())
    status = {"target": target, "steps": list(steps)}
    return one.to_dict() | {"metadata": one.metadata.to_dict(), "status": status}


def test_s1_the_undo_of_a_written_intent_uses_its_role_whatever_configuration_says_now() -> None:
    key = ("recoveryplans", "shop", "plan-1")
    waiting = context("", pinned({"name": "scale-out", "phase": "Pending"}))
    assert not granted(waiting, *key).covers(f"{A}/was")
    begun = context("", pinned({"name": "scale-out", "phase": "Failed", "intent": {"token": "t"}}))
    assert granted(begun, *key).covers(f"{A}/was")
    assert not granted(begun, *key).covers(f"{A}/other")
    assert not granted(begun, "incidents", "shop", "plan-1").covers(f"{A}/was")
    assert find_refusal(begun, "shop", f"{A}/was")  # No new step begins.
    own = context("", pinned({"name": "run", "phase": "InProgress", "intent": {"token": "t", "roleArn": f"{A}/runs"}}))
    assert all(granted(own, *key).covers(f"{A}/{role}") for role in ("was", "runs"))


def service_of(namespace: str, age: str, role: str | None = None, **status: Any) -> Any:
    meta = {"namespace": namespace, "uid": f"psvc-{namespace}", "creationTimestamp": age}
    return protected_service(meta=meta, status=status, **({"roleArn": role} if role else {}))


def test_s1_who_may_not_assume_the_role_keeps_nobody_from_the_service() -> None:
    """Else a namespace could hold up another team's recoveries by naming its service first."""
    intruder = service_of("bank", "2026-01-01T00:00:00Z", f"{A}/a")
    owner = service_of("shop", "2026-02-01T00:00:00Z", f"{A}/a")
    assert find_elder(context(f"shop={A}/a", intruder, owner), owner) is None
    assert find_elder(context(f"shop={A}/a,bank={A}/a", intruder, owner), owner) is not None
    assert find_elder(context("", service_of("bank", "2026-01-01T00:00:00Z"), owner), intruder) is None


def test_s5_a_lock_that_is_taken_counts_whatever_configuration_says_now() -> None:
    busy = service_of("bank", "2026-01-01T00:00:00Z", f"{A}/a", activePlan={"name": "p", "uid": "u"})
    owner = service_of("shop", "2026-02-01T00:00:00Z", f"{A}/a")
    assert find_elder(context(f"shop={A}/a", busy, owner), owner) is not None


def test_s1_what_a_role_shows_to_one_namespace_is_handed_to_no_other() -> None:
    shop, bank = (service_of(namespace, "2026-01-01T00:00:00Z", f"{A}/a") for namespace in ("shop", "bank"))
    assert scope_key(shop) != scope_key(bank)
    for one in (shop, bank):
        raw = one.to_dict() | {"metadata": one.metadata.to_dict()}
        assert list(scopes_of(Store(), "protectedservices", raw)) == [scope_key(one)]
        assert scope_key(one)[1] == one.metadata.namespace  # The pass over it acts for that namespace.
    own = [service_of(namespace, "2026-01-01T00:00:00Z") for namespace in ("shop", "bank")]
    assert scope_key(own[0]) == scope_key(own[1])


def test_s1_events_of_an_account_are_not_for_those_who_may_not_assume_its_role() -> None:
    """Alarms and stopped tasks tell of a service, too."""
    intruder = service_of("bank", "2026-01-01T00:00:00Z", f"{A}/a")
    owner = service_of("shop", "2026-02-01T00:00:00Z", f"{A}/a")
    one = context(f"shop={A}/a", intruder, owner)
    door = EventDoor(one, cast(Any, None), EventQueue("https://sqs.us-east-1.amazonaws.com/1/a", "us-east-1"))
    assert [protected.metadata.namespace for protected in door._services()] == ["shop"]


def test_s1_a_look_that_an_event_asked_for_ends_where_the_role_may_not_be_assumed() -> None:
    intruder = service_of("bank", "2026-01-01T00:00:00Z", f"{A}/a")
    one = context(f"shop={A}/a", intruder)
    assert asyncio.run(look_at(one, intruder.key, NOW)) is Result.IGNORED
    assert one.follow_ups[intruder.key].next_at is None
