"""Runs the operator with a DNS of its own: `python resolver.py NAME=ADDRESS,… run`; other names are resolved as ever."""

import socket
import sys
from typing import Any

from setpoint.cli import main

NAMESPACE = "resolved"
"""Of Services that exist only here."""


def resolving(known: dict[str, str]) -> None:
    """Let the system's resolver know these names."""
    ask: Any = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **options: Any) -> Any:
        return ask(known.get(host, host), *args, **options)

    socket.getaddrinfo = getaddrinfo


if __name__ == "__main__":
    resolving(dict(one.split("=", 1) for one in sys.argv.pop(1).split(",")))
    main()
