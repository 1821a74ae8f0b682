"""What stands around a plan in its namespace: the policy, other recoveries, and what became of them."""

from dataclasses import dataclass, field
from datetime import datetime

from bokgu.api.meta import OpenBreaker
from bokgu.api.protected_service import Recovery
from bokgu.api.recovery_policy import RecoveryPolicy, RecoveryPolicySpec
from bokgu.core.load import Load
from bokgu.core.storm import Storm


@dataclass(frozen=True)
class Surroundings:
    """`policy` is None where the namespace has none: then its defaults hold. `load` leaves the plan itself out;
    `recoveries` are those of its service, the latest first. `service_breaker` and `namespace_breaker` are None while
    they are closed, `storm` while there is none. `service_reset_at` and `namespace_reset_at` are when they were reset
    last."""

    policy: RecoveryPolicy | None = None
    load: Load = field(default_factory=Load)
    recoveries: tuple[Recovery, ...] = ()
    service_breaker: OpenBreaker | None = None
    service_reset_at: datetime | None = None
    namespace_breaker: OpenBreaker | None = None
    namespace_reset_at: datetime | None = None
    storm: Storm | None = None

    @property
    def limits(self) -> RecoveryPolicySpec:
        """What the policy says, or its defaults."""
        return self.policy.spec if self.policy else RecoveryPolicySpec()
