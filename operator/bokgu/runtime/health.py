"""`/healthz`, `/readyz` and `/metrics`."""

from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from bokgu.metrics.registry import REGISTRY


class HealthServer:
    """A small HTTP server. `check_ready` returns None when ready, else what is missing; `describe` what is said when
    nothing is."""

    def __init__(
        self,
        host: str,
        port: int,
        check_ready: Callable[[], Awaitable[str | None]],
        describe: Callable[[], str] = lambda: "ok",
    ) -> None:
        self._host, self._port, self._check_ready, self._describe = host, port, check_ready, describe
        app = web.Application()
        app.add_routes(
            [web.get("/healthz", self._healthz), web.get("/readyz", self._readyz), web.get("/metrics", self._metrics)]
        )
        # Who asks whether it is ready while the API server hangs is not waited for at the end.
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

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
        if missing is not None:
            return web.Response(status=503, text=f"{missing}\n")
        return web.Response(text=f"{self._describe()}\n")

    async def _metrics(self, request: web.Request) -> web.Response:
        """In the format that is asked for: OpenMetrics has exemplars, the text format does not."""
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(REGISTRY), headers={"Content-Type": content_type})
