"""Both remote APIs in memory, two of each: the simulators' own rules behind transports that lose, delay and refuse."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal, NamedTuple, Protocol

import httpx

from tests.simulators.api import Reply, Table, answer
from tests.simulators.baseten import routes as baseten_routes
from tests.simulators.baseten import specs as baseten
from tests.simulators.baseten import writes as baseten_writes
from tests.simulators.baseten.world import Progress, Promotion
from tests.simulators.baseten.world import World as Models
from tests.simulators.bifrost import routes as bifrost_routes
from tests.simulators.bifrost.auth import BifrostApi
from tests.simulators.bifrost.control import BifrostCommands
from tests.simulators.bifrost.specs import BudgetSpec, Generation, RateLimitSpec, RowSpec
from tests.simulators.bifrost.specs import Options as GatewayOptions
from tests.simulators.bifrost.world import World as Rows

Values = dict[str, Any]


class Thing(NamedTuple):
    """Something with settings, by the names that people have for it: what bears them may be made anew with another id."""

    endpoint: str
    kind: str
    owner: str
    """A model, a chain, or the model that a row is of."""
    part: str = ""
    """A deployment or an environment."""
    chainlet: str = ""

    def __str__(self) -> str:
        return "/".join(name for name in self if name)


PLATFORMS, GATEWAYS = ("baseten:443", "baseten2:443"), ("gateway:443", "gateway2:443")
PROVIDER = "openai"
THERE = "there"
"""Beside the settings of a row: its id, None where there is no row."""
MODELS, CHAINS, ROWS = ("m0", "m1"), ("c0",), ("g0", "g1", "g2")
NAMED = "n0"
"""A model that specs know by its name alone, and that somebody makes anew from time to time."""
CHAINLETS = ("A", "B", "C")
PRODUCTION = "production"

Fault = Literal[
    "lost", "reset", "timeout", "400", "403", "404", "429", "500", "502", "503", "html", "truncated", "odd", "nested",
    "mumbled",
]  # fmt: skip
FAULTS: tuple[Fault, ...] = (
    "lost", "lost", "reset", "timeout", "400", "403", "404", "429", "500", "502", "503", "html", "truncated", "odd", "nested",
    "mumbled",
)  # fmt: skip
CARRIED_OUT = frozenset({"lost", "truncated", "mumbled"})
"""Faults of the answer alone."""
TIMEOUT = 30.0

Mumbling = Literal["empty", "page", "text", "wordless"]
MUMBLINGS: tuple[Mumbling, ...] = ("empty", "page", "text", "wordless")
"""Ways to answer a write that was carried out so that nobody can tell what became of it."""


class Remote(Protocol):
    """One API behind one endpoint, and how to change what it has behind the operator's back."""

    endpoint: str
    things: tuple[Thing, ...]
    table: Table

    def values(self, thing: Thing, *, coming: bool) -> Values:
        """Return the settings of a thing: as a read shows them, or as they will be when all writes are in force."""

    def change(self, thing: Thing, values: Values) -> None:
        """Change the settings of a thing."""

    def id(self, thing: Thing) -> str | None:
        """Return the id of what bears the thing's name now."""

    def addressed(self, method: str, path: str, body: bytes) -> tuple[Thing, ...]:
        """Return the things that a request is about to write."""


