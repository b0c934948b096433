"""Fields that say which remote thing is meant, through all their transitions."""

from typing import Any

import pytest

from tests.e2e.stage import GatewayStage, Object, Stage
from tests.e2e.transitions import actors
from tests.e2e.transitions.actors import Actor
from tests.e2e.transitions.identity import chainlets, fixed, missing, pinned, put, unchanged
from tests.e2e.transitions.play import Course, Step, play
from tests.simulators.baseten.specs import (
    ChainEnvironmentSpec,
    ChainletSpec,
    DeploymentSpec,
    DeploymentTarget,
    EnvironmentSpec,
    EnvironmentTarget,
)

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]

FAST: Any = {"rateLimit": {"requestsPerSecond": 1000}}
SETTINGS = {"autoscaling": {"maxReplica": 3}}
CHAINLET = {"chainlets": [{"name": "A", "autoscaling": {"maxReplica": 3}}]}
BUDGET = {"budget": {"maxLimit": 3, "resetDuration": "1M"}}
INTERVAL = {"interval": "30s"}
"""What is missing is looked for again at every interval."""


def renamed(actor: Actor, **target: Any) -> Actor:
    """Return an actor whose target is named otherwise."""
    actor.spec["target"] = target
    return actor


def test_of_deployments(stage: Stage) -> None:
    stage.open(**FAST)
    baseten, namespace = stage.baseten, stage.namespace
    baseten.add_model(id=actors.MODEL, name="transitions")

    def deployment(name: str, **target: Any) -> Actor:
        actor = actors.deployment(name, namespace, baseten, {**SETTINGS, **INTERVAL})
        return renamed(actor, **target) if target else actor

    def environment(name: str) -> Actor:
        return actors.environment(name, namespace, baseten, {**SETTINGS, **INTERVAL})

    def of_team() -> Actor:
        """Return an actor whose model has the name of another team's."""
        for team in ("Ours", "Theirs"):
            model = f"m-{team.lower()}"
            deployments = [DeploymentSpec(id="d-team", settings=actors.wire(actors.FOUND))]
            baseten.add_model(id=model, name="twin", team=team, deployments=deployments)
        actor = deployment("ofteam", modelName="twin", team="Ours", deployment="d-team")
        return _aimed(actor, model="m-ours", deployment="d-team")

    def late_model(actor: Actor) -> None:
        model = f"m-{actor.name}"
        baseten.add_model(id=model, name=f"name of {model}", deployments=[DeploymentSpec(id="d-late", settings={})])
        actor.expected = {**actor.remote(), "maxReplica": 3}

    def late_deployment(actor: Actor) -> None:
        baseten.add_deployment(actors.MODEL, DeploymentSpec(id="d-later", settings={}))
        actor.expected = {**actor.remote(), "maxReplica": 3}

    def late_environment(actor: Actor) -> None:
        baseten.add_environment(actors.MODEL, EnvironmentSpec(name="e-later", current="e-elsewhere-d"))
        actor.expected = {**actor.remote(), "maxReplica": 3}

    to_model, to_name = deployment("tomodel"), deployment("toname", modelName="transitions", deployment="d-toname")
    lost_model = _aimed(deployment("byid", modelId="m-byid", deployment="d-late"), model="m-byid", deployment="d-late")
    lost_name = deployment("byname", modelName="name of m-byname", deployment="d-late")
    lost_name = _aimed(lost_name, model="m-byname", deployment="d-late")
    lost = deployment("lost", modelId=actors.MODEL, deployment="d-later")
    lost = _aimed(lost, model=actors.MODEL, deployment="d-later")
    elsewhere = environment("elsewhere")
    lost_place = renamed(environment("lostplace"), modelId=actors.MODEL, environment="e-later")
    lost_place = _aimed(lost_place, model=actors.MODEL, environment="e-later")
    play(
        stage,
        [
            Course("target.modelId", to_model, fixed({"other": put("target.modelId", "m-other")})),
            Course("target.modelName", to_name, fixed({"other": put("target.modelName", "other")})),
            Course("target.team", of_team(), fixed({"other": put("target.team", "Theirs")})),
            Course("target.deployment", deployment("named"), fixed({"other": put("target.deployment", "development")})),
            Course("target.environment", elsewhere, fixed({"other": put("target.environment", "production")})),
            Course("target.modelId", lost_model, missing("TargetNotFound", late_model)),
            Course("target.modelName", lost_name, missing("TargetNotFound", late_model)),
            Course("target.deployment", lost, missing("TargetNotFound", late_deployment)),
            Course("target.environment", lost_place, missing("TargetNotFound", late_environment)),
        ],
    )


