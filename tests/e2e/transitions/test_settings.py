"""Fields that are settings of a remote thing, through all their transitions."""

import pytest

from tests.e2e.stage import GatewayStage, Stage
from tests.e2e.transitions import actors
from tests.e2e.transitions.leaves import leaves
from tests.e2e.transitions.play import Course, play
from tests.e2e.transitions.settings import CAP, alignment, autoscaling, governance, put_chainlet, put_deployment

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]


@pytest.mark.parametrize("of", ["deployments", "environments"])
def test_autoscaling_of(stage: Stage, of: str) -> None:
    stage.open(rateLimit={"requestsPerSecond": 1000})
    stage.baseten.add_model(id=actors.MODEL, name="transitions")
    stage.baseten.set_max_replica_cap(CAP)
    make = actors.deployment if of == "deployments" else actors.environment
    courses = []
    for path, schema in leaves("deploymentautoscalings").items():
        part, _, field = path.partition(".")
        if part == "autoscaling":
            actor = make(field.lower(), stage.namespace, stage.baseten, {})
            courses.append(Course(path, actor, autoscaling(field, schema, put_deployment)))
    play(stage, courses)


def test_autoscaling_of_chainlets(stage: Stage) -> None:
    stage.open(rateLimit={"requestsPerSecond": 1000})
    stage.baseten.set_max_replica_cap(CAP)
    courses = []
    for path, schema in leaves("chainautoscalings").items():
        if path.startswith("chainlets[].autoscaling."):
            field = path.rpartition(".")[2]
            actor = actors.chain(field.lower(), stage.namespace, stage.baseten, {})
            courses.append(Course(path, actor, autoscaling(field, schema, put_chainlet)))
    play(stage, courses)


def test_limits_of_model_configs(gateway: GatewayStage) -> None:
    gateway.open(rateLimit={"requestsPerSecond": 1000})
    gateway.bifrost.set_alignment()
    courses = [Course("calendarAligned", actors.row("aligned", gateway.namespace, gateway.bifrost, {}), alignment())]
    for path, steps in governance().items():
        name = path.lower().replace("[]", "s").replace(".", "-")
        courses.append(Course(path, actors.row(name, gateway.namespace, gateway.bifrost, {}), steps))
    play(gateway, courses)
