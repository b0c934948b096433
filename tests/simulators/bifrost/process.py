"""The test's end of the Bifrost simulator."""

from collections.abc import Mapping, Sequence
from typing import Self, Unpack

from tests.simulators.bifrost.auth import credentials
from tests.simulators.bifrost.shapes import Json
from tests.simulators.bifrost.specs import GLOBAL, AuthMode, Generation, RowChanges, RowSpec, Traffic
from tests.simulators.handle import Simulator, options


class BifrostSimulator(Simulator):
    """A simulator of a Bifrost gateway in a process of its own."""

    MODULE = "tests.simulators.bifrost"
    prefix = ""

    @classmethod
    def start(
        cls,
        *,
        generation: Generation | None = None,
        version: str | None = None,
        prefix: str | None = None,
        rate: int | None = None,
        port: int | None = None,
        auth: AuthMode = "open",
        username: str = "admin",
        password: str = "",
        tokens: Sequence[str] = (),
        setup_token: str | None = None,
    ) -> Self:
        """Start one of generation 2, open to everybody and without a limit of requests, unless told otherwise."""
        given = options(
            {"generation": generation, "version": version, "prefix": prefix, "rate": rate, "port": port, "auth": auth}
        )
        keys = credentials(auth, username=username, password=password, tokens=tokens, setup_token=setup_token)
        simulator = cls.launch(*given, *(f"--key={key}" for key in keys))
        simulator.prefix = prefix or ""
        return simulator

    @property
    def gateway_url(self) -> str:
        """The gateway's URL with its prefix, as a client is told."""
        return f"{self.url}{self.prefix}"

    def set_generation(self, generation: Generation) -> None:
        """Change to another generation of the endpoint; the rows stay."""
        self.command("set_options", changes={"generation": generation})

    def set_version(self, text: str | None) -> None:
        """Set what the gateway calls itself; None is what its generation does."""
        self.command("set_options", changes={"version": text})

    def set_duplicates(self, *, allowed: bool = True) -> None:
        """Let a POST miss rows of its identity, as it does when the other came through another replica."""
        self.command("set_options", changes={"duplicates": allowed})

    def set_alignment(self, *, allowed: bool = True) -> None:
        """Let a POST and a PUT say whether the windows of a row begin with the calendar's."""
        self.command("set_options", changes={"aligns": allowed})

    def set_enterprise(self, *, enterprise: bool = True) -> None:
        """Let the gateway be of the enterprise edition, which knows the scope `user`."""
        self.command("set_options", changes={"enterprise": enterprise})

    def set_governance(self, *, there: bool) -> None:
        """Let the endpoint be there or not: then the gateway shows its dashboard in its place."""
        self.command("set_options", changes={"governance": there})

    def lock_database(self, writes: int | None = 1) -> None:
        """Let so many writes fail with 500 and change nothing, as SQLite under load does; None all, 0 no more."""
        self.command("lock_database", writes=writes)

    def set_auth(
        self,
        mode: AuthMode,
        *,
        username: str = "admin",
        password: str = "",
        tokens: Sequence[str] = (),
        setup_token: str | None = None,
    ) -> None:
        """Change whom the gateway lets in; with no token set, the mode `setup_token` lets in nobody.

        With authentication on, all logins and sessions that are given are valid, whichever of the two modes it is.
        """
        keys = credentials(mode, username=username, password=password, tokens=tokens, setup_token=setup_token)
        self.command("set_auth", mode=mode, keys=keys)

    def add_virtual_key(self, scope_id: str, name: str) -> None:
        """Add a virtual key, which a POST of this scope needs to be there."""
        self.command("add_virtual_key", scope_id=scope_id, name=name)

    def remove_virtual_key(self, scope_id: str) -> None:
        """Remove a virtual key; the gateway removes its rows with it."""
        self.command("remove_virtual_key", scope_id=scope_id)

    def seed(self, rows: Sequence[RowSpec]) -> None:
        """Replace all rows."""
        self.command("seed", rows=list(rows))

    def add_row(self, row: RowSpec) -> str:
        """Add a row past the API, whatever there is of its identity, and return its id."""
        return str(self.command("add_row", row=row))

    def rows(self) -> list[Json]:
        """Return the rows as the API shows them now."""
        rows: list[Json] = self.command("rows")
        return rows

    def row(self, mc_id: str) -> Json:
        """Return a row as the API shows it now, or would if the generation had it."""
        row: Json = self.command("row", mc_id=mc_id)
        return row

    def find(
        self, model_name: str, provider: str | None = None, scope: str = GLOBAL, scope_id: str | None = None
    ) -> list[Json]:
        """Return the rows of an identity as the API shows them now."""
        rows: list[Json] = self.command(
            "find", model_name=model_name, provider=provider, scope=scope, scope_id=scope_id
        )
        return rows

    def state(self, mc_id: str) -> RowSpec:
        """Return a row in the form that is the same for all generations, with its ids and what was used."""
        return RowSpec.model_validate(self.command("state", mc_id=mc_id))

    def update_row(self, mc_id: str, **changes: Unpack[RowChanges]) -> None:
        """Change a row past the API, as somebody else would; usage stays where the changes say nothing of it."""
        self.command("update_row", mc_id=mc_id, changes=changes)

    def delete_row(self, mc_id: str) -> None:
        """Delete a row past the API."""
        self.command("delete_row", mc_id=mc_id)

    def duplicate_row(self, mc_id: str) -> str:
        """Add a row of the same identity and limits, and return its id."""
        return str(self.command("duplicate_row", mc_id=mc_id))

    def restart_from_config(self) -> str | None:
        """Restart with config.json as the source of truth: rows from it are as it says, all others are gone.

        v1.5.16 and older ones of generation 2 do not start any more when another row has a budget: then the reason is
        returned, and no request is answered until the faults are cleared.
        """
        failure: str | None = self.command("restart_from_config")
        return failure

    def set_usage(
        self,
        mc_id: str,
        *,
        budget: Mapping[str, float] | None = None,
        token_usage: int | None = None,
        request_usage: int | None = None,
    ) -> None:
        """Set what was used: dollars by the budget's duration, tokens, requests; None leaves it."""
        self.command(
            "set_usage", mc_id=mc_id, budget=budget or {}, token_usage=token_usage, request_usage=request_usage
        )

    def set_traffic(
        self, *, dollars_per_second: float = 0, tokens_per_second: float = 0, requests_per_second: float = 0
    ) -> None:
        """Let the usage of all rows grow by so much per second from now on."""
        traffic = Traffic(
            dollars_per_second=dollars_per_second,
            tokens_per_second=tokens_per_second,
            requests_per_second=requests_per_second,
        )
        self.command("set_traffic", traffic=traffic)

    def reset_window(self, mc_id: str) -> None:
        """Start all windows of a row anew: nothing is used, the last reset is now."""
        self.command("reset_window", mc_id=mc_id)
