"""Starts and stops everything in one event loop."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
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
from bokgu.metrics.registry import BUILD, REGISTRY
from bokgu.metrics.traces import TRACE_SPANS
from bokgu.reconcile import history
from bokgu.reconcile.approvals import read_fence
from bokgu.reconcile.context import Context
from bokgu.reconcile.tracing import Tracing
from bokgu.runtime.alert_sender import sending_alerts
from bokgu.runtime.controller import PASSES, work
from bokgu.runtime.doors import open_doors
from bokgu.runtime.handlers import build_announcer, build_registry, build_settings
from bokgu.runtime.health import HealthServer
from bokgu.runtime.heartbeat import beat_forever
from bokgu.runtime.queue import Key, Queue
from bokgu.runtime.resync import resync, resync_forever
from bokgu.runtime.state_metrics import StateCollector, collected
from bokgu.runtime.store import Raw, Store

if TYPE_CHECKING:
    from bokgu.traces.otlp import OtlpSender

WAIT_FOR_CLUSTER = 2.0
"""Seconds between looks for what is missing at the start."""

log = structlog.get_logger()


async def run_operator(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. Raises KubeError without access to a cluster, OSError where the port is taken."""
    BUILD.info({"version": __version__})
    kube = await KubeClient.connect()
    ready = asyncio.Event()

    async def check_ready() -> str | None:
        missing = await find_missing(kube)
        return missing or (None if ready.is_set() else "the first list is not complete")

    health = HealthServer(settings.listen_host, settings.listen_port, check_ready)
    await health.start()
    aws = AwsClient(
        settings.aws_endpoint_url, settings.aws_threads, settings.aws_quotas, settings.own_grant, settings.own_patterns
    )
    try:
        await _wait_for_cluster(kube)
        async with _beating(settings, check_ready):
            await _serve(settings, kube, aws, ready)
    finally:
        await health.stop()
        await kube.close()
        aws.close()


@contextlib.asynccontextmanager
async def _beating(settings: Settings, check_ready: Callable[[], Awaitable[str | None]]) -> AsyncIterator[None]:
    """A heartbeat, where there is somebody to hear it."""
    if settings.heartbeat_url is None:
        yield
        return
    beating = asyncio.create_task(beat_forever(settings.heartbeat_url, settings.minute, check_ready))
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


async def _serve(settings: Settings, kube: KubeClient, aws: AwsClient, ready: asyncio.Event) -> None:
    # A history that fails is asked again ever later, whatever happens to its incidents meanwhile.
    store, queues = Store(), {plural: Queue(patient=plural == history.PLURAL) for plural in PASSES}

    def enqueue(key: Key) -> None:
        queues[key[0]].add(key)

    announce = build_announcer(store, enqueue, settings.namespace)
    context = Context(
        kube=kube,
        aws=aws,
        history=PatientHistory(open_history(settings, kube, aws), shared=settings.history is HistoryBackend.DYNAMODB),
        objects=store,
        settings=settings,
        cluster_id=await kube.cluster_id(),
        clock=lambda: datetime.now(UTC),
        announce=announce,
        enqueue=enqueue,
        started_at=datetime.now(UTC),
    )
    traces = _open_traces(settings)
    if traces is not None:
        context.tracing = Tracing(traces, context.started_at)
    workers: list[asyncio.Task[None]] = []
    resync = asyncio.create_task(resync_forever(kube, store, announce, settings.resync))
    watching = asyncio.create_task(_watch_fence(context))
    log.info("started", version=__version__, holder=settings.holder)
    try:
        await _fill(kube, store, announce)
        # Not earlier: what is not listed yet is not gone. Workers of their own for each kind: incidents that wait for
        # an AWS that hangs must not keep plans waiting.
        workers += [asyncio.create_task(work(context, q)) for q in queues.values() for _ in range(settings.workers)]
        # What is not listed yet would be told as being none.
        with collected(REGISTRY, StateCollector(context, queues)):
            async with sending_alerts(context), open_doors(context):
                await kopf.operator(
                    registry=build_registry(store, announce),
                    settings=build_settings(),
                    standalone=True,
                    clusterwide=True,
                    ready_flag=ready,
                )
    finally:
        for queue in queues.values():
            queue.close()
        for task in (resync, watching):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await _finish(workers)
        if traces is not None:
            await asyncio.to_thread(traces.stop)
        log.info("stopped")


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
