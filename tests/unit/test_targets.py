"""One plan at work on an ECS service, under whatever name it is protected (S5)."""

from typing import Any

import pytest

from bokgu.api.meta import Target
from bokgu.reconcile.targets import find_at_work
from bokgu.runtime.store import Store
from tests.unit.facts import NOW, plan
from tests.unit.test_role_grants import A, context

HERE = {"region": "us-east-1", "cluster": "shop", "service": "api"}
B = "arn:aws:iam::222222222222:role/b"
BEGUN = {"phase": "Verifying", "startedAt": NOW, "target": HERE}
MINE = plan(meta={"name": "mine", "uid": "mine"}, serviceRef={"name": "api"})


def other(namespace: str = "shop", service: str = "api-as-it-was-called", **status: Any) -> Any:
    meta = {"name": "other", "uid": "other", "namespace": namespace}
    return plan(meta=meta, serviceRef={"name": service}, status={**BEGUN, **status})


def found(*others: Any, target: dict[str, Any] = HERE) -> str | None:
    return find_at_work(context("", *others), MINE, Target.model_validate(target))


@pytest.mark.parametrize(
    ("one", "name"),
    [
        (other(service="api", target=None), "other"),
        (other(), "other"),
        (other("bank"), "bank/other"),
        (other(target={**HERE, "cluster": "arn:aws:ecs:us-east-1:111111111111:cluster/shop"}), "other"),
        (other(target={**HERE, "roleArn": f"{A}/a"}), "other"),
        (other(phase="RollingBack"), "other"),
        (other(phase="Completed"), None),
        (other(phase="Approved", startedAt=None), None),
        (other(target={**HERE, "region": "eu-west-1"}), None),
        (other(target={**HERE, "service": "web"}), None),
    ],
)
def test_s5_a_plan_that_is_at_work_on_the_same_service_counts_whatever_protects_it(one: Any, name: str | None) -> None:
    assert found(one) == name


def test_s5_the_same_names_in_another_account_are_another_service() -> None:
    there = other(target={**HERE, "roleArn": f"{A}/a"})
    assert found(there, target={**HERE, "roleArn": B}) is None
    assert found(there, target={**HERE, "roleArn": f"{A}/b"}) == "other"


def test_a_plan_is_not_in_its_own_way() -> None:
    mine = MINE.model_copy(update={"status": other().status})
    assert find_at_work(context("", mine), mine, Target.model_validate(HERE)) is None


def test_a_plan_is_found_by_its_target_from_when_it_has_one_until_it_is_gone() -> None:
    store, spec = Store(), {"serviceRef": {"name": "api"}}

    def put(version: int, target: dict[str, Any] | None) -> dict[str, Any]:
        metadata = {"namespace": "shop", "name": "p", "uid": "u", "resourceVersion": str(version)}
        body = {"metadata": metadata, "spec": spec, "status": {"target": target} if target else {}}
        assert store.put("recoveryplans", body)
        return body

    def seen() -> int:
        return len(list(store.related("recoveryplans", "us-east-1", "shop/api")))

    put(1, None)
    assert seen() == 0
    body = put(2, HERE)
    assert seen() == 1
    store.remove("recoveryplans", body)
    assert seen() == 0
