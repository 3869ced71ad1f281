"""Every cent and every decision, proved from the stored facts beside the working stages.

Each chunk of orders, and each question about a whole table, has a short snapshot of its own: no
transaction is long, nobody waits, memory does not grow. An audit that cannot finish says so; it
never says clean.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

from consumers.engine.config import Settings
from ops.audit_chunks import judged, ranges
from ops.findings import CHECKS, OPTIONAL, Check, Finding
from ops.reconcile_run import reconcile_file
from ops.witness import compare_with_topic
from storage import checks
from storage.archived import wrong_archives
from storage.attention import AGES, Waiting, rules_now, waiting
from storage.reading import Reader, Snapshot, Snapshots

ORDERS_A_CHUNK: Final = 500
FINDINGS_KEPT: Final = 1_000  # of each check

# What no single order can answer.
_WHOLE_TABLES: Final[dict[Check, Callable[[Snapshot], checks.Wrong]]] = {
    "identities": checks.wrong_identities,
    "payments": checks.wrong_payments,
    "totals": checks.wrong_totals,
    "batches": checks.wrong_batches,
    "guards": checks.wrong_guards,
    "archive": wrong_archives,
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
    found: dict[Check, int]  # check → how many in all
    ledgers: list[Ledger]
    statuses: dict[str, int]
    waiting: list[Waiting]
    now: int  # ms UTC, the instant by which ages are counted
    witnessed: int = 0  # published heads of chains that were compared

    @property
    def clean(self) -> bool:
        return not any(self.found.values())


def run_audit(
    settings: Settings,
    wall_ms: int,
    progress: Progress = lambda _done, _all: None,
    *,
    workers: int = 1,
    witness_topic: str | None = None,
    gateway_file: Path | None = None,
) -> AuditReport:
    """Audit the whole database, in so many processes.

    `witness_topic`: hold chains against what was published on it. `gateway_file`: hold commands
    against it. Raises DatabaseTrouble, KafkaUnavailable, BadFile or OSError: then nothing is known.
    """
    with closing(Reader(settings.database.connection_url)) as reader:
        take = reader.snapshot
        run = _Run(settings, take)
        run.orders_against_facts(workers, progress)
        run.whole_tables(settings.relay.retention_hours * 3_600)
        if witness_topic is not None:
            run.witnesses(witness_topic)
        if gateway_file is not None:
            run.against_file(gateway_file)
        with take() as connection:
            now = rules_now(connection, wall_ms, settings.timestamp_type)
            return run.report(waiting(connection, now), now)


class _Run:
    def __init__(self, settings: Settings, take: Snapshots) -> None:
        self._settings = settings
        self._take = take
        self._began = time.monotonic()
        self._findings: list[Finding] = []
        self._found: Counter[Check] = Counter()
        self._kept: Counter[Check] = Counter()
        self._asked = set(CHECKS) - OPTIONAL
        self._witnessed = 0
        self._orders = self._facts = self._reports = 0
        self._statuses: Counter[str] = Counter()
        self._money: dict[str, Counter[str]] = defaultdict(Counter)

    def orders_against_facts(self, workers: int, progress: Progress) -> None:
        """Every order, chunk by chunk, in the order of ids."""
        with self._take() as connection:
            total, self._reports = checks.sizes(connection)
        done = 0
        url = self._settings.database.connection_url
        chunks = ranges(self._take, ORDERS_A_CHUNK)
        for part in judged(url, self._take, chunks, workers):
            self._orders += part.orders
            self._facts += part.facts
            self._statuses += part.statuses
            for currency, sums in part.money.items():
                self._money[currency].update(sums)
            self._found += part.found
            for finding in part.findings:
                self._keep(finding)
            done += part.rows
            progress(done, total)

    def whole_tables(self, outbox_retention_seconds: float) -> None:
        """Checks that no single order can answer."""
        for name, check in _WHOLE_TABLES.items():
            with self._take() as connection:
                wrong = check(connection)
            for subject, text in wrong:
                self._add(Finding(name, subject, text))
        with self._take() as connection:
            sent = checks.wrong_commands_sent(connection, outbox_retention_seconds)
        for subject, text in sent:
            self._add(Finding("commands_sent", subject, text))
        self._records_accounted_for()

    def witnesses(self, topic: str) -> None:
        """Heads of chains that were published: not even the database's owner can take them back."""
        self._asked.add("witness")
        for compared, findings in compare_with_topic(self._settings, self._take, topic):
            self._witnessed += compared
            for finding in findings:
                self._add(finding)

    def against_file(self, path: Path) -> None:
        """The gateway's own account, of all its time: what it knows that we do not, and so on."""
        self._asked.add("gateway_file")
        result = reconcile_file(self._settings.database.connection_url, path)
        for kind, order_id, _, line, text in result.differences:
            place = "" if line is None else f", line {line}"
            self._add(Finding("gateway_file", order_id, f"{kind}{place}: {text}"))

    def _records_accounted_for(self) -> None:
        """Each record that was read is a fact or a dead letter, and nothing else is there."""
        with self._take() as connection:
            accounts = checks.accounts(connection)
        for account in accounts:
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
            {check: self._found[check] for check in CHECKS if check in self._asked},
            [self._ledger(currency) for currency in sorted(self._money)],
            dict(sorted(self._statuses.items())),
            what_waits,
            now,
            self._witnessed,
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
        self._keep(finding)

    def _keep(self, finding: Finding) -> None:
        self._kept[finding.check] += 1
        if self._kept[finding.check] <= FINDINGS_KEPT:
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
            check: {"proves": proves, "findings": report.found[check]}
            for check, proves in CHECKS.items()
            if check in report.found
        },
        "findings": [finding._asdict() for finding in report.findings],
        "money": [ledger._asdict() for ledger in report.ledgers],
        "statuses": report.statuses,
        "waiting": [
            waits._asdict()
            | {"ages": None if waits.ages is None else dict(zip(AGES, waits.ages, strict=True))}
            for waits in report.waiting
        ],
        "witnessed": report.witnessed,
    }
