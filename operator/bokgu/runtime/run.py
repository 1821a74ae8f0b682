"""Starts and stops everything in one event loop.

Every process lists and watches, so that it knows all. One of a shard leads: only that one makes passes, opens doors and
sends alerts. For the others everything that happens piles up in their queues, each object once; whoever becomes the
leader begins with a pass over all there is.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import kopf
import structlog

from bokgu import __version__
from bokgu.api.crds import KINDS
from bokgu.aws.client import AwsClient
from bokgu.config import HistoryBackend, Settings
from bokgu.core.approval.admission import APPROVAL_POLICY, STATUS_POLICY, find_gap
from bokgu.history.opening import open_history
from bokgu.history.patience import PatientHistory
from bokgu.kube.client import KubeClient, KubeError
from bokgu.metrics.leadership import LEADER
from bokgu.metrics.registry import BUILD, REGISTRY
from bokgu.metrics.traces import TRACE_SPANS
from bokgu.reconcile import history
from bokgu.reconcile.approvals import read_fence
from bokgu.reconcile.context import Context
from bokgu.reconcile.tracing import Tracing
from bokgu.runtime.alert_sender import sending_alerts
from bokgu.runtime.controller import PASSES, work
from bokgu.runtime.doors import open_doors
from bokgu.runtime.event_recorder import recording_events
from bokgu.runtime.handlers import NoMemories, build_announcer, build_registry, build_settings
from bokgu.runtime.health import HealthServer
from bokgu.runtime.heartbeat import beat_forever
from bokgu.runtime.leadership import Leadership
from bokgu.runtime.queue import Key, Queue
from bokgu.runtime.resync import resync, resync_forever
from bokgu.runtime.state_metrics import StateCollector, collected
from bokgu.runtime.store import Raw, Store

if TYPE_CHECKING:
    from bokgu.traces.otlp import OtlpSender

WAIT_FOR_CLUSTER = 2.0
"""Seconds between looks for what is missing at the start."""

SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""What asks the process to end."""

LOST = 1
"""Exit code of a leader that has lost its lease."""

log = structlog.get_logger()


class Process:
    """The operator: what it is made of, and whether it is ready and leads."""

    def __init__(self, settings: Settings, kube: KubeClient, aws: AwsClient) -> None:
        self.settings, self.kube, self.aws = settings, kube, aws
        self.ready = asyncio.Event()
        self.stopping = asyncio.Event()
        self.leadership = Leadership(kube, settings, settings.lease) if settings.lease is not None else None

    async def check_ready(self) -> str | None:
        """What is missing; None when everything was listed. Who stands by is as ready as who leads."""
        missing = await find_missing(self.kube) or (self.leadership.problem if self.leadership else None)
        return missing or (None if self.ready.is_set() else "the first list is not complete")

    def describe(self) -> str:
        """One line for who asks whether it is ready."""
        if self.leadership is None or self.leadership.leads:
            return "ok"
        return f"ok: standby, {self.leadership.leader or 'nobody'} leads"


async def run_operator(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. Raises KubeError without access to a cluster, OSError where the port is taken."""
    BUILD.info({"version": __version__})
    structlog.contextvars.bind_contextvars(shard=settings.shard)
    kube = await KubeClient.connect()
    aws = AwsClient(
        settings.aws_endpoint_url, settings.aws_threads, settings.aws_quotas, settings.own_grant, settings.own_patterns
    )
    process = Process(settings, kube, aws)
    _end_when_asked(process)
    health = HealthServer(settings.listen_host, settings.listen_port, process.check_ready, process.describe)
    await health.start()
    try:
        await _wait_for_cluster(kube)
        await _serve(process)
    except asyncio.CancelledError:
        if not process.stopping.is_set():  # Else it was asked to end before it took part.
            raise
    finally:
        await health.stop()
        await kube.close()
        aws.close()


def _end_when_asked(process: Process) -> None:
    """SIGTERM and SIGINT end the process also while it waits for the cluster, or lists. The first process of a
    container gets no signal that it does not handle (pid_namespaces(7))."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()

    def end() -> None:
        if task is not None and not process.stopping.is_set():
            process.stopping.set()
            task.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, end)


