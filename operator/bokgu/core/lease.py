"""Leader election by a Lease (coordination.k8s.io/v1), decided from what this process saw and its own clock.

As client-go does it (k8s.io/client-go/tools/leaderelection, "Package leaderelection"): no time that another process
wrote is believed. Who waits counts from when it first *saw* the Lease change, who holds from before it sent its last
renewal. So the holder always believes it to be over earlier than anybody else does, whatever their clocks say, as long
as their seconds are about as long. All times here are of one process's monotonic clock, in seconds.

A Lease is no fence: a process can be stopped between a look at its clock and what it does next. Write-ahead intents,
resourceVersions and tokens are the fence (S2, S3, S4).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any

MARGIN = 1 / 3
"""Share of a lease before its end in which nothing is sent to AWS any more: of 15 s it is 5, time for a connection that
opens slowly (3 s, `aws.client.CONNECT_TIMEOUT`) and for clocks that run differently fast."""
RELEASED = 1
"""Seconds that a lease lasts which its holder gave back: the API demands more than none."""


@dataclass(frozen=True)
class LeaseTiming:
    """`duration` is how long others wait for a sign of life, `renew_deadline` after how long without a renewal a leader
    gives up, `retry` how often both look. Seconds."""

    duration: float
    renew_deadline: float
    retry: float

    @property
    def margin(self) -> float:
        """For how long before its end a lease is not enough to send."""
        return self.duration * MARGIN


@dataclass(frozen=True)
class Lease:
    """A Lease as it was read: `holder` is "" where nobody has it, `version` the resourceVersion."""

    holder: str
    duration: float
    transitions: int
    version: str

    @property
    def gone(self) -> bool:
        """Whether somebody deleted it since it was read."""
        return not self.version


@dataclass(frozen=True)
class Seen:
    """The Lease, None where there was none yet, and since when this process has seen it so."""

    lease: Lease | None
    since: float


@dataclass(frozen=True)
class Own:
    """What this process did: `renewed` is when it sent what was stored last (None: it does not lead), `tried` when it
    last tried to store something."""

    renewed: float | None = None
    tried: float | None = None

    def send_by(self, timing: LeaseTiming) -> float:
        """Until when it may send something to AWS; a time long ago where it does not lead (S5)."""
        return float("-inf") if self.renewed is None else self.renewed + timing.duration - timing.margin


class Action(Enum):
    """What is to be done now."""

    ACQUIRE = auto()
    RENEW = auto()
    WAIT = auto()
    """Stand by."""
    HOLD = auto()
    """Lead on."""
    LOST = auto()
    """Stop everything at once."""


@dataclass(frozen=True)
class Decision:
    """What is to be done, and in how many seconds it is decided anew."""

    action: Action
    wait: float = 0.0


def see(known: Seen | None, lease: Lease | None, now: float) -> Seen:
    """What is known after a look at the Lease. One that has gone counts as held for as long as its holder may believe
    so: a person deleted it, and the holder has not looked yet."""
    before = known.lease if known else None
    if lease is None and before is not None and before.holder:
        lease = replace(before, version="")
    return known if known is not None and before == lease else Seen(lease, now)


def decide(me: str, seen: Seen, own: Own, timing: LeaseTiming, now: float) -> Decision:
    """What the process of that name does now."""
    lease = seen.lease
    pause = max(0.0, own.tried + timing.retry - now) if own.tried is not None else 0.0
    if own.renewed is not None:
        over = own.renewed + timing.renew_deadline
        if lease is None or lease.gone or lease.holder != me or now >= over:
            return Decision(Action.LOST)
        due = max(own.renewed + timing.retry - now, pause)
        return Decision(Action.HOLD, min(due, over - now)) if due > 0 else Decision(Action.RENEW)
    free = lease is None or lease.holder in {"", me}
    left = 0.0 if free or lease is None else seen.since + lease.duration - now
    if left > 0:
        return Decision(Action.WAIT, min(timing.retry, left))
    return Decision(Action.WAIT, pause) if pause > 0 else Decision(Action.ACQUIRE)


def read_lease(body: Mapping[str, Any]) -> Lease:
    """A Lease as the API server answers with it. Times in it are not read."""
    spec = body.get("spec") or {}
    return Lease(
        holder=spec.get("holderIdentity") or "",
        duration=float(spec.get("leaseDurationSeconds") or 0),
        transitions=int(spec.get("leaseTransitions") or 0),
        version=str(body["metadata"]["resourceVersion"]),
    )


def build_spec(
    holder: str, old: Lease | None, old_spec: Mapping[str, Any], timing: LeaseTiming, at: datetime
) -> dict[str, Any]:
    """The spec that a holder stores; with no holder, that of a lease which is given back. `at` is for people to read.

    `old` is the Lease that is there, None where there is none, and `old_spec` its spec.
    """
    moment = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")  # metav1.MicroTime
    taken = old is None or (bool(holder) and old.holder != holder)
    return {
        **old_spec,
        "holderIdentity": holder,
        "leaseDurationSeconds": int(timing.duration) if holder else RELEASED,
        "acquireTime": moment if taken else old_spec.get("acquireTime", moment),
        "renewTime": moment,
        "leaseTransitions": 0 if old is None else old.transitions + taken,
    }