def test_of_chains(stage: Stage) -> None:
    stage.open(**FAST)
    baseten, namespace = stage.baseten, stage.namespace

    def chain(name: str, **target: Any) -> Actor:
        actor = actors.chain(name, namespace, baseten, {**CHAINLET, **INTERVAL})
        return renamed(actor, **target) if target else actor

    def late(name: str) -> Actor:
        """Return an actor whose chain goes before it is needed."""
        actor = chain(name)
        baseten.remove_chain(f"c-{name}")
        return actor

    def back(actor: Actor) -> None:
        chainlets = [ChainletSpec(name=one, settings=actors.wire(actors.FOUND)) for one in "AB"]
        place = ChainEnvironmentSpec(name="production", chainlets=chainlets)
        baseten.add_chain(id=f"c-{actor.name}", name=f"name of c-{actor.name}", environments=[place])

    def of_team() -> Actor:
        """Return an actor whose chain has the name of another team's."""
        actor = chain("ofteam")
        chainlets = [ChainletSpec(name=one, settings=actors.wire(actors.FOUND)) for one in "AB"]
        for id_, team in (("c-ofteam", "Ours"), ("c-theirs", "Theirs")):
            place = ChainEnvironmentSpec(name="production", chainlets=chainlets)
            baseten.add_chain(id=id_, name="twin", team=team, environments=[place])
        return renamed(actor, chainName="twin", team="Ours", environment="production")

    lost_place = chain("lostplace")
    baseten.command("remove_chain", chain="c-lostplace")
    baseten.add_chain(id="c-lostplace", name="name of c-lostplace", environments=[])
    both = ({"maxReplica": 5}, {"maxReplica": 6, "minReplica": 1})
    play(
        stage,
        [
            Course("target.chainId", chain("byid"), fixed({"other": put("target.chainId", "c-other")})),
            Course(
                "target.chainName",
                chain("byname", chainName="name of c-byname", environment="production"),
                fixed({"other": put("target.chainName", "other")}),
            ),
            Course("target.team", of_team(), fixed({"other": put("target.team", "Theirs")})),
            Course("target.environment", chain("place"), fixed({"other": put("target.environment", "other")})),
            Course("target.chainId", late("lostid"), missing("TargetNotFound", back)),
            Course(
                "target.chainName",
                renamed(late("lostname"), chainName="name of c-lostname", environment="production"),
                missing("TargetNotFound", back),
            ),
            Course("target.environment", lost_place, missing("TargetNotFound", back)),
            Course("chainlets[].name", chain("chainlets"), chainlets(both)),
        ],
    )


def test_of_model_configs(gateway: GatewayStage) -> None:
    gateway.open(**FAST)
    gateway.bifrost.set_enterprise()
    gateway.bifrost.add_virtual_key("vk-1", "a key")
    namespace = gateway.namespace

    def row(name: str, **identity: Any) -> Actor:
        return actors.row(name, namespace, gateway.bifrost, {**BUDGET, **identity})

    def new(name: str, **identity: Any) -> actors.Row:
        """Return an actor whose row is not there yet."""
        spec: Object = {"modelName": f"model-{name}", "provider": actors.PROVIDER, **BUDGET, **identity}
        actor = actors.Row(name, namespace, spec, bifrost=gateway.bifrost)
        actor.expected = dict(actors.NO_ROW)
        return actor

    everywhere = new("everywhere")
    del everywhere.spec["provider"]
    pinned_row = row("pinned")
    assert isinstance(pinned_row, actors.Row)

    def unscoped(spec: Object) -> None:
        del spec["scope"], spec["scopeId"]

    play(
        gateway,
        [
            Course("modelName", row("model"), fixed({"other": put("modelName", "other")})),
            Course("modelName", new("newmodel"), [Step("set", unchanged)]),
            Course(
                "provider",
                row("provider"),
                fixed({"other": put("provider", "other"), "absence": put("provider", None)}),
            ),
            Course("provider", everywhere, fixed({"value": put("provider", "openai")})),
            Course(
                "scope",
                row("key", scope="virtualKey", scopeId="vk-1"),
                fixed({"value": put("scope", "user"), "absence": unscoped}),
                fields=["scopeId"],
            ),
            Course("scope", new("newkey", scope="virtualKey", scopeId="vk-1"), [Step("set", unchanged)]),
            Course("scope", new("newuser", scope="user", scopeId="u-1"), [Step("set", unchanged)], fields=["scopeId"]),
            Course("scopeId", row("user", scope="user", scopeId="u-1"), fixed({"other": put("scopeId", "u-2")})),
            Course("modelConfigId", pinned_row, pinned(pinned_row.id)),
        ],
    )


def _aimed(actor: Actor, **target: Any) -> Actor:
    """Return an actor whose remote thing is another one."""
    assert isinstance(actor, actors.Deployment)
    kind = DeploymentTarget if "deployment" in target else EnvironmentTarget
    actor.target = kind(**target)
    return actor
