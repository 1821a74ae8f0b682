"""Histories of a plan in a world that does what it likes: nobody can order events so that a promise breaks."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from bokgu.api.fields import parse_duration
from bokgu.api.observed import EcsService
from bokgu.api.recovery_plan import CountedApproval, Intent, StepStatus
from bokgu.api.vocabulary import OperationPhase, PlanPhase, Proof
from bokgu.core.approval.tally import Tally
from bokgu.core.deadlines import begins_by, effect_by, settled_by, validation_timeout
from bokgu.core.dry_run import is_rehearsal
from bokgu.core.live_state import LiveState
from bokgu.core.plan_facts import Claim, Outcome, ReleaseService, Send
from bokgu.core.proof import awaits_confirmation
from bokgu.core.writes.write import observe_before
from tests.faults.tally import SEQUENCES
from tests.unit.facts import (
    ALICE,
    APPROVED,
    BOB,
    MINUTE,
    PLAN_UID,
    REJECT,
    ROLES,
    VALIDATION,
    Raw,
    health_check,
    manual,
    plan,
    protected_service,
    restart,
    roll_back,
    scale_out,
    service_deployment_arn,
    tally,
)
from tests.unit.small_world import World, mid_deployment, open_tokens, operations

ON_FAILURE = st.sampled_from(["RollBack", "Stop", "Continue"])
BY_PERSON = {"type": "manual", "criteria": "looks_well", "timeout": "20m"}
VALIDATIONS = st.sampled_from([{}, {"validation": VALIDATION}, {"validation": BY_PERSON}])
LOOKING = {health_check, manual}
BUILDERS = (roll_back, roll_back, scale_out, restart, health_check, manual)


@st.composite
def steps(draw: st.DrawFn) -> list[Raw]:
    builders = draw(st.lists(st.sampled_from(BUILDERS), min_size=1, max_size=3))
    return [
        builder(
            name=f"step-{i}",
            onFailure=draw(ON_FAILURE),
            **({} if builder in {health_check, manual} else draw(VALIDATIONS)),
        )
        for i, builder in enumerate(builders)
    ]


class Histories(RuleBasedStateMachine):
    """Passes, and all that may happen between them."""

    @initialize(
        steps=steps(),
        moment=st.sampled_from(["new", "started", "intent", "intent", "sent", "sent", "verified", "verified"]),
        rate=st.sampled_from([0.01, 0.5, 0.5]),
        ecs_works=st.booleans(),
        deploying=st.booleans(),
    )
    def begin(self, steps: list[Raw], moment: str, rate: float, ecs_works: bool, deploying: bool) -> None:
        if deploying:  # Only a rollback begins then, and only it may stop the deployment.
            steps = [roll_back(name="step-0", onFailure="Stop", rollback=None), *steps[1:]]
        self.world = (mid_deployment if deploying else World)(plan(*steps), error_rate=rate)
        self.ecs_works = ecs_works
        self.strangers = 0
        while moment != "new" and not self.world.status.started_at:
            self.step()
        for _ in range(6):
            if moment in {"new", "started"} or (moment == "intent" and self.world.unsent) or self.world.sent:
                break
            self.step()
        if moment == "verified":
            self.world.settle()
            self.step()

    # What may happen

    @rule()
    def pass_(self) -> None:
        self.step()

    @rule(passes=st.integers(2, 40))
    def passes(self, passes: int) -> None:
        for _ in range(passes):
            self.world.now += self.step().requeue_after or timedelta()

    @rule(seconds=st.sampled_from([1, 20, 120, 400]))
    def time_passes(self, seconds: int) -> None:
        self.world.now += timedelta(seconds=seconds)

    @rule()
    def ecs_settles(self) -> None:
        self.world.settle()

    @rule()
    def ecs_settles_and_the_plan_goes_on(self) -> None:
        self.world.settle()
        self.step()

    @rule()
    def a_task_dies(self) -> None:
        self.world.lose_task()

    @precondition(lambda self: self.strangers < 1)
    @rule(desired=st.integers(1, 9), rarely=st.integers(0, 3))
    def somebody_scales(self, desired: int, rarely: int) -> None:
        if rarely == 0:
            self.strangers += 1
            self.world.scale(desired)

    @precondition(lambda self: self.strangers < 1)
    @rule(rarely=st.integers(0, 3))
    def somebody_deploys(self, rarely: int) -> None:
        if rarely == 0:
            self.strangers += 1
            self.world.deploy()

    @rule(fate=st.sampled_from(["accepted", "accepted", "lost", "never", "refused", "throttled"]))
    def sends_will_be(self, fate: str) -> None:
        self.world.fate = fate

    @rule(seconds=st.sampled_from([0, 0, 30, 200]))
    def reads_lag(self, seconds: int) -> None:
        self.world.lag = timedelta(seconds=seconds)

    @rule(readable=st.sampled_from([True, True, False]))
    def reads_work_or_fail(self, readable: bool) -> None:
        self.world.readable = readable

    @rule(traffic=st.sampled_from([True, True, False]))
    def users_come(self, traffic: bool) -> None:
        self.world.traffic = traffic

    @rule()
    def the_process_dies(self) -> None:
        self.world.crash()

    @rule(said=st.sampled_from([APPROVED, APPROVED, tally(ALICE), tally(), tally(ALICE, BOB, REJECT)]))
    def people_say(self, said: Tally) -> None:
        self.world.tally = said

    @rule(step=st.integers(0, 2))
    def somebody_confirms(self, step: int) -> None:
        """It counts from when the step waits (core/approval/judgement.py), and is no approval of the plan."""
        name = f"step-{step}"
        if any(s.name == name and awaits_confirmation(s) for s in self.world.status.steps):
            counted = CountedApproval(uid="uid", approver="carol", role=ROLES[0], proof=Proof.SIGNED)
            self.world.tally = replace(self.world.tally, confirmed={name: counted})

    @rule(spec=st.sampled_from([{}, {}, {"suspend": True}, {"mode": "Observe"}, {"limits": {"maxDesiredCount": 4}}]))
    def the_platform_team_says(self, spec: Raw) -> None:
        status = self.world.protected.status
        self.world.protected = protected_service(**spec).model_copy(update={"status": status})

    @rule(rate=st.sampled_from([0.01, 0.5, 0.5, None]))
    def errors(self, rate: float | None) -> None:
        self.world.error_rate = rate

    @rule(rarely=st.integers(0, 5))
    def the_plan_is_deleted(self, rarely: int) -> None:
        if rarely == 0:
            gone = self.world.plan.metadata.model_copy(update={"deletion_timestamp": self.world.now})
            self.world.plan = self.world.plan.model_copy(update={"metadata": gone})

    # What must hold

    def step(self) -> Outcome:
        world = self.world
        # One that is older than what it confirms does not count: the step fell back, and waits anew.
        waiting = {s.name for s in world.status.steps if awaits_confirmation(s)}
        confirmed = {name: by for name, by in world.tally.confirmed.items() if name in waiting}
        world.tally = replace(world.tally, confirmed=confirmed)
        before, service, tally_then = world.plan, world.visible(), world.tally
        sendable, lock = frozenset(world.unsent), world.protected.status.active_plan
        outcome = world.do()
        if before.status.phase.terminal:
            assert outcome == Outcome(before.status), "S1: what is over stays over"
            return outcome
        if not world.over:
            assert outcome.requeue_after is not None or outcome.effect, "S10: somebody must come back"
        match outcome.effect:
            case Send() as send:
                stored = {o.intent.token: o.intent for o in operations(before.status) if o.intent}
                assert send.request == stored[send.token].request, "S2: what was stored is what is sent"
                assert send.token in open_tokens(before.status) & sendable, "S3: only what this process just stored"
                assert observe_before(LiveState(service)) == stored[send.token].before, "S4: the world is as it was"
                assert world.readable
                self._check_count(send, service.desired_count)
                self._check_stop(send)
            case Claim():
                assert tally_then.approved
                assert outcome.status.started_at is None
            case ReleaseService():
                assert before.status.started_at is None, "S5: what has begun keeps the lock"
            case None:
                for step, was in zip(world.status.steps, before.status.steps or (None,) * 16, strict=False):
                    self._check_intents(step, was, service)
                    if open_tokens(world.status) - open_tokens(before.status):
                        assert lock
                        assert lock.uid == PLAN_UID, "S5: nothing without the lock"
        effects = Counter(send.token.rsplit("-", 1)[0] for send in world.effects)
        assert not effects or max(effects.values()) == 1, "S3: no step has two effects"
        return outcome

    def _check_intents(self, step: StepStatus, was: StepStatus | None, service: EcsService) -> None:
        world = self.world
        changes = [o for o in operations(world.status) if o.intent and "desired" not in o.intent.request.arguments]
        ours = {o.answer.deployment_id for o in changes if o.answer}
        primary = service.primary.id if service.primary else None
        if self._is_new(step.intent, was.intent if was else None):
            assert step.intent
            assert world.tally.approved, "S1: no intent without all approvals"
            assert {a.role for a in step.intent.approvals} == set(ROLES)
            assert not world.protected.spec.suspend, "S6: no intent through a closed gate"
            assert world.protected.spec.mode == "Approve"
            planned = service.current_service_deployment == service_deployment_arn(2)
            assert planned or primary in ours, "S4: nothing is done on top of somebody else's deployment"
        if step.confirmation:
            assert was
            assert was.confirmation or (awaits_confirmation(was) and step.name in world.tally.confirmed)
        undo = step.rollback
        if undo and self._is_new(undo.intent, was.rollback.intent if was and was.rollback else None):
            assert undo.intent
            assert step.intent
            assert step.answer
            assert step.answer.result in {"Accepted", "Adopted"}, "S4: only what had an effect is undone"
            assert primary in ours, "S4: nothing of others is undone"
            assert undo.intent.approvals == step.intent.approvals

    @staticmethod
    def _is_new(intent: Intent | None, was: Intent | None) -> bool:
        return intent is not None and (was is None or was.token != intent.token)

    @staticmethod
    def _check_count(send: Send, present: int) -> None:
        wanted = json.loads(send.request.arguments).get("desiredCount")
        assert wanted is None or present < wanted <= 10, "S11: only up, and not too far"

    @staticmethod
    def _check_stop(send: Send) -> None:
        stopped = json.loads(send.request.arguments).get("serviceDeploymentArn")
        assert stopped in {None, service_deployment_arn(2)}, "S4: only the deployment that the plan was made against"

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.count()
        self.ends()

    def count(self) -> None:
        """Called once for each sequence."""

    def ends(self) -> None:
        """Whatever has happened: when calls go through again, the plan comes to its end in a few hours."""
        self.world.fate = "accepted"
        begun = self.world.now
        for _ in range(2000):
            if self.world.over:
                break
            self.world.now += self.step().requeue_after or timedelta()
            if self.ecs_works:
                self.world.settle()
        assert self.world.over, f"stuck: {self.world.status.to_dict()}"
        assert self.world.now - begun < 300 * MINUTE
        for operation in operations(self.world.status):
            assert operation.finished_at or operation.phase == "Pending" or operation.intent, "S10: nothing half done"


class Deadlines(Histories):
    """The same, and at some moment everything stays as it is, broken or not: every phase ends at its deadline."""

    def ends(self) -> None:
        for _ in range(60):
            if self.world.over:
                return
            self.world.now = max(self.world.now, self.deadline())
            before = self.standing()
            for _ in range(4):  # A lock to take again, an answer to write down: some moves take more than one pass.
                self.step()
                if self.standing() != before:
                    break
            assert self.standing() != before, f"S10: nothing ends at its deadline: {self.world.status.to_dict()}"
        raise AssertionError(f"stuck: {self.world.status.to_dict()}")

    def standing(self) -> list[str]:
        """The phases of the plan, its steps and its undos."""
        status = self.world.status
        return [status.phase, *(f"{o.phase} {o.answer is not None}" for o in operations(status))]

    def deadline(self) -> datetime:
        """By when one of them must be another one."""
        world, spec, status, facts = self.world, self.world.plan.spec, self.world.status, self.world.facts()
        if status.started_at is None:
            return spec.expires_at
        rolling = status.phase is PlanPhase.ROLLING_BACK
        going = next(
            (
                (i, o)
                for i, s in enumerate(status.steps)
                if (o := s.rollback if rolling else s) and o.phase.value in {"Pending", "InProgress", "Verifying"}
            ),
            None,
        )
        if going is None:
            return world.now
        index, operation = going
        step, timeout = spec.steps[index], parse_duration(spec.steps[index].timeout)
        if not rolling and (operation.phase is OperationPhase.PENDING or not step.action.writes):
            return begins_by(step, status, index)
        by = effect_by(operation, timeout, validation_timeout(step, facts), world.now)
        if operation.intent and operation.answer is None:
            by = max(by + facts.timing.consistency_delay, settled_by(operation.intent, facts))
        if operation.answer:  # Until then ECS may still show the world before the call.
            by = max(by, operation.answer.at + facts.timing.consistency_delay)
        return by


class Rehearsals(Histories):
    """The same, in a dry run from the first pass on: nothing is ever sent."""

    @initialize(steps=steps(), rate=st.sampled_from([0.01, 0.5]), deploying=st.booleans())
    def begin(self, steps: list[Raw], rate: float, deploying: bool) -> None:
        self.world = (mid_deployment if deploying else World)(plan(*steps), error_rate=rate, dry_run="spec.dryRun")
        self.ecs_works, self.strangers = True, 0

    def step(self) -> Outcome:
        outcome = super().step()
        assert not self.world.sent, "S1: a dry run sends nothing"
        assert not any(o.intent for o in operations(self.world.status)), "S1: nor is anything stored to be sent"
        return outcome


class Changing(Histories):
    """The same, while somebody turns the dry run on and off: a write that was not sent is the last one."""

    @rule(asked=st.sampled_from([None, "spec.dryRun"]))
    def somebody_asks_for_a_dry_run(self, asked: str | None) -> None:
        self.world.dry_run = asked

    def step(self) -> Outcome:
        before = self.world.status
        outcome = super().step()
        if self.world.dry_run or is_rehearsal(before):
            for step, was in zip(self.world.status.steps, before.steps, strict=False):
                assert not self._is_new(step.intent, was.intent), "S1: no write of a dry run is stored"
        return outcome


def count_sequences(machine: type[Histories], examples: int, record: Callable[[str, object], None]) -> None:
    """Run the machine, and tell the tally of the run (tests/faults/tally.py) how many sequences were generated."""
    sequences = Counter[str]()

    class Counted(machine):  # type: ignore[valid-type, misc]
        def count(self) -> None:
            sequences[machine.__name__] += 1

    try:
        run_state_machine_as_test(
            Counted,
            settings=settings(
                max_examples=examples,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        record(SEQUENCES, sequences.total())


def test_no_order_of_events_breaks_a_promise(record_property: Callable[[str, object], None]) -> None:
    count_sequences(Histories, 150, record_property)


def test_s10_no_phase_outlasts_its_deadline(record_property: Callable[[str, object], None]) -> None:
    count_sequences(Deadlines, 100, record_property)


def test_s1_no_order_of_events_makes_a_dry_run_send(record_property: Callable[[str, object], None]) -> None:
    count_sequences(Rehearsals, 50, record_property)


def test_s1_no_write_follows_one_that_was_not_sent(record_property: Callable[[str, object], None]) -> None:
    count_sequences(Changing, 80, record_property)
