"""Starts the simulator: `python -m tests.simulators.bifrost`."""

import argparse
from typing import get_args

from starlette.routing import Router

from tests.simulators.bifrost.auth import BifrostApi
from tests.simulators.bifrost.control import BifrostCommands
from tests.simulators.bifrost.routes import Public, table
from tests.simulators.bifrost.sessions import session_table
from tests.simulators.bifrost.specs import AuthMode, Generation, Options
from tests.simulators.bifrost.world import World
from tests.simulators.control import control_route
from tests.simulators.server import serve

UNLIMITED = 1_000_000


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument("--prefix", default="", help="path before all of the gateway's own, such as /ai/gateway")
    parser.add_argument("--generation", type=int, choices=get_args(Generation), default=2)
    parser.add_argument("--version", help="default: one of the generation")
    parser.add_argument("--rate", type=int, default=UNLIMITED, help="requests per second, key and endpoint")
    parser.add_argument("--auth", choices=get_args(AuthMode), default="open")
    parser.add_argument("--key", action="append", dest="keys", default=[], metavar="KEY", help="USER:PASSWORD or token")
    given = parser.parse_args()

    api = BifrostApi(mode=given.auth, keys=given.keys, rate=given.rate)
    world = World(Options(generation=given.generation, version=given.version))
    commands = BifrostCommands(api, world)
    commands.reset()
    paths = {**table(world), **session_table(api)}
    routes = [control_route(commands.all()), *api.routes(paths, prefix=given.prefix, public=Public(world))]
    serve(Router(routes, redirect_slashes=False), given.port)


if __name__ == "__main__":
    main()
