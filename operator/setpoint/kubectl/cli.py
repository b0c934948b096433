"""The command `kubectl setpoint`, a plugin of kubectl: the program `kubectl-setpoint` on PATH."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import typer
from rich.console import Console

from setpoint import __version__
from setpoint.cluster import api
from setpoint.kubectl import show
from setpoint.kubectl.objects import Cluster, Found, NotFound
from setpoint.reconcile.ports import ClusterUnavailable, ResourceGone
from setpoint.resources import CONNECTION_KINDS, MANAGED_KINDS

T = TypeVar("T")

COMMANDS = ("explain", "reconcile", "resume", "status", "suspend")

app = typer.Typer(
    name="kubectl setpoint",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Looks after resources of Setpoint: which there are, why one is not Ready, and what to do about it.",
)

Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="Namespace; default: the context's.")]
Everywhere = Annotated[bool, typer.Option("--all-namespaces", "-A", help="Look in all namespaces.")]
Context = Annotated[str | None, typer.Option(help="Context of the kubeconfig.")]
Wanted = Annotated[str, typer.Argument(help="KIND/NAME, or a name alone.", metavar="NAME")]


def main() -> None:
    """Run the command line."""
    app()


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:  # noqa: FBT002 - typer's way to declare a flag
    if version:
        typer.echo(f"kubectl-setpoint {__version__}")
        raise typer.Exit


@app.command()
def status(*, namespace: Namespace = None, all_namespaces: Everywhere = False, context: Context = None) -> None:
    """Show all resources by connection, with state, reason and age. Exits with 1 where one is Stalled."""

    async def work(cluster: Cluster) -> list[Found]:
        return await cluster.all((*CONNECTION_KINDS, *MANAGED_KINDS))

    found = _run(work, namespace=namespace, everywhere=all_namespaces, context=context)
    if not found:
        _say("there are no resources of Setpoint here", err=True)
        return
    Console(soft_wrap=True).print(show.tree(found, datetime.now(UTC)))
    if any(one.current and one.condition("Stalled") for one in found):
        raise typer.Exit(1)


@app.command()
def explain(name: Wanted, *, namespace: Namespace = None, context: Context = None) -> None:
    """Say why a resource is not Ready, and what to do about it."""

    async def work(cluster: Cluster) -> Found:
        return await cluster.find(name)

    one = _run(work, namespace=namespace, context=context)
    for line in show.explanation(one, datetime.now(UTC)):
        _say(line)


@app.command()
def reconcile(
    name: Wanted,
    *,
    namespace: Namespace = None,
    context: Context = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it was looked at.")] = True,
    timeout: Annotated[float, typer.Option(help="Seconds to wait.")] = 60.0,
) -> None:
    """Have a resource looked at now. Exits with 1 where it is not Ready then, or was not looked at in time."""

    async def work(cluster: Cluster) -> tuple[Found, Found | None]:
        one = await cluster.find(name)
        _must_be_managed(one)
        stamp = await cluster.request(one)
        return one, await cluster.handled(one, stamp, timeout) if wait else None

    one, after = _run(work, namespace=namespace, context=context)
    if not wait:
        _say(f"{one.title}: asked for")
        return
    if after is None:
        _say(f"{one.title}: not looked at within {timeout:g} s; does the operator run?", err=True)
        raise typer.Exit(1)
    for line in show.explanation(after, datetime.now(UTC)):
        _say(line)
    if after.condition("Ready").get("status") != "True":
        raise typer.Exit(1)


@app.command()
def suspend(name: Wanted, *, namespace: Namespace = None, context: Context = None) -> None:
    """Stop reading and writing for a resource; it goes on owning what it manages."""
    _set_suspended(name, namespace, context, suspended=True)


@app.command()
def resume(name: Wanted, *, namespace: Namespace = None, context: Context = None) -> None:
    """Go on with a suspended resource."""
    _set_suspended(name, namespace, context, suspended=False)


def complete() -> None:
    """Answer kubectl's question for completions: candidates line by line, then a directive (4: no files)."""
    words = sys.argv[1:]
    candidates: list[str] = []
    if len(words) <= 1:
        candidates = [command for command in COMMANDS if command.startswith(words[0] if words else "")]
    elif words[0] in COMMANDS and words[0] != "status":

        async def work(cluster: Cluster) -> list[Found]:
            return await cluster.all()

        try:
            found = asyncio.run(_with_cluster(work, None, None, everywhere=False))
        except (api.NoCluster, api.RequestRefused, ClusterUnavailable, ResourceGone):
            found = []
        candidates = [show.plain(f"{one.model.SHORT_NAMES[0]}/{one.name}") for one in found]
        candidates = [name for name in candidates if name.startswith(words[-1])]
    typer.echo("\n".join([*candidates, ":4"]))


def _say(line: str, *, err: bool = False) -> None:
    """Print a line, without anything that a terminal would obey."""
    typer.echo(show.plain(line), err=err)


def _set_suspended(name: str, namespace: str | None, context: str | None, *, suspended: bool) -> None:
    async def work(cluster: Cluster) -> Found:
        one = await cluster.find(name)
        _must_be_managed(one)
        return await cluster.suspend(one, suspended=suspended)

    one = _run(work, namespace=namespace, context=context)
    _say(f"{one.title}: {'suspended' if suspended else 'resumed'}")


def _must_be_managed(one: Found) -> None:
    if one.model in CONNECTION_KINDS:
        raise NotFound(f"{one.title} is a connection, which is tried by itself; name a resource that uses it")


def _run(
    work: Callable[[Cluster], Awaitable[T]], *, namespace: str | None, context: str | None, everywhere: bool = False
) -> T:
    """Do something with the cluster; what goes wrong becomes a sentence and exit code 1."""
    try:
        return asyncio.run(_with_cluster(work, namespace, context, everywhere=everywhere))
    except ResourceGone:
        problem = "the kinds of Setpoint are not installed in this cluster, or it is gone"
    except (NotFound, api.NoCluster, api.RequestRefused, ClusterUnavailable) as error:
        problem = str(error)
    _say(f"kubectl-setpoint: {problem}", err=True)
    raise typer.Exit(1)


async def _with_cluster(
    work: Callable[[Cluster], Awaitable[T]], namespace: str | None, context: str | None, *, everywhere: bool
) -> T:
    kube = await api.connect(context=context, agent="kubectl-setpoint", as_kubectl=True)
    try:
        return await work(Cluster(kube, None if everywhere else namespace or kube.namespace))
    finally:
        await kube.aclose()
