"""What one look at AWS saw, on its way from the scope that looked to the object that it is about."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from bokgu.api.meta import ObjectMeta
from bokgu.api.observed import AwsError, Series
from bokgu.api.protected_service import TargetGroup
from bokgu.core.service_state import ServiceLook
from bokgu.core.watch import Watch


@dataclass(frozen=True)
class Look:
    """One look at a ProtectedService or a Detector.

    `generation` and `uid` say which spec it follows. `watch` is what is asked of CloudWatch, `series` what it answered,
    by query, `errors` what it did not; nothing of that means anything before the look is `measured`. `state` is the ECS
    service, None for a Detector and where ECS did not describe it: then `problem` says why.
    """

    at: datetime
    generation: int
    watch: Watch
    series: Mapping[str, Series] = field(default_factory=dict)
    errors: Mapping[str, AwsError] = field(default_factory=dict)
    state: ServiceLook | None = None
    problem: AwsError | None = None
    target_groups: tuple[TargetGroup, ...] = ()
    uid: str = ""
    measured: bool = False

    def follows(self, metadata: ObjectMeta) -> bool:
        """Whether it was made for the spec that the object has: an object that was deleted and created again begins at
        generation 1 once more."""
        return (self.uid, self.generation) == (metadata.uid, metadata.generation)
