"""The door for events: an SQS queue that EventBridge fills with what CloudWatch alarms and ECS tell.

A message is deleted only when the API server has stored what it says, or when it concerns nobody. What cannot be read,
and what could not be stored, stays and comes back after the queue's visibility timeout; the queue's own redrive policy
moves it to the dead-letter queue in the end.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from weakref import WeakValueDictionary

import structlog

from bokgu.api.observed import AwsError
from bokgu.api.protected_service import ProtectedService, RecentStop
from bokgu.api.vocabulary import SourceKind
from bokgu.aws.sqs import Message, delete_messages, receive_messages
from bokgu.config import EventQueue
from bokgu.core import alarm_event, ecs_event
from bokgu.core.event import Event, MalformedMessage, parse_event
from bokgu.core.recent_stops import read_stop
from bokgu.kube.client import KubeError
from bokgu.metrics.doors import EVENT_AGE, EVENTS
from bokgu.reconcile.context import Context, Key
from bokgu.reconcile.event_look import look_at
from bokgu.reconcile.reporting import Reporter, Result
from bokgu.reconcile.role_grants import is_allowed

BATCHES = 32
"""Batches of a queue that are handled at once, while the next one is received: looks at many services take long under
their quota, and alarms must not wait behind them."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds without receiving after an error; doubled while it lasts."""
UNKNOWN = "Unknown"
"""Door of messages that do not say what they are about."""
POISON, FAILED = "poison", "failed"
"""Results beside those of `Result`: nobody can read it; it could not be stored now."""

FINISH = 8.0
"""Seconds for batches under way when the door closes."""

log = structlog.get_logger()


class _End(Enum):
    """What becomes of a message: deleted, left to come back, or left because nothing can be stored now."""

    DONE = auto()
    LEFT = auto()
    AWAY = auto()


@dataclass(frozen=True)
class _Read:
    """A message that could be read."""

    message: Message
    event: Event


@dataclass
class _Batch:
    """What messages that came together ask for: looks at services; and tell of: stops of tasks."""

    heard_at: datetime
    looks: dict[Key, asyncio.Task[Result]] = field(default_factory=dict)
    stops: dict[Key, list[RecentStop]] = field(default_factory=dict)


