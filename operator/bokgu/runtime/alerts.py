"""The door for alerts: Alertmanager's webhook, `POST /alerts`.

Alertmanager sends again what was answered with 5xx, and gives up on 4xx, also on 429 ("webhook_config", Prometheus
Alertmanager documentation; notify/webhook/webhook.go). So the answers are 200 when every alert is stored, 503 when one
could not be stored now or its sender comes too often, and 422 when all that could be routed is stored and the rest
never can be. Who shows no token loses nothing: 401, and 429 once that comes too often.
"""

import asyncio
import hmac
import math
import ssl
import time
from pathlib import Path

import structlog
from aiohttp import web

from bokgu.api.fields import bounded
from bokgu.api.protected_service import ProtectedService
from bokgu.api.quotas import Quota
from bokgu.api.vocabulary import SourceKind
from bokgu.core.alertmanager import Alert, Unroutable, build_statement, parse_notification
from bokgu.core.event import MalformedMessage
from bokgu.core.sender_limits import SenderLimits
from bokgu.kube.client import KubeError
from bokgu.metrics.doors import EVENTS
from bokgu.reconcile.context import Context
from bokgu.reconcile.reporting import Reporter, Result
from bokgu.runtime.webhook_server import ServerLimits, WebhookServer

STRANGERS = Quota(rate=0.2, burst=10)
"""Requests a second of one address that show no token or a wrong one: enough for people who set it up."""
AT_ONCE = 16
"""Alerts of one request that are stored at the same time."""
DOOR = SourceKind.ALERTMANAGER

log = structlog.get_logger()

Outcome = Result | Unroutable | Exception


class AlertDoor:
    """Listens for Alertmanager. The token is read anew for each request, so that a renewed Secret counts at once.
    `rate` is how often one address may come. `tls` None: the connection is not encrypted."""

    def __init__(
        self,
        context: Context,
        reporter: Reporter,
        *,
        host: str,
        port: int,
        token_file: Path,
        limits: ServerLimits,
        rate: Quota,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._context, self._reporter, self._token_file = context, reporter, token_file
        self._server = WebhookServer([web.post("/alerts", self._receive)], limits, host=host, port=port, tls=tls)
        self._known, self._strangers = SenderLimits(rate), SenderLimits(STRANGERS)

    async def start(self) -> None:
        """Listen. Raises OSError where the port is taken."""
        await self._server.start()

    async def stop(self) -> None:
        """Close the port, after the requests under way."""
        await self._server.stop()

    async def _receive(self, request: web.Request) -> web.Response:
        refusal = self._refuse(request.headers.get("Authorization", ""), request.remote or "")
        if refusal is not None:
            EVENTS.labels(DOOR, "refused").inc()
            refusal.force_close()
            return refusal
        try:
            notification = parse_notification(await self._server.read(request))
        except web.HTTPClientError as error:
            EVENTS.labels(DOOR, "poison").inc()
            log.warning("notification not read: if it is too large, set max_alerts of the receiver", why=error.reason)
            raise
        except MalformedMessage as error:
            EVENTS.labels(DOOR, "poison").inc()
            log.warning("unreadable notification", error=str(error))
            return _say(400, str(error))
        slots = asyncio.Semaphore(AT_ONCE)
        outcomes = await asyncio.gather(*(self._take(alert, slots) for alert in notification.alerts))
        if notification.truncated_alerts:
            log.warning("Alertmanager left alerts out: see max_alerts", count=notification.truncated_alerts)
        return _answer(outcomes)

    def _refuse(self, authorization: str, sender: str) -> web.Response | None:
        """The answer to a request that does not show the token, or comes too often; None for all others. Strangers are
        counted apart, so that none of them at the same address keeps one out who has the token."""
        try:
            token = self._token_file.read_bytes().strip()
        except OSError as error:
            log.error("no webhook token", file=str(self._token_file), error=str(error))
            token = b""
        if not token:
            return _say(503, "the operator has no token to compare with: see BOKGU_WEBHOOK_TOKEN_FILE")
        scheme, _, shown = authorization.partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(shown.strip().encode(errors="replace"), token):
            return _too_often(503, self._known.take(sender, time.monotonic()))
        if refusal := _too_often(429, self._strangers.take(sender, time.monotonic())):
            return refusal
        log.warning("alerts with a wrong or missing token", sender=sender)
        return _say(401, "a bearer token is needed", {"WWW-Authenticate": "Bearer"})

    async def _take(self, alert: Alert, slots: asyncio.Semaphore) -> Outcome:
        statement = build_statement(alert, self._context.clock(), self._context.settings.own_patterns)
        if isinstance(statement, Unroutable):
            return self._give_up(statement)
        namespace, service = statement.finding.namespace, statement.finding.service
        if self._context.objects.get((ProtectedService.plural, namespace, service)) is None:
            return self._give_up(
                Unroutable(alert.name, bounded(f"there is no ProtectedService {service} in {namespace}"))
            )
        async with slots:
            try:
                result = await self._reporter.report(statement)
            except Exception as error:  # A defect in handling one alert is kept from stopping the others.
                EVENTS.labels(DOOR, "failed").inc()
                expected = isinstance(error, KubeError)
                log.warning("alert not taken in", alert=alert.name, error=repr(error), exc_info=not expected)
                return error
        EVENTS.labels(DOOR, result).inc()
        return result

    def _give_up(self, alert: Unroutable) -> Unroutable:
        EVENTS.labels(DOOR, "poison").inc()
        log.warning("alert that nobody can be found for", alert=alert.alert, reason=alert.reason)
        return alert


def _answer(outcomes: list[Outcome]) -> web.Response:
    failed = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    if failed:
        return _say(503, f"{len(failed)} of {len(outcomes)} alerts could not be stored: {failed[0]}")
    lost = [outcome for outcome in outcomes if isinstance(outcome, Unroutable)]
    if lost:
        text = "; ".join(dict.fromkeys(f"{one.alert}: {one.reason}" for one in lost))
        return _say(422, f"{len(lost)} of {len(outcomes)} alerts are about nobody: {text[:4000]}")
    return _say(200, "stored")


def _too_often(status: int, wait: float) -> web.Response | None:
    """The answer to who must wait so many seconds; None where nobody must."""
    return _say(status, "too many requests", {"Retry-After": str(math.ceil(wait))}) if wait else None


def _say(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, text=f"{text}\n", headers=headers)
