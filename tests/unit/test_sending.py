"""The lease just before the call to AWS: what was intended and may not be sent any more is held, and is no failure."""

import asyncio
import math
import time
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bokgu.api.observed import AwsError
from bokgu.api.recovery_plan import RecoveryPlanStatus
from bokgu.api.vocabulary import OperationPhase, PlanPhase
from bokgu.config import Settings
from bokgu.core.execution import decide
from bokgu.core.operation import hold_unsent
from bokgu.core.plan_facts import Send
from bokgu.reconcile import recovery_plan
from bokgu.reconcile.context import Context
from bokgu.reconcile.plan_facts import SEND_WITHIN
from tests.unit.facts import NOW, plan, scale_out
from tests.unit.small_world import World


@dataclass
class Held:
    """A lease that is good for so many seconds more."""

    seconds: float
    transitions: int = 3

    def send_by(self) -> float:
        return time.monotonic() + self.seconds


class Aws:
    """Notes by when calls must begin, and refuses those that come too late, as the client does."""

    def __init__(self, *, takes: float = 0) -> None:
        self.takes, self.deadlines = takes, list[float]()

    async def write(self, _service: str, operation: str, _arguments: Any, *, deadline: float, **_: Any) -> Any:
        self.deadlines.append(deadline - time.monotonic())
        await asyncio.sleep(self.takes)
        if time.monotonic() > deadline:
            raise AwsError(operation, "TooLate", "no thread or no credentials in time", sent=False)
        raise AwsError(operation, "AccessDeniedException", "this far", sent=False)


def intended(world: World) -> Send:
    """Go on until the next move is to send something."""
    world.until_intent()
    effect = decide(world.plan, world.facts()).effect
    assert isinstance(effect, Send)
    return effect


def send(seconds: float, aws: Aws, world: World | None = None) -> RecoveryPlanStatus:
    """What becomes of the status when that much of the lease is left."""
    world = world or World(plan(scale_out()))
    effect = intended(world)
    context = Context(
        kube=cast(Any, SimpleNamespace(clock_ahead=timedelta())),
        aws=cast(Any, aws),
        history=cast(Any, None),
        objects=cast(Any, None),
        settings=Settings(),
        cluster_id="cluster",
        clock=lambda: world.now,
        announce=lambda *_: None,
        enqueue=lambda _: None,
        started_at=NOW,
        unsent={effect.token: time.monotonic()},
        lease=Held(seconds),
    )
    status = asyncio.run(recovery_plan._send(context, world.status, effect, world.facts()))
    assert context.unsent == {}
    return status


def test_s5_nothing_is_sent_when_the_lease_has_run_out() -> None:
    aws = Aws()
    status = send(-0.001, aws)
    (step,) = status.steps
    assert aws.deadlines == []
    assert (step.phase, step.intent, step.answer, step.reason) == (OperationPhase.PENDING, None, None, "LeaseNotHeld")
    assert (status.phase, status.reason, status.finished_at) == (PlanPhase.IN_PROGRESS, "LeaseNotHeld", None)


def test_s5_the_call_begins_while_the_lease_holds_or_not_at_all() -> None:
    aws = Aws(takes=0.1)
    status = send(0.05, aws)
    (step,), (deadline,) = status.steps, aws.deadlines
    assert deadline <= 0.05
    assert (step.phase, step.intent, step.reason) == (OperationPhase.PENDING, None, "LeaseNotHeld")


@pytest.mark.parametrize("seconds", [60, math.inf])
def test_s5_a_lease_that_is_good_for_long_makes_no_call_later_than_others_would_be(seconds: float) -> None:
    aws = Aws()
    (step,) = send(seconds, aws).steps
    assert aws.deadlines[0] <= SEND_WITHIN
    assert step.answer is not None
    assert step.answer.result == "Refused"


def test_s5_what_was_held_is_asked_anew_and_done_by_who_leads_next() -> None:
    world = World(plan(scale_out()))
    status = send(-1, Aws(), world)
    world.unsent.clear()
    world.plan = world.plan.model_copy(update={"status": status})
    again = intended(world)
    (step,) = world.status.steps
    assert step.intent is not None
    assert (again.token, step.attempt, step.reason) == (step.intent.token, 2, None)
    assert world.status.reason is None


def test_s5_a_plan_that_rolls_back_keeps_why() -> None:
    world = World(plan(scale_out()))
    token = intended(world).token
    rolling = world.status.model_copy(update={"phase": PlanPhase.ROLLING_BACK, "reason": "Timeout"})
    assert hold_unsent(rolling, token, "LeaseNotHeld").reason == "Timeout"
