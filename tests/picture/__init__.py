"""Draws the Grafana dashboard from real data, for the documentation: `make picture`."""
