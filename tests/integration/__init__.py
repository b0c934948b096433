"""Tests that talk to a real Kubernetes API server."""
