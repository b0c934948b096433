"""Both remote APIs in memory: the simulators' own rules behind transports that lose, delay and refuse."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

import httpx

from tests.simulators.api import Table, answer
from tests.simulators.baseten import routes as baseten_routes
from tests.simulators.baseten import specs as baseten
from tests.simulators.baseten.world import World as Models
from tests.simulators.bifrost import routes as bifrost_routes
from tests.simulators.bifrost.auth import BifrostApi
from tests.simulators.bifrost.control import BifrostCommands
from tests.simulators.bifrost.specs import BudgetSpec, Generation, RateLimitSpec, RowSpec
from tests.simulators.bifrost.specs import Options as GatewayOptions
from tests.simulators.bifrost.world import World as Rows

Thing = tuple[str, ...]
Values = dict[str, Any]

PROVIDER = "openai"
THERE = "there"
"""Beside the settings of a row: whether there is one."""
MODELS, CHAINS, ROWS = ("m0", "m1"), ("c0",), ("g0", "g1", "g2")
CHAINLETS = ("A", "B", "C")

Fault = Literal[
    "lost", "reset", "timeout", "400", "403", "404", "429", "500", "502", "503", "html", "truncated", "odd", "nested"
]
FAULTS: tuple[Fault, ...] = (
    "lost", "lost", "reset", "timeout", "400", "403", "404", "429", "500", "502", "503", "html", "truncated", "odd", "nested",
)  # fmt: skip
TIMEOUT = 30.0


@dataclass(slots=True)
class Remotes:
    """What both remotes have, and how to change it behind the operator's back."""

    models: Models
    rows: Rows
    gateway: BifrostCommands
    key: str = "key-0"
    """The credential that is valid now."""

    @classmethod
    def fresh(cls, generation: Generation) -> "Remotes":
        """Return remotes with a few models, a chain and some rows."""
        models = Models(baseten.Options(converge=0.3, strict_development=False))
        models.seed(
            baseten.WorldSpec(
                models=[
                    baseten.ModelSpec(
                        id=model,
                        name=f"name of {model}",
                        deployments=[
                            baseten.DeploymentSpec(id=f"{model}-p"),
                            baseten.DeploymentSpec(id=f"{model}-f"),
                            baseten.DeploymentSpec(id=f"{model}-d", development=True),
                        ],
                        environments=[baseten.EnvironmentSpec(name="production", current=f"{model}-p")],
                    )
                    for model in MODELS
                ],
                chains=[
                    baseten.ChainSpec(
                        id=chain,
                        name=f"name of {chain}",
                        environments=[
                            baseten.ChainEnvironmentSpec(
                                name="production", chainlets=[baseten.ChainletSpec(name=name) for name in CHAINLETS]
                            )
                        ],
                    )
                    for chain in CHAINS
                ],
            )
        )
        rows = Rows(GatewayOptions(generation=generation))
        gateway = BifrostCommands(BifrostApi(mode="open", keys=[], rate=10**9), rows)
        gateway.seed([RowSpec(model_name=ROWS[0], provider=PROVIDER, budgets=[BudgetSpec(max_limit=5)])])
        return cls(models, rows, gateway)

    def values(self, thing: Thing, *, coming: bool) -> Values:
        """Return the settings of a thing: as a read shows them, or as they will be when all writes are in force."""
        if thing[0] == "row":
            return self._row(thing[1])
        settings = self._settings(thing)
        return dict(settings.target if coming else settings.shown or {})

    def all(self) -> dict[Thing, Values]:
        """Return the settings of everything, as they will be."""
        return {thing: self.values(thing, coming=True) for thing in THINGS}

    def change(self, thing: Thing, values: Values) -> None:
        """Change something behind the operator's back."""
        if thing[0] != "row":
            self._settings(thing).set(values)
            return
        found = self.gateway.find(thing[1], PROVIDER)
        if found:
            budgets = [BudgetSpec(max_limit=limit, reset_duration=length) for length, limit in values["budgets"]]
            self.gateway.update_row(found[0]["id"], {"budgets": budgets})

    def has_row(self, id_: str | None) -> bool:
        """Tell whether the gateway has this very row."""
        return any(row["id"] == id_ for row in self.gateway.rows())

    def drop(self, thing: Thing) -> None:
        """Delete a row."""
        for row in self.gateway.find(thing[1], PROVIDER):
            self.gateway.delete_row(row["id"])

    def _settings(self, thing: Thing) -> Any:
        match thing:
            case ("deployment", model, id_):
                return self.models.model(model).deployments[id_].settings
            case ("environment", model, name):
                return self.models.environment(model, name).settings
            case ("chainlet", chain, environment, name):
                return self.models.chainlet(chain, environment, name).settings
            case other:
                raise AssertionError(other)

    def _row(self, name: str) -> Values:
        found = self.gateway.find(name, PROVIDER)
        assert len(found) <= 1, "there is never a second row"
        if not found:
            return {"budgets": (), "rate_limit": (), THERE: False}
        spec = self.gateway.state(found[0]["id"])
        rate = spec.rate_limit or RateLimitSpec()
        tokens = (rate.token_max_limit, rate.token_reset_duration) if rate.token_max_limit else ()
        return {
            "budgets": tuple(sorted((one.reset_duration, one.max_limit) for one in spec.budgets)),
            "rate_limit": tokens,
            THERE: True,
        }


