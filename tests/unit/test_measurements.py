"""What a step under verification is judged by, where this process's clock and the API server's differ (S9)."""

import asyncio
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from bokgu.kube.client import Raw
from bokgu.reconcile.plan_facts import _measure
from tests.unit.facts import MINUTE, VALIDATION, detector, protected_service, scale_out
from tests.unit.test_execution import verifying
from tests.unit.test_plan_incident import Past, context


class Aws:
    """Notes until when it is asked."""

    def __init__(self) -> None:
        self.ends: list[datetime] = []

    async def read(self, _service: str, _operation: str, arguments: Raw, **_: Any) -> Raw:
        self.ends.append(arguments["EndTime"])
        return {"MetricDataResults": []}


@pytest.mark.parametrize(
    ("ahead", "ends"), [(timedelta(), [10]), (5 * MINUTE, [10]), (-5 * MINUTE, [5]), (-30 * MINUTE, [])]
)
def test_s9_what_has_not_come_by_both_clocks_is_not_asked_for(ahead: timedelta, ends: list[int]) -> None:
    world = verifying(scale_out(validation=VALIDATION))
    effective = world.status.steps[0].effective_at
    assert effective
    one, aws = context(Past(), detector(), protected_service()), Aws()
    one.aws, one.kube.clock_ahead = cast(Any, aws), ahead
    one.clock = lambda: effective + 10 * MINUTE
    assert world.status.target
    asyncio.run(_measure(one, world.plan, world.status.target))
    assert [(end - effective) // MINUTE for end in aws.ends] == ends
