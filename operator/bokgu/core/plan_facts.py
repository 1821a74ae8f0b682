"""What a decision about a plan rests on, and what it may come to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bokgu.api.fields import bounded
from bokgu.api.incident import Incident
from bokgu.api.meta import Gate
from bokgu.api.observed import AwsError, EcsService
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import AwsRequest, OperationStatus, RecoveryPlan, RecoveryPlanStatus, Step, StepStatus
from bokgu.api.vocabulary import PlanPhase
from bokgu.core.approval.tally import Tally
from bokgu.core.correlation import Trouble
from bokgu.core.detection import Points
from bokgu.core.freeze import Freeze
from bokgu.core.guards.chain import evaluate_gates
from bokgu.core.guards.facts import GuardFacts
from bokgu.core.live_state import LiveState
from bokgu.core.moment import Moment
from bokgu.core.preconditions import find_surprise
from bokgu.core.recovery_policy import Policies
from bokgu.core.surroundings import Surroundings


@dataclass(frozen=True)
class Timing:
    """Delays that configuration sets. `hour` is how long an hour is, in which recoveries are counted and which a
    verification goes on at most while there is too little traffic to tell; `minute` is how long a minute of ECS is:
    both are shorter only in a world that runs faster. `hand_over` is for how long a process that led before may still
    have a call under way: its lease, and the time that a call may take (S5)."""

    consistency_delay: timedelta
    poll: timedelta
    hour: timedelta = timedelta(hours=1)
    minute: timedelta = timedelta(minutes=1)
    hand_over: timedelta = timedelta()


@dataclass(frozen=True)
class Measurement:
    """The values that a validation's expression is about, one a period.

    `volumes` say how much each period rests on, such as requests; so much of it as `enough` says something.
    """

    points: Points
    period: timedelta
    settle: timedelta
    volumes: Mapping[datetime, float] = field(default_factory=dict)
    enough: float = 0.0

    @property
    def thin(self) -> bool:
        """Whether all that was measured is not enough to tell."""
        return sum(self.volumes.get(t, 0.0) for t, _ in self.points) < self.enough


@dataclass(frozen=True)
class PlanFacts:
    """All that a decision rests on.

    `incident` is None unless the incident with the bound uid exists. `live` is None where it was not read, or could not
    be: `problem` says why. `elder`, `role_refused`, `at_work`, `policies`, `around`, `troubled` and `unread` are as in
    GuardFacts. `unsent` are tokens of intents that this very process stored and has not sent. `known_since` is when
    this process first saw the intent that has no answer: doubt about it counts from there (S5). `clock_ahead` is how
    far the API server's clock is ahead of `now`. `dry_run` says what asks that nothing be sent.
    """

    now: datetime
    cluster_id: str
    digest: str
    incident: Incident | None
    protected_service: ProtectedService | None
    tally: Tally
    live: LiveState | None
    problem: AwsError | None
    measurement: Measurement | None
    elder: str | None
    role_refused: str | None
    at_work: str | None
    policies: Policies
    unsent: frozenset[str]
    known_since: datetime
    holder: str
    timing: Timing
    lease_transitions: int | None = None
    frozen_by: Freeze | None = None
    around: Surroundings = field(default_factory=Surroundings)
    clock_ahead: timedelta = timedelta()
    dry_run: str | None = None
    troubled: tuple[Trouble, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def service(self) -> EcsService | None:
        """The ECS service as read just now; None where it could not be read."""
        return None if self.live is None else self.live.service

    @property
    def latest(self) -> datetime:
        """Now, by the later of this process's clock and the API server's."""
        return Moment.between(self.now, self.clock_ahead).latest

    @property
    def earliest(self) -> datetime:
        """Now, by the earlier of the two: time is up, and what was measured is whole, when both say so."""
        return Moment.between(self.now, self.clock_ahead).earliest


@dataclass(frozen=True)
class HoldPlan:
    """Put the finalizer on a plan that somebody else made without it, so that a deletion is undone first."""


@dataclass(frozen=True)
class Claim:
    """Take what a plan needs to begin, in this order, each with a PUT of its own; where one is not to be had, those
    after it are not taken. A plan that has begun takes a lock back that it lost.

    `auto`: an entry in `RecoveryPolicy.status.autoStarts[]`, which the hourly budget counts. `service`: the lock,
    `ProtectedService.status.activePlan` (S5). `digest`: the mark in `Incident.status.plans[]` that it was started under
    this plan's uid: a plan runs once.
    """

    auto: bool = False
    service: bool = False
    digest: str | None = None


@dataclass(frozen=True)
class ReleaseService:
    """Give the lock back, which the plan holds and cannot use: others may begin meanwhile."""


@dataclass(frozen=True)
class Send:
    """Send the stored intent with that token."""

    token: str
    request: AwsRequest


Effect = HoldPlan | Claim | ReleaseService | Send


@dataclass(frozen=True)
class Outcome:
    """What a pass comes to. With an effect the status is not written before the effect is done."""

    status: RecoveryPlanStatus
    effect: Effect | None = None
    requeue_after: timedelta | None = None


def ask_guards(
    plan: RecoveryPlan, status: RecoveryPlanStatus, step: Step, facts: PlanFacts
) -> tuple[RecoveryPlanStatus, str | None]:
    """Ask the guards and compare the preconditions: (status with gates, what has changed)."""
    gates = evaluate_gates(guard_facts(plan, step, facts))
    changed = None
    if facts.live:
        changed = find_surprise(plan, status, step, facts.live)
    return status.model_copy(update={"gates": gates}), changed


def guard_facts(plan: RecoveryPlan, step: Step, facts: PlanFacts) -> GuardFacts:
    """What the guards look at before a step."""
    return GuardFacts(
        plan=plan,
        step=step,
        protected_service=facts.protected_service,
        live=facts.live,
        problem=None if facts.problem is None else f"{facts.problem.code}: {facts.problem.message}",
        tally=facts.tally,
        elder=facts.elder,
        at_work=facts.at_work,
        policies=facts.policies,
        now=facts.now,
        mitigated=facts.incident is not None and facts.incident.status.mitigated_at is not None,
        frozen_by=facts.frozen_by,
        around=facts.around,
        hour=facts.timing.hour,
        role_refused=facts.role_refused,
        troubled=facts.troubled,
        minute=facts.timing.minute,
        unread=facts.unread,
    )


def without_closed(status: RecoveryPlanStatus) -> RecoveryPlanStatus:
    """The status of a plan that does what no gate is asked for: so none holds it."""
    return status.model_copy(update={"gates": tuple(gate for gate in status.gates if gate.passed)})


def with_step(status: RecoveryPlanStatus, index: int, step: StepStatus) -> RecoveryPlanStatus:
    """The status with one step replaced."""
    steps = (*status.steps[:index], step, *status.steps[index + 1 :])
    return status.model_copy(update={"steps": steps})


def with_undo(status: RecoveryPlanStatus, index: int, undo: OperationStatus) -> RecoveryPlanStatus:
    """The status with the undo of one step replaced."""
    return with_step(status, index, status.steps[index].model_copy(update={"rollback": undo}))


def finish(
    status: RecoveryPlanStatus, phase: PlanPhase, reason: str, facts: PlanFacts, message: str = ""
) -> RecoveryPlanStatus:
    """The plan is over. A `message` says what had changed under it."""
    gates = (
        (*status.gates, Gate(name="Unchanged", passed=False, reason=bounded(reason, 63), message=bounded(message)))
        if message
        else status.gates
    )
    return status.model_copy(
        update={"phase": phase, "reason": bounded(reason, 63), "finished_at": facts.now, "gates": gates}
    )
