"""Clients of remote APIs: the only floor that knows httpx, and the only one that sees a key."""
