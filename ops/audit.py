"""Every cent and every decision, proved from the stored facts, in one snapshot that blocks nobody.

Orders are taken page by page, so memory does not grow with their number. An audit that cannot
finish says so; it never says clean.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from consumers.engine.config import Settings
from ops.audit_order import Facts, audit_order
from ops.findings import CHECKS, Check, Finding
from ops.redecide import Unreadable, claimed_elsewhere, payment_ids, read_facts
from storage import checks
from storage.attention import Waiting, rules_now, waiting
from storage.dossiers import Dossier, next_ids, read_range
from storage.reading import Snapshot, snapshot

ORDERS_A_PAGE: Final = 500
FINDINGS_KEPT: Final = 1_000
_LAST_ID: Final = "~"  # above every order id

# What no single order can answer.
_WHOLE_TABLES: Final[dict[Check, Callable[[Snapshot], checks.Wrong]]] = {
    "identities": checks.wrong_identities,
    "payments": checks.wrong_payments,
    "totals": checks.wrong_totals,
    "batches": checks.wrong_batches,
    "guards": checks.wrong_guards,
}

Progress = Callable[[int, int], None]  # orders done, orders in all (0: not known)


class Ledger(NamedTuple):
    """One currency's money: from the rows, and beside it what the postings say was held."""

    currency: str
    captured: int
    held: int
    refunded: int
    paid_out: int
    charged_back: int
    sent_back: int
    debt: int
    loss: int  # all the platform's loss in this currency, as posted
    imbalance: int  # what buyers' funds were posted, less all that the rows account for: 0


class AuditReport(NamedTuple):
    """What was looked at, what was found."""

    orders: int
    facts: int
    reports: int  # supplier reports
    seconds: float
    findings: list[Finding]  # the first ones of each check
    found: dict[str, int]  # check → how many in all
    ledgers: list[Ledger]
    statuses: dict[str, int]
    waiting: list[Waiting]
    now: int  # ms UTC, the instant by which ages are counted

    @property
    def clean(self) -> bool:
        return not any(self.found.values())


def run_audit(
    settings: Settings, wall_ms: int, progress: Progress = lambda _done, _all: None
) -> AuditReport:
    """Audit the whole database. Raises DatabaseTrouble: then nothing is known."""
    with snapshot(settings.database.connection_url) as connection:
        run = _Run(connection)
        run.orders_against_facts(progress)
        run.whole_tables(settings.relay.retention_hours * 3_600)
        now = rules_now(connection, wall_ms, settings.timestamp_type)
        return run.report(waiting(connection, now), now)


class _Run:
    def __init__(self, connection: Snapshot) -> None:
        self._connection = connection
        self._began = time.monotonic()
        self._findings: list[Finding] = []
        self._found: Counter[Check] = Counter()
        self._orders = self._facts = self._reports = 0
        self._statuses: Counter[str] = Counter()
        self._money: dict[str, Counter[str]] = defaultdict(Counter)

    def orders_against_facts(self, progress: Progress) -> None:
        """Every order, page by page, in the order of ids."""
        total, self._reports = checks.sizes(self._connection)
        after = ""
        while True:
            ids = next_ids(self._connection, after, ORDERS_A_PAGE)
            until = ids[-1] if len(ids) == ORDERS_A_PAGE else _LAST_ID
            self._page(read_range(self._connection, after, until))
            progress(self._orders, total)
            if until == _LAST_ID:
                return
            after = until

    def _page(self, dossiers: list[Dossier]) -> None:
        readable: list[tuple[Dossier, Facts]] = []
        for dossier in dossiers:
            self._count(dossier)
            try:
                readable.append((dossier, read_facts(dossier)))
            except Unreadable as error:
                self._add(Finding("history", dossier.order_id, str(error)))
        named = {dossier.order_id: payment_ids(facts) for dossier, facts in readable}
        _, elsewhere = claimed_elsewhere(self._connection, named)
        for dossier, facts in readable:
            for finding in audit_order(dossier, facts, elsewhere):
                self._add(finding)

    def _count(self, dossier: Dossier) -> None:
        self._facts += len(dossier.facts)
        row = dossier.row
        if row is not None and row.status is not None:
            self._orders += 1
            self._statuses[row.status] += 1
            money = self._money[row.currency]
            money["captured"] += row.captured_minor
            money["held"] += row.held_minor
            money["refunded"] += row.refunded_minor
            money["paid_out"] += row.paid_out_minor
            money["charged_back"] += row.charged_back_minor
            money["debt"] += row.supplier_debt_minor
        for posting in dossier.postings:
            money = self._money[posting.currency]
            money["+" + posting.credit] += posting.amount_minor
            money["-" + posting.debit] += posting.amount_minor

    def whole_tables(self, outbox_retention_seconds: float) -> None:
        """Checks that no single order can answer."""
        for name, check in _WHOLE_TABLES.items():
            for subject, text in check(self._connection):
                self._add(Finding(name, subject, text))
        sent = checks.wrong_commands_sent(self._connection, outbox_retention_seconds)
        for subject, text in sent:
            self._add(Finding("commands_sent", subject, text))
        self._records_accounted_for()

    def _records_accounted_for(self) -> None:
        """Each record that was read is a fact or a dead letter, and nothing else is there."""
        for account in checks.accounts(self._connection):
            place = f"{account.topic}/{account.partition}"
            for outcome in {*account.counted, *account.kept}:
                counted, kept = account.counted.get(outcome, 0), account.kept.get(outcome, 0)
                reread = account.again and outcome == "dead_letter" and kept <= counted
                if counted != kept and not reread:
                    text = f"batches count {counted} {outcome}, {kept} are kept"
                    self._add(Finding("batches", place, text))

    def report(self, what_waits: list[Waiting], now: int) -> AuditReport:
        return AuditReport(
            self._orders,
            self._facts,
            self._reports,
            time.monotonic() - self._began,
            self._findings,
            {check: self._found[check] for check in CHECKS},
            [self._ledger(currency) for currency in sorted(self._money)],
            dict(sorted(self._statuses.items())),
            what_waits,
            now,
        )

    def _ledger(self, currency: str) -> Ledger:
        money = self._money[currency]
        parts = sum(money[name] for name in ("held", "refunded", "paid_out", "charged_back"))
        return Ledger(
            currency,
            money["captured"],
            money["held"],
            money["refunded"],
            money["paid_out"],
            money["charged_back"],
            money["+sent_back"],
            money["debt"],
            money["-platform_loss"],
            money["-buyer_funds"] - money["+sent_back"] - parts,
        )

    def _add(self, finding: Finding) -> None:
        self._found[finding.check] += 1
        if self._found[finding.check] <= FINDINGS_KEPT:
            self._findings.append(finding)


def report_json(report: AuditReport) -> dict[str, Any]:
    """The report as JSON values."""
    return {
        "verdict": "clean" if report.clean else "findings",
        "orders": report.orders,
        "facts": report.facts,
        "seconds": round(report.seconds, 3),
        "orders_per_second": round(report.orders / report.seconds) if report.seconds else 0,
        "checks": {
            check: {"proves": CHECKS[check], "findings": report.found[check]} for check in CHECKS
        },
        "findings": [finding._asdict() for finding in report.findings],
        "money": [ledger._asdict() for ledger in report.ledgers],
        "statuses": report.statuses,
        "waiting": [waits._asdict() for waits in report.waiting],
    }
