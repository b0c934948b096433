"""A remote that answers as no API should: in its own process, since it is busy. The first part of a path says how.

`python -m tests.security.hostile` prints its URL; `{url}/equal-names` is a base URL for a connection. A part may have an
argument, as in `windows=20x5000`, and ends with whose remote it is: `never~foe-1` and `never~foe-2` are two of them.
"""

import asyncio
import base64
import contextlib
import gzip
import json
import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any, TypeAlias
from urllib.parse import quote

from tests.simulators.handle import Simulator

LARGEST = 16 * 1024 * 1024
"""Bytes of an answer that the operator took before it had budgets."""
LETTERS = 199
"""Of a name that is searched for: from 200 on Python's `difflib` leaves out what comes often."""


class Hostile(Simulator):
    """The test's end of it."""

    MODULE = "tests.security.hostile"

    def at(self, how: str) -> str:
        """Return the base URL of one way to answer."""
        return f"{self.url}/{how}"

    def sent(self, how: str) -> list[str]:
        """Return the credentials of all requests that came there, empty texts for none."""
        sent: list[str] = self.command("sent", how=how)
        return sent


@dataclass(frozen=True)
class Visit:
    """One request: to whose remote, which answers how, and what of it may be reflected."""

    remote: str
    argument: str
    path: str
    method: str
    authorization: str
    body: Any


Act: TypeAlias = Callable[[Visit, asyncio.StreamWriter], Awaitable[None]]
ACTS: dict[str, Act] = {}


def act(name: str) -> Callable[[Act], Act]:
    """Register a way to answer."""

    def register(answer: Act) -> Act:
        ACTS[name] = answer
        return answer

    return register


def head(length: int | None, status: int = 200) -> bytes:
    """Return status line and headers; without a length the body comes in chunks."""
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return f"HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\n{framing}\r\n\r\n".encode()


async def say(writer: asyncio.StreamWriter, body: bytes, status: int = 200) -> None:
    """Send an answer."""
    writer.write(head(len(body), status))
    writer.write(body)
    await writer.drain()


async def say_json(writer: asyncio.StreamWriter, body: Any, status: int = 200) -> None:
    """Send an answer."""
    await say(writer, json.dumps(body).encode(), status)


def listed(visit: Visit) -> str:
    """Return the name of the list that a request is for."""
    if "/governance/" in visit.path:
        return "model_configs"
    return visit.path.rpartition("/")[2].partition("?")[0].replace("-", "_")


@cache
def repeated(name: str, item: str, size: int) -> bytes:
    """Return a list that repeats one item until it is so large."""
    opening, closing = f'{{"{name}":['.encode(), b"]}"
    count = (size - len(opening) - len(closing)) // (len(item) + 1)
    return opening + ",".join([item] * count).encode() + closing


@act("empty")
async def empty(visit: Visit, writer: asyncio.StreamWriter) -> None:
    """There is nothing, which is all right."""
    await say_json(writer, {listed(visit): []})


@act("never")
async def never(_: Visit, __: asyncio.StreamWriter) -> None:
    """Take the request and say nothing."""
    await asyncio.Event().wait()


@act("equal-names")
async def equal_names(visit: Visit, writer: asyncio.StreamWriter) -> None:
    """A list of 760,000 things that are all called the same."""
    await say(writer, repeated(listed(visit), '{"id":"a","name":"a"}', LARGEST))


@act("rows")
async def rows(visit: Visit, writer: asyncio.StreamWriter) -> None:
    """Of a gateway: 600,000 rows."""
    await say(writer, repeated(listed(visit), '{"id":"a","model_name":"a"}', LARGEST))


@act("objects")
async def objects(visit: Visit, writer: asyncio.StreamWriter) -> None:
    """The most objects there is room for, which take forty times their bytes once they are parsed."""
    await say(writer, repeated(listed(visit), "{}", LARGEST))


@act("packed")
async def packed(visit: Visit, writer: asyncio.StreamWriter) -> None:
    """The same, packed though nobody asked for that: it arrives in a thousandth of the bytes."""
    body = gzip.compress(repeated(listed(visit), "{}", LARGEST))
    framing = f"Content-Encoding: gzip\r\nContent-Length: {len(body)}"
    writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{framing}\r\n\r\n".encode() + body)
    await writer.drain()


@act("deep")
async def deep(visit: Visit, writer: asyncio.StreamWriter) -> None:
    """A list in a list in a list, millions of times."""
    half = LARGEST // 2 - 64
    await say(writer, f'{{"{listed(visit)}":'.encode() + b"[" * half + b"]" * half + b"}")


