"""The gateway's table of model configs, and what happens to it past the API."""

import time
from collections.abc import Sequence

from tests.simulators.api import RefusedError
from tests.simulators.bifrost.auth import refusal
from tests.simulators.bifrost.rows import Row, new_id
from tests.simulators.bifrost.specs import VIRTUAL_KEYS, Options, RowSpec, Traffic


class World:
    """All rows, in the order in which they were made."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.virtual_keys = dict(VIRTUAL_KEYS)
        self._rows: dict[str, Row] = {}
        self._config: dict[str, RowSpec] = {}
        self._traffic = Traffic()
        self._counted = time.monotonic()

    def seed(self, specs: Sequence[RowSpec]) -> None:
        """Replace all rows; nothing is used until somebody says so."""
        self._rows, self._config = {}, {}
        self.virtual_keys = dict(VIRTUAL_KEYS)
        self._traffic = Traffic()
        for spec in specs:
            self.add(spec)

    def visible(self) -> list[Row]:
        """Return the rows that the gateway's generation shows."""
        self._count()
        return [row for row in self._rows.values() if row.shown_by(self.options.generation)]

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

    def remove(self, mc_id: str) -> None:
        """Remove a row, or raise `RefusedError`."""
        del self._rows[self.any(mc_id).id]

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
        return self.any(mc_id).spec(config=mc_id in self._config)

    def duplicate(self, mc_id: str) -> Row:
        """Add a row with the same identity and limits, of which nothing is used."""
        spec = unused(self.spec(mc_id))
        budgets = [budget.model_copy(update={"id": None}) for budget in spec.budgets]
        return self.add(spec.model_copy(update={"id": None, "config": False, "budgets": budgets}))

    def restart_from_config(self) -> None:
        """Start again with config.json as the source of truth: its rows are as it says, all others are gone."""
        self._count()
        kept = {mc_id: row for mc_id, row in self._rows.items() if mc_id in self._config}
        self._rows = {}
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
    """Return what two rows should not have in common; in generation 1 all rows are global."""
    return row.scope, row.scope_id, row.model_name, row.provider


def unused(spec: RowSpec) -> RowSpec:
    """Return a description that says nothing of what was used."""
    nothing = {"token_current_usage": None, "request_current_usage": None}
    budgets = [budget.model_copy(update={"current_usage": None}) for budget in spec.budgets]
    limits = spec.rate_limit and spec.rate_limit.model_copy(update=nothing)
    return spec.model_copy(update={"budgets": budgets, "rate_limit": limits})


def missing() -> RefusedError:
    """Return the refusal for an id that is not there."""
    return refusal(404, "Model config not found")
