"""What waits in an outbox, for whom, in which order.

Numbers rise, and a receiver gets its alerts by number: how far it has got is one number each. So an alert that was sent
and not yet marked is sent again after a crash, under the same key, and one never overtakes another.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bokgu.api.fields import bounded
from bokgu.api.outbox import (
    MOST_ADDRESSEES,
    MOST_DELIVERED,
    MOST_TOLD,
    MOST_WAITING,
    Addressee,
    Alert,
    Outbox,
    ReceiverStatus,
)
from bokgu.api.vocabulary import AlertKind

ASKED_AGAIN = f"/{AlertKind.APPROVAL_NEEDED}"
"""In keys of what is told again when it has not been so in between: an approval can be withdrawn."""


@dataclass(frozen=True)
class Notice:
    """What people should be told. The same `key` is told once."""

    key: str
    kind: AlertKind
    at: datetime
    message: str = ""
    plan: str | None = None
    step: str | None = None


@dataclass(frozen=True)
class Delivery:
    """What became of sending an alert: delivered, or after so many attempts in vain not yet, and why."""

    receiver: str
    number: int
    at: datetime
    attempts: int = 0
    error: str | None = None

    @property
    def delivered(self) -> bool:
        """Whether the receiver has taken it."""
        return self.error is None


@dataclass(frozen=True)
class Undelivered:
    """How many alerts wait for a receiver that was tried in vain, since when the oldest, and why."""

    receiver: str
    waiting: int
    since: datetime
    error: str


def alert_key(uid: str, alert: Alert) -> str:
    """What names the alert to receivers, the same each time it is sent; `uid` is that of the object."""
    return f"{uid}-{alert.number}"


def post_notices(
    outbox: Outbox, notices: Iterable[Notice], address: Callable[[AlertKind], tuple[Addressee, ...]]
) -> Outbox:
    """Put in what was not told yet, for those who are to be told. What is for nobody is no news yet: it is told when
    there is somebody, if it is still so."""
    notices = tuple(notices)
    so = {notice.key for notice in notices}
    told = dict.fromkeys(key for key in outbox.told if key in so or ASKED_AGAIN not in key)
    for notice in notices:
        to = () if notice.key in told else address(notice.kind)
        if to:
            outbox = _add(outbox, notice, to)
            told[notice.key] = None
    # What is so now is kept longest: it would be told again in the next pass.
    kept = sorted(told, key=so.__contains__)[-MOST_TOLD:]
    return outbox.model_copy(update={"told": tuple(key for key in told if key in set(kept))})


def next_alert(outbox: Outbox, receiver: str, *, after: int = 0) -> Alert | None:
    """What the receiver gets next; `after` is the number of one that it has got and that is not marked yet."""
    begin = max(after, _status(outbox, receiver).delivered)
    return next((a for a in outbox.alerts if a.number > begin and _is_for(a, receiver)), None)


def waiting_receivers(outbox: Outbox) -> dict[str, datetime]:
    """For whom something waits, and of when the oldest of it is."""
    found: dict[str, datetime] = {}
    for alert in outbox.alerts:
        for to in _waits_for(outbox, alert):
            found[to.receiver] = min(alert.at, found.get(to.receiver, alert.at))
    return found


def find_undelivered(outboxes: Iterable[Outbox]) -> tuple[Undelivered, ...]:
    """The receivers that did not take what was sent to them, by name; why is what the longest waiting alert met."""
    found: dict[str, Undelivered] = {}
    for outbox in outboxes:
        for name, since in waiting_receivers(outbox).items():
            error = _status(outbox, name).last_error
            if error is None:
                continue
            number = sum(any(to.receiver == name for to in _waits_for(outbox, alert)) for alert in outbox.alerts)
            one, known = Undelivered(name, number, since, error), found.get(name)
            if known:
                oldest = min(one, known, key=lambda u: u.since)
                one = replace(oldest, waiting=one.waiting + known.waiting)
            found[name] = one
    return tuple(found[name] for name in sorted(found))


def record_deliveries(outbox: Outbox, deliveries: Sequence[Delivery]) -> Outbox:
    """Mark what was delivered, and what was tried in vain."""
    if not deliveries:
        return outbox
    for delivery in deliveries:
        status, following = _status(outbox, delivery.receiver), next_alert(outbox, delivery.receiver)
        if following is None:
            continue
        if delivery.delivered and delivery.number > status.delivered:
            update = {"delivered": delivery.number, "delivered_at": delivery.at, "attempts": 0, "last_error": None}
        elif not delivery.delivered and delivery.number == following.number:
            update = {"attempts": delivery.attempts, "last_error": bounded(delivery.error or "")}
        else:
            continue  # It was folded meanwhile, or somebody has marked it.
        others = tuple(r for r in outbox.receivers if r.name != status.name)
        outbox = outbox.model_copy(update={"receivers": (*others, status.model_copy(update=update))})
    return _bound(outbox)


def _add(outbox: Outbox, notice: Notice, to: tuple[Addressee, ...]) -> Outbox:
    """The notice as the newest alert. One of the same that still waits becomes part of it."""
    number = outbox.last + 1
    alert = Alert(
        number=number,
        kind=notice.kind,
        at=notice.at,
        plan=notice.plan,
        step=notice.step,
        message=bounded(notice.message),
        to=to,
    )
    kept: list[Alert] = []
    for old in outbox.alerts:
        late = _waits_for(outbox, old)
        if late and (old.kind, old.plan, old.step) == (alert.kind, alert.plan, alert.step):
            alert = _fold(alert, old, late)
        else:
            kept.append(old)
    return _bound(outbox.model_copy(update={"last": number, "alerts": (*kept, alert)}))


def _fold(alert: Alert, old: Alert, late: tuple[Addressee, ...]) -> Alert:
    """A newer alert that also goes to those who have not got the old one."""
    known = {to.receiver for to in alert.to}
    to = (*alert.to, *(one for one in late if one.receiver not in known))
    return alert.model_copy(update={"count": alert.count + old.count, "to": to[:MOST_ADDRESSEES]})


def _bound(outbox: Outbox) -> Outbox:
    """No more than may wait, the last few that were delivered, and the receivers of these."""
    alerts = list(outbox.alerts)
    while len(waiting := [a for a in alerts if _waits_for(outbox, a)]) > MOST_WAITING:
        old, new = _find_pair(waiting)
        alerts[alerts.index(new)] = _fold(new, old, _waits_for(outbox, old))
        alerts.remove(old)
    delivered = [a for a in alerts if not _waits_for(outbox, a)]
    gone = delivered[: max(0, len(delivered) - MOST_DELIVERED)]
    kept = tuple(a for a in alerts if a not in gone)
    named = {to.receiver for alert in kept for to in alert.to}
    receivers = sorted((r for r in outbox.receivers if r.name in named), key=lambda r: r.name)
    return outbox.model_copy(update={"alerts": kept, "receivers": tuple(receivers)})


def _find_pair(waiting: list[Alert]) -> tuple[Alert, Alert]:
    """The oldest alert after which one of the same kind waits, and that one. There are fewer kinds than may wait."""
    return next((old, new) for n, old in enumerate(waiting) for new in waiting[n + 1 :] if new.kind is old.kind)


def _waits_for(outbox: Outbox, alert: Alert) -> tuple[Addressee, ...]:
    """Who has not got it yet."""
    return tuple(to for to in alert.to if alert.number > _delivered(outbox, to.receiver))


def _is_for(alert: Alert, receiver: str) -> bool:
    return any(to.receiver == receiver for to in alert.to)


def _delivered(outbox: Outbox, receiver: str) -> int:
    return _status(outbox, receiver).delivered


def _status(outbox: Outbox, receiver: str) -> ReceiverStatus:
    return next((r for r in outbox.receivers if r.name == receiver), ReceiverStatus(name=receiver))