@contextlib.asynccontextmanager
async def _beating(process: Process) -> AsyncIterator[None]:
    """A heartbeat, where there is somebody to hear it."""
    url, minute = process.settings.heartbeat_url, process.settings.minute
    if url is None:
        yield
        return
    beating = asyncio.create_task(beat_forever(url, minute, process.check_ready))
    try:
        yield
    finally:
        beating.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await beating


async def find_missing(kube: KubeClient) -> str | None:
    """What the operator cannot do without and the cluster does not have: a CRD or an admission policy."""
    try:
        served = await kube.served_kinds()
        for kind in KINDS:
            if kind.plural not in served:
                return f"the CRD of {kind.kind_name} is missing: apply crds/"
            if not await kube.selects(kind):
                return f"the CRD of {kind.kind_name} is of another version: apply crds/"
        for policy in (STATUS_POLICY, APPROVAL_POLICY):
            if gap := find_gap(policy, *await kube.admission_policy(policy)):
                return f"{gap}: apply the one of this version"
    except KubeError as error:
        return f"the API server does not answer: {error}"
    return None


async def _wait_for_cluster(kube: KubeClient) -> None:
    told = None
    while missing := await find_missing(kube):
        if missing != told:
            log.warning("waiting", missing=missing)
            told = missing
        await asyncio.sleep(WAIT_FOR_CLUSTER)


async def _serve(process: Process) -> None:
    settings, kube, leadership = process.settings, process.kube, process.leadership
    # A history that fails is asked again ever later, whatever happens to its incidents meanwhile.
    store, queues = Store(), {plural: Queue(patient=plural == history.PLURAL) for plural in PASSES}

    def enqueue(key: Key) -> None:
        queues[key[0]].add(key)

    announce = build_announcer(store, enqueue, settings.namespace)
    context = Context(
        kube=kube,
        aws=process.aws,
        history=PatientHistory(
            open_history(settings, kube, process.aws), shared=settings.history is HistoryBackend.DYNAMODB
        ),
        objects=store,
        settings=settings,
        cluster_id=await kube.cluster_id(),
        clock=lambda: datetime.now(UTC),
        announce=announce,
        enqueue=enqueue,
        started_at=datetime.now(UTC),
        lease=leadership,
    )
    traces = _open_traces(settings)
    beside = [
        asyncio.create_task(resync_forever(kube, store, announce, settings.resync)),
        asyncio.create_task(_watch_fence(context)),
    ]
    log.info("started", version=__version__, holder=settings.holder)
    try:
        await _fill(kube, store, announce)
        # Not earlier: what is not listed yet is not gone, and would be told as being none.
        LEADER.labels(settings.shard).set(0)
        async with _informed(process, build_registry(store, announce)):
            await _take_part(process, context, queues, traces)
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        if traces is not None:
            await asyncio.to_thread(traces.stop)
        log.info("stopped")


