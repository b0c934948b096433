"""Tests without network, cluster or real time."""
