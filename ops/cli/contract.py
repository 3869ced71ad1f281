"""`escrow contract`: what others may send and will meet, for people and programs; what a change would break."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli import terminal
from ops.cli.terminal import DryRunOption, JsonOption, YesOption, a_table, styled

if TYPE_CHECKING:
    from ops.contract.registry import Entry

app = typer.Typer(help="The published contract.", no_args_is_help=True)
TypeName = Annotated[str, typer.Argument(help="The type, e.g. payment.captured.", metavar="TYPE")]
_STYLES = {"breaking": "red", "caution": "yellow"}
_STATES = {"there": "dim", "registered": "green", "incompatible": "bold red", "refused": "bold red"}


@app.command("list")
def list_all(json: JsonOption = False) -> None:
    """Every type: where it goes and what it says."""
    from ops.contract.messages import MESSAGES

    if json:
        terminal.print_json(
            [
                {"type": m.name, "flow": m.flow, "topics": m.topics, "says": m.summary}
                for m in MESSAGES.values()
            ]
        )
        return
    table = a_table("type", "topic", "what it says")
    table.columns[0].no_wrap = True
    for message in MESSAGES.values():
        table.add_row(message.name, styled(" ".join(message.topics), style="dim"), message.summary)
    terminal.console().print(table)


@app.command()
def show(type_name: TypeName, json: JsonOption = False) -> None:
    """One type: who sends it, its fields, an example, and what becomes of it."""
    from rich.markdown import Markdown

    from ops.contract.about import as_json
    from ops.contract.pages import type_page

    _known(type_name)
    if json:
        terminal.print_json(as_json(type_name))
    else:
        text = type_page(type_name).replace("<br>", "; ")
        terminal.console().print(Markdown(text))


@app.command()
def asyncapi() -> None:
    """Print the AsyncAPI 3.1 document, as JSON."""
    from ops.contract.asyncapi import document
    from ops.contract.publishing import pretty

    typer.echo(pretty(document()), nl=False)


@app.command()
def schema(
    type_name: TypeName,
    reader: Annotated[
        bool, typer.Option("--reader", help="The open one: fields of later releases pass.")
    ] = False,
) -> None:
    """Print the JSON Schema of a type's data: closed, for who writes it."""
    from ops.contract.json_schemas import closed, opened
    from ops.contract.publishing import pretty

    _known(type_name)
    typer.echo(pretty(opened(type_name) if reader else closed(type_name)), nl=False)


@app.command()
def publish(
    folder: Annotated[Path, typer.Argument(help="Where to; docs/contract in a checkout.")],
    release: Annotated[
        bool, typer.Option("--release", help="From now on this is what no change may break.")
    ] = False,
) -> None:
    """Write schemas, AsyncAPI and pages into a folder of their own."""
    from ops.contract import publishing

    folder.mkdir(parents=True, exist_ok=True)
    changed = publishing.publish(folder)
    terminal.note(f"{len(changed)} files changed")
    if release:
        terminal.note(f"released as {publishing.release(folder)}")


@app.command()
def check(
    against: Annotated[
        Path | None, typer.Option(help="A released.json; by default that of this checkout.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Name what has changed since the last release, and what of it breaks somebody. Exit code 1 if so."""
    from ops.contract import publishing
    from ops.contract.compatibility import changes, contract

    path = against or publishing.FOLDER / publishing.RELEASED
    try:
        released = publishing.released(path)
    except (OSError, ValueError) as error:
        raise terminal.fail(f"cannot read {path}: {error}") from None
    found = changes(released, contract())
    if json:
        terminal.print_json([change._asdict() for change in found])
    elif found:
        table = a_table("", "where", "what")
        for change in found:
            table.add_row(styled(change.weight, _STYLES), change.where, change.what)
        terminal.console().print(table)
    else:
        terminal.note(f"nothing has changed since {released.get('version', path)}")
    if any(change.weight == "breaking" for change in found):
        raise typer.Exit(terminal.BAD)


@app.command()
def register(
    registry: Annotated[str, typer.Option(help="The registry's http or https address.")],
    user: Annotated[
        str | None, typer.Option(help="Its user; the password is in ESCROW_REGISTRY_PASSWORD.")
    ] = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Register the JSON Schemas for writers in a schema registry, a subject TOPIC-TYPE each.

    What it has already is left alone. Exit code 1 if it refuses one, 2 if it does not answer: then
    run it again. Nothing of the line asks a registry; who writes may name the id in a header.
    """
    from ops.contract.registry import Registry, RegistryTrouble, plan, register_all

    try:
        where = Registry(registry, None if user is None else (user, _password()))
        found = plan(where)
        news = [entry for entry in found if entry.state.startswith("new")]
        if news and not dry_run:
            terminal.confirm(
                f"Register {len(news)} of {len(found)} schemas at {registry}?", yes=yes
            )
            found = register_all(where, found, lambda one: terminal.note(f"{one.subject}"))
    except RegistryTrouble as trouble:
        raise terminal.fail(f"the registry: {trouble}") from None
    if json:
        terminal.print_json([entry._asdict() for entry in found])
    else:
        _registered(found)
    if any(entry.state in ("incompatible", "refused") for entry in found):
        raise typer.Exit(terminal.BAD)


def _password() -> str:
    password = os.environ.get("ESCROW_REGISTRY_PASSWORD")
    if password is None:
        raise terminal.fail("--user needs a password in ESCROW_REGISTRY_PASSWORD")
    return password


def _registered(entries: "list[Entry]") -> None:
    table = a_table("", "id", "subject", right=("id",))
    for entry in entries:
        what = styled(entry.subject)
        if entry.why:
            what.append(f"\n{terminal.plain(entry.why)}", style="bold")
        table.add_row(styled(entry.state, _STATES), str(entry.id or "-"), what)
    terminal.console().print(table)


def _known(type_name: str) -> None:
    from ops.contract.messages import MESSAGES

    if type_name not in MESSAGES:
        raise terminal.fail(
            f"there is no type {terminal.plain(type_name)}: see escrow contract list"
        )
