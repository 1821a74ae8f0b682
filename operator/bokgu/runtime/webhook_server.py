"""The HTTP server of a door that anybody may knock at: how large, how slow and how many its guests may be.

Headers, a body, the pause until the next request and the TLS handshake may each take as long as `patience`, and no
longer, however the bytes trickle. A body is never unpacked, so that its size is what was sent.
"""

import asyncio
import logging
import ssl
from dataclasses import dataclass

from aiohttp import web
from aiohttp.http import HttpProcessingError


@dataclass(frozen=True)
class ServerLimits:
    """`max_body` in bytes, `patience` in seconds, `max_connections` at one time: whoever comes then is turned away."""

    max_body: int
    patience: float
    max_connections: int


def _is_of_ours(record: logging.LogRecord) -> bool:
    """Whether a line is about a defect of ours: what is no HTTP is the sender's, who could fill the log with it."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


_LOG = logging.getLogger(__name__)
_LOG.addFilter(_is_of_ours)


class WebhookServer:
    """Serves an application on one port, within limits. `tls` None: the connection is not encrypted."""

    def __init__(
        self, routes: list[web.RouteDef], limits: ServerLimits, *, host: str, port: int, tls: ssl.SSLContext | None
    ) -> None:
        app = web.Application(client_max_size=limits.max_body)
        app.add_routes(routes)
        self._limits, self._host, self._port, self._tls = limits, host, port, tls
        self._runner = web.AppRunner(
            app,
            access_log=None,
            logger=_LOG,
            shutdown_timeout=8.0,
            keepalive_timeout=limits.patience,
            auto_decompress=False,
        )
        self._listening: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. Raises OSError where the port is taken."""
        await self._runner.setup()
        patience = self._limits.patience if self._tls else None
        self._listening = await asyncio.get_running_loop().create_server(
            self._greet, self._host, self._port, ssl=self._tls, ssl_handshake_timeout=patience
        )

    async def stop(self) -> None:
        """Close the port, after the requests under way."""
        if self._listening is not None:
            self._listening.close()
        await self._runner.cleanup()

    async def read(self, request: web.Request) -> bytes:
        """The body. Raises HTTPUnsupportedMediaType where it is packed, HTTPRequestEntityTooLarge, before more than
        that is read, HTTPRequestTimeout, and HTTPBadRequest where it ends too early or is none."""
        if request.headers.get("Content-Encoding", "identity") != "identity":
            raise web.HTTPUnsupportedMediaType(text="send the body as it is: it is not unpacked here\n")
        if (request.content_length or 0) > self._limits.max_body:
            raise web.HTTPRequestEntityTooLarge(self._limits.max_body, request.content_length or 0)
        try:
            async with asyncio.timeout(self._limits.patience):
                return await request.read()
        except TimeoutError:
            raise web.HTTPRequestTimeout(text="the body takes too long\n") from None
        except (ConnectionError, web.RequestPayloadError):
            raise web.HTTPBadRequest(text="the body is not what its headers say\n") from None

    def _greet(self) -> asyncio.Protocol:
        """Who speaks with a new connection."""
        server = self._runner.server
        if server is None or len(server.connections) >= self._limits.max_connections:
            return _Full()
        return server()


class _Full(asyncio.Protocol):
    """Turns a connection away."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it."""
        if isinstance(transport, asyncio.Transport):
            transport.abort()