class Platform:
    """Baseten."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.models = Models(baseten.Options(converge=0.3, strict_development=False))
        self.table = baseten_routes.table(self.models)
        self.things = (
            *(Thing(endpoint, "deployment", model, f"{model}-{which}") for model in MODELS for which in "fd"),
            Thing(endpoint, "deployment", NAMED, "development"),
            *(Thing(endpoint, "environment", model, PRODUCTION) for model in (*MODELS, NAMED)),
            *(Thing(endpoint, "chainlet", chain, PRODUCTION, name) for chain in CHAINS for name in CHAINLETS),
        )
        self._ids = {model: model for model in (*MODELS, NAMED)}
        self.models.seed(
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
                        environments=[baseten.EnvironmentSpec(name=PRODUCTION, current=f"{model}-p")],
                    )
                    for model in (*MODELS, NAMED)
                ],
                chains=[
                    baseten.ChainSpec(
                        id=chain,
                        name=f"name of {chain}",
                        environments=[
                            baseten.ChainEnvironmentSpec(
                                name=PRODUCTION, chainlets=[baseten.ChainletSpec(name=name) for name in CHAINLETS]
                            )
                        ],
                    )
                    for chain in CHAINS
                ],
            )
        )

    def values(self, thing: Thing, *, coming: bool) -> Values:
        """Return the settings of a thing: as a read shows them, or as they will be when all writes are in force."""
        settings = self._settings(thing)
        return dict(settings.target if coming else settings.shown or {})

    def change(self, thing: Thing, values: Values) -> None:
        """Change the settings of a thing."""
        self._settings(thing).set(values)

    def id(self, thing: Thing) -> str | None:
        """Return the id of the model or chain that bears the name now."""
        return self._ids.get(thing.owner, thing.owner)

    def remake(self, new: str) -> list[Thing]:
        """Make the model anew that is known by its name; return what is another thing by that."""
        self.models.recreate_model(self._ids[NAMED], new)
        self._ids[NAMED] = new
        return [thing for thing in self.things if thing.owner == NAMED]

    def promote(self, owner: str, *, done: bool | None) -> list[Thing]:
        """Begin (None) or end a promotion to production; return what the platform holds meanwhile."""
        if owner in CHAINS:
            chain = self.models.chain_environment(owner, PRODUCTION)
            if done is None:
                chain.promotion = Progress("RAMPING_UP", 50)
            else:
                baseten_writes.finish_chain_promotion(chain, succeeded=done)
            return [thing for thing in self.things if thing.owner == owner]
        environment = self.models.environment(owner, PRODUCTION)
        if done is None:
            current = environment.current
            which = "f" if current is None or current.id != f"{owner}-f" else "p"
            candidate = self.models.model(owner).deployment(f"{owner}-{which}")
            promotion = Promotion("RAMPING_UP", 50, candidate=candidate, settings={})
            baseten_writes.start_promotion(environment, promotion)
        held = [Thing(self.endpoint, "environment", owner, PRODUCTION)]
        if environment.current is not None:
            held.append(Thing(self.endpoint, "deployment", owner, environment.current.id))
        if done is not None:
            baseten_writes.finish_promotion(self.models, environment, succeeded=done)
        return [thing for thing in held if thing in self.things]

    def addressed(self, method: str, path: str, body: bytes) -> tuple[Thing, ...]:
        """Return the things that a request is about to write."""
        del method
        match path.split("/")[2:]:
            case ["models", id_, "deployments", which, "autoscaling_settings"]:
                owner = self._owner(id_)
                part = f"{owner}-d" if which == "development" and owner != NAMED else which
                named = Thing(self.endpoint, "deployment", owner, part)
            case ["models", id_, "environments", name]:
                named = Thing(self.endpoint, "environment", self._owner(id_), name)
            case ["chains", id_, "environments", name, *_]:
                updates = json.loads(body)["updates"]
                return tuple(Thing(self.endpoint, "chainlet", id_, name, one["chainlet_name"]) for one in updates)
            case other:
                raise AssertionError(other)
        return (named,) if named in self.things else ()

    def _owner(self, id_: str) -> str:
        return next((name for name, known in self._ids.items() if known == id_), "")

    def _settings(self, thing: Thing) -> Any:
        match thing:
            case Thing(kind="deployment", owner=owner, part=part):
                return self.models.model(self._ids[owner]).deployment(part).settings
            case Thing(kind="environment", owner=owner, part=part):
                return self.models.environment(self._ids[owner], part).settings
            case Thing(kind="chainlet", owner=owner, part=part, chainlet=chainlet):
                return self.models.chainlet(owner, part, chainlet).settings
            case other:
                raise AssertionError(other)


class Gateway:
    """Bifrost."""

    def __init__(self, endpoint: str, generation: Generation) -> None:
        self.endpoint = endpoint
        self._rows = Rows(GatewayOptions(generation=generation))
        self._commands = BifrostCommands(BifrostApi(mode="open", keys=[], rate=10**9), self._rows)
        self.table = bifrost_routes.table(self._rows)
        self.things = tuple(Thing(endpoint, "row", name) for name in ROWS)
        self._commands.seed([RowSpec(model_name=ROWS[0], provider=PROVIDER, budgets=[BudgetSpec(max_limit=5)])])

    def values(self, thing: Thing, *, coming: bool) -> Values:
        """Return the settings of a row, which are in force as soon as they are written."""
        del coming
        found = self._commands.find(thing.owner, PROVIDER)
        assert len(found) <= 1, "there is never a second row"
        if not found:
            return {"budgets": (), "rate_limit": (), THERE: None}
        spec = self._commands.state(found[0]["id"])
        rate = spec.rate_limit or RateLimitSpec()
        tokens = (rate.token_max_limit, rate.token_reset_duration) if rate.token_max_limit else ()
        return {
            "budgets": tuple(sorted((one.reset_duration, one.max_limit) for one in spec.budgets)),
            "rate_limit": tokens,
            THERE: found[0]["id"],
        }

    def change(self, thing: Thing, values: Values) -> None:
        """Change the budgets of a row, where there is one."""
        if (id_ := self.id(thing)) is not None:
            self._commands.update_row(id_, {"budgets": _budgets(values)})

    def id(self, thing: Thing) -> str | None:
        """Return the id of the row; None where there is none."""
        found = self._commands.find(thing.owner, PROVIDER)
        return found[0]["id"] if found else None

    def make(self, thing: Thing, values: Values) -> None:
        """Make a row, instead of the one there is."""
        self.drop(thing)
        self._commands.add_row(RowSpec(model_name=thing.owner, provider=PROVIDER, budgets=_budgets(values)))

    def drop(self, thing: Thing) -> None:
        """Delete a row."""
        if (id_ := self.id(thing)) is not None:
            self._commands.delete_row(id_)

    def addressed(self, method: str, path: str, body: bytes) -> tuple[Thing, ...]:
        """Return the row that a request is about to write."""
        if method == "POST":
            wanted = json.loads(body)["model_name"]
            return tuple(thing for thing in self.things if thing.owner == wanted)
        id_ = path.rpartition("/")[2]
        return tuple(thing for thing in self.things if self.id(thing) == id_)


def _budgets(values: Values) -> list[BudgetSpec]:
    return [BudgetSpec(max_limit=limit, reset_duration=length) for length, limit in values["budgets"]]


@dataclass(slots=True)
class Remotes:
    """All of them."""

    platforms: dict[str, Platform]
    gateways: dict[str, Gateway]
    mumbling: dict[str, Mumbling] = field(default_factory=dict)
    """Those that never answer a write so that one could tell what became of it."""
    key: str = "key-0"
    """The credential that is valid now."""

    @classmethod
    def fresh(cls, generation: Generation) -> "Remotes":
        """Return remotes with a few models, a chain and some rows."""
        return cls(
            {endpoint: Platform(endpoint) for endpoint in PLATFORMS},
            {endpoint: Gateway(endpoint, generation) for endpoint in GATEWAYS},
        )

    def at(self, endpoint: str) -> Remote:
        """Return the API behind an endpoint."""
        return self.platforms.get(endpoint) or self.gateways[endpoint]

    def things(self) -> Iterator[Thing]:
        """Yield everything there is."""
        for endpoint in (*PLATFORMS, *GATEWAYS):
            yield from self.at(endpoint).things

    def values(self, thing: Thing, *, coming: bool) -> Values:
        """Return the settings of a thing: as a read shows them, or as they will be when all writes are in force."""
        return self.at(thing.endpoint).values(thing, coming=coming)

    def all(self, endpoint: str) -> dict[Thing, Values]:
        """Return the settings of everything behind an endpoint, as they will be."""
        remote = self.at(endpoint)
        return {thing: remote.values(thing, coming=True) for thing in remote.things}

    def id(self, thing: Thing) -> str | None:
        """Return the id of what bears a thing's name now."""
        return self.at(thing.endpoint).id(thing)