@contextlib.asynccontextmanager
async def _informed(process: Process, registry: kopf.OperatorRegistry) -> AsyncIterator[None]:
    """kopf watches until the block ends. SIGTERM and SIGINT set `process.stopping`: kopf's own handlers would end the
    watches first, and whatever a pass awaits with them."""
    mine = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(
        registry=registry,
        settings=build_settings(),
        memories=NoMemories(),
        standalone=True,
        clusterwide=True,
        ready_flag=process.ready,
    )
    watching = asyncio.create_task(kopf.run_tasks(tasks, ignored=mine))
    watching.add_done_callback(lambda _: process.stopping.set())
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, process.stopping.set)
    try:
        yield
        if watching.done():
            await watching  # It ended by itself: that is why.
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _take_part(
    process: Process, context: Context, queues: Mapping[str, Queue], traces: "OtlpSender | None"
) -> None:
    """Stand by, lead, and stop when `process.stopping` is set. A leader that loses its lease ends the process."""
    stopping, leadership = asyncio.create_task(process.stopping.wait()), process.leadership
    keeping: asyncio.Task[None] | None = None
    try:
        if leadership is not None:
            standing_by = asyncio.create_task(leadership.acquire())
            await asyncio.wait({standing_by, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not standing_by.done():
                standing_by.cancel()
                return
            await standing_by
            keeping = asyncio.create_task(leadership.keep())
            keeping.add_done_callback(partial(_end_if_lost, process))
        # Whoever led before may have stored an intent just now: what it did is looked for from here on (S5).
        context.started_at = context.clock()
        if traces is not None:
            context.tracing = Tracing(traces, context.started_at)
        log.info("leads", holder=process.settings.holder)
        await _lead(process, context, queues)
    finally:
        for task in (stopping, keeping):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if leadership is not None and keeping is not None:
            await leadership.release()


def _end_if_lost(process: Process, keeping: "asyncio.Task[None]") -> None:
    """End at once, as if killed: no pass goes on, no call to AWS that waits for its turn is made, nothing is tidied up.
    A process that was asked to end, while the API server hangs, has done so then.

    What a killed process leaves behind is what every start is made for, and whoever starts it again gives it a memory
    that is not older than its lease. To stand by again in the same process would be a second way back, tried by nobody.
    """
    error = None if keeping.cancelled() else keeping.exception()
    if error is None:
        return
    log.error("lease lost", error=str(error) or repr(error), then="this process ends, to be started again")
    sys.stderr.flush()
    os._exit(0 if process.stopping.is_set() else LOST)


async def _lead(process: Process, context: Context, queues: Mapping[str, Queue]) -> None:
    """Do everything until `process.stopping` is set, and finish what is under way."""
    async with recording_events() as events:
        context.beside = events.record
        await _work(process, context, queues)


async def _work(process: Process, context: Context, queues: Mapping[str, Queue]) -> None:
    leader = LEADER.labels(process.settings.shard)
    # Workers of their own for each kind: incidents that wait for an AWS that hangs must not keep plans waiting.
    count = process.settings.workers
    workers = [asyncio.create_task(work(context, queue)) for queue in queues.values() for _ in range(count)]
    leader.set(1)
    try:
        with collected(REGISTRY, StateCollector(context, queues)):
            async with _beating(process), sending_alerts(context), open_doors(context):
                await process.stopping.wait()
    finally:
        for queue in queues.values():
            queue.close()
        await _finish(workers)
        leader.set(0)


def _open_traces(settings: Settings) -> "OtlpSender | None":
    """Where traces go. OpenTelemetry is loaded only where it is asked for."""
    if settings.traces_endpoint is None:
        return None
    for result in ("sent", "failed", "dropped"):
        TRACE_SPANS.labels(result)  # From zero on: Prometheus sees no increase in a first 1.
    from bokgu.traces.otlp import OtlpSender  # noqa: PLC0415 - as above

    return OtlpSender(settings.traces_endpoint, version=__version__, instance=settings.holder)


async def _watch_fence(context: Context) -> None:
    """Know how old a changed admission policy is before the first unsigned approval comes."""
    while True:
        await read_fence(context)
        await asyncio.sleep(context.settings.minute.total_seconds())


async def _fill(kube: KubeClient, store: Store, announce: Callable[[str, Raw, bool], None]) -> None:
    """Take in all there is, so that nobody is told that a service is not protected that was not listed yet."""
    for kind in KINDS:
        while True:
            try:
                await resync(kube, store, announce, kind.plural)
                break
            except KubeError as error:
                log.warning("waiting", missing=f"the list of {kind.plural}: {error}")
                await asyncio.sleep(WAIT_FOR_CLUSTER)


async def _finish(workers: list[asyncio.Task[None]]) -> None:
    """Let passes under way end, and cut off those that do not: every write is stored before it is made."""
    if not workers:
        return
    _, pending = await asyncio.wait(workers, timeout=10)
    for task in pending:
        task.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
