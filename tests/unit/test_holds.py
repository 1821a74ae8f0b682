from typing import Any

from bokgu.api.recovery_policy import RecoveryPolicy
from bokgu.core.holds import Hold, find_holds
from tests.unit.facts import NOW, metadata, protected_service

BREAKER = {"openedAt": NOW, "plans": ["plan-1", "plan-2"]}


def condition(type_: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
    return {"type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": NOW}


def policy(namespace: str = "shop", **status: Any) -> RecoveryPolicy:
    meta = {**metadata("default", f"policy-{namespace}"), "namespace": namespace}
    return RecoveryPolicy.model_validate({"kind": "RecoveryPolicy", "metadata": meta, "spec": {}, "status": status})


def reasons(*holds: Hold) -> list[tuple[str, str]]:
    return [(hold.what, hold.reason) for hold in holds]


def test_nothing_is_held_where_all_is_well() -> None:
    ready = condition("Ready", "True", "Usable")
    well = policy(conditions=[ready, condition("Paused", "False", "NotPaused")])
    service = protected_service(status={"conditions": [condition("Ready", "True", "Described")]})
    assert find_holds([well, policy()], [service, protected_service()]) == ()


def test_a_namespace_is_held_by_a_pause_a_storm_and_a_breaker() -> None:
    paused = condition("Paused", "True", "Paused", "by spec.pause of RecoveryPolicy shop/default")
    found = find_holds([policy(conditions=[paused], stormSince=NOW, breaker=BREAKER)], [])
    assert reasons(*found) == [("namespace", "Paused"), ("namespace", "Storm"), ("namespace", "BreakerOpen")]
    assert "by spec.pause of RecoveryPolicy shop/default" in found[0].message
    assert found[2].advice == "bokgu reset -n shop (once you know why)"
    assert "plan-1, plan-2 failed, the last one at 2026-11-24T08:00:00Z" in found[2].message


def test_a_service_is_held_by_a_suspension_a_breaker_and_what_keeps_it_from_being_read() -> None:
    refused = condition("Ready", "False", "RoleNotAllowed", "namespace shop may not assume it")
    service = protected_service(suspend=True, status={"breaker": BREAKER, "conditions": [refused]})
    found = find_holds([], [service])
    what = "ProtectedService api"
    assert reasons(*found) == [(what, "Suspended"), (what, "BreakerOpen"), (what, "RoleNotAllowed")]
    assert found[1].advice == "bokgu reset api -n shop (once you know why)"
    assert found[2].message == "namespace shop may not assume it"


def test_holds_are_told_by_namespace() -> None:
    storms = [policy(name, stormSince=NOW) for name in ("shop", "bank")]
    assert [hold.namespace for hold in find_holds(storms, [])] == ["bank", "shop"]
