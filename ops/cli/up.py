"""`escrow up` and `escrow demo`: the whole line on this machine, for as long as you look at it."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command()(up)
    app.command()(demo)


def up(
    data: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Keep the data here; without it they are temporary."),
    ] = None,
    gateway: Annotated[
        bool, typer.Option("--gateway/--no-gateway", help="Whether to run the gateway simulator.")
    ] = True,
    secure: Annotated[
        bool,
        typer.Option("--secure", help="TLS, passwords, rights and roles on embedded servers."),
    ] = False,
    signed: Annotated[
        bool,
        typer.Option("--signed", help="As --secure, and signatures asked for; a key for each."),
    ] = False,
    ready_file: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Write the addresses here once everything is ready."),
    ] = None,
) -> None:
    """Start Kafka, PostgreSQL, all stages, relay, ticker and gateway; Ctrl-C stops them all.

    Once all is ready, prints one line of JSON: bootstrap_servers, database_url, web_url. Servers
    named by ESCROW_KAFKA__BOOTSTRAP_SERVERS and ESCROW_DATABASE__URL are used instead of embedded
    ones. Exit codes: 0 stopped as asked, 2 it could not start, 3 a stage had halted.
    """
    from ops.local.up import run_up

    raise typer.Exit(run_up(data, gateway=gateway, secure=secure, signed=signed, ready=ready_file))


def demo(
    traffic: Annotated[
        bool, typer.Option("--traffic/--no-traffic", help="Whether many orders follow the story.")
    ] = True,
    leave: Annotated[
        bool, typer.Option("--exit", help="End after the summary, by itself.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Which orders the traffic is made of.")] = 1,
) -> None:
    """Watch money decisions flow through a real Kafka and a real PostgreSQL; nothing is kept.

    With --exit, the exit code is 0 only if every record was accounted for, every command was
    answered and the audit is clean. Exit codes: 0 good, 1 not good, 2 it could not be shown.
    """
    from ops.demo.run import run_demo

    raise typer.Exit(run_demo(traffic=traffic, leave=leave, seed=seed))
