"""The paths of the gateway: its model configs, its version and its health."""

from collections.abc import Mapping

from tests.simulators.api import Call, Reply, Table
from tests.simulators.bifrost.auth import refusal
from tests.simulators.bifrost.rows import Row
from tests.simulators.bifrost.shapes import Json, row_shape
from tests.simulators.bifrost.world import World
from tests.simulators.bifrost.writes import create, update

CONFIGS = "/api/governance/model-configs"
CONFIG = f"{CONFIGS}/{{mc_id}}"
VERSION = "/api/version"
HEALTH = "/health"

PUBLIC = frozenset({VERSION, HEALTH})

_PAGED_BY = ("limit", "offset", "search", "scope", "provider")
_PAGE, _LARGEST_PAGE = 25, 100


def table(world: World) -> Table:
    """Return the handlers by path template and method."""
    configs = _Configs(world)
    return {
        CONFIGS: {"GET": configs.list, "POST": configs.create},
        CONFIG: {"GET": configs.get, "PUT": configs.update, "DELETE": configs.delete},
        VERSION: {"GET": lambda _: Reply(200, world.options.told_version)},
        HEALTH: {"GET": lambda _: Reply(200, {"status": "ok", "components": {"db_pings": "ok"}})},
    }


class _Configs:
    def __init__(self, world: World) -> None:
        self._world = world

    def get(self, call: Call) -> Reply:
        return Reply(200, {"model_config": self._shape(self._world.shown(call.params["mc_id"]))})

    def create(self, call: Call) -> Reply:
        row = create(self._world, call.body)
        return Reply(200, {"message": "Model config created successfully", "model_config": self._shape(row)})

    def update(self, call: Call) -> Reply:
        row = update(self._world, call.params["mc_id"], call.body)
        return Reply(200, {"message": "Model config updated successfully", "model_config": self._shape(row)})

    def delete(self, call: Call) -> Reply:
        self._world.remove(self._world.shown(call.params["mc_id"]).id)
        return Reply(200, {"message": "Model config deleted successfully"})

    def list(self, call: Call) -> Reply:
        rows = self._world.visible()
        total, limit, offset = len(rows), len(rows), 0
        if self._world.options.generation == 1:
            return Reply(200, {"model_configs": [self._shape(row) for row in rows], "count": len(rows)})
        if any(call.query.get(name) for name in _PAGED_BY):
            limit = min(_number(call.query, "limit") or _PAGE, _LARGEST_PAGE)
            offset = _number(call.query, "offset")
            rows = [row for row in rows if _fits(row, call.query)]
            total, rows = len(rows), rows[offset : offset + limit]
        body = {
            "model_configs": [self._shape(row) for row in rows],
            "count": len(rows),
            "total_count": total,
            "limit": limit,
            "offset": offset,
        }
        return Reply(200, body)

    def _shape(self, row: Row) -> Json:
        return row_shape(row, self._world.options.generation)


def _fits(row: Row, query: Mapping[str, str]) -> bool:
    """Tell whether a row is one of those that are asked for: its name need only contain what is searched."""
    return (
        query.get("search", "").lower() in row.model_name.lower()
        and query.get("scope", "") in {"", row.scope}
        and query.get("provider", "") in {"", row.provider}
    )


def _number(query: Mapping[str, str], name: str) -> int:
    text = query.get(name, "")
    try:
        number = int(text or "0")
    except ValueError:
        raise refusal(400, f"Invalid {name} parameter: must be a number") from None
    if number < 0:
        raise refusal(400, f"Invalid {name} parameter: must be non-negative")
    return number
