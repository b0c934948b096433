"""The gateway's table of model configs, and what happens to it past the API."""

import time
from collections.abc import Sequence

from tests.simulators.api import RefusedError
from tests.simulators.bifrost.auth import refusal
from tests.simulators.bifrost.releases import Release, release_of
from tests.simulators.bifrost.rows import Row, new_id
from tests.simulators.bifrost.specs import VIRTUAL_KEYS, Options, RowSpec, Traffic


class World:
    """All rows, in the order in which they were made."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.virtual_keys = dict(VIRTUAL_KEYS)
        self.locked_writes: int | None = 0
        """How many writes find the database locked; None is every one."""
        self._rows: dict[str, Row] = {}
        self._stale: list[Row] = []
        self._config: dict[str, RowSpec] = {}
        self._traffic = Traffic()
        self._counted = time.monotonic()

    @property
    def release(self) -> Release:
        """The release that the gateway is now."""
        return release_of(self.options)

    def seed(self, specs: Sequence[RowSpec]) -> None:
        """Replace all rows; nothing is used until somebody says so."""
        self._rows, self._stale, self._config = {}, [], {}
        self.virtual_keys = dict(VIRTUAL_KEYS)
        self.locked_writes = 0
        self._traffic = Traffic()
        for spec in specs:
            self.add(spec)

    def visible(self) -> list[Row]:
        """Return the rows that the gateway's generation shows."""
        self._count()
        return [row for row in self._rows.values() if row.shown_by(self.options.generation)]

    def remembered(self) -> list[Row]:
        """Return what the gateway has in memory: under its old name a row that was renamed is still there."""
        return [*self.visible(), *self._stale]

    def shown(self, mc_id: str) -> Row:
        """Return a row that the gateway's generation shows, or raise `RefusedError`."""
        row = self.any(mc_id)
        if not row.shown_by(self.options.generation):
            raise missing()
        return row

    def any(self, mc_id: str) -> Row:
        """Return a row, or raise `RefusedError`."""
        self._count()
        if mc_id not in self._rows:
            raise missing()
        return self._rows[mc_id]

    def insert(self, row: Row) -> None:
        """Add a row."""
        self._count()
        self._rows[row.id] = row

    def replace(self, row: Row) -> None:
        """Put a row in the place of what it was."""
        self._count()
        old, self._rows[row.id] = self._rows[row.id], row
        if identity(old) != identity(row):
            self._stale.append(old)

    def remove(self, mc_id: str) -> None:
        """Remove a row, or raise `RefusedError`."""
        del self._rows[self.any(mc_id).id]
        self._stale = [row for row in self._stale if row.id != mc_id]

    def remove_virtual_key(self, scope_id: str) -> None:
        """Remove a virtual key with its rows."""
        del self.virtual_keys[scope_id]
        for row in [row for row in self._rows.values() if (row.scope, row.scope_id) == ("virtual_key", scope_id)]:
            self.remove(row.id)

    def add(self, spec: RowSpec) -> Row:
        """Add a row as it is described."""
        spec = spec.model_copy(update={"id": spec.id or new_id()})
        assert spec.id is not None
        row = Row(spec.model_name, spec.provider, spec.scope, spec.scope_id, id=spec.id)
        row.become(spec)
        self._name_scope(row)
        self.insert(row)
        if spec.config:
            self._config[spec.id] = unused(spec)
        return row

    def spec(self, mc_id: str) -> RowSpec:
        """Return the description of a row as it is now."""
        return self.any(mc_id).spec()

    def duplicate(self, mc_id: str) -> Row:
        """Add a row with the same identity and limits, of which nothing is used."""
        spec = unused(self.spec(mc_id))
        budgets = [budget.model_copy(update={"id": None}) for budget in spec.budgets]
        return self.add(spec.model_copy(update={"id": None, "config": False, "budgets": budgets}))

    def can_restart(self) -> bool:
        """Tell whether the gateway would start with config.json as the source of truth."""
        foreign = [row for row in self._rows.values() if row.id not in self._config]
        return self.release.starts_with_foreign_budgets or not any(row.budgets for row in foreign)

    def restart_from_config(self) -> None:
        """Start again with config.json as the source of truth: its rows are as it says, all others are gone."""
        self._count()
        kept = {mc_id: row for mc_id, row in self._rows.items() if mc_id in self._config}
        self._rows, self._stale = {}, []
        for mc_id, spec in self._config.items():
            if mc_id in kept:
                kept[mc_id].become(spec)
                self._rows[mc_id] = kept[mc_id]
            else:
                self.add(spec)

    def set_traffic(self, traffic: Traffic) -> None:
        """Change what is used per second from now on."""
        self._count()
        self._traffic = traffic

    def lock_strikes(self) -> bool:
        """Tell whether a write finds the database locked, and count it."""
        if self.locked_writes == 0:
            return False
        if self.locked_writes is not None:
            self.locked_writes -= 1
        return True

    def taken(self, row: Row) -> bool:
        """Tell whether another row has the identity."""
        return any(other is not row and identity(other) == identity(row) for other in self.visible())

    def _name_scope(self, row: Row) -> None:
        if row.scope == "virtual_key" and row.scope_id is not None and row.scope_name is None:
            row.scope_name = self.virtual_keys.setdefault(row.scope_id, row.scope_id)

    def _count(self) -> None:
        """Count what was used since the last time."""
        before, self._counted = self._counted, time.monotonic()
        for row in self._rows.values():
            row.use(self._traffic, self._counted - before)


def identity(row: Row) -> tuple[str | None, ...]:
    """Return what two rows should not have in common; in generation 1 all rows are global.

    Letters and blanks count: a name that differs in one of them from the model's is a row of its own.
    """
    return row.scope, row.scope_id, row.model_name, row.provider


def unused(spec: RowSpec) -> RowSpec:
    """Return a description that says nothing of what was used."""
    nothing = {"token_current_usage": None, "request_current_usage": None}
    budgets = [budget.model_copy(update={"current_usage": None}) for budget in spec.budgets]
    limits = spec.rate_limit and spec.rate_limit.model_copy(update=nothing)
    rules = [rule.model_copy(update={"current_usage": 0}) for rule in spec.rules]
    return spec.model_copy(update={"budgets": budgets, "rate_limit": limits, "rules": rules})


def missing() -> RefusedError:
    """Return the refusal for an id that is not there."""
    return refusal(404, "Model config not found")
