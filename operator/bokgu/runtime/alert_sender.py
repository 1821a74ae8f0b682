"""Sends alerts: outside of the passes, one receiver beside the other, each alert after the one before of its object.

A receiver has a lane of its own with one call under way, in a thread of its own: one that is dead or slow holds up
nobody but itself. What fails is tried again for ever, ever later up to five minutes, or when the receiver says
(Retry-After); what was sent and not stored when the operator died is sent again under the same key.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Thread

import structlog

from bokgu.alerts.channel import Refusal, send_by_apprise
from bokgu.alerts.texts import load_templates, load_words
from bokgu.api.incident import Incident
from bokgu.api.observed import AwsError
from bokgu.api.outbox import Addressee, Alert
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.recovery_policy import RecoveryPolicy
from bokgu.api.redaction import redact_quote
from bokgu.api.unchecked import text_at
from bokgu.api.vocabulary import AlertKind, IncidentPhase, Severity
from bokgu.aws.sns import publish, topic_region
from bokgu.core.alerts.notices import worst_severity
from bokgu.core.alerts.outbox import Delivery, alert_key, next_alert, waiting_receivers
from bokgu.core.alerts.text import Letter, Texts, describe_alert, describe_namespace_alert, write_letter
from bokgu.kube.client import KubeError
from bokgu.metrics.alerts import ALERT_DELIVERIES, TEMPLATES_BROKEN
from bokgu.reconcile.context import Context, Key

MOST_RECEIVERS = 64
"""Receivers that the Secret may have: each has a lane."""
PATIENCE = 60.0
"""Seconds after which a call counts as failed, whatever it still does. Sockets are given up after 5 and 10 s; this is
for what answers a byte at a time."""
LONGEST_BACKOFF = 5
"""Minutes between two tries at most, unless the receiver asks for more."""
LONGEST_WISH = 60
"""Minutes for which a receiver may ask to be left alone."""
CALM = frozenset({AlertKind.RECOVERY_STARTED, AlertKind.RECOVERY_COMPLETED, AlertKind.INCIDENT_RESOLVED})
"""What nobody must do anything about."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Due:
    """What is sent next: an alert in the outbox of an object."""

    key: Key
    uid: str
    alert: Alert
    to: Addressee


@dataclass
class Lane:
    """One receiver, which has failed so often since it last took something. Times are monotonic. By uid of the object:
    `sent` is the number that was taken last; `waits`, how often the one after was tried in vain, until when it waits,
    and why."""

    name: str
    bell: asyncio.Event = field(default_factory=asyncio.Event)
    failures: int = 0
    not_before: float = 0.0
    sent: dict[str, int] = field(default_factory=dict)
    waits: dict[str, tuple[int, float, str]] = field(default_factory=dict)


