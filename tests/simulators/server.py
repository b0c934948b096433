"""Serves a simulator on loopback until it is told to stop or the process that started it is gone."""

import asyncio
import json
import logging
import os
import socket
import stat
import sys
from collections.abc import MutableMapping
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

KEEP_ALIVE = 75
"""Seconds; a shorter time would close connections just as a client uses them again."""


class _Protocol(HttpToolsProtocol):
    """Lets the application close the connection under a request, which ASGI has no word for."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"]["transport"] = self.transport


class _Server(uvicorn.Server):
    """Tells where it listens, and stops without waiting for requests that hang on purpose."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        assert sockets is not None
        host, port = sockets[0].getsockname()
        ready = {"url": f"http://{host}:{port}", "pid": os.getpid()}
        print(json.dumps(ready), flush=True)  # noqa: T201  # how the process that started us learns the port
        self._watch_parent()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # What is under way now ends in errors that are of no interest.
        logging.getLogger("uvicorn.error").disabled = True
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            transport_of(connection).abort()

    def _watch_parent(self) -> None:
        """Stop at the end of our input: the kernel closes the pipe of a process however it ends, SIGKILL included."""
        if not stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode):
            return
        loop = asyncio.get_running_loop()

        def read() -> None:
            if not os.read(sys.stdin.fileno(), 1024):
                loop.remove_reader(sys.stdin.fileno())
                self.should_exit = True

        loop.add_reader(sys.stdin.fileno(), read)


def transport_of(connection: Any) -> asyncio.Transport:
    """Return the transport of one of uvicorn's connections."""
    transport = connection.transport
    assert isinstance(transport, asyncio.Transport)
    return transport


def transport_under(scope: MutableMapping[str, Any]) -> asyncio.Transport:
    """Return the transport under a request."""
    transport = scope["state"]["transport"]
    assert isinstance(transport, asyncio.Transport)
    return transport


def serve(app: ASGIApp, port: int) -> None:
    """Serve until SIGTERM, or until the process that started us is gone where our input is a pipe from it."""
    config = uvicorn.Config(
        app,
        http=_Protocol,
        loop="asyncio",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
    )
    # The protocol is named because asyncio switches Nagle's algorithm off only where it is; else answers, which are
    # written in two pieces, would wait 40 ms for the client's acknowledgement.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        _Server(config).run([listener])
