"""ChainAutoscaling: the chainlets of one environment of a Baseten chain, written as one batch."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from setpoint.reconcile.base import ANY_TIME, Reconciler
from setpoint.reconcile.outcome import Attempt, Observation, Written
from setpoint.reconcile.ports import Handle
from setpoint.remotes.baseten import Baseten, ChainEnvironment
from setpoint.remotes.errors import PermanentError, RemoteError, TargetNotFound
from setpoint.resources.autoscaling import AutoscalingBaseline, AutoscalingSettings
from setpoint.resources.chain_autoscaling import (
    ChainAutoscaling,
    ChainAutoscalingStatus,
    ChainBaseline,
    Chainlet,
    ChainletBaseline,
    ChainSettings,
    ResolvedChain,
    Summary,
)
from setpoint.resources.common import Drift, StatusBase
from setpoint.resources.serving import ChainletServing, ChainServing

Chainlets: TypeAlias = Mapping[str, AutoscalingSettings]
"""Settings by the name of the chainlet."""


@dataclass(frozen=True, slots=True)
class ChainTarget:
    """An environment of a chain, by ids."""

    chain_id: str
    environment: str
    by_name: bool = False
    """The chain was looked up by its name, which may be someone else's by now."""
    there: frozenset[str] | None = None
    """The chainlets there are, where the resource is being deleted: what is gone needs no restoring."""


