"""What the guards look at."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bokgu.api.observed import DescribedDeployment, EcsService, ScalableTarget
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import RecoveryPlan, Step
from bokgu.core.approval.tally import Tally
from bokgu.core.correlation import Trouble
from bokgu.core.freeze import Freeze
from bokgu.core.live_state import LiveState
from bokgu.core.recovery_policy import Policies
from bokgu.core.surroundings import Surroundings


@dataclass(frozen=True)
class GuardFacts:
    """What the checks look at.

    `live` is what AWS says now, `problem` why that could not be read. `elder` is an older ProtectedService of the same
    ECS service, `at_work` another plan of the service that has begun and is not over. `mitigated` says that the trouble
    has gone away and was not seen since, `frozen_by` is an open incident that keeps plans from changing the service.
    `role_refused` says why configuration does not let the namespace assume the service's role. `policies` pause, and
    close with change windows. `around` is what stands around the plan in its namespace; `troubled` are open incidents
    of what the service depends on. `hour` and `minute` are how long these are, for us and for ECS. `unread` are the
    fields of the plan's spec that this version does not know.
    """

    plan: RecoveryPlan
    step: Step
    protected_service: ProtectedService | None
    live: LiveState | None
    problem: str | None
    tally: Tally
    elder: str | None
    role_refused: str | None
    at_work: str | None
    policies: Policies
    now: datetime
    mitigated: bool = False
    around: Surroundings = field(default_factory=Surroundings)
    hour: timedelta = timedelta(hours=1)
    frozen_by: Freeze | None = None
    troubled: tuple[Trouble, ...] = ()
    minute: timedelta = timedelta(minutes=1)
    unread: tuple[str, ...] = ()

    @property
    def service(self) -> EcsService | None:
        """The ECS service as read just now; None where it could not be read."""
        return None if self.live is None else self.live.service

    @property
    def deployment(self) -> DescribedDeployment | None:
        """Its service deployment in flight, or the one that the plan stopped."""
        return None if self.live is None else self.live.deployment

    @property
    def scalable_target(self) -> ScalableTarget | None:
        """What Application Auto Scaling owns of it."""
        return None if self.live is None else self.live.scalable_target
