"""Scenes of the simulation's world that its stories hardly ever come to."""

from random import Random

import pytest

from setpoint.cluster import api
from setpoint.cluster.events import EventPoster
from setpoint.cluster.status import StatusWriter
from setpoint.cluster.store import Store
from setpoint.reconcile.ports import Key, LoopClock, ResourceChanged
from setpoint.resources import DeploymentAutoscaling
from tests.simulation.apiserver import ApiServer
from tests.simulation.process import Fate, Kube
from tests.virtual_time import run

KEY = Key(DeploymentAutoscaling.kind(), "a", "r")
SPEC = {"target": {"modelId": "m", "deployment": "development"}, "autoscaling": {"maxReplica": 3}}


def test_a_status_that_another_process_wrote_meanwhile_is_not_written_over() -> None:
    """As tests/integration has it with a real API server."""

    async def scene() -> None:
        server = ApiServer()
        server.create(KEY, SPEC)
        kube = Kube(server, Random(1), Fate(), lambda method: None)
        path = api.item(DeploymentAutoscaling, KEY.namespace, KEY.name)
        writers = []
        for _ in range(2):
            store = Store(kube, LoopClock())
            store.put(KEY.kind, await kube.get(path))
            writers.append(StatusWriter(kube, store, EventPoster(kube, LoopClock())))
        resource = DeploymentAutoscaling.model_validate(await kube.get(path))
        await writers[0].status(resource, resource.status.model_copy(update={"observed_generation": 1}))
        with pytest.raises(ResourceChanged):
            await writers[1].status(resource, resource.status.model_copy(update={"last_handled_reconcile_at": "now"}))
        assert server.objects[KEY]["status"] == {"observedGeneration": 1}

    run(scene())
