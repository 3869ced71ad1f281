"""`escrow views`: the derived views; killing them, or running them twice, changes no order."""

from typing import Annotated, Any

import typer

from ops.cli import terminal
from ops.cli.terminal import JsonOption, a_table, styled

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


@app.command()
def show(
    limit: Annotated[int, typer.Option(min=1, help="At most so many suppliers.")] = 30,
    json: JsonOption = False,
) -> None:
    """Suppliers by risk, flagged ones first, and how old the views are. Exit code 1 if stale."""
    from ops.view_reading import read_views

    settings = terminal.settings()
    with terminal.troubles():
        views = read_views(settings, terminal.wall_ms())
    if json:
        risks = [risk._asdict() for risk in views.suppliers]
        terminal.print_json(views._asdict() | {"stale": views.is_stale, "suppliers": risks})
    else:
        terminal.console().print(_page(views, limit))
    if views.is_stale:
        age = "never written" if views.age_seconds is None else f"{views.age_seconds:.0f} s old"
        terminal.note(f"the views are {age}: is `escrow views` running?")
        raise typer.Exit(terminal.BAD)


def _page(views: Any, limit: int) -> Any:
    counts = ("settled", "refunded", "rate", "ruled against", "charged back", "reports")
    table = a_table("supplier", *counts, "flags", right=counts)
    table.columns[0].min_width = 10
    for risk in views.suppliers[:limit]:
        rate = "-" if risk.refund_rate_bp is None else f"{risk.refund_rate_bp / 100:.1f} %"
        table.add_row(
            styled(risk.supplier_id),
            str(risk.orders_settled),
            str(risk.orders_refunded),
            rate,
            str(risk.rulings_against),
            str(risk.charged_back),
            str(risk.reporters),
            styled(", ".join(risk.flags), style="bold red"),
        )
    return table


def _run(program: str, *, once: bool) -> None:
    from consumers.engine.log import configure_logging
    from streams.app import BrokerAway, LogWentBack, run_views

    settings = terminal.settings()
    configure_logging(settings.log, program=program)
    try:
        run_views(
            _broker(settings),
            group=settings.kafka.group(program),
            goes_by_records=settings.timestamp_type == "CreateTime",
            once=once,
        )
    except BrokerAway as error:
        raise terminal.fail(f"Kafka does not answer: {error}") from None
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
