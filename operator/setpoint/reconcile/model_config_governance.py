"""ModelConfigGovernance: budget and rate limit of one model config of a Bifrost gateway.

The gateway keeps what was spent in the very rows that hold the limits, so a row is never deleted and made anew: it is found,
by its id or by its identity among all rows, adopted as it is, and changed in place. Only where there is none is one created,
and where one is gone that was there before, that is said, because what was spent is forgotten with it. A row that this
resource knows and that has another name by now is not gone: it gets its name back.

That there is none is never said on the word of a list that may be older than the question: a row made in between would get
a twin, and its limits would be taken for none.
"""

import re
from collections.abc import Hashable
from dataclasses import replace
from http import HTTPStatus
from typing import Any, ClassVar

from setpoint.reconcile.base import Reconciler
from setpoint.reconcile.conditions import Reason, Type, Verdict
from setpoint.reconcile.governance_differences import (
    ALIGNED,
    BUDGETS,
    RATE_LIMIT,
    RowSettings,
    differences,
    managed,
    none,
    plain,
    seen,
)
from setpoint.reconcile.governance_rows import RowTarget, check_renaming, row_of, thing, warning
from setpoint.reconcile.memory import Memory
from setpoint.reconcile.outcome import Attempt, Observation, ObservationOutdated, Outcome, Written
from setpoint.reconcile.ownership import Thing
from setpoint.reconcile.ports import Event, EventType, Handle
from setpoint.reconcile.usage import recorded, summary
from setpoint.remotes.answers import Answer
from setpoint.remotes.bifrost import Bifrost
from setpoint.remotes.bifrost_bodies import asks_release, check, ignored
from setpoint.remotes.bifrost_shapes import Identity, ModelConfig
from setpoint.remotes.errors import (
    InvalidSettings,
    RemoteError,
    RemoteFailure,
    TargetNotFound,
    UnexpectedAnswer,
    UnreadableAnswer,
)
from setpoint.resources.common import Drift, StatusBase, clean_message
from setpoint.resources.model_config_governance import (
    Budget,
    GovernanceSettings,
    ModelConfigGovernance,
    ModelConfigGovernanceStatus,
    RateLimit,
    ResolvedModelConfig,
)

TRIES_AT_500 = 3
"""Tries after which a 500 with a message counts as a refusal: the gateway answers it to settings it does not take."""

LIST_FRESH = 1.0
"""Seconds that a list may be old for somebody who waits."""

RECREATED = "Recreated"
_BUSY = re.compile(r"\bis locked\b|\bbusy\b", re.IGNORECASE)
"""What a gateway says whose database, SQLite, is written by somebody else right now."""