class EventDoor:
    """Receives from one queue until it is cancelled."""

    def __init__(self, context: Context, reporter: Reporter, queue: EventQueue) -> None:
        self._context, self._reporter, self._queue = context, reporter, queue
        self._slots = asyncio.Semaphore(BATCHES)
        self._locks: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()
        self._pause, self._slowed_at = 0.0, 0.0

    async def run(self) -> None:
        """Receive and handle for ever. No error ends it; batches under way are waited for when it is cancelled."""
        batches: set[asyncio.Task[None]] = set()
        try:
            while True:
                await self._slots.acquire()
                try:
                    messages = await self._receive()
                except BaseException:
                    self._slots.release()
                    raise
                task = asyncio.create_task(self._handle(messages))
                batches.add(task)
                task.add_done_callback(batches.discard)
                task.add_done_callback(lambda _: self._slots.release())
        finally:
            if batches:
                _, late = await asyncio.wait(batches, timeout=FINISH)
                for task in late:
                    task.cancel()

    async def _receive(self) -> tuple[Message, ...]:
        """The next messages; none after an error, and after the pause that it brings."""
        if self._pause:
            await asyncio.sleep(self._pause * random.uniform(0.5, 1.0))
        try:
            messages = await receive_messages(self._context.aws, self._queue.url, region=self._queue.region)
        except AwsError as error:
            self._slow_down()
            log.warning("no events", queue=self._queue.url, error=str(error), pause=self._pause)
            return ()
        except Exception:  # A defect must not close the door.
            self._slow_down()
            log.exception("no events", queue=self._queue.url, pause=self._pause)
            return ()
        if not messages:
            self._pause = 0.0
        return messages

    def _slow_down(self) -> None:
        """Wait longer each time; batches that fail together are one time."""
        now = time.monotonic()
        if now - self._slowed_at < self._pause:
            return
        self._slowed_at = now
        self._pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, 2 * self._pause))

    async def _handle(self, messages: tuple[Message, ...]) -> None:
        """Take in what the messages say, all at once, and delete those that are done with."""
        if not messages:
            return
        batch = _Batch(self._context.clock())
        read = [found for message in messages if (found := self._read(message))]
        # Statements about one service are stored one after the other: let it be in the order in which they were made.
        read.sort(key=lambda one: one.event.time)
        ends = await asyncio.gather(*(self._take(one, batch) for one in read))
        if _End.AWAY in ends:
            # Receive less: each receipt counts, and too many of them lead to the dead-letter queue.
            self._slow_down()
        elif _End.DONE in ends:
            self._pause = 0.0
        done = [one.message for one, end in zip(read, ends, strict=True) if end is _End.DONE]
        if done:
            await self._delete(done)

    def _read(self, message: Message) -> _Read | None:
        try:
            return _Read(message, parse_event(message.body, self._context.settings.own_patterns))
        except MalformedMessage as error:
            self._poison(UNKNOWN, message, error)
            return None

    async def _take(self, one: _Read, batch: _Batch) -> _End:
        door = _door_of(one.event)
        try:
            match door:
                case SourceKind.ALARM:
                    results = await self._hear_alarm(one.event)
                case SourceKind.ECS_EVENT:
                    results = await self._look(one.event, batch)
                case _:
                    results = []
        except MalformedMessage as error:
            self._poison(door, one.message, error)
            return _End.LEFT
        except (AwsError, KubeError) as error:
            EVENTS.labels(door, FAILED).inc()
            log.warning("event not taken in", door=door, message=one.message.id, error=str(error))
            return _End.AWAY if isinstance(error, KubeError) and error.away else _End.LEFT
        except Exception:  # A defect in handling one message is kept from stopping the others; it comes back.
            EVENTS.labels(door, FAILED).inc()
            log.exception("event not taken in", door=door, message=one.message.id)
            return _End.LEFT
        EVENTS.labels(door, summarise(results)).inc()
        EVENT_AGE.labels(door).observe(max(0.0, (self._context.clock() - one.message.sent_at).total_seconds()))
        return _End.DONE

    async def _hear_alarm(self, event: Event) -> list[Result]:
        alarm = alarm_event.parse_alarm(event)
        statements = alarm_event.build_statements(event, alarm, self._services(), self._context.clock())
        return await _all(self._reporter.report(statement) for statement in statements)

    async def _look(self, event: Event, batch: _Batch) -> list[Result]:
        """Look at the service once, however many messages of the batch are about it.

        Nothing is awaited before all of them have been read: the look stores the stops that any of them tells of.
        """
        reason = ecs_event.find_reason(event)
        found = ecs_event.find_services(event, reason, self._services()) if reason else []
        stop = read_stop(event) if found and event.detail_type == ecs_event.TASK else None
        for protected in found:
            stops = batch.stops.setdefault(protected.key, [])
            if stop is not None:
                stops.append(stop)
            if protected.key not in batch.looks:
                batch.looks[protected.key] = asyncio.create_task(self._look_once(protected.key, batch))
        return await _all(batch.looks[protected.key] for protected in found)

    async def _look_once(self, key: Key, batch: _Batch) -> Result:
        """Look, after any look of another batch: what that one saw may be late enough."""
        async with self._locks.setdefault(key, asyncio.Lock()):
            return await look_at(self._context, key, batch.heard_at, batch.stops[key])

    def _services(self) -> list[ProtectedService]:
        """All that events may be about. One whose namespace may not assume its role hears nothing of that account."""
        found = self._context.readable(ProtectedService, self._context.objects.all(ProtectedService.plural))
        return [protected for protected in found if is_allowed(self._context, protected)]

    def _poison(self, door: str, message: Message, error: MalformedMessage) -> None:
        EVENTS.labels(door, POISON).inc()
        log.warning(
            "unreadable message is left to the dead-letter queue",
            door=door,
            queue=self._queue.url,
            message=message.id,
            received=message.receive_count,
            error=str(error),
        )

    async def _delete(self, messages: list[Message]) -> None:
        """What cannot be deleted comes back, and is then nothing new."""
        try:
            left = await delete_messages(self._context.aws, self._queue.url, messages, region=self._queue.region)
        except AwsError as error:
            log.warning("events not deleted", queue=self._queue.url, count=len(messages), error=str(error))
        except Exception:  # As above.
            log.exception("events not deleted", queue=self._queue.url, count=len(messages))
        else:
            if left:
                log.warning("events not deleted", queue=self._queue.url, codes=sorted(set(left.values())))


def _door_of(event: Event) -> str:
    if event.detail_type == alarm_event.DETAIL_TYPE:
        return SourceKind.ALARM
    return SourceKind.ECS_EVENT if event.detail_type in ecs_event.DETAIL_TYPES else UNKNOWN


async def _all(calls: Iterable[Awaitable[Result]]) -> list[Result]:
    """All results. Every call is made; the first error is raised after that."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if isinstance(result, Result)]


def summarise(results: list[Result]) -> Result:
    """What is counted for a message: the first of opened, updated, cleared and ignored that it led to."""
    return next((result for result in Result if result in results), Result.IGNORED)
