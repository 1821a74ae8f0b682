"""What AWS says, at one moment, of all that a plan acts on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bokgu.api.observed import DescribedDeployment, EcsService, ScalableTarget, ServiceRevision


@dataclass(frozen=True)
class LiveState:
    """`service` as read just now; `deployment` the service deployment in flight, or the one that the plan stopped;
    `revisions` the service revisions that the plan may restore and the one in use, by ARN; `healthy_targets` how many
    targets are healthy, by ARN of the target group, None where that was not read or could not be; `scalable_target` is
    None where Application Auto Scaling does not own the count. What the plan has nothing to do with is not read."""

    service: EcsService
    deployment: DescribedDeployment | None = None
    revisions: Mapping[str, ServiceRevision] = field(default_factory=dict)
    healthy_targets: Mapping[str, int] | None = None
    scalable_target: ScalableTarget | None = None