def alike(seed: int, length: int) -> str:
    """Return a name of two letters that is much like any other one of them."""
    return "".join(Random(seed).choices("ab", k=length))


@cache
def crafted() -> bytes:
    """Return 2000 names, each as long as one may be and still be held to be close to one of `LETTERS`."""
    names = [alike(seed, 2 * LETTERS) for seed in range(1, 2001)]
    return json.dumps({"models": [{"id": f"m{number}", "name": name} for number, name in enumerate(names)]}).encode()


@act("crafted-names")
async def crafted_names(_: Visit, writer: asyncio.StreamWriter) -> None:
    """Names among which it takes longest to find one that may be meant."""
    await say(writer, crafted())


@act("chunks")
async def chunks(_: Visit, writer: asyncio.StreamWriter) -> None:
    """A body in chunks of one byte, without an end."""
    writer.write(head(None))
    block = b"1\r\n[\r\n" * 4096
    while True:
        writer.write(block)
        await writer.drain()


@act("interim")
async def interim(_: Visit, writer: asyncio.StreamWriter) -> None:
    """`100 Continue`, again and again."""
    block = b"HTTP/1.1 100 Continue\r\n\r\n" * 1024
    while True:
        writer.write(block)
        await writer.drain()


@act("headers")
async def headers(_: Visit, writer: asyncio.StreamWriter) -> None:
    """Headers without an end."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    block = b"".join(b"X-%d: %s\r\n" % (number, b"x" * 64) for number in range(256))
    while True:
        writer.write(block)
        await writer.drain()


@act("stalls")
async def stalls(visit: Visit, writer: asyncio.StreamWriter) -> None:
    """All of an answer that there is room for, but for its end. The list of models is short, so that the connection works."""
    if visit.path == "/v1/models":
        await empty(visit, writer)
        return
    writer.write(head(LARGEST - 64))
    writer.write(b"[" * (LARGEST - 128))
    await writer.drain()
    await asyncio.Event().wait()


def row(number: int, windows: int) -> dict[str, Any]:
    """Return a row with so many budgets."""
    budgets = [{"id": f"b{one}", "max_limit": 1, "reset_duration": f"{one + 1}h"} for one in range(windows)]
    return {"id": f"r{number}", "model_name": f"r{number}", "provider": "openai", "scope": "global", "budgets": budgets}


@cache
def many_windows(rows_and_windows: str) -> bytes:
    """Return rows with windows, `20x5000`."""
    count, _, windows = rows_and_windows.partition("x")
    return json.dumps({"model_configs": [row(number, int(windows)) for number in range(int(count))]}).encode()


@act("windows")
async def windows(visit: Visit, writer: asyncio.StreamWriter) -> None:
    """Rows with many windows, `windows=ROWSxWINDOWS`."""
    if visit.method == "GET" and listed(visit) == "model_configs":
        await say(writer, many_windows(visit.argument))
    else:
        await say_json(writer, "v2.2.4")


@act("false-gateway")
async def false_gateway(visit: Visit, writer: asyncio.StreamWriter) -> None:
    """A gateway that gives out its only row under the id of a row of another gateway, and claims limits for it.

    `false-gateway=ROW,` has none before it is asked to make it; `false-gateway=ROW,LIMIT` had it all along, with a budget.
    """
    mc_id, limit = visit.argument.split(",")
    made = FORGED.setdefault(visit.remote, {})
    if limit and not made:
        budget = {"id": "b", "max_limit": float(limit), "reset_duration": "1M", "current_usage": 0}
        made |= {"id": mc_id, "model_name": "gpt-4o", "provider": "openai", "scope": "global", "budgets": [budget]}
    if visit.method in {"POST", "PUT"}:
        budgets = [{"id": f"b{number}", **one} for number, one in enumerate(visit.body.get("budgets", []))]
        made |= {"scope": "global", **visit.body, "id": mc_id, "budgets": budgets}
        await say_json(writer, {"message": "ok", "model_config": made})
    elif visit.method == "DELETE":
        made.clear()
        await say_json(writer, {"message": "ok"})
    elif listed(visit) == "model_configs":
        await say_json(writer, {"model_configs": [made] if made else []})
    else:
        await say_json(writer, "v2.2.4")


FORGED: dict[str, dict[str, Any]] = {}
"""What false remotes were asked to make."""


@act("false-baseten")
async def false_baseten(visit: Visit, writer: asyncio.StreamWriter) -> None:
    """A Baseten that claims settings for a deployment of the real one: `false-baseten=DEPLOYMENT,REPLICAS`."""
    name, count = visit.argument.split(",")
    settings = FORGED.setdefault(visit.remote, {"max_replica": int(count)})
    if visit.method == "PATCH":
        settings |= visit.body
        await say_json(writer, {"status": "ACCEPTED", "message": "ok"})
    else:
        there = {"id": name, "name": name, "status": "ACTIVE", "autoscaling_settings": settings}
        await say_json(writer, {listed(visit): [there] if listed(visit) == "deployments" else []})


def spellings(secret: str) -> dict[str, str]:
    """Return a secret in JSON, spelt in ways that are not its own; what is read is the secret again, or what gives it away."""
    plain = json.dumps(secret)[1:-1]
    return {
        "plain": plain,
        "escaped": "".join(f"\\u{ord(letter):04x}" for letter in secret),
        "slashes": plain.replace("/", "\\/"),
        "percent": quote(secret, safe=""),
        "every": "".join(f"%{ord(letter):02X}" for letter in secret),
        "base64": base64.b64encode(secret.encode()).decode(),
        "pair": base64.b64encode(f"admin:{secret}".encode()).decode(),
        "bearer": f"Bearer {plain}",
    }


def reflected(authorization: str, spelling: str) -> str:
    """Return what gives a credential away: a key, or both parts of a login and the two together."""
    scheme, _, sent = authorization.partition(" ")
    if scheme != "Basic":
        return spellings(sent)[spelling]
    login = base64.b64decode(sent).decode()
    user, _, password = login.partition(":")
    return " ".join(spellings(one)[spelling] for one in (user, password, login))


@act("reflects")
async def reflects(visit: Visit, writer: asyncio.StreamWriter) -> None:
    """Refuse every write with the credential in the message, and call everything by it.

    It is spelt as what is written to is called: `m/deployments/escaped`, or a row of the model `escaped`.
    """
    ways = {name: reflected(visit.authorization, name) for name in spellings("")}
    if visit.method == "GET" and visit.path.endswith("/version"):
        await say(writer, f'"v2 {ways["escaped"]}"'.encode())
    elif visit.method == "GET" and "/governance/" in visit.path:
        await say_json(writer, {"model_configs": []})
    elif visit.method == "GET":
        named = ",".join(
            f'{{"id":"{name}","name":"{text}","status":"ACTIVE","autoscaling_settings":{{"max_replica":1}}}}'
            for name, text in ways.items()
        )
        await say(writer, f'{{"{listed(visit)}":[{named}]}}'.encode())
    else:
        called = visit.path + str(visit.body.get("model_name", ""))
        text = ways[next((name for name in ways if name in called), "plain")]
        await say(writer, f'{{"message":"no, not with {text}","{text}":["no"]}}'.encode(), status=400)


async def serve(sent: dict[str, list[str]], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer what comes on one connection."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        async for method, target, lines, content in requests(reader):
            if target.startswith("/_control/"):
                await say_json(writer, sent[json.loads(content)["how"]])
                continue
            base, _, path = target.removeprefix("/").partition("/")
            authorization = lines.get("authorization", "")
            sent[base].append(authorization)
            name, _, argument = base.partition("~")[0].partition("=")
            body = json.loads(content) if content else None
            await ACTS[name](Visit(base, argument, f"/{path}", method, authorization, body), writer)
    writer.close()


async def requests(reader: asyncio.StreamReader) -> Any:
    """Yield method, target, headers and content of each request."""
    while True:
        text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip()
        first, *lines = text.split("\r\n")
        method, target, _ = first.split(" ")
        named = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        yield method, target, named, await reader.readexactly(int(named.get("content-length", "0")))


@dataclass
class _Connections:
    """What is open, so that the process ends at once."""

    sent: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Credentials by the way to answer."""
    open: set[asyncio.Task[None]] = field(default_factory=set)

    def came(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one."""
        task = asyncio.get_running_loop().create_task(serve(self.sent, reader, writer))
        self.open.add(task)
        task.add_done_callback(self.open.discard)

    def __iter__(self) -> Iterator[asyncio.Task[None]]:
        return iter(tuple(self.open))


async def main() -> None:
    """Serve until the parent closes this process's input."""
    connections = _Connections()
    server = await asyncio.start_server(connections.came, "127.0.0.1", 0, limit=4 * LARGEST)
    print(json.dumps({"url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"}), flush=True)  # noqa: T201
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for task in connections:
        task.cancel()
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
