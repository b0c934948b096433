"""Tests of the simulators against the public documents of the APIs they stand for."""
