"""A cluster and gateways whose certificates a private authority has signed that lacks what RFC 5280 asks for."""

import json
from base64 import b64encode
from pathlib import Path

import pytest

from tests.controlplane.certs import Authority
from tests.controlplane.plane import ControlPlane
from tests.e2e.faults.proxy import HttpProxy
from tests.e2e.process import OperatorProcess
from tests.e2e.stage import Stage

pytestmark = pytest.mark.cluster

FREE = {"modelId": "m-greeter", "deployment": "d-free"}
REF = {"name": "authority", "key": "ca.crt"}


def bundle(plane: ControlPlane, namespace: str, content: bytes) -> None:
    """Put a CA bundle into a Secret, byte for byte."""
    plane.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": REF["name"], "namespace": namespace},
            "data": {REF["key"]: b64encode(content).decode()},
        }
    )


def test_the_operator_works_behind_private_authorities(stage: Stage, tmp_path: Path) -> None:
    cluster, gateways = Authority("cluster", bare=True), Authority("gateways", bare=True)
    folders = [tmp_path / name for name in ("cluster", "gateways")]
    for folder in folders:
        folder.mkdir()
    with (
        HttpProxy(stage.plane.server, ca=str(stage.plane.ca_file), tls=cluster.serving(folders[0])) as front,
        HttpProxy(stage.baseten.url, tls=gateways.serving(folders[1])) as remote,
        OperatorProcess.start(stage.plane, server=front.url, ca=cluster.pem) as operator,
    ):
        bundle(stage.plane, stage.namespace, b"\xff\xfe\x00 no certificate")
        stage.open(baseten={"url": remote.url}, caSecretRef=REF)
        stage.das("free", FREE, {"maxReplica": 3})
        for kind, name in (("spconn", "baseten"), ("das", "free")):
            said = stage.until(kind, name, "ConnectionNotAllowed")
            assert "the CA bundle holds no certificate: there is no text from -----BEGIN" in json.dumps(said["status"])
            assert stage.condition(kind, name, "Stalled")["status"] == "True"

        bundle(stage.plane, stage.namespace, "# Gateways f\u00fcr alle\n".encode("latin-1") + gateways.pem)
        stage.until("spconn", "baseten", "Connected", timeout=90)
        stage.request("das", "free", "again")
        stage.until("das", "free", "Synced")
        assert stage.writes()[-1].body == {"max_replica": 3}
        assert "Traceback" not in operator.log()
