"""What a process that has just started makes of things that changed meanwhile."""

import pytest

from tests.e2e.process import OperatorProcess
from tests.e2e.stage import Stage
from tests.e2e.test_deletion import FREE, free, gone, there_is_no, told
from tests.e2e.test_origin import wipe
from tests.waiting import eventually

pytestmark = pytest.mark.cluster


def test_what_was_not_restored_is_told_where_the_connection_went_meanwhile(stage: Stage) -> None:
    stage.baseten.set_settings({"max_replica": 4}, model="m-greeter", deployment="d-free")
    stage.open()
    stage.das("free", FREE, {"maxReplica": 7}, deletionPolicy="Restore")
    with OperatorProcess.start(stage.plane):
        stage.until("das", "free", "Synced")
    for kind in ("secret", "spconn"):
        stage.plane.kubectl("delete", kind, "baseten", "-n", stage.namespace)
    stage.plane.kubectl("delete", "das", "free", "-n", stage.namespace, "--wait=false")
    with OperatorProcess.start(stage.plane) as second:
        eventually(lambda: there_is_no(stage, "das", "free"), timeout=30)
        kind, message = told(stage, "free", "NotRestored")
        assert kind == "Warning"
        assert "there is no Connection baseten" in message
        assert '"maxReplica":4' in message
        assert "NotRestored" in second.log()
    assert free(stage)["max_replica"] == 7


def test_a_status_that_was_lost_is_told_and_nothing_is_said_to_be_restored(stage: Stage) -> None:
    stage.open()
    stage.das("free", FREE, {"maxReplica": 7}, deletionPolicy="Restore")
    with OperatorProcess.start(stage.plane):
        stage.until("das", "free", "Synced")
    wipe(stage, "free")
    with OperatorProcess.start(stage.plane):
        assert told(stage, "free", "BaselineLost")[0] == "Warning"
        stage.until("das", "free", "Synced")
        gone(stage, "das", "free")
    assert free(stage)["max_replica"] == 7
    assert "status was lost" in told(stage, "free", "NotRestored")[1]
