from dataclasses import replace
from typing import Any

import pytest

from bokgu.api.meta import Target
from bokgu.api.observed import ApiCall
from bokgu.core.callers import MAX_CALLERS, choose_operation, name_callers
from tests.unit.facts import ARN, NOW, service, stopped_task

TARGET = Target(region="us-east-1", cluster="shop", service="api")
STOPPED = stopped_task(7, code="UserInitiated")


def call(operation: str, *, user: str = "kim", **arguments: Any) -> ApiCall:
    return ApiCall(NOW, user, operation, {"cluster": "shop", **arguments})


def test_what_is_seen_tells_which_call_to_look_for() -> None:
    assert choose_operation(service(), [STOPPED]) == "StopTask"
    assert choose_operation(service(desired=0), []) == "UpdateService"
    assert choose_operation(replace(service(), status="DRAINING"), [STOPPED]) == "DeleteService"
    assert choose_operation(service(), [stopped_task(1)]) is None


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (call("StopTask", task=STOPPED.arn), True),
        (call("StopTask", task="7", cluster=f"{ARN}:cluster/shop"), True),
        (call("StopTask", task="8"), False),
        (call("StopTask", task="7", cluster="other"), False),
        (call("StopTask", task="7", cluster=None), False),
        (call("StopTask", task="7", user="bokgu-5c8f6d1e-1-1"), False),
        (call("UpdateService", service=f"{ARN}:service/shop/api", desiredCount=0), True),
        (call("UpdateService", service="web"), False),
        (call("DeleteService", service="api"), True),
    ],
)
def test_only_calls_about_the_service_are_told_and_none_of_our_own(made: ApiCall, told: bool) -> None:
    found = name_callers([made], TARGET, [STOPPED])
    assert found == ((f"kim called {made.operation} at 2026-11-24T08:00:00Z",) if told else ())


def test_few_are_told() -> None:
    assert len(name_callers([call("UpdateService", service="api")] * 9, TARGET, ())) == MAX_CALLERS
