"""The command `setpoint`."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from setpoint import __version__
from setpoint.settings import PREFIX, Settings, SettingsError, load

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Keeps settings that live behind remote APIs at what Git says.",
)

_USAGE = 2


def main() -> None:
    """Run the command line."""
    app()


def _help(name: str) -> str:
    field = Settings.model_fields[name]
    default = field.default if field.default != "" else "none"
    return f"{field.description} (or {PREFIX}{name.upper()}; default: {default})"


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:  # noqa: FBT002 - typer's way to declare a flag
    if version:
        typer.echo(f"setpoint {__version__}")
        raise typer.Exit


@app.command()
def run(
    *,
    namespaces: Annotated[str | None, typer.Option(help=_help("namespaces"))] = None,
    allowed_hosts: Annotated[str | None, typer.Option(help=_help("allowed_hosts"))] = None,
    cluster_cidrs: Annotated[str | None, typer.Option(help=_help("cluster_cidrs"))] = None,
    leader_elect: Annotated[
        bool | None, typer.Option("--leader-elect/--no-leader-elect", help=_help("leader_elect"))
    ] = None,
    lease_namespace: Annotated[str | None, typer.Option(help=_help("lease_namespace"))] = None,
    metrics_address: Annotated[str | None, typer.Option(help=_help("metrics_address"))] = None,
    health_address: Annotated[str | None, typer.Option(help=_help("health_address"))] = None,
    workers: Annotated[int | None, typer.Option(help=_help("workers"))] = None,
    largest_answer: Annotated[int | None, typer.Option(help=_help("largest_answer"))] = None,
    connections_per_namespace: Annotated[int | None, typer.Option(help=_help("connections_per_namespace"))] = None,
    shard: Annotated[str | None, typer.Option(help=_help("shard"))] = None,
    dry_run: Annotated[bool | None, typer.Option("--dry-run/--no-dry-run", help=_help("dry_run"))] = None,
    log_format: Annotated[str | None, typer.Option(help=_help("log_format"))] = None,
    log_level: Annotated[str | None, typer.Option(help=_help("log_level"))] = None,
) -> None:
    """Run the operator until SIGTERM or SIGINT.

    The cluster is the pod's own, else the one of KUBECONFIG. Exit codes: 0 stopped by a signal, 1 failed (Kubernetes
    restarts it), 2 a setting or the cluster configuration cannot be used.
    """
    # The Kubernetes client looks for a home when it is imported, and a container's user may have none.
    os.environ.setdefault("HOME", "/nonexistent")
    # Imported here: kopf and the Kubernetes client take most of a second, which `--help` and `crds` need not wait for.
    from setpoint.cluster import logs, operator  # noqa: PLC0415
    from setpoint.cluster.api import NoCluster  # noqa: PLC0415
    from setpoint.cluster.leader import LeadershipLost  # noqa: PLC0415

    flags = {
        "namespaces": namespaces,
        "allowed_hosts": allowed_hosts,
        "cluster_cidrs": cluster_cidrs,
        "leader_elect": leader_elect,
        "lease_namespace": lease_namespace,
        "metrics_address": metrics_address,
        "health_address": health_address,
        "workers": workers,
        "largest_answer": largest_answer,
        "connections_per_namespace": connections_per_namespace,
        "shard": shard,
        "dry_run": dry_run,
        "log_format": log_format,
        "log_level": log_level,
    }
    try:
        settings = load(flags)
        logs.configure(json_lines=settings.json_logs, level=settings.log_level)
        asyncio.run(operator.run(settings))
    except (SettingsError, NoCluster) as error:
        typer.echo(f"setpoint: {error}", err=True)
        raise typer.Exit(_USAGE) from None
    except (LeadershipLost, operator.WatchFailed, OSError) as error:
        typer.echo(f"setpoint: {error}", err=True)
        raise typer.Exit(1) from None


@app.command()
def crds(
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder to write one file per kind to; default: standard output."),
    ] = None,
) -> None:
    """Print the CustomResourceDefinitions, ready for `kubectl apply -f -`."""
    from setpoint.resources import crd  # noqa: PLC0415 - pydantic's models take a moment that `--help` need not wait for

    if output is not None:
        crd.write(output)
        return
    for _, text in crd.manifests():
        sys.stdout.write(f"---\n{text}")
