"""Decisions: who is reconciled when, what is written, and what the status says of it.

This floor knows no kopf, no Kubernetes client and no httpx. Everything that acts or changes by itself is handed in
(`ports`): the clock, the randomness, the view of the resources, the status writer and the connections. So the whole of it
runs without a cluster, and in a simulation with a virtual clock.
"""
