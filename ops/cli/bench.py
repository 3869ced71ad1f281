"""`escrow bench`: how fast it is on this machine, beside the limit of its parts and its peers."""

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

_NEEDS = ("confluent_kafka", "hdrh")


def bench(
    quick: Annotated[bool, typer.Option("--quick", help="Two minutes instead of ten.")] = False,
    out: Annotated[Path | None, typer.Option(help="Keep all figures here, as JSON.")] = None,
) -> None:
    """Measure bursts and a steady rate, on servers of its own. Needs the packages of `make install`."""
    if missing := [name for name in _NEEDS if importlib.util.find_spec(name) is None]:
        typer.echo(f"escrow bench: not installed: {', '.join(missing)}; `make install`", err=True)
        raise typer.Exit(2)
    from bench.__main__ import main

    main([*(["--quick"] if quick else []), *(["--out", str(out)] if out else [])])