class GovernanceReconciler(Reconciler[Bifrost, ModelConfigGovernance, GovernanceSettings, RowTarget]):
    """Keeps budget and rate limit of model configs at what the specs say."""

    READS_FIRST: ClassVar[bool] = True

    async def connect(self, resource: ModelConfigGovernance, *, fresh: bool) -> Handle[Bifrost]:
        """Return the open connection of a resource."""
        return await self._connections.bifrost(resource, fresh=fresh)

    def desired(self, resource: ModelConfigGovernance) -> GovernanceSettings:
        """Return the budgets, rate limit and alignment the spec wants, for the row of its identity."""
        spec = resource.spec
        budgets = [spec.budget] if spec.budget is not None else spec.budgets
        return RowSettings(
            budgets=None if budgets is None else [Budget.of(budget) for budget in budgets],
            rate_limit=spec.rate_limit,
            calendar_aligned=spec.calendar_aligned,
            identity=_identity(resource),
        )

    def applied(self, status: StatusBase) -> GovernanceSettings | None:
        """Return the settings the status says were last written or found in place."""
        return status.applied if isinstance(status, ModelConfigGovernanceStatus) else None

    def covers(self, applied: GovernanceSettings, desired: GovernanceSettings) -> bool:
        """Tell whether everything desired is among what was applied."""
        known = desired.budgets is None or applied.budgets is not None
        known = known and (desired.rate_limit is None or applied.rate_limit is not None)
        known = known and (desired.calendar_aligned is None or applied.calendar_aligned is not None)
        return known and not self.differences(desired, applied)

    def differences(self, desired: GovernanceSettings, observed: GovernanceSettings) -> list[Drift]:
        """Return the managed limits that the gateway reports otherwise, after what the row should not be of."""
        return differences(desired, observed)

    def differing(self, desired: GovernanceSettings, drift: list[Drift]) -> GovernanceSettings:
        """Return only those parts that the differences name; the gateway takes each of them as a whole."""
        parts = {entry.field.partition("[")[0].partition(".")[0] for entry in drift}
        return GovernanceSettings(
            budgets=desired.budgets if BUDGETS in parts else None,
            rate_limit=desired.rate_limit if RATE_LIMIT in parts else None,
            calendar_aligned=desired.calendar_aligned if ALIGNED in parts else None,
        )

    def manages(self, resource: ModelConfigGovernance, target: RowTarget | None) -> frozenset[Hashable]:
        """Return the model config by its identity, which the spec tells."""
        del target
        return frozenset({thing(_identity(resource))})

    def shares(self, resource: ModelConfigGovernance) -> Hashable:
        """Return the same for all resources of a gateway: one list has all rows."""
        del resource
        return "model configs"

    async def resolve(self, client: Bifrost, resource: ModelConfigGovernance) -> RowTarget:
        """Return the target as spec and status tell it; the list that tells the rest is read later."""
        del client
        known = resource.status.target
        return RowTarget(
            identity=_identity(resource),
            pinned=resource.spec.model_config_id,
            known=known.model_config_id if known is not None else None,
            place=self._connections.place(resource),
        )

    async def read(
        self, client: Bifrost, target: RowTarget, desired: GovernanceSettings, *, not_before: float, urgent: bool
    ) -> tuple[RowTarget, Observation[GovernanceSettings]]:
        """Return the target with its row, and the limits in it; none where there is no row.

        Raises:
            RemoteError: the row the spec names is not there, several have the identity, or the API could not tell.
        """
        if urgent:
            not_before = max(not_before, self._clock.monotonic() - LIST_FRESH)
        asked = self._clock.monotonic()
        rows = await client.rows(not_before=not_before, urgent=urgent)
        try:
            row = row_of(rows, target)
        except TargetNotFound:
            row = None
        if row is None or row.identity != target.identity:
            # What was missing in a list that is a few seconds old may have been made since.
            rows = await client.rows(not_before=asked, urgent=urgent)
            row = row_of(rows, target)
        if row is not None and row.problem is not None:
            raise await client.misunderstood(row.problem)
        generation = max((one.generation for one in rows), default=None)
        if row is None and generation is None:
            # Asked here, since a write goes out right after the spec was confirmed.
            generation = await client.generation()
        there = replace(
            target,
            wanted=desired,
            row=row,
            generation=generation,
            release=await client.release() if asks_release(desired) else None,
            alone=row is None or not any(one.identity == row.identity and one.id != row.id for one in rows),
        )
        settings = seen(row) if row is not None else none(desired)
        return there, Observation(managed(settings, desired), warning=warning(rows, there))

    async def write(
        self, client: Bifrost, target: RowTarget, settings: GovernanceSettings, attempt: Attempt
    ) -> Written[GovernanceSettings, RowTarget]:
        """Change the row in place, or create it where there is none.

        Raises:
            InvalidSettings: the gateway would refuse the settings, does not know them, or cannot give the row its name back.
            ObservationOutdated: there is a row by now where there was none.
        """
        if not attempt.restoring:
            check(target.identity, settings, target.generation, target.release)
        taken = self._taken(target, attempt)
        if target.row is not None and taken is None:
            if target.renamed:
                check_renaming(target, target.row)
            return await self._update(client, target, target.row, settings, attempt)
        if taken is not None and target.wanted is not None:
            # What differs is told of the row that stays with the other resource.
            settings = target.wanted
        try:
            answer, made = await client.create(target.identity, settings, target.generation, urgent=attempt.urgent)
        except RemoteFailure as error:
            if error.status != HTTPStatus.CONFLICT:
                raise
            # Somebody was faster, or the answer to an earlier request of this operator never came.
            try:
                rows = await client.rows(not_before=self._clock.monotonic(), urgent=True)
            except (UnreadableAnswer, UnexpectedAnswer):
                # Of these the status is that of the list, and would be taken for the write's.
                raise error from None
            there = row_of(rows, target)
            if there is None or there.identity != target.identity:
                raise
            raise ObservationOutdated(f"model config {there.id} of {target.identity} was made a moment ago") from None
        gone = _recreated(target, made) if target.known is not None else None
        events = tuple(event for event in (taken or gone,) if event is not None)
        return await self._shown(client, replace(target, created=True), answer, made, events)

    def _taken(self, target: RowTarget, attempt: Attempt) -> Event | None:
        """Return what to tell where a renamed row is the only one of another resource by now, None where it is not.

        That resource would take the name back, and so on for ever.
        """
        row = target.row
        if row is None or not target.renamed or row.identity is None or target.place is None or not target.alone:
            return None
        owner = attempt.manager(Thing(target.place, thing(row.identity)))
        if owner is None or owner == attempt.key:
            return None
        return Event(
            EventType.WARNING,
            RECREATED,
            f"model config {row.id} of {target.identity} is of {row.identity} now, which {owner} manages, and stays so; "
            f"another one is made for {target.identity}, with nothing used",
        )

    async def _update(
        self, client: Bifrost, target: RowTarget, row: ModelConfig, settings: GovernanceSettings, attempt: Attempt
    ) -> Written[GovernanceSettings, RowTarget]:
        wanted = target.identity
        try:
            answer, after = await client.update(row, settings, urgent=attempt.urgent, identity=wanted)
            if after.generation is not row.generation and self.differences(settings, after.settings):
                # The gateway was replaced by a newer one since the list was read, which ignored the older field.
                await attempt.confirm()
                answer, after = await client.update(after, settings, urgent=attempt.urgent, identity=wanted)
        except TargetNotFound as error:
            if target.pinned is not None:
                raise
            raise RemoteFailure(f"{error.message}: it was deleted a moment ago", status=error.status) from None
        if after.problem is None and (field := ignored(settings, after.settings)) is not None:
            raise InvalidSettings(
                f"the gateway took the change of model config {row.id} and left {field} as it was: "
                "its release cannot change that for model configs; leave it out of the spec",
                status=HTTPStatus.OK,
                api_message=answer.message,
            )
        return await self._shown(client, target, answer, after, ())

    async def _shown(
        self, client: Bifrost, target: RowTarget, answer: Answer, row: ModelConfig, events: tuple[Event, ...]
    ) -> Written[GovernanceSettings, RowTarget]:
        """Return what the answer to a write shows; it is the row as it now is."""
        if row.problem is not None:
            raise await client.misunderstood(row.problem)
        shown = replace(target, row=row, generation=row.generation)
        return Written(answer, shown, Observation(seen(row)), events)

    def weigh(
        self, resource: ModelConfigGovernance, memory: Memory, attempt: Attempt, error: RemoteError
    ) -> RemoteError:
        """Return a refusal for a 500 with a message that came again and again, or again after it was taken for one.

        A database that is locked or busy is none, however often it is: it passes by itself.
        """
        if (
            not isinstance(error, RemoteFailure)
            or error.status != HTTPStatus.INTERNAL_SERVER_ERROR
            or error.api_message is None
        ):
            return error
        if _BUSY.search(error.api_message):
            return error
        ready = memory.status.condition(Type.READY)
        refused_before = (
            ready is not None
            and ready.reason == Reason.INVALID_SETTINGS
            and ready.observed_generation == resource.metadata.generation
        )
        if refused_before or attempt.failures >= TRIES_AT_500:
            return InvalidSettings(error.message, status=error.status, api_message=error.api_message)
        return error

    def lacks_baseline(self, status: StatusBase, desired: GovernanceSettings) -> bool:
        """Tell whether budgets, rate limit or alignment are managed and not in the status's baseline."""
        known = _baseline(status)
        return (
            (desired.budgets is not None and known.budgets is None)
            or (desired.rate_limit is not None and known.rate_limit is None)
            or (desired.calendar_aligned is not None and known.calendar_aligned is None)
        )

    def baseline(
        self, status: StatusBase, found: GovernanceSettings, desired: GovernanceSettings
    ) -> GovernanceSettings:
        """Return the status's baseline with what it lacks, as it was found: none is something that can be put back."""
        known = _baseline(status)
        budgets, rate_limit, aligned = known.budgets, known.rate_limit, known.calendar_aligned
        if desired.budgets is not None and budgets is None:
            budgets = found.budgets or []
        if desired.rate_limit is not None and rate_limit is None:
            rate_limit = found.rate_limit or RateLimit()
        if desired.calendar_aligned is not None and aligned is None:
            aligned = bool(found.calendar_aligned)
        return GovernanceSettings(budgets=budgets, rate_limit=rate_limit, calendar_aligned=aligned)

    def as_found(self, resource: ModelConfigGovernance) -> ModelConfigGovernance | None:
        """Return the resource as if its spec were its baseline, for the very row it changed: none is created for that."""
        known, origin = _possible(_baseline(resource.status)), resource.status.origin
        if known == GovernanceSettings() or origin is None or origin.id is None:
            return None
        found = {
            "budget": None,
            "budgets": known.budgets,
            "rate_limit": known.rate_limit,
            "calendar_aligned": known.calendar_aligned,
            "model_config_id": origin.id,
        }
        return resource.model_copy(update={"spec": resource.spec.model_copy(update=found)})

    def stays(self, resource: ModelConfigGovernance) -> str:
        """Return the limits that no spec could have."""
        return "; ".join(_baseline(resource.status).beyond())

    def origin_id(self, target: RowTarget) -> str | None:
        """Return the id of the row; None where there is none."""
        return target.row.id if target.row is not None else None

    def creates(self, target: RowTarget) -> bool:
        """Tell whether there is no row yet."""
        return target.row is None

    def created(self, resource: ModelConfigGovernance) -> bool:
        """Tell whether the row is there because this very resource created it."""
        return bool(resource.status.created)

    async def remove(
        self, client: Bifrost, resource: ModelConfigGovernance, memory: Memory, attempt: Attempt
    ) -> Outcome:
        """Delete the row this resource created, if it is still what it was created as."""
        known = resource.status.target
        if known is None or known.model_config_id is None:
            return Outcome(status=None, release=True, asked=False)
        target = await self.resolve(client, resource)
        lost = self._contest(resource, memory, attempt, target, self.standing(resource, held=memory.proven))
        if isinstance(lost, Verdict):
            return self._lost(resource, memory, target, lost)
        rows = await client.rows(not_before=self._clock.monotonic(), urgent=True)
        row = next((one for one in rows if one.id == known.model_config_id), None)
        title = f"model config {known.model_config_id} of {target.identity}"
        if row is None:
            return _removed(EventType.NORMAL, f"{title} was deleted already")
        if row.identity != target.identity:
            return _removed(EventType.WARNING, f"{title} was not deleted: it is of {row.identity} now")
        await attempt.confirm()
        try:
            await client.delete(row.id, urgent=True)
        except TargetNotFound:
            return _removed(EventType.NORMAL, f"{title} was deleted already")
        return _removed(EventType.NORMAL, f"{title} was deleted, which this resource created")

    def title(self, target: RowTarget) -> str:
        """Return provider and model, with the scope where it is not global."""
        return str(target.identity)

    def record(
        self,
        resource: ModelConfigGovernance,
        status: StatusBase,
        *,
        target: RowTarget,
        applied: GovernanceSettings | None,
        observed: GovernanceSettings | None,
    ) -> dict[str, Any]:
        """Return target, created, applied, observed, usage and summary; only those whose value is known."""
        before = status if isinstance(status, ModelConfigGovernanceStatus) else ModelConfigGovernanceStatus()
        known = before.target.model_config_id if before.target is not None else None
        desired = self.desired(resource)
        id_ = target.row.id if target.row is not None else known
        fields: dict[str, Any] = {"target": ResolvedModelConfig(name=self.title(target), model_config_id=id_)}
        if target.created:
            fields["created"] = True
        elif id_ != known:
            fields["created"] = None
        if applied is not None:
            fields["applied"] = plain(applied)
        if observed is not None:
            fields["observed"] = plain(managed(observed, desired))
        if target.row is not None:
            windows = [window for window in target.row.usage if _is_managed(window.limit, desired)]
            fields |= recorded(before, windows, desired, self._clock.now(), resource.spec.every)
        fields["summary"] = summary(desired, fields.get("usage", before.usage))
        return fields


