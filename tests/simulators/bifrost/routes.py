"""The paths of the gateway: its model configs, its version and its health."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from tests.simulators.api import Call, Handler, RefusedError, Reply, Table
from tests.simulators.bifrost import dashboard, writes
from tests.simulators.bifrost.auth import refusal, told_by
from tests.simulators.bifrost.rows import Row
from tests.simulators.bifrost.sessions import LOGIN
from tests.simulators.bifrost.shapes import Json, row_shape
from tests.simulators.bifrost.world import World
from tests.simulators.journal import NO_TEMPLATE

CONFIGS = "/api/governance/model-configs"
CONFIG = f"{CONFIGS}/{{mc_id}}"
VERSION = "/api/version"
HEALTH = "/health"

_FILTERS = {1: ("search",), 2: ("search", "scope", "provider"), 3: ("search", "scope", "provider")}
_PAGE, _LARGEST_PAGE = 25, 100


class Public:
    """The paths that need no credentials: which these are depends on the release."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __contains__(self, template: object) -> bool:
        return template in {HEALTH, LOGIN, NO_TEMPLATE} or (template == VERSION and self._world.release.public_version)


def table(world: World) -> Table:
    """Return the handlers by path template and method."""
    configs = _Configs(world)
    handlers: Mapping[str, Mapping[str, Handler]] = {
        CONFIGS: {"GET": configs.list, "POST": configs.create},
        CONFIG: {"GET": configs.get, "PUT": configs.update, "DELETE": configs.delete},
    }
    return {
        template: {method: _governance(world, template, method, handler) for method, handler in methods.items()}
        for template, methods in handlers.items()
    } | {
        VERSION: {"GET": lambda _: Reply(200, world.options.told_version)},
        HEALTH: {"GET": lambda _: Reply(200, {"status": "ok", "components": {"db_pings": "ok"}})},
    }


def _governance(world: World, template: str, method: str, handler: Handler) -> Handler:
    """Return a handler that refuses in the words of the release, and is the dashboard's where there is no endpoint."""

    def handle(call: Call) -> Reply:
        if not world.options.governance:
            return dashboard.answer(method, template)
        try:
            return handler(call)
        except RefusedError as refused:
            raise told_by(world.release, refused) from None

    return handle


class _Configs:
    def __init__(self, world: World) -> None:
        self._world = world

    def get(self, call: Call) -> Reply:
        return Reply(200, {"model_config": self._shape(self._world.shown(call.params["mc_id"]))})

    def create(self, call: Call) -> Reply:
        row = writes.create(self._world, call.body)
        return Reply(200, {"message": "Model config created successfully", "model_config": self._shape(row)})

    def update(self, call: Call) -> Reply:
        row = writes.update(self._world, call.params["mc_id"], call.body)
        return Reply(200, {"message": "Model config updated successfully", "model_config": self._shape(row)})

    def delete(self, call: Call) -> Reply:
        writes.delete(self._world, call.params["mc_id"])
        return Reply(200, {"message": "Model config deleted successfully"})

    def list(self, call: Call) -> Reply:
        release = self._world.release
        filters = _FILTERS[release.generation]
        if call.query.get("from_memory") == "true":
            rows = [row for row in self._world.remembered() if _fits(row, call.query, filters)]
            return self._page(rows, len(rows), len(rows), 0)
        if release.pages and any(call.query.get(name) for name in ("limit", "offset", *filters)):
            limit = min(_number(call.query, "limit") or _PAGE, _LARGEST_PAGE)
            offset = _number(call.query, "offset")
            rows = [row for row in self._by_age() if _fits(row, call.query, filters)]
            return self._page(rows[offset : offset + limit], len(rows), limit, offset)
        rows = self._world.visible()
        if release.generation > 1:
            # By id, which is random. Go writes a list that was never made as null.
            rows = sorted(rows, key=lambda row: row.id)
            return self._page(rows or None, len(rows), len(rows), 0)
        return self._page(rows, len(rows), len(rows), 0)

    def _by_age(self) -> Iterator[Row]:
        """Give the rows of a page: the oldest first in generation 1, the newest first after it."""
        rows = self._world.visible()
        return iter(rows) if self._world.release.generation == 1 else reversed(rows)

    def _page(self, rows: Sequence[Row] | None, total: int, limit: int, offset: int) -> Reply:
        body: Json = {
            "model_configs": None if rows is None else [self._shape(row) for row in rows],
            "count": len(rows or ()),
        }
        if self._world.release.pages:
            body |= {"total_count": total, "limit": limit, "offset": offset}
        return Reply(200, body)

    def _shape(self, row: Row) -> Json:
        return row_shape(row, self._world.release)


def _fits(row: Row, query: Mapping[str, str], filters: Sequence[str]) -> bool:
    """Tell whether a row is one of those that are asked for: its name need only contain what is searched."""
    wanted = {name: query.get(name, "") for name in filters}
    return (
        _like(wanted["search"])(row.model_name)
        and wanted.get("scope", "") in {"", row.scope}
        and wanted.get("provider", "") in {"", row.provider}
    )


def _like(search: str) -> Callable[[str], bool]:
    """Return the search as the database does it, with its wildcards `%` and `_`."""
    pattern = "".join({"%": ".*", "_": "."}.get(letter, re.escape(letter)) for letter in search)
    found = re.compile(pattern, re.IGNORECASE | re.DOTALL)
    return lambda name: found.search(name) is not None


def _number(query: Mapping[str, str], name: str) -> int:
    text = query.get(name, "")
    try:
        number = int(text or "0")
    except ValueError:
        raise refusal(400, f"Invalid {name} parameter: must be a number") from None
    if number < 0:
        raise refusal(400, f"Invalid {name} parameter: must be non-negative")
    return number
