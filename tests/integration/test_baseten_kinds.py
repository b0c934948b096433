"""What the Baseten kinds make of the API's answers: what holds a target, whether it serves, and what a refusal means."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from setpoint.reconcile.base import ANY_TIME
from setpoint.reconcile.chain_autoscaling import ChainReconciler
from setpoint.reconcile.deployment_autoscaling import FIXED_REPLICAS, DeploymentReconciler
from setpoint.reconcile.outcome import Observation
from setpoint.reconcile.ports import Connections, Handle
from setpoint.remotes.baseten import Baseten
from setpoint.remotes.bifrost import Bifrost
from setpoint.remotes.credential import Credential
from setpoint.remotes.errors import InvalidSettings, RemoteError, TargetNotFound
from setpoint.remotes.limits import Limits
from setpoint.resources import ChainAutoscaling, DeploymentAutoscaling
from setpoint.resources.autoscaling import AutoscalingSettings
from setpoint.resources.common import Managed, Origin
from setpoint.resources.connection import AuthScheme
from setpoint.resources.serving import ChainletServing, ChainServing, DeploymentServing
from tests.simulators.baseten.specs import DeploymentSpec, EnvironmentSpec
from tests.simulators.faults import Respond
from tests.simulators.process import BasetenSimulator
from tests.virtual_time import Clock, now

MODEL, CHAIN = "m-greeter", "c-hello"
WANTED = AutoscalingSettings(max_replica=3)


class NoConnections(Connections):
    """There are none: what is tested here gets its client handed in."""

    def place(self, resource: Managed) -> str | None:
        return None

    def origin(self, resource: Managed) -> Origin | None:
        return None

    async def baseten(self, resource: Managed, *, fresh: bool = False) -> Handle[Baseten]:
        raise NotImplementedError

    async def bifrost(self, resource: Managed, *, fresh: bool = False) -> Handle[Bifrost]:
        raise NotImplementedError


DEPLOYMENTS = DeploymentReconciler(NoConnections(), Clock())
CHAINS = ChainReconciler(NoConnections(), Clock())


@pytest.fixture
async def client(baseten: BasetenSimulator) -> AsyncIterator[Baseten]:
    connected = Baseten.connect(
        url=baseten.url,
        credential=Credential.authorization(AuthScheme.BEARER, "test-key"),
        requests_per_second=80,
        timeout=5,
        limits=Limits(),
    )
    yield connected
    await connected.aclose()


def das(**target: str) -> DeploymentAutoscaling:
    """Return a resource with this target."""
    spec = {"target": target, "autoscaling": {"maxReplica": 3}}
    return DeploymentAutoscaling.from_body({"metadata": {"name": "a"}, "spec": spec})


def cas(**target: str) -> ChainAutoscaling:
    """Return a resource with this target."""
    spec = {"target": target, "chainlets": [{"name": "RandInt", "autoscaling": {"maxReplica": 3}}]}
    return ChainAutoscaling.from_body({"metadata": {"name": "a"}, "spec": spec})


async def looked(client: Baseten, **target: str) -> Observation[AutoscalingSettings]:
    """Return what a look at a deployment or environment of the model shows now."""
    return await looked_since(now(), client, **target)


async def looked_since(since: float, client: Baseten, **target: str) -> Observation[AutoscalingSettings]:
    """Return what a look shows that may use what was read after that time."""
    resolved = await DEPLOYMENTS.resolve(client, das(modelId=MODEL, **target))
    _, seen = await DEPLOYMENTS.read(client, resolved, WANTED, not_before=since, urgent=True)
    return seen


async def looked_at_chain(client: Baseten) -> Observation[Any]:
    """Return what a look at one chainlet of the chain shows."""
    resolved = await CHAINS.resolve(client, cas(chainId=CHAIN, environment="production"))
    _, seen = await CHAINS.read(client, resolved, {"RandInt": WANTED}, not_before=now(), urgent=True)
    return seen


@pytest.mark.parametrize(
    "target", [{"deployment": "d-production"}, {"deployment": "production"}, {"environment": "production"}]
)
async def test_a_promotion_counts_for_the_environment_and_for_the_deployment_in_it(
    baseten: BasetenSimulator, client: Baseten, target: dict[str, str]
) -> None:
    baseten.start_promotion(MODEL, "production", "d-free", status="RAMPING_UP")

    seen = await looked(client, **target)

    assert (seen.promotion, seen.current) == ("RAMPING_UP", "d-production")


@pytest.mark.parametrize(
    "target", [{"deployment": "d-production"}, {"deployment": "production"}, {"environment": "production"}]
)
async def test_a_schedule_counts_for_the_environment_and_for_the_deployment_in_it(
    baseten: BasetenSimulator, client: Baseten, target: dict[str, str]
) -> None:
    baseten.set_schedule(MODEL, "production", "night", {"max_replica": 1})

    assert (await looked(client, **target)).schedule_id == "night"


async def test_a_deployment_in_no_environment_costs_one_list_and_one_in_an_environment_two(
    baseten: BasetenSimulator, client: Baseten
) -> None:
    seen = await looked_since(ANY_TIME, client, deployment="d-free")
    assert (seen.promotion, seen.schedule_id, seen.current) == (None, None, None)
    assert baseten.count(method="GET") == 1

    for name in ("d-production", "d-staging", "d-production"):
        await looked_since(ANY_TIME, client, deployment=name)
    assert baseten.count(method="GET") == 2


async def test_an_environment_that_is_not_listed_is_no_obstacle(baseten: BasetenSimulator, client: Baseten) -> None:
    for listed in ([], None, [{"name": "other"}]):
        baseten.inject(Respond(body={"environments": listed}), path="/environments$")
    for _ in range(3):
        seen = await looked(client, deployment="d-production")
        assert (seen.promotion, seen.schedule_id) == (None, None)


async def test_a_list_of_environments_that_cannot_be_read_ends_the_look(
    baseten: BasetenSimulator, client: Baseten
) -> None:
    """Nobody knows then whether the platform is at work there."""
    baseten.inject(Respond(status=503), path="/environments$")

    with pytest.raises(RemoteError, match="503"):
        await looked(client, deployment="d-production")


async def test_a_chains_promotion_and_current_deployment_are_seen(baseten: BasetenSimulator, client: Baseten) -> None:
    before = await looked_at_chain(client)
    baseten.start_chain_promotion(CHAIN, "production", status="RAMPING_UP")
    during = await looked_at_chain(client)
    baseten.finish_chain_promotion(CHAIN, "production")
    after = await looked_at_chain(client)

    assert [one.promotion for one in (before, during, after)] == [None, "RAMPING_UP", None]
    assert before.current == during.current
    assert after.current not in {before.current, None}


async def test_what_serves_is_told_of_deployments_and_environments(baseten: BasetenSimulator, client: Baseten) -> None:
    baseten.set_deployment_status(MODEL, "d-production", "UNHEALTHY", replicas=2)
    baseten.add_environment(MODEL, EnvironmentSpec(name="empty"))

    for target in ({"deployment": "d-production"}, {"deployment": "production"}, {"environment": "production"}):
        serving = (await looked(client, **target)).serving
        assert serving == DeploymentServing(deployment_id="d-production", status="UNHEALTHY", active_replicas=2)
        assert serving.failed == "deployment d-production is UNHEALTHY"
    healthy = (await looked(client, deployment="d-free")).serving
    assert healthy is not None
    assert healthy.failed is None
    assert (await looked(client, environment="empty")).serving is None


@pytest.mark.parametrize(
    "status", ["INACTIVE", "BUILD_FAILED", "BUILD_STOPPED", "DEPLOY_FAILED", "FAILED", "UNHEALTHY"]
)
def test_states_in_which_nothing_serves(status: str) -> None:
    chainlet = ChainletServing(name="A", status=status)
    assert DeploymentServing(deployment_id="d", status=status).failed == f"deployment d is {status}"
    assert ChainServing(deployment_id="d", status=status).failed == f"chain deployment d is {status}"
    assert (
        ChainServing(deployment_id="d", status="ACTIVE", chainlets=[chainlet]).failed
        == f"chainlet A is {status} (chain deployment d)"
    )


@pytest.mark.parametrize(
    "status", ["ACTIVE", "SCALED_TO_ZERO", "WAKING_UP", "BUILDING", "DEACTIVATING", "UNKNOWN", "NEW"]
)
def test_states_in_which_something_serves_or_will(status: str) -> None:
    assert DeploymentServing(deployment_id="d", status=status).failed is None
    assert ChainServing(deployment_id="d", status=status).failed is None


async def test_what_serves_is_told_of_the_managed_chainlets(baseten: BasetenSimulator, client: Baseten) -> None:
    baseten.set_chainlet_status(CHAIN, "production", "RandInt", "BUILD_FAILED", replicas=0)
    baseten.set_chainlet_status(CHAIN, "production", "HelloWorld", "UNHEALTHY")

    serving = (await looked_at_chain(client)).serving

    assert isinstance(serving, ChainServing)
    assert serving.chainlets == [ChainletServing(name="RandInt", status="BUILD_FAILED", active_replicas=0)]
    assert (serving.failed or "").startswith("chainlet RandInt is BUILD_FAILED (chain deployment ")


async def refusal(client: Baseten, deployment: str, settings: AutoscalingSettings) -> RemoteError:
    """Return what is said of a write that the API refuses."""
    target = await DEPLOYMENTS.resolve(client, das(modelId=MODEL, deployment=deployment))
    with pytest.raises(RemoteError) as raised:
        await client.update_deployment(MODEL, deployment, settings, urgent=True)
    return await DEPLOYMENTS.explain(client, target, settings, raised.value)


@pytest.mark.parametrize("deployment", ["development", "d-development"])
async def test_refused_replicas_of_a_development_deployment_are_explained(
    baseten: BasetenSimulator, client: Baseten, deployment: str
) -> None:
    for settings in (WANTED, AutoscalingSettings(min_replica=1)):
        error = await refusal(client, deployment, settings)

        assert isinstance(error, InvalidSettings)
        assert error.status == 400
        assert error.message.endswith(f"; {FIXED_REPLICAS}")
        assert FIXED_REPLICAS not in (error.api_message or "")


async def test_other_refusals_are_not_explained_with_replicas(baseten: BasetenSimulator, client: Baseten) -> None:
    baseten.set_max_replica_cap(2)
    baseten.inject(Respond(status=422, body={"message": "no such thing"}), path="/development/")

    free = await refusal(client, "d-free", WANTED)
    timing = await refusal(client, "development", AutoscalingSettings(scale_down_delay=60))

    assert FIXED_REPLICAS not in free.message + timing.message


async def test_a_team_tells_which_model_or_chain_of_a_name_is_meant(baseten: BasetenSimulator, client: Baseten) -> None:
    for team in ("Red", "Blue"):
        baseten.add_model(id=f"m-{team}", name="twin", team=team, deployments=[DeploymentSpec(id="d")])
        baseten.add_chain(id=f"c-{team}", name="twin", team=team)

    model = await DEPLOYMENTS.resolve(client, das(modelName="twin", team="Blue", environment="production"))
    chain = await CHAINS.resolve(client, cas(chainName="twin", team="Blue", environment="production"))

    assert (model.model_id, chain.chain_id) == ("m-Blue", "c-Blue")
    with pytest.raises(TargetNotFound, match=r"target\.team"):
        await DEPLOYMENTS.resolve(client, das(modelName="twin", environment="production"))


def test_resources_of_two_teams_are_not_looked_at_as_if_they_shared_a_list() -> None:
    red, blue = (das(modelName="twin", team=team, environment="production") for team in ("Red", "Blue"))
    assert DEPLOYMENTS.shares(red) != DEPLOYMENTS.shares(blue)
    assert CHAINS.shares(cas(chainName="twin", team="Red", environment="e")) != CHAINS.shares(
        cas(chainName="twin", team="Blue", environment="e")
    )
