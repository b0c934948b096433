"""A TCP proxy in front of a server, to cut one operator off while everybody else can reach it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit

Mode = Literal["pass", "hang", "refuse"]
PIECE = 64 * 1024


class Proxy:
    """Passes connections on, lets them hang, or breaks them; bound to loopback."""

    def __init__(self, server: str) -> None:
        parts = urlsplit(server)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 443)
        self._mode: Mode = "pass"
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._address: tuple[str, int] = self._listen(0)
        self.url = f"{parts.scheme}://127.0.0.1:{self._address[1]}"

    def set(self, mode: Mode) -> None:
        """Change what becomes of bytes from now on: of open connections and of new ones."""
        self._mode = mode
        if mode == "refuse":
            self._close_all()

    @contextmanager
    def gone(self, *, silent: bool) -> Iterator[None]:
        """Let nobody connect for a while: refuse at once, or, where silent, never answer, as a firewall does."""
        self._deafen()
        self._close_all()
        with ExitStack() as stack:
            if silent:
                # The kernel drops what comes to a listener whose queue is full; one place is the least there is.
                stack.enter_context(socket.create_server(self._address, backlog=0))
                for _ in range(2):
                    waiting = stack.enter_context(socket.socket())
                    waiting.settimeout(0)
                    waiting.connect_ex(self._address)
            yield
        self._listen(self._address[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deafen()
        self._close_all()

    def _listen(self, port: int) -> tuple[str, int]:
        listener = self._listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        address: tuple[str, int] = listener.getsockname()
        return address

    def _deafen(self) -> None:
        # Closed only, it would go on listening for as long as a thread waits for a connection.
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _close_all(self) -> None:
        for end in list(self._open):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                inner, _ = listener.accept()
            except OSError:
                return
            if self._mode == "refuse":
                inner.close()
                continue
            outer = socket.create_connection(self._target)
            self._open |= {inner, outer}
            if listener is not self._listener:
                # It was taken a moment before nobody was to connect any more.
                self._close_all()
                return
            for source, sink in ((inner, outer), (outer, inner)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(PIECE):
                # A hung connection takes bytes and gives none, as one behind a dead router does.
                if self._mode == "pass":
                    sink.sendall(piece)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
