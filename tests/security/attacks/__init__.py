"""All attacks, in the order of the page."""

from importlib import import_module

from tests.security.attacks.registry import ATTACKS, Attack

CHAPTERS = {
    "answers": "A remote that answers as it likes",
    "memory": "Memory",
    "fairness": "Many, hung or slow",
    "claims": "Targets of others",
    "undone": "What is undone",
    "keys": "Keys",
    "hosts": "Hosts",
    "outward": "What is shown",
}
"""A module of attacks each, and the heading of it on the page."""

for chapter in CHAPTERS:
    import_module(f"{__name__}.{chapter}")

__all__ = ["ATTACKS", "CHAPTERS", "Attack"]
