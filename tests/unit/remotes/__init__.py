"""Tests of the clients of remote APIs."""
