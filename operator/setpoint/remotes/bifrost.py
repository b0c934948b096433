"""Client of a Bifrost gateway's governance API: budget and rate limit of model configs, in every generation in use.

Paths, bodies and answers are those of the vendor's reference (update model config, generation 1) and of the gateway's
source. What follows from them:

- Every look takes the whole list in one request. Without parameters it is complete in every generation; with any, newer
  ones page it.
- A newer gateway ignores the older field and still answers 200. So the shape that is sent follows the generation the items
  show, and what comes back is compared with what was sent. Where nothing shows the generation, both fields are sent.
- Absent and null leave a part unchanged, and an empty one removes it. A rate limit is replaced as a whole; budgets are the
  full set, matched by id, so a budget whose duration changes keeps what was used of it if its id is sent along. One that is
  new begins with what was used of the next shorter one, which is the gateway's own doing. Generation 1 up to v1.4.17 wants
  both fields of its budget, later releases take one alone: both are always sent.
- A row is changed by its id, and its name with it; a provider cannot be taken away, and a scope cannot be changed.
"""

import asyncio
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import httpx

from setpoint.remotes import bifrost_shapes
from setpoint.remotes.answers import Answer
from setpoint.remotes.bifrost_bodies import matched, parts, rules
from setpoint.remotes.bifrost_shapes import Generation, Identity, ModelConfig
from setpoint.remotes.bifrost_windows import Release, release
from setpoint.remotes.commons import Commons
from setpoint.remotes.credential import Credential
from setpoint.remotes.errors import RemoteError, RemoteFailure, UnreadableAnswer
from setpoint.remotes.http import HttpApi
from setpoint.remotes.limits import Limits
from setpoint.remotes.meter import Meter
from setpoint.remotes.pinned import Check
from setpoint.remotes.shared import SharedReads
from setpoint.resources.common import clean_message
from setpoint.resources.model_config_governance import GovernanceSettings

T = TypeVar("T")

_LIST = "/api/governance/model-configs"
_ONE = "/api/governance/model-configs/{mc_id}"
_VERSION = "/api/version"

LIST_LIFETIME = 10.0
"""Seconds one list serves a sweep of all resources of the gateway."""

VERSION_LIFETIME = 300.0
WRITTEN = "200"
"""What stands for the answer's status: the API has no word of its own."""


