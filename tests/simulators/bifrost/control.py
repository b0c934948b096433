"""Commands that change the gateway and its table past the API, as its other users, its traffic and its restarts do."""

from collections.abc import Callable
from typing import Any

from tests.simulators.bifrost.auth import BifrostApi
from tests.simulators.bifrost.shapes import Json, row_shape
from tests.simulators.bifrost.specs import (
    DEFAULT_WORLD,
    GLOBAL,
    AuthMode,
    Options,
    RowChanges,
    RowSpec,
    Traffic,
)
from tests.simulators.bifrost.world import World
from tests.simulators.control import ApiCommands, Command
from tests.simulators.faults import Drop, Rule

PRUNING_FAILED = "fatal: failed to prune governance config"
"""What the log of a gateway says that does not start any more."""


class BifrostCommands:
    """The commands of this simulator."""

    def __init__(self, api: BifrostApi, world: World) -> None:
        self._api = api
        self._world = world
        self._first_options = world.options
        api.release = lambda: world.release

    def all(self) -> dict[str, Command]:
        """Return the commands by name."""
        own: list[Callable[..., Any]] = [
            self.reset,
            self.seed,
            self.set_options,
            self.set_auth,
            self.lock_database,
            self.add_virtual_key,
            self.remove_virtual_key,
            self.add_row,
            self.rows,
            self.row,
            self.find,
            self.state,
            self.update_row,
            self.delete_row,
            self.duplicate_row,
            self.restart_from_config,
            self.set_usage,
            self.set_traffic,
            self.reset_window,
        ]
        return ApiCommands(self._api).all() | {command.__name__: command for command in own}

    def reset(self) -> None:
        """Go back to how it was at the start of the process."""
        self._api.reset()
        self._world.options = self._first_options
        self._world.seed(DEFAULT_WORLD)

    def seed(self, rows: list[RowSpec]) -> None:
        """Replace all rows."""
        self._world.seed(rows)

    def set_options(self, changes: dict[str, Any]) -> None:
        """Change how the gateway behaves from now on."""
        self._world.options = Options.model_validate(self._world.options.model_dump() | changes)

    def set_auth(self, mode: AuthMode, keys: list[str]) -> None:
        """Change the way of authentication and the credentials that are valid."""
        self._api.mode, self._api.keys = mode, set(keys)

    def add_virtual_key(self, scope_id: str, name: str) -> None:
        """Add a virtual key, or give it another name."""
        self._world.virtual_keys[scope_id] = name

    def remove_virtual_key(self, scope_id: str) -> None:
        """Remove a virtual key, and with it its rows."""
        self._world.remove_virtual_key(scope_id)

    def lock_database(self, writes: int | None) -> None:
        """Let so many writes find the database locked, None all."""
        self._world.locked_writes = writes

    def add_row(self, row: RowSpec) -> str:
        """Add a row, whatever there is of its identity."""
        return self._world.add(row).id

    def rows(self) -> list[Json]:
        """Return the items of a list."""
        return [row_shape(row, self._world.release) for row in self._world.visible()]

    def row(self, mc_id: str) -> Json:
        """Return an item."""
        return row_shape(self._world.any(mc_id), self._world.release)

    def find(
        self, model_name: str, provider: str | None = None, scope: str = GLOBAL, scope_id: str | None = None
    ) -> list[Json]:
        """Return the items of an identity."""
        wanted = model_name, provider, scope, scope_id
        return [
            row_shape(row, self._world.release)
            for row in self._world.visible()
            if (row.model_name, row.provider, row.scope, row.scope_id) == wanted
        ]

    def state(self, mc_id: str) -> RowSpec:
        """Return the description of a row as it is now."""
        return self._world.spec(mc_id)

    def update_row(self, mc_id: str, changes: RowChanges) -> None:
        """Change a row."""
        spec = self._world.spec(mc_id)
        self._world.any(mc_id).become(spec.model_copy(update=dict(changes)))

    def delete_row(self, mc_id: str) -> None:
        """Delete a row."""
        self._world.remove(mc_id)

    def duplicate_row(self, mc_id: str) -> str:
        """Add a row of the same identity."""
        return self._world.duplicate(mc_id).id

    def restart_from_config(self) -> str | None:
        """Restart with config.json as the source of truth; return why the gateway is down for good, if it is."""
        if not self._world.can_restart():
            self._api.faults.inject(Rule(fault=Drop(), count=None))
            return PRUNING_FAILED
        self._world.restart_from_config()
        return None

    def set_usage(
        self, mc_id: str, budget: dict[str, float], token_usage: int | None, request_usage: int | None
    ) -> None:
        """Change what was used."""
        self._world.any(mc_id).set_usage(budget, {"tokens": token_usage, "requests": request_usage})

    def set_traffic(self, traffic: Traffic) -> None:
        """Change what is used per second."""
        self._world.set_traffic(traffic)

    def reset_window(self, mc_id: str) -> None:
        """Start the windows of a row anew."""
        self._world.any(mc_id).reset_windows()
