"""What the process serves over HTTP: `/healthz` and `/readyz` for the kubelet's probes, `/metrics` for Prometheus.

Live is a process whose event loop answers and whose watches deliver; ready is one that has begun to watch or stands by.
"""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from aiohttp import web

Probe = Callable[[], str | None]
"""Returns what is wrong in one sentence, or None."""

Exposition = Callable[[str], tuple[str, bytes]]
"""Takes an Accept header and returns content type and body."""

Page = Callable[[web.Request], web.Response]


class WebServer:
    """Serves a few pages on one address."""

    def __init__(self, address: str, pages: Mapping[str, Page]) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._pages = pages
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the address cannot be used.
        """
        app = web.Application()
        for path, page in self._pages.items():
            app.router.add_get(path, _handler(page))
        self._runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host.strip("[]") or None, self._port).start()

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()


def probe_page(probe: Probe) -> Page:
    """Return a page that answers 200 and `ok`, or 503 and a sentence."""

    def page(_: web.Request) -> web.Response:
        problem = probe()
        status = HTTPStatus.OK if problem is None else HTTPStatus.SERVICE_UNAVAILABLE
        return web.Response(text=f"{problem or 'ok'}\n", status=status)

    return page


def metrics_page(expose: Exposition) -> Page:
    """Return a page with metrics in the format that is asked for."""

    def page(request: web.Request) -> web.Response:
        content_type, body = expose(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    return page


def _handler(page: Page) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = page(request)
        # A kept connection would hold up the end of the process.
        response.force_close()
        return response

    return handle
