"""`escrow audit`: the proof on a page. Exit code 0 clean, 1 findings, 2 unknown."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from ops.cli import terminal
from ops.cli.terminal import JsonOption, a_table, styled
from ops.findings import CHECKS

if TYPE_CHECKING:
    from ops.audit import AuditReport
    from storage.attention import Waiting


def audit(
    json: JsonOption = False,
    findings_max: Annotated[
        int, typer.Option("--findings", min=0, help="How many findings to show.")
    ] = 20,
    witness: Annotated[
        bool,
        typer.Option("--witness", help="Compare chains with the heads published on the topic."),
    ] = False,
    gateway_file: Annotated[
        Path | None,
        typer.Option(help="Compare commands and ledger with all that the gateway has done."),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="In how many processes orders are decided again.")
    ] = 1,
) -> None:
    """Prove money, chains, decisions, commands and batches from the stored facts.

    Runs beside the working stages in short read-only snapshots. Exit code 0: clean; 1: findings;
    2: it could not finish, so nothing is known.
    """
    from consumers.engine.admin import KafkaUnavailable
    from ops.audit import report_json, run_audit
    from ops.audit_chunks import calm_collector
    from schemas.order_events import ORDER_EVENTS
    from storage.reading import DatabaseTrouble

    settings = terminal.settings()
    try:
        with terminal.progress("orders") as bar, calm_collector():
            report = run_audit(
                settings,
                terminal.wall_ms(),
                bar,
                workers=workers,
                witness_topic=ORDER_EVENTS if witness else None,
                gateway_file=gateway_file,
            )
    except (DatabaseTrouble, KafkaUnavailable) as trouble:
        raise _unknown(str(trouble), json=json) from None
    except Exception as error:  # whatever it was, exit code 1 would say that rows are wrong
        raise _unknown(f"{type(error).__name__}: {error}", json=json) from error
    if json:
        terminal.print_json(report_json(report))
    else:
        terminal.console().print(audit_page(report, findings_max))
    raise typer.Exit(terminal.GOOD if report.clean else terminal.BAD)


def _unknown(why: str, *, json: bool) -> typer.Exit:
    """It could not finish: nothing is known, and neither clean nor a finding may be said."""
    if json:
        terminal.print_json({"verdict": "unknown", "why": terminal.plain(why)})
    return terminal.fail(f"unknown: the audit could not finish\n{why}")


def audit_page(report: "AuditReport", findings_max: int) -> RenderableType:
    """The whole report."""
    parts: list[RenderableType] = [_checks(report), Text()]
    if report.ledgers:
        parts += [_money(report), Text()]
    if report.waiting:
        parts += [_waiting(report), Text()]
    if not report.clean:
        parts += [_findings(report, findings_max), Text()]
    parts.append(_verdict(report))
    return Group(*parts)


def _checks(report: "AuditReport") -> RenderableType:
    table = a_table("", "check", "proves")
    for check, found in report.found.items():
        proves = CHECKS[check]
        mark = Text(f"✗ {found}", style="bold red") if found else Text("✓", style="green")
        table.add_row(mark, check.replace("_", " "), styled(proves, style="dim"))
    return table


def _money(report: "AuditReport") -> RenderableType:
    """The identity of each currency, spelled out."""
    table = a_table("money", "")
    for ledger in report.ledgers:
        parts = " + ".join(
            f"{name} {_number(amount, ledger.currency)}"
            for name, amount in (
                ("held", ledger.held),
                ("refunded", ledger.refunded),
                ("paid out", ledger.paid_out),
                ("charged back", ledger.charged_back),
            )
            if amount or name == "held"
        )
        line = Text(f"captured {_number(ledger.captured, ledger.currency)} = {parts}")
        if ledger.imbalance:
            off = f" · off by {_number(ledger.imbalance, ledger.currency)}"
            line.append(off, style="bold red")
        for name, amount in (
            ("sent back", ledger.sent_back),
            ("owed by suppliers", ledger.debt),
            ("lost", ledger.loss),
        ):
            if amount:
                line.append(f" · {name} {_number(amount, ledger.currency)}", style="dim")
        table.add_row(Text(ledger.currency, style="bold"), line)
    return table


def _number(amount_minor: int, currency: str) -> str:
    from schemas.money import format_amount

    return format_amount(amount_minor, currency).removesuffix(currency).rstrip()


def _waiting(report: "AuditReport") -> RenderableType:
    table = a_table("waiting", "how many", "oldest", "", right=("how many",))
    for waits in report.waiting:
        age = (
            ""
            if waits.oldest_at is None
            else _age(terminal.wall_ms() if waits.by_wall else report.now, waits.oldest_at)
        )
        style = "" if waits.number else "dim"
        name = waits.what.replace("_", " ")
        ages = styled(_by_age(waits), style="dim")
        table.add_row(styled(name, style=style), styled(waits.number, style=style), age, ages)
    return table


def _by_age(waits: "Waiting") -> str:
    """`2 under 1 h, 1 over 10 d: order-7`, the last being whose the oldest is."""
    if waits.ages is None:
        return ""
    from storage.attention import AGES

    parts = [f"{number:,} {age}" for age, number in zip(AGES, waits.ages, strict=True) if number]
    return ", ".join(parts) + (f": {waits.oldest_order}" if waits.oldest_order else "")


def _age(now: int, since: int) -> str:
    return terminal.how_long(now - since) if now > since else terminal.when(since)


def _findings(report: "AuditReport", findings_max: int) -> RenderableType:
    table = a_table("finding", "about", "what")
    for finding in report.findings[:findings_max]:
        table.add_row(
            finding.check.replace("_", " "), styled(finding.subject), styled(finding.text)
        )
    more = sum(report.found.values()) - min(len(report.findings), findings_max)
    if more > 0:
        table.add_row("", "", styled(f"and {more:,} more: see --json or --findings", style="dim"))
    return table


def _verdict(report: "AuditReport") -> Text:
    found = sum(report.found.values())
    rate = report.orders / report.seconds if report.seconds else 0.0
    verdict = (
        ("clean", "bold green")
        if report.clean
        else (f"{found:,} finding{'s' * (found > 1)}", "bold red")
    )
    said = (
        f"  {report.orders:,} orders and {report.facts + report.reports:,} facts"
        f" in {report.seconds:.1f} s ({rate:,.0f} orders/s)"
    )
    if "witness" in report.found:
        said += f", {report.witnessed:,} published heads"
    return Text.assemble(verdict, (said, "dim"))
