"""An HTTP proxy that sees requests whole, and may do something right before or right after one takes effect."""

import json
import re
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self

import httpx

When = Literal["before", "after"]
_OWN = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive", "host"})


@dataclass(frozen=True, slots=True)
class Seen:
    """A request."""

    method: str
    path: str
    body: bytes


@dataclass(slots=True)
class Rule:
    """What is done to the next requests of a kind."""

    name: str
    method: str
    path: re.Pattern[str]
    when: When
    act: Callable[[Seen], None] | None = None
    """Done before the request is passed on, or after it was answered; the operator gets no answer then."""
    answer: tuple[int, bytes] | None = None
    """Sent in the server's place."""
    count: int = 1
    skip: int = 0
    """Requests that are spared first."""


def refusal(status: int, message: str) -> tuple[int, bytes]:
    """Return the API server's answer of a status."""
    return status, json.dumps(_problem(status, message)).encode()


def watch_error(code: int, message: str) -> tuple[int, bytes]:
    """Return the API server's answer to a watch that ends with an error."""
    return 200, json.dumps({"type": "ERROR", "object": _problem(code, message)}).encode() + b"\n"


def _problem(code: int, message: str) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message}


@dataclass
class HttpProxy:
    """Passes requests on to a server; bound to loopback."""

    upstream: str
    ca: str | None = None
    tls: ssl.SSLContext | None = None
    """What it serves with, where it serves over https."""
    inspect: Callable[[Seen], None] = lambda seen: None
    rules: list[Rule] = field(default_factory=list)
    fired: list[str] = field(default_factory=list)
    watches: bool = True
    """Whether watches are let through; those that are open are cut when they are not any more."""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._client = httpx.Client(
            base_url=self.upstream,
            verify=ssl.create_default_context(cafile=self.ca),
            trust_env=False,
            timeout=httpx.Timeout(30, read=None),
        )
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        # Waited for at the end: a thread that outlived its sockets would read and write what has their numbers then.
        self._server.daemon_threads = False
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http{'s' if self.tls else ''}://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def take(self, seen: Seen, when: When) -> Rule | None:
        """Return the rule that strikes a request, and count it."""
        with self._lock:
            for rule in self.rules:
                if rule.when == when and rule.count and rule.method == seen.method and rule.path.search(seen.path):
                    if rule.skip:
                        rule.skip -= 1
                        continue
                    rule.count -= 1
                    self.fired.append(rule.name)
                    return rule
        return None

    def send(self, seen: Seen, headers: dict[str, str]) -> httpx.Response:
        """Pass a request on; the answer is still to be read."""
        request = self._client.build_request(seen.method, seen.path, headers=headers, content=seen.body)
        return self._client.send(request, stream=True)

    def close(self) -> None:
        """Stop, when all who were served are gone."""
        self.watches = False
        self._server.shutdown()
        self._server.server_close()
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Handler(BaseHTTPRequestHandler):
    owner: HttpProxy
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        with suppress(OSError, httpx.HTTPError):
            super().handle()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Say nothing."""

    def serve(self) -> None:
        """Deal with one request."""
        length = int(self.headers.get("content-length") or 0)
        seen = Seen(self.command, self.path, self.rfile.read(length))
        watch = "watch=true" in seen.path or "watch=True" in seen.path
        if watch and not self.owner.watches:
            self.close_connection = True
            return
        rule = self.owner.take(seen, "before")
        if rule is not None:
            self._strike(rule, seen)
            return
        self.owner.inspect(seen)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _OWN}
        response = self.owner.send(seen, headers)
        try:
            if watch:
                self._stream(response)
                return
            body = b"".join(response.iter_raw())
        finally:
            response.close()
        rule = self.owner.take(seen, "after")
        if rule is not None:
            self._strike(rule, seen)
            return
        self._head(response.status_code, response.headers, len(body))
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve  # noqa: N815 - the library's names

    def _strike(self, rule: Rule, seen: Seen) -> None:
        if rule.act is not None:
            rule.act(seen)
        if rule.answer is None:
            self.close_connection = True
            return
        status, body = rule.answer
        self._head(status, httpx.Headers({"content-type": "application/json"}), len(body))
        self.wfile.write(body)

    def _head(self, status: int, headers: httpx.Headers, length: int | None) -> None:
        self.send_response_only(status)
        for name, value in headers.multi_items():
            if name.lower() not in _OWN:
                self.send_header(name, value)
        if length is None:
            self.send_header("transfer-encoding", "chunked")
        else:
            self.send_header("content-length", str(length))
        self.end_headers()

    def _stream(self, response: httpx.Response) -> None:
        self._head(response.status_code, response.headers, None)
        cut = threading.Event()

        def guard() -> None:
            while not cut.wait(0.05):
                if not self.owner.watches:
                    # Not closed here: the other thread still has the descriptors, which may be others' by then.
                    for end in (response.extensions["network_stream"].get_extra_info("socket"), self.connection):
                        with suppress(OSError):
                            end.shutdown(socket.SHUT_RDWR)
                    return

        threading.Thread(target=guard, daemon=True).start()
        try:
            for piece in response.iter_raw():
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                self.wfile.flush()
        finally:
            cut.set()
            self.close_connection = True
