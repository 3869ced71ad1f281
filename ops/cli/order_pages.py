"""How an order looks on a terminal: short lines first, tables after, nothing wider than the screen."""

from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from escrow.state import Escrow
from ops.cli.terminal import (
    COMMAND_STYLES,
    OUTCOME_STYLES,
    STATUS_STYLES,
    a_table,
    how_long,
    plain,
    styled,
    when,
)
from ops.explain import Explanation, Said, headline
from ops.explain_next import Prospect
from ops.plain_words import short
from schemas.money import format_amount
from storage.dossiers import Dossier

IGNORED_SHOWN = 8
_MONEY = (
    ("captured", "captured_minor"),
    ("held", "held_minor"),
    ("refunded", "refunded_minor"),
    ("paid out", "paid_out_minor"),
    ("charged back", "charged_back_minor"),
    ("supplier debt", "supplier_debt_minor"),
    ("loss", "loss_minor"),
)


def show_page(dossier: Dossier) -> RenderableType:
    """`escrow order show`."""
    row = dossier.row or Escrow(dossier.order_id)
    parts: list[RenderableType] = [_title(dossier.order_id, row.status, headline(row))]
    if row.status is not None:
        parts.append(_money(row))
    if row.request_id is not None:
        parts.append(_dispute(row))
    parts.append(_facts(dossier))
    if dossier.commands:
        parts.append(_commands(dossier))
    if dossier.shipments:
        states = (f"{s.shipment_id} {s.cause or s.state}" for s in dossier.shipments)
        parts.append(_line("parcels", ", ".join(states)))
    if dossier.chargebacks:
        parts.append(
            _line(
                "chargebacks",
                ", ".join(
                    f"{c.chargeback_id} {format_amount(c.amount_minor, c.currency)} {c.state}"
                    + ("" if c.matching else " (matches no held payment)")
                    for c in dossier.chargebacks
                ),
            )
        )
    chain = row.chain_head.hex()[:16] or "-"
    parts.append(_line("chain", f"{row.decision_no} decisions, head {chain}"))
    return Group(*parts)


def explain_page(explanation: Explanation, now: int) -> RenderableType:
    """`escrow order explain`."""
    parts: list[RenderableType] = [
        _title(explanation.order_id, explanation.status, explanation.headline)
    ]
    parts.append(_line("policy", explanation.policy))
    parts += [Text(f"! {plain(doubt)}", style="bold red") for doubt in explanation.doubts]
    parts.append(_section("Where the money is", [Text(plain(m)) for m in explanation.money]))
    why = [_said(said) for said in explanation.why]
    parts.append(_section("Why", why or [Text("no fact has made it an order that holds money")]))
    prospects = [_prospect(prospect, now) for prospect in explanation.next]
    parts.append(_section("What happens next", prospects))
    if explanation.waiting:
        parts.append(_section("What waits", [_said(said) for said in explanation.waiting]))
    if explanation.chargebacks:
        lines = [Text(plain(_chargeback(c))) for c in explanation.chargebacks]
        parts.append(_section("Chargebacks", lines))
    parts.append(_section("What was ignored", _ignored(explanation.ignored)))
    return Group(*parts)


def _ignored(ignored: list[Said]) -> list[Text]:
    lines = [_said(said) for said in ignored[-IGNORED_SHOWN:]]
    if len(ignored) > IGNORED_SHOWN:
        more = f"and {len(ignored) - IGNORED_SHOWN} before: see `escrow order show`, or --json"
        lines.append(Text(more, style="dim"))
    known = "Facts sent twice are counted with their batch, not kept one by one."
    return [*lines, Text(known, style="dim")]


def _chargeback(chargeback: dict[str, Any]) -> str:
    amount = format_amount(chargeback["amount_minor"], chargeback["currency"])
    fits = "" if chargeback["matching"] else ", which this order does not hold"
    payment = f"payment {chargeback['payment_id']}{fits}"
    return f"{chargeback['chargeback_id']}: {amount} of {payment}: {chargeback['state']}"


