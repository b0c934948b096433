"""Starts the simulator: `python -m tests.simulators.baseten`."""

import argparse

from starlette.routing import Router

from tests.simulators.api import Api
from tests.simulators.baseten.control import BasetenCommands
from tests.simulators.baseten.routes import ERRORS, table
from tests.simulators.baseten.specs import Options
from tests.simulators.baseten.world import World
from tests.simulators.control import control_route
from tests.simulators.server import serve

DEFAULT_KEY = "test-key"


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument("--rate", type=int, default=100, help="requests per second, key and endpoint")
    parser.add_argument("--converge", type=float, default=0.3, help="seconds until a read shows what was written")
    parser.add_argument("--key", action="append", dest="keys", metavar="KEY", help=f"default: {DEFAULT_KEY}")
    options = parser.parse_args()

    api = Api(errors=ERRORS, schemes=("Bearer", "Api-Key"), keys=options.keys or [DEFAULT_KEY], rate=options.rate)
    world = World(Options(converge=options.converge))
    commands = BasetenCommands(api, world)
    commands.reset()
    routes = [control_route(commands.all()), *api.routes(table(world))]
    serve(Router(routes, redirect_slashes=False), options.port)


if __name__ == "__main__":
    main()
