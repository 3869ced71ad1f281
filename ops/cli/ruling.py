"""`escrow ruling`: what a mediator can decide, what each decision would pay, and issuing one."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ops.cli import terminal
from ops.cli.terminal import DryRunOption, JsonOption, YesOption, a_table, styled

app = typer.Typer(help="Mediation: what waits for a ruling, and issuing one.", no_args_is_help=True)
OrderId = Annotated[str, typer.Argument(help="The order id.", metavar="ORDER")]


@app.command("list")
def list_waiting(
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    json: JsonOption = False,
) -> None:
    """Orders in mediation, those whose buyer asked first at the top; and disputes that may follow."""
    from storage.attention import rules_now
    from storage.mediation import disputes
    from storage.reading import snapshot

    settings = terminal.settings()
    with terminal.troubles(), snapshot(settings.database.connection_url) as connection:
        now = rules_now(connection, terminal.wall_ms(), settings.timestamp_type)
        found = disputes(connection, limit=limit)
    if json:
        terminal.print_json([dispute._asdict() for dispute in found])
    elif found:
        terminal.console().print(_list_page(found, now))
    else:
        terminal.note("no dispute is open")


@app.command()
def preview(order_id: OrderId, json: JsonOption = False) -> None:
    """What each ruling would pay to whom. Exit code 1 if the order is not in mediation."""
    from ops.rulings import CannotRule, previews
    from storage.reading import snapshot

    settings = terminal.settings()
    with terminal.troubles(), snapshot(settings.database.connection_url) as connection:
        try:
            found = previews(connection, order_id, _now(connection, settings))
        except CannotRule as error:
            raise terminal.fail(str(error), terminal.BAD) from None
    if json:
        terminal.print_json([_as_json(one) for one in found])
    else:
        terminal.console().print(_preview_page(found))


@app.command()
def issue(
    order_id: OrderId,
    outcome: Annotated[str, typer.Option(help="refund_full, refund_partial or release.")],
    mediator: Annotated[
        str, typer.Option(envvar="ESCROW_OPERATOR", help="Who rules; it is kept with the fact.")
    ],
    refund: Annotated[
        int | None, typer.Option(help="For refund_partial: minor units to the buyer.")
    ] = None,
    rationale: Annotated[str | None, typer.Option(help="Why; both sides may read it.")] = None,
    to: Annotated[
        Path | None, typer.Option(help="Sign it into this file, for another mediator to cosign.")
    ] = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Issue the ruling for the order's open request, as a fact on its topic. It is final.

    Exit code 1 if the order is not in mediation, the ruling would not hold, or you decline.
    """
    from consumers.engine.admin import republish
    from consumers.engine.signing import signed
    from ops.rulings import CannotRule, Ruling, ruling_record
    from ops.rulings import preview as previewed
    from storage.reading import snapshot

    settings = terminal.settings()
    ruling = Ruling(outcome, refund, rationale)  # type: ignore[arg-type]  # the model checks it
    with terminal.troubles():
        with snapshot(settings.database.connection_url) as connection:
            now = _now(connection, settings)
            try:
                record, fact = ruling_record(connection, order_id, ruling, mediator, now)
                shown = previewed(connection, order_id, ruling, now)
            except CannotRule as error:
                raise terminal.fail(str(error), terminal.BAD) from None
        terminal.errors().print(_preview_page([shown]))
        if shown.told.outcome != "applied":
            raise terminal.fail(f"it would be {shown.told.title}", terminal.BAD)
        if dry_run:
            terminal.note("dry run: nothing was sent")
            return
        if to is not None:
            _put_aside(settings, record, to)
            return
        terminal.confirm("Issue this ruling? It is final.", yes=yes)
        partition, offset = republish(settings, signed(settings, record))
    typer.echo(f"{fact.type} {fact.id} -> {record.topic}/{partition}/{offset}")


