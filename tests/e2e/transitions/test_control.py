"""Fields that say how and through which connection a resource is taken care of, through all their transitions."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.stage import API, GatewayStage, Object, Stage, connection, secret
from tests.e2e.transitions import actors, control, references
from tests.e2e.transitions.actors import Actor
from tests.e2e.transitions.control import Tweak
from tests.e2e.transitions.play import Course, play
from tests.simulators.bifrost.process import BifrostSimulator
from tests.simulators.process import BasetenSimulator

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]

FAST: Any = {"rateLimit": {"requestsPerSecond": 1000}}


def tweak_deployment(spec: Object, number: int) -> None:
    """Manage maxReplica."""
    spec["autoscaling"] = {"maxReplica": number}


def tweak_chain(spec: Object, number: int) -> None:
    """Manage maxReplica of a chainlet."""
    spec["chainlets"] = [{"name": "A", "autoscaling": {"maxReplica": number}}]


def tweak_row(spec: Object, number: int) -> None:
    """Manage the budget."""
    spec["budget"] = {"maxLimit": number, "resetDuration": "1M"}


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


def moving(actor: Actor, remote: str, there: Actor) -> tuple[Callable[[Actor], None], Callable[[Actor], None]]:
    """Return what moves an actor to another remote, where `there` has its thing, and what moves it back."""
    homes = {"second": there, "first": None}
    left: dict[str, tuple[object, Object]] = {"second": (getattr(there, remote), there.expected)}

    def to(home: str) -> Callable[[Actor], None]:
        def move(actor: Actor) -> None:
            other = next(name for name in homes if name != home)
            left[other] = (getattr(actor, remote), actor.expected)
            there_now, actor.expected = left[home]
            setattr(actor, remote, there_now)

        return move

    return to("second"), to("first")


def cluster_connection(stage: Stage | GatewayStage, remote: Object) -> Object:
    """Return a ClusterConnection, named as the namespace."""
    return {
        "apiVersion": API,
        "kind": "ClusterConnection",
        "metadata": {"name": stage.namespace},
        "spec": {**remote, **FAST, "namespaces": {"names": [stage.namespace]}},
    }


@pytest.mark.parametrize("kind", ["deployment", "chain"])
def test_autoscaling(stage: Stage, second: BasetenSimulator, kind: str) -> None:
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
    other, back = moving(mover, "baseten", make("mover", namespace, second, {}))
    courses.append(Course("connectionRef.name", mover, references.named(tweak, "baseten", other=other, back=back)))
    referrer = make("referrer", namespace, stage.baseten, {})
    courses.append(Course("connectionRef.kind", referrer, references.of_kind(tweak, "baseten", namespace)))
    try:
        play(stage, courses)
    finally:
        stage.plane.kubectl("delete", "spcconn", namespace)


def test_model_configs(gateway: GatewayStage, second_gateway: BifrostSimulator) -> None:
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
    other, back = moving(mover, "bifrost", actors.row("mover", namespace, second_gateway, {}))
    courses.append(Course("connectionRef.name", mover, references.named(tweak_row, "bifrost", other=other, back=back)))
    referrer = actors.row("referrer", namespace, gateway.bifrost, {})
    courses.append(Course("connectionRef.kind", referrer, references.of_kind(tweak_row, "bifrost", namespace)))
    try:
        play(gateway, courses)
    finally:
        gateway.plane.kubectl("delete", "spcconn", namespace)
