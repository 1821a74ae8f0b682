"""The doors by which incidents come in besides polling: opened once the store is full, closed first."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog

from bokgu.reconcile.context import Context
from bokgu.reconcile.reporting import Reporter
from bokgu.runtime.alerts import AlertDoor
from bokgu.runtime.certificate import Certificate
from bokgu.runtime.event_queue import EventDoor
from bokgu.runtime.webhook_server import ServerLimits

log = structlog.get_logger()


@contextlib.asynccontextmanager
async def open_doors(context: Context) -> AsyncIterator[None]:
    """Let events and alerts in, as far as settings say where they come from, until the block ends.

    The store must be complete: what concerns nobody is thrown away. Raises OSError where the webhook's port is taken,
    or its certificate cannot be used.
    """
    settings, reporter = context.settings, Reporter(context)
    certificate = None
    if settings.webhook_certificate_file is not None and settings.webhook_key_file is not None:
        certificate = Certificate(settings.webhook_certificate_file, settings.webhook_key_file)
    tasks = [asyncio.create_task(EventDoor(context, reporter, queue).run()) for queue in settings.event_queues]
    if certificate is not None:
        tasks.append(asyncio.create_task(certificate.follow()))
    alerts = None
    if settings.webhook_token_file is not None:
        alerts = AlertDoor(
            context,
            reporter,
            host=settings.listen_host,
            port=settings.webhook_port,
            token_file=settings.webhook_token_file,
            limits=ServerLimits(
                max_body=settings.webhook_max_body,
                patience=settings.webhook_patience.total_seconds(),
                max_connections=settings.webhook_connections,
            ),
            rate=settings.webhook_rate,
            tls=certificate.context if certificate else None,
        )
    try:
        if alerts is not None:
            await alerts.start()
        log.info(
            "doors open",
            queues=[queue.url for queue in settings.event_queues],
            webhook=alerts is not None,
            tls=certificate is not None,
        )
        yield
    finally:
        for task in tasks:
            task.cancel()
        if alerts is not None:
            await alerts.stop()
        await asyncio.gather(*tasks, return_exceptions=True)
