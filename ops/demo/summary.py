"""What the rows, the gateway's own log and the audit say at the end; good only if all of them agree."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from consumers.engine.config import Settings
from ops.audit import AuditReport, Ledger, run_audit
from ops.cli.terminal import COMMAND_STYLES, STATUS_STYLES, plain, wall_ms
from ops.local.gateway import effects
from schemas.money import format_amount
from storage.pulse import command_states, dead_letter_codes
from storage.reading import snapshot

FINDINGS_SHOWN = 5


class Summary(NamedTuple):
    """All that was found, each from its own source."""

    report: AuditReport
    commands: dict[tuple[str, str], int]  # (kind, state) → how many
    paid: int  # payments that the gateway has made
    letters: dict[str, int]  # dead letters kept, by code
    planted: dict[str, int]  # dead letters that were asked for
    unfinished: list[str]  # what did not come to an end in time

    @property
    def complaints(self) -> list[str]:
        """Why this is not good; empty if it is."""
        found = list(self.unfinished)
        if not self.report.clean:
            found.append(f"the audit has {sum(self.report.found.values())} findings")
        if unanswered := _in_states(self.commands, "PENDING", "ACCEPTED"):
            found.append(f"{unanswered} commands have no final answer")
        paid_by_rows = _in_states(self.commands, "SETTLED", "RETURNED")
        if paid_by_rows != self.paid:
            found.append(f"the gateway has paid {self.paid} times, the rows say {paid_by_rows}")
        if self.letters != self.planted:
            found.append(f"dead letters are {self.letters}, sent were {self.planted}")
        return found


def summarize(
    settings: Settings, gateway_dir: Path, planted: Counter[str], unfinished: list[str]
) -> Summary:
    """Ask everybody. Raises DatabaseTrouble where the audit could not finish."""
    report = run_audit(settings, wall_ms())
    with snapshot(settings.database.connection_url) as connection:
        commands = command_states(connection)
        letters = dead_letter_codes(connection)
    paid = len(effects(gateway_dir))
    return Summary(report, commands, paid, letters, dict(planted), unfinished)


def show_summary(console: Console, summary: Summary) -> None:
    """A page of 80 columns."""
    report = summary.report
    console.print()
    console.print(Text("Summary", style="bold"))
    statuses = ((name, count, STATUS_STYLES) for name, count in report.statuses.items())
    _row(console, "orders", f"{report.orders:,}", statuses)
    for ledger in report.ledgers:
        _money(console, ledger)
    states: Counter[str] = Counter()
    for (_, state), count in summary.commands.items():
        states[state] += count
    named = ((state, count, COMMAND_STYLES) for state, count in sorted(states.items()))
    _row(console, "commands", f"{states.total():,}", named)
    _line(console, "gateway", Text(f"{summary.paid:,} payments made, each once"))
    letters: dict[str, str] = {}
    codes = ((code, count, letters) for code, count in sorted(summary.letters.items()))
    _row(console, "dead letters", f"{sum(summary.letters.values()):,}", codes)
    _verdict(console, summary)


def _verdict(console: Console, summary: Summary) -> None:
    report = summary.report
    checks = f"{len(report.found)} checks over {report.orders:,} orders and {report.facts:,} facts"
    if report.clean:
        text = Text.assemble(("clean", "bold green"), f": {checks}, every decision decided again")
    else:
        text = Text.assemble(("NOT CLEAN", "bold red"), f": {checks}")
    _line(console, "audit", text)
    for finding in report.findings[:FINDINGS_SHOWN]:
        found = plain(f"{finding.check}: {finding.subject}: {finding.text}")
        _line(console, "", Text(found, style="red"))
    for complaint in summary.complaints:
        _line(console, "", Text.assemble(("✗ ", "bold red"), plain(complaint)))


def _money(console: Console, ledger: Ledger) -> None:
    """In = out + held, per currency."""
    parts = [
        f"{name} {_number(amount, ledger.currency)}"
        for name, amount in (
            ("paid out", ledger.paid_out),
            ("refunded", ledger.refunded),
            ("charged back", ledger.charged_back),
            ("held", ledger.held),
        )
        if amount
    ]
    text = Text(f"in {_number(ledger.captured, ledger.currency)} = {' + '.join(parts) or 0}")
    if ledger.imbalance:
        text.append(f"  OFF BY {_number(ledger.imbalance, ledger.currency)}", style="bold red")
    _line(console, ledger.currency, text)


def _number(amount_minor: int, currency: str) -> str:
    return format_amount(amount_minor, currency).removesuffix(currency).rstrip()


def _row(
    console: Console, name: str, total: str, parts: Iterable[tuple[str, int, dict[str, str]]]
) -> None:
    text = Text(total)
    for index, (part, count, styles) in enumerate(parts):
        text.append(": " if index == 0 else ", ")
        text.append(f"{plain(part)} {count:,}", style=styles.get(part, ""))
    _line(console, name, text)


def _line(console: Console, name: str, text: Text) -> None:
    """A name at the left, the text beside it, folded under itself."""
    width = max(console.width - 16, 40)
    for index, line in enumerate(text.wrap(console, width)):
        line.rstrip()
        console.print(Text.assemble((f"  {'' if index else name:<13} ", "dim"), line))


def _in_states(commands: dict[tuple[str, str], int], *states: str) -> int:
    return sum(count for (_, state), count in commands.items() if state in states)
