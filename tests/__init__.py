"""Tests, simulators and the control plane they run against."""
