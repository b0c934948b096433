"""Fixtures that every test can ask for."""

from tests.controlplane.fixtures import controlplane, namespace
from tests.simulators.fixtures import baseten, baseten_process, bifrost, bifrost_process

__all__ = ["baseten", "baseten_process", "bifrost", "bifrost_process", "controlplane", "namespace"]