class ChainReconciler(Reconciler[Baseten, ChainAutoscaling, Chainlets, ChainTarget]):
    """Keeps the autoscaling of chainlets at what the specs say."""

    async def connect(self, resource: ChainAutoscaling, *, fresh: bool) -> Handle[Baseten]:
        """Return the open connection of a resource."""
        return await self._connections.baseten(resource, fresh=fresh)

    def desired(self, resource: ChainAutoscaling) -> Chainlets:
        """Return the settings the spec wants, by chainlet."""
        return _by_name(resource.spec.chainlets)

    def applied(self, status: StatusBase) -> Chainlets | None:
        """Return the settings the status says were last written or found in place."""
        if not isinstance(status, ChainAutoscalingStatus) or status.applied is None:
            return None
        return _by_name(status.applied.chainlets)

    def covers(self, applied: Chainlets, desired: Chainlets) -> bool:
        """Tell whether everything desired is among what was applied."""
        return not self.differences(desired, applied)

    def differences(self, desired: Chainlets, observed: Chainlets) -> list[Drift]:
        """Return the managed fields that the remote reports otherwise, chainlet by chainlet."""
        return [
            entry
            for name, settings in desired.items()
            for entry in settings.differences(observed.get(name, AutoscalingSettings()), chainlet=name)
        ]

    def differing(self, desired: Chainlets, drift: list[Drift]) -> Chainlets:
        """Return only those desired settings that the differences name."""
        return {
            name: settings.only(mine)
            for name, settings in desired.items()
            if (mine := [entry for entry in drift if entry.chainlet == name])
        }

    def manages(self, resource: ChainAutoscaling, target: ChainTarget | None) -> frozenset[Hashable]:
        """Return the chainlets, by chain id and environment."""
        known = resource.status.target
        spec = resource.spec.target
        chain_id = target.chain_id if target is not None else spec.chain_id or (known.chain_id if known else None)
        if chain_id is None:
            return frozenset()
        return frozenset(
            ("chainlet", chain_id, spec.environment, chainlet.name) for chainlet in resource.spec.chainlets
        )

    def uncontested(self, desired: Chainlets, others: frozenset[Hashable]) -> Chainlets | None:
        """Return the settings of the chainlets that no other resource manages."""
        taken = {name for thing in others if (name := _chainlet(thing)) is not None}
        return {name: settings for name, settings in desired.items() if name not in taken} or None

    def parts(self, target: ChainTarget, things: list[Hashable]) -> str:
        """Return the chainlets that are meant."""
        names = sorted(name for thing in things if (name := _chainlet(thing)) is not None)
        return f"chainlet {', '.join(names)} of {self.title(target)}"

    def lacks_baseline(self, status: StatusBase, desired: Chainlets) -> bool:
        """Tell whether a managed field of a chainlet is not in the status's baseline."""
        known = _baselines(status)
        return any(known.get(name, AutoscalingBaseline()).lacks(settings) for name, settings in desired.items())

    def baseline(self, status: StatusBase, found: Chainlets, desired: Chainlets) -> ChainBaseline:
        """Return the status's baseline with the managed fields it lacks, as they were found."""
        known = _baselines(status)
        for name, settings in desired.items():
            known[name] = known.get(name, AutoscalingBaseline()).with_found(
                found.get(name, AutoscalingSettings()), settings
            )
        return ChainBaseline(
            chainlets=[ChainletBaseline(name=name, autoscaling=settings) for name, settings in known.items()]
        )

    def as_found(self, resource: ChainAutoscaling) -> ChainAutoscaling | None:
        """Return the resource as if its spec were its baseline."""
        chainlets = [
            Chainlet(name=name, autoscaling=baseline.settings)
            for name, baseline in _baselines(resource.status).items()
            if baseline.settings.to_wire()
        ]
        if not chainlets:
            return None
        target = resource.spec.target
        known = resource.status.target
        if known is not None:
            # By its id, whatever the name means by now.
            target = target.model_copy(update={"chain_name": None, "team": None, "chain_id": known.chain_id})
        spec = resource.spec.model_copy(update={"chainlets": chainlets, "target": target})
        return resource.model_copy(update={"spec": spec})

    async def name_of_known(self, client: Baseten, resource: ChainAutoscaling) -> str | None:
        """Return the name under which the chain is listed now that the status speaks of; None where it is gone."""
        known = resource.status.target
        return await client.chain_name(known.chain_id) if known is not None else None

    def spec_name(self, resource: ChainAutoscaling) -> str:
        """Return the chain's name in the spec."""
        return f"chainName {resource.spec.target.chain_name}"

    def stays(self, resource: ChainAutoscaling) -> str:
        """Return the fields that had no value, which the API cannot take away, or one that no spec could have."""
        return "; ".join(said for name, one in _baselines(resource.status).items() for said in one.stays(f"{name}."))

    def shares(self, resource: ChainAutoscaling) -> Hashable:
        """Return chain and environment: one read has all of its chainlets."""
        target = resource.spec.target
        return ("chain", target.chain_id or (target.chain_name, target.team), target.environment)

    async def resolve(self, client: Baseten, resource: ChainAutoscaling) -> ChainTarget:
        """Return the target by the remote API's ids.

        Raises:
            RemoteError: the chain's name is unknown or ambiguous, or the API could not tell.
        """
        spec = resource.spec.target
        if spec.chain_id is not None:
            target = ChainTarget(spec.chain_id, spec.environment)
        else:
            chain_id = await client.chain_id(spec.chain_name or "", spec.team)
            target = ChainTarget(chain_id, spec.environment, by_name=True)
        if resource.metadata.deletion_timestamp is None:
            return target
        now = self._clock.monotonic()
        environment = await client.chain_environment(target.chain_id, target.environment, not_before=now, urgent=True)
        return replace(target, there=frozenset(environment.chainlets))

    def present(self, target: ChainTarget, desired: Chainlets) -> Chainlets:
        """Return the settings of the chainlets there still are."""
        if target.there is None:
            return desired
        return {name: settings for name, settings in desired.items() if name in target.there} or desired

    async def write(
        self, client: Baseten, target: ChainTarget, settings: Chainlets, attempt: Attempt
    ) -> Written[Chainlets, ChainTarget]:
        """Write settings of several chainlets in one request."""
        try:
            answer = await client.update_chainlets(target.chain_id, target.environment, settings, urgent=attempt.urgent)
        except TargetNotFound:
            if target.by_name:
                client.forget_names()
            raise
        return Written(answer, target)

    async def read(
        self, client: Baseten, target: ChainTarget, desired: Chainlets, *, not_before: float, urgent: bool
    ) -> tuple[ChainTarget, Observation[Chainlets]]:
        """Return the target and what the remote reports for the managed fields.

        Raises:
            RemoteError: the environment or one of the chainlets does not exist, or the API could not tell.
        """
        try:
            environment = await client.chain_environment(
                target.chain_id, target.environment, not_before=not_before, urgent=urgent
            )
        except TargetNotFound:
            if target.by_name:
                client.forget_names()
            raise
        missing = [name for name in desired if name not in environment.chainlets]
        if missing:
            known = ", ".join(sorted(environment.chainlets)[:10]) or "none"
            raise TargetNotFound(
                f"{self.title(target)} has no chainlet {', '.join(missing[:10])}; it has: {known}", status=None
            )
        observed = {
            name: (environment.chainlets[name] or AutoscalingSettings()).restricted_to(settings)
            for name, settings in desired.items()
        }
        return target, Observation(
            settings=observed,
            promotion=environment.promotion,
            current=environment.current.id if environment.current is not None else None,
            serving=_serving(environment, desired),
        )

    async def explain(
        self, client: Baseten, target: ChainTarget, desired: Chainlets, error: RemoteError
    ) -> RemoteError:
        """Return a clearer error where the batch was refused because a chainlet or the environment is missing.

        The API refuses such a batch with an error of its own wording, which does not name the chainlets there are.
        """
        if not isinstance(error, PermanentError):
            return error
        try:
            await self.read(client, target, desired, not_before=ANY_TIME, urgent=True)
        except TargetNotFound as clearer:
            return clearer
        except RemoteError:
            return error
        return error

    def title(self, target: ChainTarget) -> str:
        """Return chain and environment."""
        return f"{target.chain_id}/{target.environment}"

    def record(
        self,
        resource: ChainAutoscaling,
        status: StatusBase,
        *,
        target: ChainTarget,
        applied: Chainlets | None,
        observed: Chainlets | None,
    ) -> dict[str, Any]:
        """Return target, summary, applied and observed as the status keeps them; only those whose value is known."""
        del status
        chainlets = resource.spec.chainlets
        fields: dict[str, Any] = {
            "target": ResolvedChain(name=self.title(target), chain_id=target.chain_id, environment=target.environment),
            "summary": Summary(
                min_replica=",".join(_shown(chainlet.autoscaling.min_replica) for chainlet in chainlets),
                max_replica=",".join(_shown(chainlet.autoscaling.max_replica) for chainlet in chainlets),
            ),
        }
        if applied is not None:
            fields["applied"] = _listed(applied)
        if observed is not None:
            fields["observed"] = _listed(observed)
        return fields


