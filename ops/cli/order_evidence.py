"""`escrow order evidence`: one order as one file for mediator, auditor or chargeback defence, and its proof."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, Group

from ops.cli import terminal
from ops.cli.terminal import JsonOption, a_table, styled

if TYPE_CHECKING:
    from ops.order_answer import Answer

PAGE_COLUMNS = 100


def evidence(
    order_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="The order id.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The pack, evidence-ID.zip otherwise.")
    ] = None,
    verify: Annotated[
        Path | None, typer.Option(help="Prove this pack from itself; no database is asked.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write all of an order into one zip file, or verify one.

    Texts of buyers, suppliers and mediators are in it: give it only to who may read them. Exit
    code 1: no such order, or the pack does not prove itself; 2: not done, or it is no pack.
    """
    if (order_id is None) == (verify is None):
        raise terminal.fail("give an order id, or --verify FILE")
    if verify is not None:
        _verify(verify, json=json)
        return
    assert order_id is not None
    _write(order_id, output or Path(f"evidence-{order_id}.zip"), json=json)


def _write(order_id: str, path: Path, *, json: bool) -> None:
    from ops.evidence_pack import make_pack
    from ops.order_answer import answer
    from ops.redecide import Unreadable, claimed_elsewhere, payment_ids, read_facts
    from schemas.order_events import rfc3339
    from storage.reading import snapshot

    settings, now = terminal.settings(), terminal.wall_ms()
    with terminal.troubles(), snapshot(settings.database.connection_url) as connection:
        found = answer(connection, settings, order_id, now)
        if found is None:
            raise terminal.fail(f"no fact of order {order_id} has come", terminal.BAD)
        try:
            named = {order_id: payment_ids(read_facts(found.dossier))}
        except Unreadable as error:
            raise terminal.fail(f"{error}: run `escrow audit`") from None
        _, elsewhere = claimed_elsewhere(connection, named)
    content, digest = make_pack(found.dossier, elsewhere, _summary(found), rfc3339(now))
    try:
        path.write_bytes(content)
    except OSError as error:
        raise terminal.fail(f"cannot write {path}: {error.strerror}") from None
    if json:
        terminal.print_json({"order_id": order_id, "file": str(path), "digest": digest})
    else:
        typer.echo(f"{path}  {digest}")


def _summary(found: "Answer") -> str:
    """What the pages say, as plain text."""
    from ops.cli.order_pages import explain_page, show_page

    out = io.StringIO()
    console = Console(file=out, width=PAGE_COLUMNS, no_color=True, highlight=False)
    console.print(Group(explain_page(found.explanation, found.now), "", show_page(found.dossier)))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _verify(path: Path, *, json: bool) -> None:
    from ops.evidence_pack import BadPack, verify_pack

    try:
        proved = verify_pack(path.read_bytes())
    except OSError as error:
        raise terminal.fail(f"cannot read {path}: {error.strerror}") from None
    except BadPack as error:
        raise terminal.fail(f"{path}: {error}") from None
    findings = [finding._asdict() for finding in proved.findings]
    if json:
        verdict = "findings" if findings else "proved"
        terminal.print_json({**proved._asdict(), "findings": findings, "verdict": verdict})
    else:
        table = a_table("", "")
        for name in ("order_id", "made_at", "facts", "decisions", "chain_head", "digest"):
            table.add_row(name.replace("_", " "), styled(getattr(proved, name)))
        for finding in proved.findings:
            table.add_row(styled(finding.check, style="bold red"), styled(finding.text))
        table.add_row("verdict", "findings" if findings else "it proves itself")
        terminal.console().print(table)
    raise typer.Exit(terminal.BAD if findings else terminal.GOOD)
