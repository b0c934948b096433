"""What a kind of resource has to say of itself, so that it can be brought to its spec: settings, target, reads and writes.

`base` is the part that is the same for all kinds; there is one module for each of them.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable
from typing import Any, ClassVar, Generic, TypeVar

from setpoint.reconcile.memory import Memory
from setpoint.reconcile.outcome import Attempt, Observation, Outcome, Written
from setpoint.reconcile.ports import Handle
from setpoint.remotes.errors import RemoteError
from setpoint.resources.common import Drift, Managed, Model, StatusBase

C = TypeVar("C")
R = TypeVar("R", bound=Managed)
S = TypeVar("S")
T = TypeVar("T")


class Kind(ABC, Generic[C, R, S, T]):
    """A kind of resources (R) with settings (S) of a target (T) behind a client (C)."""

    READS_FIRST: ClassVar[bool] = False
    """A changed spec is compared with a read before it is written, because a write needs to know what is there."""

    @abstractmethod
    async def connect(self, resource: R, *, fresh: bool) -> Handle[C]:
        """Return the open connection of a resource; raises as `Connections` says."""

    @abstractmethod
    def desired(self, resource: R) -> S:
        """Return the settings the spec wants."""

    @abstractmethod
    def applied(self, status: StatusBase) -> S | None:
        """Return the settings the status says were last written or found in place."""

    @abstractmethod
    def covers(self, applied: S, desired: S) -> bool:
        """Tell whether everything desired is among what was applied."""

    @abstractmethod
    def differences(self, desired: S, observed: S) -> list[Drift]:
        """Return the managed fields that the remote reports otherwise."""

    @abstractmethod
    def differing(self, desired: S, drift: list[Drift]) -> S:
        """Return only those desired settings that the differences name."""

    @abstractmethod
    def manages(self, resource: R, target: T | None) -> frozenset[Hashable]:
        """Return the remote things a resource manages, by ids of its API; empty where they are not known yet.

        `target` is None where nobody was asked: then spec and status tell, or nothing does.
        """

    def present(self, target: T, desired: S) -> S:
        """Return the settings of what there still is; where a resource is deleted, the rest is no obstacle."""
        del target
        return desired

    def uncontested(self, desired: S, others: frozenset[Hashable]) -> S | None:
        """Return what is left of the settings without those of things that others manage; None where nothing is."""
        del desired, others
        return None

    def parts(self, target: T, things: list[Hashable]) -> str:
        """Return the name of some of what the target has, for people."""
        del things
        return self.title(target)

    def neighbourhood(self, resource: R, target: T | None) -> Hashable | None:
        """Return the place where the target has a second name, which another resource may use; None where it has not.

        `target` is None where nobody was asked: then spec and status tell, or nothing does.
        """
        del resource, target
        return None

    async def identify(self, client: C, target: T, *, not_before: float) -> T:
        """Return the target with all its names, as they are after that monotonic time."""
        del client, not_before
        return target

    @abstractmethod
    def lacks_baseline(self, status: StatusBase, desired: S) -> bool:
        """Tell whether a managed setting is not in the status's baseline."""

    @abstractmethod
    def baseline(self, status: StatusBase, found: S, desired: S) -> Model:
        """Return the status's baseline with the managed settings it lacks, as they were found."""

    @abstractmethod
    def as_found(self, resource: R) -> R | None:
        """Return the resource as if its spec were its baseline; None where it has none."""

    def stays(self, resource: R) -> str:
        """Return what of the baseline cannot be put back and why, for people; nothing where everything can."""
        del resource
        return ""

    def origin_id(self, target: T) -> str | None:
        """Return the id of the very thing the target is, so that its successor is told from it; None where there is none.

        Where it is known only after a read (`READS_FIRST`), it is asked for then.
        """
        return self.title(target)

    async def name_of_known(self, client: C, resource: R) -> str | None:
        """Return the name under which the thing is listed now that the status speaks of; None where it is gone.

        Asked only where the target was looked up by a name that leads to another thing than before.
        """
        del client, resource
        return None

    def spec_name(self, resource: R) -> str:
        """Return the name by which the spec says what is meant, with its field; nothing where it is an id."""
        del resource
        return ""

    def creates(self, target: T) -> bool:
        """Tell whether a write would create the target."""
        del target
        return False

    def created(self, resource: R) -> bool:
        """Tell whether what the resource manages is there because this very resource created it."""
        del resource
        return False

    async def remove(self, client: C, resource: R, memory: Memory, attempt: Attempt) -> Outcome:
        """Delete at the remote what this resource created; most kinds create nothing."""
        del client, resource, memory, attempt
        return Outcome(status=None, release=True, asked=False)

    @abstractmethod
    def shares(self, resource: R) -> Hashable:
        """Return what is read for this resource: all that return the same can be served by one read."""

    @abstractmethod
    async def resolve(self, client: C, resource: R) -> T:
        """Return the target by the remote API's ids."""

    @abstractmethod
    async def write(self, client: C, target: T, settings: S, attempt: Attempt) -> Written[S, T]:
        """Write settings, which were confirmed just now; whatever takes longer than one request confirms them again."""

    @abstractmethod
    async def read(
        self, client: C, target: T, desired: S, *, not_before: float, urgent: bool
    ) -> tuple[T, Observation[S]]:
        """Return the target, perhaps now known better, and what the remote reports for the managed fields."""

    async def explain(self, client: C, target: T, desired: S, error: RemoteError) -> RemoteError:
        """Return a refused write's error, or a clearer one where a cheap read tells what is missing."""
        del client, target, desired
        return error

    def weigh(self, resource: R, memory: Memory, attempt: Attempt, error: RemoteError) -> RemoteError:
        """Return a failed write's error, or another one where it means something else for this kind."""
        del resource, memory, attempt
        return error

    @abstractmethod
    def title(self, target: T) -> str:
        """Return the target's name for people."""

    @abstractmethod
    def record(
        self, resource: R, status: StatusBase, *, target: T, applied: S | None, observed: S | None
    ) -> dict[str, Any]:
        """Return the kind's own status fields; only those whose value is known. `status` is the newest one so far."""
