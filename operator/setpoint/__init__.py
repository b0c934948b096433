"""Setpoint keeps settings that live behind remote APIs at what Git says."""

__version__ = "0.1.0"