@dataclass(frozen=True, slots=True)
class Request:
    """A write that a remote carried out."""

    addressed: tuple[Thing, ...]
    before: dict[Thing, Values]
    """What everything behind the endpoint was like."""
    answered: bool
    """Whether there was an answer, and be it one that cannot be understood."""


class Wire(httpx.AsyncBaseTransport):
    """The way from one operator process to one remote."""

    def __init__(
        self,
        remotes: Remotes,
        endpoint: str,
        random: Random,
        *,
        step: Callable[[str], None],
        fault: Callable[[str, str], Fault | None],
        carried_out: Callable[[Request], None],
    ) -> None:
        self._remotes = remotes
        self._remote = remotes.at(endpoint)
        self._random = random
        self._step = step
        self._fault = fault
        self._carried_out = carried_out

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
        if fault is not None and not (fault in CARRIED_OUT and (writes or fault != "mumbled")):
            return await self._instead(fault, request)
        reply = self._written(method, path, request, body, fault) if writes else self._answer(request, body)
        if writes:
            self._step("after a remote write")
        await asyncio.sleep(self._random.uniform(0.001, 0.2))
        if fault == "lost":
            raise httpx.ReadError("the answer was lost", request=request)
        if fault == "truncated":
            encoded = reply.encoded()
            return httpx.Response(200, stream=httpx.ByteStream(encoded[: len(encoded) // 2]))
        if writes and reply.status == 200:
            mumbling = self._remotes.mumbling.get(self._remote.endpoint)
            if fault == "mumbled":
                mumbling = self._random.choice(MUMBLINGS)
            if mumbling is not None:
                return _mumbled(mumbling)
        return httpx.Response(reply.status, headers=dict(reply.headers), stream=httpx.ByteStream(reply.encoded()))

    def _answer(self, request: httpx.Request, body: bytes) -> Reply:
        return answer(self._remote.table, request.method, request.url.raw_path.decode(), body)

    def _written(self, method: str, path: str, request: httpx.Request, body: bytes, fault: Fault | None) -> Reply:
        addressed = self._remote.addressed(method, path, body)
        before = self._remotes.all(self._remote.endpoint)
        reply = self._answer(request, body)
        if reply.status < 300:
            self._carried_out(Request(addressed, before, answered=fault != "lost"))
        return reply

    async def _instead(self, fault: Fault | None, request: httpx.Request) -> httpx.Response:
        match fault:
            case "reset":
                raise httpx.ConnectError("connection refused", request=request)
            case "timeout":
                await asyncio.sleep(TIMEOUT)
                raise httpx.ReadTimeout("no answer", request=request)
            case "429":
                return _response(429, {"error": "slow down", "retry_after": self._random.choice([1, 20, 60])})
            case "html" | "mumbled":
                return httpx.Response(200, stream=httpx.ByteStream(b"<html>hello</html>"))
            case "odd":
                return _response(200, {"deployments": 3, "environments": "x", "model_configs": [1], "status": []})
            case "nested":
                return httpx.Response(200, stream=httpx.ByteStream(b"[" * 5000 + b"]" * 5000))
            case _:
                return _response(int(fault or 500), {"message": f"answered {fault}"})


def _mumbled(how: Mumbling) -> httpx.Response:
    match how:
        case "empty":
            return httpx.Response(204, stream=httpx.ByteStream(b""))
        case "page":
            headers = {"content-type": "text/html"}
            return httpx.Response(200, headers=headers, stream=httpx.ByteStream(b"<html>hello</html>"))
        case "text":
            return httpx.Response(200, stream=httpx.ByteStream(b"done"))
        case "wordless":
            return _response(200, {"environment": {}})


def _response(status: int, body: Any) -> httpx.Response:
    return httpx.Response(status, stream=httpx.ByteStream(json.dumps(body).encode()))
