"""`/healthz`, `/readyz` and `/metrics`."""

from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest

from bokgu.metrics import REGISTRY


class HealthServer:
    """A small HTTP server. `check_ready` returns None when ready, else what is missing."""

    def __init__(self, host: str, port: int, check_ready: Callable[[], Awaitable[str | None]]) -> None:
        self._host, self._port, self._check_ready = host, port, check_ready
        app = web.Application()
        app.add_routes(
            [web.get("/healthz", self._healthz), web.get("/readyz", self._readyz), web.get("/metrics", self._metrics)]
        )
        self._runner = web.AppRunner(app, access_log=None)

    async def start(self) -> None:
        """Listen. Raises OSError where the port is taken."""
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()

    async def stop(self) -> None:
        """Close the port."""
        await self._runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        missing = await self._check_ready()
        return web.Response(text="ok\n") if missing is None else web.Response(status=503, text=f"{missing}\n")

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=_exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _exposition() -> bytes:
    text: bytes = generate_latest(REGISTRY)  # type: ignore[no-untyped-call]  # prometheus-client leaves it untyped
    return text
