"""What passes and the sender of alerts tell each other. All of it is in statuses too: losing it costs a second sending,
never an alert."""

import asyncio
from dataclasses import dataclass, field

from bokgu.api.outbox import Outbox
from bokgu.core.alerts.outbox import Delivery, waiting_receivers

Key = tuple[str, str, str]
"""(plural, namespace, name)"""


@dataclass
class AlertingMemory:
    """`receivers` are the names that the Secret has, None while it cannot be read. `waiting` has the outboxes, as they
    are stored, in which something waits, each with its object's uid. `deliveries` is what was sent and is not stored
    yet, `in_hand` the part of it that the pass under way stores. `bells` ring when something new waits."""

    receivers: frozenset[str] | None = None
    waiting: dict[Key, tuple[str, Outbox]] = field(default_factory=dict)
    deliveries: dict[Key, tuple[tuple[str, Delivery], ...]] = field(default_factory=dict)
    in_hand: dict[Key, tuple[tuple[str, Delivery], ...]] = field(default_factory=dict)
    bells: list[asyncio.Event] = field(default_factory=list)

    def note(self, key: Key, uid: str, delivery: Delivery) -> None:
        """That became of sending an alert: the object's next pass stores it."""
        self.deliveries[key] = (*self.deliveries.get(key, ()), (uid, delivery))

    def take(self, key: Key, uid: str) -> tuple[Delivery, ...]:
        """What the pass that begins is to store of the object of that uid."""
        self.in_hand[key] = self.deliveries.get(key, ())
        return tuple(delivery for known, delivery in self.in_hand[key] if known == uid)

    def put_back(self, key: Key) -> None:
        """The pass stores none of it."""
        self.in_hand.pop(key, None)

    def stored(self, key: Key, uid: str, outbox: Outbox | None) -> None:
        """The outbox is stored like this now, with what the pass had in hand: what still waits in it may be sent."""
        done = self.in_hand.pop(key, ())
        left = tuple(one for one in self.deliveries.pop(key, ()) if one not in done)
        if left:
            self.deliveries[key] = left
        if outbox is not None and waiting_receivers(outbox):
            self.waiting[key] = (uid, outbox)
            for bell in self.bells:
                bell.set()
        else:
            self.waiting.pop(key, None)

    def forget(self, key: Key) -> None:
        """The object is gone."""
        for memory in (self.waiting, self.deliveries, self.in_hand):
            memory.pop(key, None)
