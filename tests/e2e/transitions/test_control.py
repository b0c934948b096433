"""Fields that say how and through which connection a resource is taken care of, through all their transitions."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.stage import API, GatewayStage, Object, Stage, connection, secret
from tests.e2e.transitions import actors, control, references
from tests.e2e.transitions.actors import Actor, exchange
from tests.e2e.transitions.control import Tweak, tweak_chain, tweak_deployment, tweak_row
from tests.e2e.transitions.play import Course, play
from tests.simulators.bifrost.process import BifrostSimulator
from tests.simulators.process import BasetenSimulator

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]

FAST: Any = {"rateLimit": {"requestsPerSecond": 1000}}


@pytest.fixture
def second() -> Iterator[BasetenSimulator]:
    """Another organization."""
    with BasetenSimulator.start(converge=0.3) as simulator:
        yield simulator


@pytest.fixture
def second_gateway() -> Iterator[BifrostSimulator]:
    """Another gateway."""
    with BifrostSimulator.start() as simulator:
        yield simulator


def cluster_connection(stage: Stage | GatewayStage, remote: Object) -> Object:
    """Return a ClusterConnection, named as the namespace."""
    return {
        "apiVersion": API,
        "kind": "ClusterConnection",
        "metadata": {"name": stage.namespace},
        "spec": {**remote, **FAST, "namespaces": {"names": [stage.namespace]}},
    }


@pytest.mark.parametrize("kind", ["deployment", "chain"])
def test_autoscaling(stage: Stage, second: BasetenSimulator, kind: str, *, reads_cluster_connections: bool) -> None:
    stage.open(**FAST)
    namespace = stage.namespace
    ref = {"name": "baseten", "namespace": namespace, "key": "api-key"}
    stage.plane.apply(
        secret("second", namespace, "test-key"),
        connection("second", namespace, second.url, **FAST),
        cluster_connection(stage, {"baseten": {"url": stage.baseten.url, "apiKeySecretRef": ref}}),
    )
    for simulator in (stage.baseten, second):
        simulator.add_model(id=actors.MODEL, name="transitions")
    make: Callable[..., Actor] = actors.deployment if kind == "deployment" else actors.chain
    tweak: Tweak = tweak_deployment if kind == "deployment" else tweak_chain
    courses = []
    for path, steps in control.courses(tweak, ("Restore",)).items():
        courses.append(Course(path, make(path.lower(), namespace, stage.baseten, {}), steps))
    mover = make("mover", namespace, stage.baseten, {})
    move = exchange("baseten", make("mover", namespace, second, {}))
    courses.append(Course("connectionRef.name", mover, references.named(tweak, "baseten", move=move)))
    if reads_cluster_connections:
        referrer = make("referrer", namespace, stage.baseten, {})
        courses.append(Course("connectionRef.kind", referrer, references.of_kind(tweak, "baseten", namespace)))
    try:
        play(stage, courses)
    finally:
        stage.plane.kubectl("delete", "spcconn", namespace)


def test_model_configs(
    gateway: GatewayStage, second_gateway: BifrostSimulator, *, reads_cluster_connections: bool
) -> None:
    gateway.open(**FAST)
    namespace = gateway.namespace
    gateway.plane.apply(
        {
            "apiVersion": API,
            "kind": "Connection",
            "metadata": {"name": "second", "namespace": namespace},
            "spec": {"bifrost": {"url": second_gateway.gateway_url}, **FAST},
        },
        cluster_connection(gateway, {"bifrost": {"url": gateway.bifrost.gateway_url}}),
    )
    courses = []
    for path, steps in control.courses(tweak_row, ("Restore", "Delete")).items():
        courses.append(Course(path, actors.row(path.lower(), namespace, gateway.bifrost, {}), steps))
    mover = actors.row("mover", namespace, gateway.bifrost, {})
    move = exchange("bifrost", actors.row("mover", namespace, second_gateway, {}))
    courses.append(Course("connectionRef.name", mover, references.named(tweak_row, "bifrost", move=move)))
    if reads_cluster_connections:
        referrer = actors.row("referrer", namespace, gateway.bifrost, {})
        courses.append(Course("connectionRef.kind", referrer, references.of_kind(tweak_row, "bifrost", namespace)))
    try:
        play(gateway, courses)
    finally:
        gateway.plane.kubectl("delete", "spcconn", namespace)
