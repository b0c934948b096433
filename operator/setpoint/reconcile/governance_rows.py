"""Which row of a gateway's table is meant by a resource, and what is odd about it beside the others: pure functions."""

import unicodedata
from collections.abc import Hashable
from dataclasses import dataclass

from setpoint.remotes.bifrost_shapes import Generation, Identity, ModelConfig
from setpoint.remotes.bifrost_windows import Release
from setpoint.remotes.errors import AmbiguousName, InvalidSettings, TargetNotFound
from setpoint.resources.model_config_governance import GovernanceSettings, Scope


@dataclass(frozen=True, slots=True)
class RowTarget:
    """A model config, by its identity and, once it was looked for, by what the gateway has."""

    identity: Identity
    pinned: str | None
    """The id the spec names."""
    known: str | None
    """The id the status names."""
    place: str | None = None
    """Where the gateway is."""
    wanted: GovernanceSettings | None = None
    """All that the spec wants of it."""
    row: ModelConfig | None = None
    """The row that is meant; it may be of another identity, where it was changed behind our back."""
    generation: Generation | None = None
    """The newest one that the gateway's rows show, else that of its release; None where neither tells."""
    release: Release | None = None
    """The gateway's release, where it matters for the settings; None where it does not, or the gateway does not tell."""
    alone: bool = False
    """No other row is of what the row is of."""
    created: bool = False
    """This very look created the row."""

    @property
    def renamed(self) -> bool:
        """Whether the row is of something else than it should be."""
        return self.row is not None and self.row.identity != self.identity


def thing(identity: Identity) -> Hashable:
    """Return what a resource claims that manages the model config of this identity."""
    return ("model config", *identity)


def row_of(rows: list[ModelConfig], target: RowTarget) -> ModelConfig | None:
    """Return the target's row among all of them, be it of something else by now; None where one may be created.

    Raises:
        TargetNotFound: the spec names a row that is not there or is of something else.
        AmbiguousName: several rows have the identity.
    """
    same = [row for row in rows if row.identity == target.identity]
    ids = ", ".join(sorted(row.id for row in same)[:10])
    known = next((row for row in rows if row.id == target.known), None) if target.known else None
    if target.pinned is None:
        if len(same) > 1:
            raise AmbiguousName(
                f"{len(same)} model configs are of {target.identity}, with the ids {ids}: "
                "delete all but one, or say which one with spec.modelConfigId"
            )
        if known is not None and known.identity is None and not same:
            raise TargetNotFound(f"model config {known.id} of {target.identity} is of something unknown now")
        return same[0] if same else known
    pinned = next((row for row in rows if row.id == target.pinned), None)
    if pinned is None:
        there = f"with the id {ids}" if ids else "none"
        raise TargetNotFound(
            f"the gateway has no model config {target.pinned} (spec.modelConfigId); of {target.identity} it has {there}"
        )
    if pinned.identity == target.identity or (pinned is known and pinned.identity is not None and not same):
        return pinned
    there = f", which is model config {ids} now" if ids else ""
    raise TargetNotFound(
        f"model config {pinned.id} is of {pinned.identity or 'something unknown'}, not of {target.identity}{there}"
    )


def check_renaming(target: RowTarget, row: ModelConfig) -> None:
    """Find out whether a row can get its name back.

    Raises:
        InvalidSettings: the gateway cannot do that.
    """
    now, wanted = row.identity, target.identity
    if now is None or (now.scope, now.scope_id) != (wanted.scope, wanted.scope_id):
        cannot = "change its scope"
    elif wanted.provider is None and now.provider is not None:
        cannot = "take its provider away again"
    else:
        return
    raise InvalidSettings(
        f"model config {row.id} of {wanted} is of {now or 'something unknown'} now, and the gateway cannot {cannot}: "
        "delete it there, and it is made anew, with nothing used"
    )


def warning(rows: list[ModelConfig], target: RowTarget) -> str | None:
    """Return what is odd about the row beside the others: one that was ours and is not, or one that looks alike."""
    known = next((one for one in rows if one.id == target.known), None) if target.known else None
    if target.row is not None and known is not None and known.id != target.row.id:
        return (
            f"model config {known.id}, which was managed here before, is of {known.identity or 'something unknown'} now "
            f"and keeps its limits; model config {target.row.id} is of {target.identity} and is managed instead"
        )
    alike = sorted(
        (str(one.identity), one.id, one.identity)
        for one in rows
        if one.identity is not None
        and one.identity != target.identity
        and _alike(one.identity) == _alike(target.identity)
    )
    if not alike:
        return None
    _, id_, other = alike[0]
    return (
        f"the gateway also has model config {id_} of {_exactly(other)}, which differs from {_exactly(target.identity)} "
        "in case, blanks or invisible characters only: to the gateway they are two, and one of them may never apply"
    )


def _alike(identity: Identity) -> tuple[str, str, Scope, str]:
    """Return an identity without what people do not see in it, or overlook."""
    return (
        _overlooked(identity.model_name),
        _overlooked(identity.provider),
        identity.scope,
        _overlooked(identity.scope_id),
    )


def _overlooked(name: str | None) -> str:
    visible = "".join(char for char in unicodedata.normalize("NFKC", name or "") if unicodedata.category(char) != "Cf")
    return " ".join(visible.casefold().split())


def _exactly(identity: Identity) -> str:
    """Return model and provider so that every character can be told."""
    told = repr(identity.model_name)
    return told if identity.provider is None else f"{told} of provider {identity.provider!r}"