def _removed(type_: EventType, message: str) -> Outcome:
    return Outcome(status=None, release=True, events=(Event(type_, "Deleted", clean_message(message)),))


def _baseline(status: StatusBase) -> GovernanceSettings:
    known = status.baseline if isinstance(status, ModelConfigGovernanceStatus) else None
    return known or GovernanceSettings()


def _possible(found: GovernanceSettings) -> GovernanceSettings:
    """Return what of a baseline may be put back: budgets and rate limit as they were, if a spec could have them."""
    return GovernanceSettings(
        budgets=found.budgets if not GovernanceSettings(budgets=found.budgets).beyond() else None,
        rate_limit=found.rate_limit if not GovernanceSettings(rate_limit=found.rate_limit).beyond() else None,
        calendar_aligned=found.calendar_aligned,
    )


def _identity(resource: ModelConfigGovernance) -> Identity:
    spec = resource.spec
    return Identity(spec.model_name, spec.provider, spec.scope, spec.scope_id)


def _is_managed(limit: str, desired: GovernanceSettings) -> bool:
    return (desired.budgets if limit == "budget" else desired.rate_limit) is not None


def _recreated(target: RowTarget, row: ModelConfig) -> Event:
    return Event(
        EventType.WARNING,
        RECREATED,
        f"model config {target.known} of {target.identity} was gone at the gateway and is there again as {row.id}, "
        "with nothing used; a gateway with source_of_truth: config.json drops rows of the API when it restarts",
    )
