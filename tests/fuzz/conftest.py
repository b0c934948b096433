"""The control plane that serves the kinds, as for the integration tests."""

from tests.integration.conftest import served

__all__ = ["served"]
