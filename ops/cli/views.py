"""`escrow views`: the derived views; killing them, or running them twice, changes no order."""

from typing import Any

import typer

from ops.cli import terminal

app = typer.Typer(help="The views: run them, rebuild them. They change no order.")


@app.callback(invoke_without_command=True)
def views(context: typer.Context) -> None:
    """Fold the topics into `escrow.views.v1` until SIGTERM or Ctrl-C. Kill it at will."""
    if context.invoked_subcommand is None:
        _run("views", once=False)


@app.command()
def rebuild() -> None:
    """Read all topics from the beginning, write every view once, forget those that are gone, and end."""
    _run("views-rebuild", once=True)
    terminal.note("rebuilt")


def _run(program: str, *, once: bool) -> None:
    from consumers.engine.log import configure_logging
    from streams.app import LogWentBack, run_views

    settings = terminal.settings()
    configure_logging(settings.log, program=program)
    try:
        run_views(_broker(settings), group=settings.kafka.group(program), once=once)
    except LogWentBack as error:
        raise terminal.fail(f"{error}; start again to read it from the beginning") from None


def _broker(settings: Any) -> Any:
    """The settings as the plain values that the views take."""
    from consumers.engine.connections import read_secret
    from streams.broker import Broker

    kafka = settings.kafka
    key_password = read_secret(kafka.ssl_key_password, kafka.ssl_key_password_file)
    password = read_secret(kafka.sasl_password, kafka.sasl_password_file)
    return Broker(
        bootstrap_servers=kafka.bootstrap_servers,
        client_id=f"{kafka.client_id}-views",
        is_encrypted=kafka.is_encrypted,
        cafile=kafka.ssl_cafile,
        certfile=kafka.ssl_certfile,
        keyfile=kafka.ssl_keyfile,
        key_password=None if key_password is None else key_password.get_secret_value(),
        sasl_mechanism=kafka.sasl_mechanism if kafka.uses_sasl else None,
        sasl_username=kafka.sasl_username,
        sasl_password=None if password is None else password.get_secret_value(),
    )