@app.command()
def cosign(
    file: Annotated[Path, typer.Argument(help="What `ruling issue --to` has written.")],
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Add your signature to another mediator's ruling, and issue it. It is final.

    Exit code 1 if the ruling would not hold, or you decline.
    """
    from consumers.engine.admin import republish
    from consumers.engine.trusting import Trusting
    from ops.cosigning import CannotSign, cosigned
    from ops.foretell import Foreteller
    from storage.reading import snapshot

    settings = terminal.settings()
    with terminal.troubles():
        with snapshot(settings.database.connection_url) as connection:
            try:
                record = cosigned(settings, file, _now(connection, settings))
            except (CannotSign, OSError) as error:
                raise terminal.fail(str(error)) from None
            told = Foreteller(connection, Trusting(settings)).foretell(record)
        terminal.note(terminal.plain((record.value or b"").decode("utf-8", "backslashreplace")))
        if told.outcome != "applied":
            raise terminal.fail(f"it would be {told.title}: {told.detail}", terminal.BAD)
        if dry_run:
            terminal.note("dry run: nothing was sent")
            return
        terminal.confirm("Sign this ruling too, and issue it?", yes=yes)
        partition, offset = republish(settings, record)
    typer.echo(f"ruling.issued -> {record.topic}/{partition}/{offset}")


def _put_aside(settings: Any, record: Any, path: Path) -> None:
    from ops.cosigning import CannotSign, put_aside

    try:
        put_aside(settings, record, path)
    except (CannotSign, OSError) as error:
        raise terminal.fail(str(error)) from None
    terminal.note(
        f"signed, not sent: another mediator issues it with `escrow ruling cosign {path}`"
    )


def _now(connection: Any, settings: Any) -> int:
    """The time of a fact that is sent now, ms UTC: the rules' own, where producers set it."""
    from storage.attention import rules_now

    now = rules_now(connection, terminal.wall_ms(), settings.timestamp_type)
    return now if now >= 0 else terminal.wall_ms()


def _as_json(shown: Any) -> dict[str, Any]:
    return {
        "outcome": shown.ruling.outcome,
        "refund_minor": shown.ruling.refund_minor,
        "would_be": shown.told.title,
        "status": None if shown.told.after is None else shown.told.after.status,
        "to_buyer_minor": shown.to_buyer_minor,
        "to_supplier_minor": shown.to_supplier_minor,
        "currency": None if shown.told.after is None else shown.told.after.currency,
    }


def _preview_page(found: list[Any]) -> Any:
    from schemas.money import format_amount

    table = a_table("ruling", "order becomes", "to the buyer", "to the supplier",
                    right=("to the buyer", "to the supplier"))  # fmt: skip
    for shown in found:
        after = shown.told.after
        is_applied = shown.told.outcome == "applied"
        amounts = (shown.to_buyer_minor, shown.to_supplier_minor)
        table.add_row(
            shown.ruling.outcome,
            styled(after.status if is_applied else shown.told.title, terminal.STATUS_STYLES),
            *(format_amount(amount, after.currency) if amount else "-" for amount in amounts),
        )
    return table


def _list_page(found: list[Any], now: int) -> Any:
    from schemas.money import format_amount

    table = a_table("order", "status", "held", "request", "first asked", "mediation",
                    right=("held",))  # fmt: skip
    for dispute in found:
        left = dispute.eligible_at - now
        may = "waits for a ruling" if dispute.status == "IN_MEDIATION" else "may be asked for"
        if dispute.status == "DISPUTED" and left > 0:
            may = f"in {terminal.how_long(left)}"
        table.add_row(
            styled(dispute.order_id),
            styled(dispute.status, terminal.STATUS_STYLES),
            format_amount(dispute.held_minor, dispute.currency),
            styled(f"{dispute.request_id} ({dispute.request_reason})"),
            terminal.when(dispute.first_requested_at),
            may,
        )
    return table