class AlertSender:
    """Sends what the outboxes in `context.alerting` say is waiting."""

    def __init__(self, context: Context) -> None:
        self._context, self._memory = context, context.alerting
        self._urls: dict[str, str] = {}
        self._left_out: frozenset[str] = frozenset()
        self._no_secret: str | None = None
        self._texts = Texts(load_templates(), load_words(), {})
        self._lanes: dict[str, tuple[Lane, asyncio.Task[None]]] = {}
        self._looked = asyncio.Event()
        self._bell = asyncio.Event()
        self._bell.set()  # Something may wait already.
        self._memory.bells.append(self._bell)

    async def run(self) -> None:
        """Open a lane for each receiver that something waits for, until cancelled."""
        try:
            await self._looked.wait()
            while True:
                await self._bell.wait()
                self._bell.clear()
                waiting = {name for _, box in self._memory.waiting.values() for name in waiting_receivers(box)}
                for name in sorted(waiting - self._lanes.keys()):
                    self._open(name)
                for name in self._lanes.keys() - waiting - self._urls.keys():
                    self._close(name)
        finally:
            for _, task in self._lanes.values():
                task.cancel()
            await asyncio.gather(*(task for _, task in self._lanes.values()), return_exceptions=True)

    def _open(self, name: str) -> None:
        lane = Lane(name)
        self._memory.bells.append(lane.bell)
        lane.bell.set()
        self._lanes[name] = (lane, asyncio.create_task(self._serve(lane)))

    def _close(self, name: str) -> None:
        """Nobody names that receiver any more. Anybody who can write a route can make up names."""
        lane, task = self._lanes.pop(name)
        self._memory.bells.remove(lane.bell)
        task.cancel()

    async def refresh_forever(self) -> None:
        """Read receivers and templates anew every minute: a changed Secret counts without a restart."""
        while True:
            try:
                await self.refresh()
            except Exception:  # What comes from outside may be anything; the next look may go well.
                log.exception("receivers or templates of alerts not read")
            self._looked.set()
            await asyncio.sleep(self._context.settings.minute.total_seconds())

    async def refresh(self) -> None:
        """Read receivers and templates. What cannot be read stays as it was."""
        kube, settings = self._context.kube, self._context.settings
        try:
            secret = await kube.secret(settings.namespace, settings.alerts_secret) or {}
            self._take_receivers({name: value.strip() for name, value in sorted(secret.items())[:MOST_RECEIVERS]})
            self._left_out = frozenset(sorted(secret)[MOST_RECEIVERS:])
            own = await kube.config_map(settings.namespace, settings.alert_templates_config_map) or {}
            self._texts = Texts(self._texts.builtin, self._texts.words, own)
        except (KubeError, ValueError) as error:
            said = str(error) if isinstance(error, KubeError) else "it holds what is no base64"
            if said != self._no_secret:
                log.warning("receivers or templates of alerts not read", error=said)
            self._no_secret = said
            return
        self._no_secret = None

    def _take_receivers(self, urls: dict[str, str]) -> None:
        for name, (lane, _) in self._lanes.items():
            if urls.get(name) != self._urls.get(name):  # Repaired, perhaps: try at once.
                lane.failures, lane.not_before = 0, 0.0
                lane.waits = {uid: (count, 0.0, why) for uid, (count, _, why) in lane.waits.items()}
                lane.bell.set()
        self._urls = urls
        names = frozenset(urls)
        if names != self._memory.receivers:
            known, self._memory.receivers = self._memory.receivers, names
            log.info("receivers of alerts", names=sorted(names))
            if known is not None or names:
                self._ask_again()

    def _ask_again(self) -> None:
        """There is somebody to tell now: open incidents and policies say what is so."""
        for raw in self._context.objects.all(Incident.plural):
            if text_at(raw, "status", "phase") != IncidentPhase.RESOLVED:
                self._context.enqueue((Incident.plural, raw["metadata"]["namespace"], raw["metadata"]["name"]))
        for raw in self._context.objects.all(RecoveryPolicy.plural):
            self._context.enqueue((RecoveryPolicy.plural, raw["metadata"]["namespace"], raw["metadata"]["name"]))

    # One lane

    async def _serve(self, lane: Lane) -> None:
        while True:
            lane.bell.clear()
            now = time.monotonic()
            due, wait = (None, lane.not_before - now) if now < lane.not_before else self._choose(lane, now)
            if due is None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):  # `wait_for` loses a `_close` while the bell rings.
                        await lane.bell.wait()
                continue
            try:
                await self._deliver(lane, due)
            except Exception as error:  # A defect in one alert is kept from stopping all others.
                log.exception("alert not sent", receiver=lane.name, about=_name(due))
                self._failed(lane, due, Refusal(f"a defect: {type(error).__name__}"))

    def _choose(self, lane: Lane, now: float) -> tuple[Due | None, float | None]:
        """The oldest alert that may be sent; else in how many seconds one may be."""
        found: list[Due] = []
        later: list[float] = []
        for key, (uid, outbox) in self._memory.waiting.items():
            alert = next_alert(outbox, lane.name, after=lane.sent.get(uid, 0))
            if alert is None:
                continue
            until = lane.waits.get(uid, (0, 0.0, ""))[1]
            if until > now:
                later.append(until - now)
            else:
                to = next(one for one in alert.to if one.receiver == lane.name)
                found.append(Due(key, uid, alert, to))
        if found:
            return min(found, key=lambda due: (due.alert.at, due.alert.number, due.key)), None
        alive = {uid for uid, _ in self._memory.waiting.values()}
        lane.sent = {uid: number for uid, number in lane.sent.items() if uid in alive}
        lane.waits = {uid: wait for uid, wait in lane.waits.items() if uid in alive}
        return None, min(later, default=None)

    async def _deliver(self, lane: Lane, due: Due) -> None:
        letter, severity = await self._write(due)
        sending = asyncio.create_task(self._send(lane.name, due, letter, severity))
        try:
            done, _ = await asyncio.wait({sending}, timeout=PATIENCE)
            if not done:
                self._failed(lane, due, Refusal(f"no answer within {PATIENCE:g} s"))
            refusal = await sending  # The lane has one call under way, however long it takes.
        finally:
            sending.cancel()
        if refusal is not None:
            if done:
                self._failed(lane, due, refusal)
            return
        lane.failures, lane.not_before, lane.sent[due.uid] = 0, 0.0, due.alert.number
        lane.waits.pop(due.uid, None)
        ALERT_DELIVERIES.labels(self._label(lane), "delivered").inc()
        log.info("alert delivered", kind=due.alert.kind, receiver=lane.name, about=_name(due), alert=_key(due))
        self._memory.note(due.key, due.uid, Delivery(lane.name, due.alert.number, self._context.clock()))
        self._context.enqueue(due.key)

    def _failed(self, lane: Lane, due: Due, refusal: Refusal) -> None:
        """Wait, the lane and the object each by their own count: an alert that is never taken must not hold up those of
        others, nor they shorten its wait."""
        minute, now = self._context.settings.minute.total_seconds(), time.monotonic()
        count, _, before = lane.waits.get(due.uid, (0, 0.0, ""))
        count += 1
        if not refusal.of_alert:
            lane.failures += 1
        wish = min(refusal.retry_after or timedelta(), LONGEST_WISH * self._context.settings.minute).total_seconds()
        lane.waits[due.uid] = (count, now + _backoff(count, minute), refusal.why)
        if not refusal.of_alert:
            lane.not_before = now + max(wish, _backoff(lane.failures, minute))
        ALERT_DELIVERIES.labels(self._label(lane), "failed").inc()
        if count & (count - 1) and refusal.why == before:
            return  # Told at 1, 2, 4, 8 ...: a status write each time would be one for each incident and receiver.
        log.warning(
            "alert not delivered",
            kind=due.alert.kind,
            receiver=lane.name,
            about=_name(due),
            alert=_key(due),
            attempts=count,
            error=refusal.why,
        )
        at = self._context.clock()
        failure = Delivery(lane.name, due.alert.number, at, attempts=count, error=refusal.why)
        self._memory.note(due.key, due.uid, failure)
        self._context.enqueue(due.key)

    def _label(self, lane: Lane) -> str:
        """The receiver, as a metric names it: whoever writes routes can make up names."""
        return lane.name if lane.name in self._urls else "unknown"

    # One alert

    async def _write(self, due: Due) -> tuple[Letter, Severity]:
        """The alert in words, and how bad it is. Without its words it is sent all the same."""
        try:
            values, severity = self._describe(due, await self._read_plan(due))
            letter = write_letter(due.alert, due.to.language, values, self._texts)
        except Exception:
            log.exception("alert sent without its text", about=_name(due), kind=due.alert.kind)
            return Letter(f"{due.alert.kind}: {_name(due)}", redact_quote(due.alert.message)), Severity.CRITICAL
        if letter.problem:
            TEMPLATES_BROKEN.inc()
            log.warning("alert template broken", error=letter.problem)
        return letter, severity

    async def _read_plan(self, due: Due) -> RecoveryPlan | None:
        """The plan that the alert names, as it is: the store may not have yet what the pass has read."""
        namespace, name = due.key[1], due.alert.plan
        if name is None:
            return None
        try:
            return await self._context.fetch(RecoveryPlan, namespace, name)
        except KubeError:
            return self._context.find(RecoveryPlan, namespace, name)

    def _describe(self, due: Due, plan: RecoveryPlan | None) -> tuple[dict[str, str], Severity]:
        context, (plural, namespace, name), words = self._context, due.key, self._texts.words[due.to.language]
        if plural != Incident.plural:
            return describe_namespace_alert(due.alert, namespace, words), Severity.CRITICAL
        incident = context.find(Incident, namespace, name)
        if incident is None:
            raise LookupError(f"{namespace}/{name} is gone")
        protected = context.find(ProtectedService, namespace, incident.spec.service_ref.name)
        environment = protected.spec.environment if protected else None
        values = describe_alert(due.alert, incident, plan, environment, words)
        return values, worst_severity(incident, incident.status)

    async def _send(self, receiver: str, due: Due, letter: Letter, severity: Severity) -> Refusal | None:
        settings, address, key = self._context.settings, self._urls.get(receiver), _key(due)
        if not address:
            where = f"Secret {settings.namespace}/{settings.alerts_secret}"
            missing = f"it has no key {receiver}: add it"
            if receiver in self._left_out:
                missing = f"of its keys the first {MOST_RECEIVERS} are read, by name, and not {receiver}"
            return Refusal(f"{where}: {self._no_secret or missing}")
        if topic_region(address) is None:
            urgent = severity.rank >= Severity.HIGH.rank and due.alert.kind not in CALM
            return await _in_thread(
                lambda: send_by_apprise(address, title=letter.title, body=letter.body, key=key, urgent=urgent)
            )
        attributes = {"kind": str(due.alert.kind), "severity": str(severity), "namespace": due.key[1], "key": key}
        try:
            await publish(
                self._context.aws,
                address,
                subject=f"Bokgu: {due.alert.kind} {_name(due)}",
                message=f"{letter.title}\n\n{letter.body}",
                key=key,
                group=due.uid,
                attributes=attributes,
            )
        except AwsError as error:
            return Refusal(f"SNS: {error.code}")
        return None