def _serving(environment: ChainEnvironment, managed: Chainlets) -> ChainServing | None:
    """Return the state of the managed chainlets that serve now; None where nothing was deployed to the environment yet."""
    current = environment.current
    if current is None:
        return None
    running = environment.running
    return ChainServing(
        deployment_id=current.id,
        status=current.status,
        chainlets=[
            ChainletServing(name=name, status=running[name].status, active_replicas=running[name].replicas)
            for name in managed
            if name in running
        ],
    )


def _chainlet(thing: Hashable) -> str | None:
    match thing:
        case ("chainlet", _, _, str(name)):
            return name
        case _:
            return None


def _baselines(status: StatusBase) -> dict[str, AutoscalingBaseline]:
    if not isinstance(status, ChainAutoscalingStatus) or status.baseline is None:
        return {}
    return {chainlet.name: chainlet.autoscaling for chainlet in status.baseline.chainlets}


def _by_name(chainlets: list[Chainlet]) -> Chainlets:
    return {chainlet.name: chainlet.autoscaling for chainlet in chainlets}


def _listed(settings: Chainlets) -> ChainSettings:
    return ChainSettings(chainlets=[Chainlet(name=name, autoscaling=value) for name, value in settings.items()])


def _shown(value: int | None) -> str:
    return "-" if value is None else str(value)
