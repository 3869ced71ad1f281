"""`escrow trigger`: send a golden example, made to fit an order; for trials, in the profile local only."""

import json
from typing import Annotated, Any

import typer

from ops.cli import terminal
from ops.cli.terminal import YesOption

DAY_MS = 86_400_000


def trigger(
    type_name: Annotated[
        str, typer.Argument(help="The type, e.g. payment.captured.", metavar="TYPE")
    ],
    order: Annotated[str, typer.Option(help="The order that it is about.")],
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="FIELD=VALUE, where the example should say something else."),
    ] = None,
    days: Annotated[
        int, typer.Option(min=0, help="So many days of record time later than the last decision.")
    ] = 0,
    only_print: Annotated[
        bool,
        typer.Option(
            "--print", help="Print the record as a line for escrow simulate; send nothing."
        ),
    ] = False,
    yes: YesOption = False,
) -> None:
    """Send a golden example of a type, made to fit the order where the order allows it.

    Exit code 1 if the record would not pass the door, or if you decline; 2 outside the profile local.
    """
    from consumers.engine.admin import republish
    from consumers.engine.signing import signed
    from ops.contract.examples import SOURCES
    from ops.said_by_people import CannotSay, fact_record
    from schemas.facts import FACT_TYPES

    if type_name not in FACT_TYPES:
        raise terminal.fail(f"no fact has the type {type_name}: see escrow contract list")
    settings = terminal.settings()
    if settings.profile != "local" and not only_print:
        raise terminal.fail("examples are for trials: the profile is not local")
    data, now = _made(type_name, order, settings, may_be_alone=only_print)
    data |= dict(_change(said) for said in changes or ())
    key = data["supplier_id"] if type_name == "supplier.reported" else data["order_id"]
    source = SOURCES[FACT_TYPES[type_name].topic]
    try:
        record, fact = fact_record(type_name, source, str(key), data, now + days * DAY_MS)
    except CannotSay as error:
        raise terminal.fail(str(error), terminal.BAD) from None
    if only_print:
        typer.echo(json.dumps(_as_json(record), ensure_ascii=False))
        return
    terminal.note(json.dumps(json.loads(record.value or b"{}"), ensure_ascii=False, indent=2))
    terminal.confirm(f"Send this {type_name} as {source}?", yes=yes)
    with terminal.troubles():
        partition, offset = republish(settings, signed(settings, record))
    typer.echo(f"{fact.type} {fact.id} -> {record.topic}/{partition}/{offset}")


def _made(
    type_name: str, order_id: str, settings: Any, *, may_be_alone: bool
) -> tuple[dict[str, Any], int]:
    """The data, and the rules' now; without a database the example as it is, if that will do."""
    from ops.contract.fitting import fitted
    from ops.foretell import Foreteller
    from storage.attention import rules_now
    from storage.reading import DatabaseTrouble, snapshot

    wall = terminal.wall_ms()
    try:
        with snapshot(settings.database.connection_url) as connection:
            now = rules_now(connection, wall, settings.timestamp_type)
            found = Foreteller(connection, None).order(order_id)
            return fitted(type_name, order_id, found), now if now >= 0 else wall
    except DatabaseTrouble as trouble:
        if not may_be_alone:
            raise terminal.fail(str(trouble)) from None
        terminal.note(f"the example as it is, since no order can be looked at: {trouble}")
        return fitted(type_name, order_id, None), wall


def _change(said: str) -> tuple[str, Any]:
    """A value is JSON where it can be read as such, else a text; null takes the field away."""
    field, is_set, text = said.partition("=")
    if not is_set or not field:
        raise terminal.fail(f"--set takes FIELD=VALUE, not {terminal.plain(said)}")
    try:
        return field, json.loads(text)
    except ValueError:
        return field, text


def _as_json(record: Any) -> dict[str, Any]:
    """As `escrow simulate` reads it."""
    return {
        "topic": record.topic,
        "key": record.key.decode(),
        "timestamp_ms": record.timestamp_ms,
        "headers": {name: value.decode() for name, value in record.headers},
        "value": json.loads(record.value),
    }
