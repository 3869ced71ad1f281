"""The long-running programs: each works until SIGTERM or Ctrl-C, then leaves in good order.

Exit codes: 0 stopped as asked, 2 wrong use or configuration, 3 halted: going on could lose or
double a fact, and the message says what to do.
"""

import gc
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, cast

import typer

HALTED = 3


def register(app: typer.Typer) -> None:
    """Add the long-running commands to the program."""
    app.command()(consume)
    app.command()(relay)
    app.command()(ticker)
    app.command()(gateway)
    app.command()(metrics)


def consume(stage: Annotated[str, typer.Argument(help="Which stage, e.g. payments.")]) -> None:
    """Run one process of a stage. Start more of them to scale; kill any of them at will."""
    from consumers.engine.worker import run_stage
    from consumers.stages import STAGES

    if stage not in STAGES:
        typer.echo(f"escrow consume: no stage {stage!r}; there are: {', '.join(STAGES)}", err=True)
        raise typer.Exit(2)
    _run(stage, lambda settings, stop: run_stage(settings, STAGES[stage], stop))


def relay(
    restored: Annotated[
        bool,
        typer.Option(
            "--restored",
            help="The database is an older copy: compare with the command topics first.",
        ),
    ] = False,
) -> None:
    """Send what decisions have written: commands, order events, dead letters.

    After a recovery it reads the command topics first, and sends nothing twice that is on them.
    """
    from consumers.engine.relay import run_relay

    _run("relay", lambda settings, stop: run_relay(settings, stop, restored=restored))


def ticker() -> None:
    """Announce deadlines, ask about silent commands, fold totals."""
    from consumers.engine.ticker import run_ticker

    _run("ticker", run_ticker)


def gateway(
    data: Annotated[Path, typer.Option(help="Where the simulator keeps what it has done.")],
    write_file: Annotated[
        Path | None,
        typer.Option(help="Write its account of all it has done (.csv or .jsonl), and end."),
    ] = None,
    plant: Annotated[int, typer.Option(min=0, help="Plant so many differences in that file.")] = 0,
    seed: Annotated[int, typer.Option(help="Which ones.")] = 0,
) -> None:
    """Run the payment gateway simulator: no real money, ever."""
    if write_file is not None:
        _write_gateway_file(data, write_file, plant, seed)
        return
    from consumers.engine.crash import Place, crash_point
    from ops.local.gateway import run_gateway

    def at(step: str) -> None:
        crash_point(cast(Place, f"gateway.{step}"))

    _run("gateway", lambda settings, stop: run_gateway(settings, data, stop, at=at))


def _write_gateway_file(data: Path, path: Path, plant: int, seed: int) -> None:
    """What was planted goes to standard output, a JSON object a line."""
    import json

    from ops.local.gateway.daily_file import account, planted, write_account

    entries, plants = planted(account(data), plant, seed)
    if len(plants) < plant:
        typer.echo(f"escrow gateway: room for {len(plants)} differences only", err=True)
        raise typer.Exit(2)
    write_account(path, entries)
    for one in plants:
        typer.echo(json.dumps(one._asdict()))
    typer.echo(f"{len(entries)} lines in {path}", err=True)


def metrics() -> None:
    """Serve lag, money and what waits for Prometheus: one of these for the whole line."""
    from ops.exporter import run_exporter

    _run("metrics", run_exporter)


def _calm_collector() -> None:
    """A batch makes many thousand small tuples and no cycles: look for cycles seldom.

    What was loaded at the start is never looked through again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _run(name: str, work: Callable[[Any, threading.Event], None]) -> None:
    """Configure, then run."""
    from consumers.engine.config import ConfigError, load_settings

    try:
        settings = load_settings()
    except ConfigError as error:
        typer.echo(f"escrow: {error}", err=True)
        raise typer.Exit(2) from None
    run_program(name, work, settings)


def run_program(name: str, work: Callable[[Any, threading.Event], None], settings: Any) -> None:
    """Log, listen to signals, work."""
    import structlog

    from consumers.engine.config import ConfigError
    from consumers.engine.log import configure_logging
    from consumers.engine.processing import Halt
    from consumers.engine.serving import served
    from consumers.engine.tracing import traced

    configure_logging(settings.log, program=name)
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    log = structlog.get_logger()
    try:
        with traced(settings, name), served(settings, name) as port:
            _calm_collector()
            log.info("started", metrics_port=port)
            work(settings, stop)
    except Halt as halt:
        log.error("halted", reason=str(halt))  # noqa: TRY400  the reason is the whole story
        typer.echo(f"escrow {name}: halted. {halt}", err=True)
        raise typer.Exit(HALTED) from None
    except ConfigError as error:
        typer.echo(f"escrow: {error}", err=True)
        raise typer.Exit(2) from None
    log.info("stopped")