async def _in_thread(call: Callable[[], Refusal | None]) -> Refusal | None:
    """Make the call in a thread that does not hold up the end of the process."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Refusal | None] = loop.create_future()

    def settle(refusal: Refusal | None) -> None:
        if not answer.done():
            answer.set_result(refusal)

    def run() -> None:
        try:
            refusal = call()
        except Exception as error:  # Its message may hold the address.
            refusal = Refusal(f"a defect: {type(error).__name__}")
        with contextlib.suppress(RuntimeError):  # The loop is closed: nobody waits any more.
            loop.call_soon_threadsafe(settle, refusal)

    Thread(target=run, name="alert", daemon=True).start()
    return await answer


def _backoff(failures: int, minute: float) -> float:
    """Seconds: 1, 2, 4 and so on up to five minutes, with jitter."""
    return min(LONGEST_BACKOFF * minute, minute / 60 * 2.0 ** min(failures - 1, 20)) * random.uniform(0.5, 1.0)


def _key(due: Due) -> str:
    return alert_key(due.uid, due.alert)


def _name(due: Due) -> str:
    return f"{due.key[1]}/{due.key[2]}"


@contextlib.asynccontextmanager
async def sending_alerts(context: Context) -> AsyncIterator[None]:
    """Send alerts until the block ends. What is under way then is not waited for: it is sent again."""
    sender = AlertSender(context)
    tasks = [asyncio.create_task(sender.run()), asyncio.create_task(sender.refresh_forever())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
