"""What a scope keeps between its passes, so that it need not ask again."""

from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass, field
from datetime import datetime

from bokgu.api.observed import AwsError, BalancedGroup, Metric, ServiceDeployment
from bokgu.core.silent_targets import Answers
from bokgu.core.watch import Watch

Key = tuple[str, str, str]


@dataclass
class ScopeMemory:
    """What a scope keeps between its passes. Losing it costs calls.

    `looked_at` holds (uid, generation, time) of the last look at each object; `watches` and `histories` what was made
    or listed, with what it was made from; `balanced` the target groups by ARN, believed until `balanced_until`, and
    `balanced_problem` why they are not known; `refused` the metrics that CloudWatch does not understand;
    `answers` how many targets of a target group, by ARN, were healthy when the load balancer was asked.
    """

    looked_at: dict[Key, tuple[str, int, datetime]] = field(default_factory=dict)
    watches: dict[Key, tuple[Hashable, Watch]] = field(default_factory=dict)
    histories: dict[Key, tuple[Hashable, tuple[ServiceDeployment, ...]]] = field(default_factory=dict)
    balanced: dict[str, BalancedGroup] = field(default_factory=dict)
    balanced_until: datetime | None = None
    balanced_problem: AwsError | None = None
    refused: set[Metric] = field(default_factory=set)
    answers: dict[str, Answers] = field(default_factory=dict)

    def watch(self, key: Key, made_from: Hashable, make: Callable[[], Watch]) -> Watch:
        """The watch of an object, made anew only when what it is made from has changed."""
        kept = self.watches.get(key)
        if kept is None or kept[0] != made_from:
            kept = (made_from, make())
            self.watches[key] = kept
        return kept[1]

    def forget_all_but(self, present: Collection[Key]) -> None:
        """Keep nothing of objects that have gone."""
        for kept in (self.looked_at, self.watches, self.histories):
            for gone in kept.keys() - present:
                del kept[gone]