THINGS: tuple[Thing, ...] = (
    *(("deployment", model, f"{model}-{which}") for model in MODELS for which in "fd"),
    *(("environment", model, "production") for model in MODELS),
    *(("chainlet", chain, "production", name) for chain in CHAINS for name in CHAINLETS),
    *(("row", name) for name in ROWS),
)


class Wire(httpx.AsyncBaseTransport):
    """The way from one operator process to one remote."""

    def __init__(
        self,
        remotes: Remotes,
        table: Table,
        random: Random,
        *,
        step: Callable[[str], None],
        fault: Callable[[str, str], Fault | None],
        applied: Callable[[dict[Thing, Values]], None],
    ) -> None:
        self._remotes = remotes
        self._table = table
        self._random = random
        self._step = step
        self._fault = fault
        self._applied = applied

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer, or not."""
        method, path = request.method, request.url.path
        body = await request.aread()
        writes = method != "GET"
        await asyncio.sleep(self._random.uniform(0.001, 0.2))
        if writes:
            self._step("before a remote write")
        if request.headers.get("authorization") != f"Bearer {self._remotes.key}":
            return _response(401, {"message": "bad key"})
        fault = self._fault(method, path)
        if fault not in {None, "lost", "truncated"}:
            return await self._instead(fault, request)
        before = self._remotes.all() if writes else {}
        reply = answer(self._table, method, request.url.raw_path.decode(), body)
        if writes:
            self._applied(before)
            self._step("after a remote write")
        await asyncio.sleep(self._random.uniform(0.001, 0.2))
        if fault == "lost":
            raise httpx.ReadError("the answer was lost", request=request)
        if fault == "truncated":
            encoded = reply.encoded()
            return httpx.Response(200, stream=httpx.ByteStream(encoded[: len(encoded) // 2]))
        return httpx.Response(reply.status, headers=dict(reply.headers), stream=httpx.ByteStream(reply.encoded()))

    async def _instead(self, fault: Fault | None, request: httpx.Request) -> httpx.Response:
        match fault:
            case "reset":
                raise httpx.ConnectError("connection refused", request=request)
            case "timeout":
                await asyncio.sleep(TIMEOUT)
                raise httpx.ReadTimeout("no answer", request=request)
            case "429":
                return _response(429, {"error": "slow down", "retry_after": self._random.choice([1, 20, 60])})
            case "html":
                return httpx.Response(200, stream=httpx.ByteStream(b"<html>hello</html>"))
            case "odd":
                return _response(200, {"deployments": 3, "environments": "x", "model_configs": [1], "status": []})
            case "nested":
                return httpx.Response(200, stream=httpx.ByteStream(b"[" * 5000 + b"]" * 5000))
            case _:
                return _response(int(fault or 500), {"message": f"answered {fault}"})


def baseten_table(remotes: Remotes) -> Table:
    """Return the paths of Baseten."""
    return baseten_routes.table(remotes.models)


def gateway_table(remotes: Remotes) -> Table:
    """Return the paths of the gateway."""
    return bifrost_routes.table(remotes.rows)


def _response(status: int, body: Any) -> httpx.Response:
    return httpx.Response(status, stream=httpx.ByteStream(json.dumps(body).encode()))
