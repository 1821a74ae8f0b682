"""What AWS says, at one moment, of all that a plan acts on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bokgu.api.observed import DescribedDeployment, EcsService, ServiceRevision, Task


@dataclass(frozen=True)
class LiveState:
    """`service` as read just now; `deployment` the service deployment in flight, or the one that the plan stopped;
    `revisions` the service revisions that the plan may restore and the one in use, by ARN; `tasks` the tasks of the
    service that should run and those that the plan stops, by ARN: one that is missing is gone. What the plan has
    nothing to do with is not read."""

    service: EcsService
    deployment: DescribedDeployment | None = None
    revisions: Mapping[str, ServiceRevision] = field(default_factory=dict)
    tasks: Mapping[str, Task] | None = None