def _title(order_id: str, status: str | None, subtitle: str) -> Text:
    return Text.assemble(
        ("order ", "bold"),
        (plain(order_id), "bold"),
        "  ",
        (status or "no payment yet", STATUS_STYLES.get(status or "", "dim")),
        "\n",
        (plain(subtitle), "dim"),
    )


def _section(title: str, lines: list[Text]) -> RenderableType:
    """A heading and hanging lines below it."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=1)
    grid.add_column()
    for line in lines or [Text("nothing", style="dim")]:
        grid.add_row(Text("·", style="dim"), line)
    return Group(Text(f"\n{title}", style="bold"), Padding(grid, (0, 0, 0, 2)))


def _said(said: Said) -> Text:
    """Two lines: who said what when; what came of it, by which rule, under which identity."""
    outcome = "" if said.outcome == "applied" else f"{said.outcome.replace('_', ' ')}: "
    code = "" if said.code is None else f" [{said.code}]"
    return Text.assemble(
        (f"{when(said.t, exact=True)}  ", "dim"),
        plain(said.said),
        "\n",
        (outcome, OUTCOME_STYLES.get(said.outcome, "")),
        (plain(said.reason), "italic"),
        (code, "dim"),
        (f" ({said.rule})", "cyan"),
        (f" · {plain(said.source)} {plain(said.id)}", "dim"),
    )


def _prospect(prospect: Prospect, now: int) -> Text:
    due = ""
    if prospect.due_at is not None:
        left = prospect.due_at - now
        away = f"in {how_long(left)}" if left > 0 else f"{how_long(left)} ago"
        due = f": {when(prospect.due_at, exact=True)} UTC, {away}"
    return Text.assemble(plain(prospect.text), (due, "bold"), (f" ({prospect.rule})", "cyan"))


def _line(name: str, text: str) -> Text:
    return Text.assemble((f"\n{name}  ", "bold"), plain(text))


def _money(row: Escrow) -> Text:
    amounts = [
        f"{name} {format_amount(getattr(row, column), row.currency)}"
        for name, column in _MONEY
        if getattr(row, column) or column in ("captured_minor", "held_minor")
    ]
    return Text(" · ".join(amounts))


def _dispute(row: Escrow) -> Text:
    offer = "no offer is open"
    if row.offer_id is not None:
        amount = format_amount(row.offer_minor or 0, row.currency)
        offer = f"open offer {row.offer_id} of {amount} by {row.offer_by}"
    reason = (row.request_reason or "").replace("_", " ")
    return Text(plain(f"request {row.request_id}: {reason}, {offer}"))


def _facts(dossier: Dossier) -> RenderableType:
    table = a_table("no", "time (UTC)", "type", "outcome", "source, id", right=("no",))
    later = {r.parked_no: r for r in dossier.resolutions}
    for stored in dossier.facts:
        outcome = styled(stored.outcome, OUTCOME_STYLES)
        if stored.code:
            outcome.append(f" {stored.code}", style="dim")
        if (resolution := later.get(stored.no)) is not None:
            became = f" → {resolution.outcome} {resolution.code or ''}".rstrip()
            outcome.append(became, style=OUTCOME_STYLES.get(resolution.outcome, ""))
        table.add_row(
            str(stored.no),
            when(stored.t),
            stored.type,
            outcome,
            styled(f"{stored.source} {stored.id}", style="dim"),
        )
    return Group(Text(), table)


def _commands(dossier: Dossier) -> RenderableType:
    table = a_table("command", "purpose", "amount", "to", "state", "try", right=("amount", "try"))
    for sent in dossier.commands:
        command = sent.command
        state = styled(command.state, COMMAND_STYLES)
        if sent.hold is not None:
            state.append(" held", style="bold red")
        elif sent.unsent:
            state.append(" not sent", style="dim")
        table.add_row(
            f"{command.kind} {short(command.command_id)}",
            command.purpose.replace("_", " "),
            format_amount(command.amount_minor, command.currency),
            styled(command.party_id),
            state,
            str(command.attempt),
        )
    return Group(Text(), table)
