"""Events of plans: the same again is counted on the Event that is there."""

import asyncio
from typing import Any, cast

from bokgu.api.recovery_plan import RecoveryPlanStatus
from bokgu.reconcile.announcing import announce_plan
from tests.unit.facts import plan, scale_out
from tests.unit.test_announcement import WAITING, held, standing
from tests.unit.test_plan_incident import Past, context


class Kube:
    """An API server that takes Events; `series` says of each whether the same again is counted on it."""

    def __init__(self) -> None:
        self.series: dict[tuple[str, str], bool] = {}

    async def create_event(self, _: Any, *, reason: str, note: str, series: bool, **__: Any) -> None:
        self.series[reason, note] = series


def announce(*statuses: RecoveryPlanStatus) -> Kube:
    """The Events of a plan that goes through these."""
    one, kube, about = context(Past()), Kube(), plan(scale_out())
    one.kube = cast(Any, kube)
    for new in statuses:
        asyncio.run(announce_plan(one, about, new))
        about = about.model_copy(update={"status": new})
    return kube


def test_a_gate_that_opens_and_closes_is_two_events() -> None:
    gate = {"name": "NoStorm", "passed": False, "reason": "Storm"}
    closed = RecoveryPlanStatus.model_validate(held("Storm").to_dict() | {"gates": [gate]})
    told = announce(*(closed, held(None)) * 5)
    assert told.series == {("Blocked", "Storm: why"): True, ("Unblocked", "Storm holds it no more"): True}


def test_an_approval_that_comes_and_goes_is_one_event_of_each_kind() -> None:
    told = announce(*(WAITING, standing(True, "Approved")) * 5)
    assert {reason for reason, _ in told.series} == {"ApprovalNeeded", "Approved", "ApprovalWithdrawn"}
    assert len(told.series) == 3
    assert all(told.series.values())