class Bifrost:
    """Reads and writes model configs on one connection.

    Every method may raise any `RemoteError`. `urgent` requests go ahead of others at the limiter.
    """

    def __init__(self, http: HttpApi, reads: SharedReads) -> None:
        self._http = http
        self._reads = reads
        self._version: str | None = None
        self._version_read = -math.inf

    @classmethod
    def connect(
        cls,
        *,
        url: str,
        credential: Credential,
        requests_per_second: int,
        timeout: float,
        limits: Limits,
        ca_pem: bytes | None = None,
        check: Check | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        meter: Meter | None = None,
        commons: Commons | None = None,
        owner: str = "",
    ) -> "Bifrost":
        """Return a client; nothing is sent yet.

        `url` is the gateway's root, with a path prefix where it is served below one; `timeout` the seconds a request may
        take, `ca_pem` replaces the public certificate authorities, `check` judges the addresses the host resolves to,
        `transport` stands in for the network, and `meter` is told of requests. `commons` is what the clients of the process
        share, and `owner` names those whose answers are accounted for together.

        Raises:
            ValueError: the URL cannot be used, or the bundle has no certificate or one that cannot be read.
        """
        http = HttpApi(
            "Bifrost",
            url,
            credential,
            requests_per_second=requests_per_second,
            timeout=timeout,
            limits=limits,
            ca_pem=ca_pem,
            check=check,
            transport=transport,
            meter=meter,
            commons=commons,
            owner=owner,
        )
        return cls(http, SharedReads(LIST_LIFETIME))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._http!r}>"

    @property
    def is_busy(self) -> bool:
        """Whether a request is under way, or waits for its turn."""
        return self._http.is_busy

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def probe(self) -> str | None:
        """Ask for all model configs, which serves as a look whether the login works; return the release."""
        await self.rows()
        return await self.version()

    async def version(self) -> str | None:
        """Return what the gateway calls its release, None where it does not say; asked again after five minutes."""
        now = asyncio.get_running_loop().time()
        if now - self._version_read > VERSION_LIFETIME:
            try:
                raw = await self._http.request("GET", _VERSION, {}, urgent=True)
            except RemoteError:
                return self._version
            self._version = clean_message(self._http.redact(raw))[:64] if isinstance(raw, str) else None
            self._version_read = now
        return self._version

    async def generation(self) -> Generation | None:
        """Return which shape of the API the gateway's release speaks, where no row shows it; None where it is unknown."""
        return bifrost_shapes.generation_of(await self.version())

    async def release(self) -> Release | None:
        """Return the gateway's release; None where it does not say, or not in three numbers."""
        return release(await self.version())

    async def rows(self, *, not_before: float | None = None, urgent: bool = False) -> list[ModelConfig]:
        """Return all model configs of the gateway, those of virtual keys and providers too."""

        async def read() -> list[ModelConfig]:
            problem = None

            def understood(body: Any) -> Iterator[ModelConfig]:
                nonlocal problem
                try:
                    yield from bifrost_shapes.rows(body)
                except RemoteFailure as error:
                    problem = error.message

            found = await self._http.request_list(_LIST, {}, understood, urgent=urgent)
            if problem is not None:
                raise await self.misunderstood(problem)
            return found

        return await self._reads.get(_LIST, read, not_before=not_before, urgent=urgent)

    async def get(self, mc_id: str, *, urgent: bool = False) -> ModelConfig:
        """Return one model config.

        Raises:
            TargetNotFound: there is none with this id.
        """
        body = await self._http.request("GET", _ONE, {"mc_id": mc_id}, urgent=urgent)
        return await self._understood(bifrost_shapes.row, body)

    async def create(
        self, identity: Identity, settings: GovernanceSettings, generation: Generation | None, *, urgent: bool
    ) -> tuple[Answer, ModelConfig]:
        """Create a model config; its id is the gateway's choice. `generation` is what other rows or the release show.

        Raises:
            RemoteFailure: with status 409, where there is one of this identity.
        """
        body: dict[str, Any] = {"model_name": identity.model_name}
        if identity.provider is not None:
            body["provider"] = identity.provider
        if generation is not Generation.ONE_BUDGET:
            body["scope"] = identity.wire_scope
            if identity.scope_id is not None:
                body["scope_id"] = identity.scope_id
        # Empty parts would be created as such.
        kept = GovernanceSettings(
            budgets=settings.budgets or None,
            rate_limit=None if settings.rate_limit is None or settings.rate_limit.empty else settings.rate_limit,
            calendar_aligned=settings.calendar_aligned,
        )
        body |= parts(kept, generation, {})
        answer, made = await self._written("POST", _LIST, {}, body, urgent=urgent)
        if made.identity != identity:
            # A gateway that knows no scopes ignores them, for example.
            raise await self.misunderstood(f"asked to make a model config of {identity}, it made another one")
        return answer, made

    async def update(
        self, row: ModelConfig, settings: GovernanceSettings, *, urgent: bool, identity: Identity | None = None
    ) -> tuple[Answer, ModelConfig]:
        """Change those parts of a model config that `settings` has; an empty part removes what is there.

        `identity` is what the row is to be of, where it is of something else now; only model and provider can change so.

        Raises:
            TargetNotFound: it is not there any more.
        """
        wanted = identity or row.identity
        body: dict[str, Any] = {}
        if wanted is not None:
            body["model_name"] = wanted.model_name
            if wanted.provider is not None:
                body["provider"] = wanted.provider
        body |= parts(settings, row.generation, matched(row, settings.budgets or []), row.settings)
        if settings.rate_limit is not None and row.rule_ids:
            # Generation 3 keeps its rules where only the older field is sent, and refuses both.
            body["rate_limits"] = rules(settings.rate_limit, row.rule_ids)
            del body["rate_limit"]
        answer, changed = await self._written("PUT", _ONE, {"mc_id": row.id}, body, urgent=urgent)
        if (changed.id, changed.identity) != (row.id, wanted):
            raise await self.misunderstood(f"asked to change model config {row.id}, it answered with another one")
        return answer, changed

    async def delete(self, mc_id: str, *, urgent: bool) -> Answer:
        """Delete a model config, and with it the memory of what was spent.

        Raises:
            TargetNotFound: there is none with this id.
        """
        body = await self._http.request("DELETE", _ONE, {"mc_id": mc_id}, urgent=urgent)
        return self._answer(body)

    async def _written(
        self, method: str, template: str, params: Mapping[str, str], body: Any, *, urgent: bool
    ) -> tuple[Answer, ModelConfig]:
        raw = await self._http.request(method, template, params, body, urgent=urgent)
        return self._answer(raw), await self._understood(bifrost_shapes.row, raw)

    def _answer(self, raw: Any) -> Answer:
        message = raw.get("message") if isinstance(raw, Mapping) else None
        return Answer(WRITTEN, clean_message(self._http.redact(message)) if isinstance(message, str) else "")

    async def _understood(self, read: Callable[[Any], T], body: Any) -> T:
        """Return what is read of a body; a failure tells the release, since a newer one may have changed the shape."""
        try:
            return read(body)
        except RemoteFailure as error:
            problem = error.message
        raise await self.misunderstood(problem)

    async def misunderstood(self, problem: str) -> UnreadableAnswer:
        """Return the error for an answer of success that is in none of the known shapes."""
        version = await self.version() or "of an unknown version"
        return UnreadableAnswer(f"Bifrost {version}: {self._http.redact(problem)}", status=200)
