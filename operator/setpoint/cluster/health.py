"""`/healthz` and `/readyz` for the kubelet's probes.

Live is a process whose event loop answers and whose watches deliver; ready is one that has begun to watch.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web

Probe = Callable[[], str | None]
"""Returns what is wrong in one sentence, or None."""


class HealthServer:
    """Answers probes with 200 and `ok`, or 503 and a sentence."""

    def __init__(self, address: str, *, live: Probe, ready: Probe) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._probes = {"/healthz": live, "/readyz": ready}
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the address cannot be used.
        """
        app = web.Application()
        for path, probe in self._probes.items():
            app.router.add_get(path, _handler(probe))
        self._runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host.strip("[]") or None, self._port).start()

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()


def _handler(probe: Probe) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(_: web.Request) -> web.StreamResponse:
        problem = probe()
        status = 200 if problem is None else 503
        response = web.Response(text=f"{problem or 'ok'}\n", status=status)
        # A kept connection would hold up the end of the process.
        response.force_close()
        return response

    return handle
