"""All that is stored about orders, as it is stored: nothing is interpreted, corrected or left out.

`order show`, `order explain` and the audit read through here. Rows come in the order of decision.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from escrow.state import Chargeback, Command, Escrow, Evidence, Offer, Shipment
from schemas.door import Fact
from storage import archived
from storage.archive_files import ArchiveDamaged, History
from storage.facts import FACT_COLUMNS, fact_from_row
from storage.reading import Snapshot
from storage.rows import fetch


class StoredFact(NamedTuple):
    """A fact and the outcome of its arrival. `text`, `salt` None: there is none, or it is forgotten."""

    no: int
    seq: int
    outcome: str
    code: str | None
    salt: bytes | None
    text: str | None
    columns: tuple[Any, ...]  # as in storage.facts.FACT_COLUMNS

    def fact(self) -> Fact:
        """The fact as it was decided. Raises ValueError or LookupError if it can't be read."""
        return fact_from_row(self.columns)

    @property
    def source(self) -> str:
        return str(self.columns[1])

    @property
    def id(self) -> str:
        return str(self.columns[2])

    @property
    def type(self) -> str:
        return str(self.columns[3])

    @property
    def t(self) -> int:
        return int(self.columns[4])

    @property
    def payload(self) -> str:
        return str(self.columns[7])

    @property
    def text_digest(self) -> bytes | None:
        digest: bytes | None = self.columns[8]
        return digest


class Resolution(NamedTuple):
    """What became of the fact that was parked under `parked_no`."""

    no: int
    parked_no: int
    outcome: str
    code: str | None


class ParkedRow(NamedTuple):
    no: int
    code: str
    expires_at: int | None  # ms UTC


class Posting(NamedTuple):
    no: int
    n: int
    debit: str
    credit: str
    amount_minor: int
    currency: str


class CommandRow(NamedTuple):
    """A command, where it was decided, and how far its record has got."""

    no: int
    n: int
    status_asked_at: int | None
    hold: str | None  # why it must not be sent, if so
    unsent: bool  # a record of it still waits in the outbox
    command: Command


class DeadlineRow(NamedTuple):
    request_id: str
    due_at: int
    ticks: int


class SilenceRow(NamedTuple):
    kind: str
    due_at: int
    ticks: int


@dataclass(slots=True)
class Dossier:
    """One order's rows, table by table, and with them what has left for files."""

    order_id: str
    row: Escrow | None = None
    facts: list[StoredFact] = field(default_factory=list)
    resolutions: list[Resolution] = field(default_factory=list)
    parked: list[ParkedRow] = field(default_factory=list)
    postings: list[Posting] = field(default_factory=list)
    commands: list[CommandRow] = field(default_factory=list)
    shipments: list[Shipment] = field(default_factory=list)
    offers: list[Offer] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    chargebacks: list[Chargeback] = field(default_factory=list)
    deadlines: list[DeadlineRow] = field(default_factory=list)
    silences: list[SilenceRow] = field(default_factory=list)
    archived: set[int] = field(default_factory=set)  # numbers of facts that only a file has
    archived_until: int = 0  # decisions up to this one are in files
    archived_head: bytes = b""  # of the chain, after that one
    lost: str | None = None  # why not all facts could be read


_ONE: Final = "r.order_id = %(order_id)b"
_THESE: Final = "r.order_id = ANY(%(order_ids)b::text[])"
_RANGE: Final = "r.order_id > %(after)b AND r.order_id <= %(until)b"

_FACTS: Final = f"""
SELECT r.order_id, r.decision_no, r.seq, r.outcome, r.code, x.salt, x.text,
  {", ".join(f'r."{name}"' for name in FACT_COLUMNS)}
FROM facts r LEFT JOIN fact_texts x USING (order_id, decision_no)
WHERE {{where}} ORDER BY r.order_id, r.decision_no
"""  # noqa: S608  our own names
_COMMANDS: Final = f"""
SELECT r.order_id, r.decision_no, r.n, r.status_asked_at, h.reason,
  {", ".join("r." + name for name in Command._fields)}
FROM commands r LEFT JOIN command_holds h USING (order_id, command_id)
WHERE {{where}} ORDER BY r.order_id, r.decision_no, r.n
"""  # noqa: S608  our own names


def _rows_sql(table: str, columns: Iterable[str], key: str) -> str:
    listed = ", ".join(f'r."{name}"' for name in columns)
    return (
        f"SELECT r.order_id, {listed} FROM {table} r"  # noqa: S608  our own names
        f" WHERE {{where}} ORDER BY r.order_id, {key}"
    )


_ESCROWS: Final = _rows_sql("escrows", Escrow._fields, "r.order_id")
_SIMPLE: Final[dict[str, tuple[str, type[Any]]]] = {
    "resolutions": (
        _rows_sql("resolutions", ("decision_no", "parked_no", "outcome", "code"), "r.decision_no"),
        Resolution,
    ),
    "parked": (
        _rows_sql("parked", ("decision_no", "code", "expires_at"), "r.decision_no"),
        ParkedRow,
    ),
    "postings": (
        _rows_sql(
            "postings",
            ("decision_no", "n", "debit", "credit", "amount_minor", "currency"),
            "r.decision_no, r.n",
        ),
        Posting,
    ),
    "shipments": (_rows_sql("shipments", Shipment._fields, "r.shipment_id"), Shipment),
    "offers": (_rows_sql("offers", Offer._fields, "r.offer_id"), Offer),
    "evidence": (_rows_sql("evidence", Evidence._fields, "r.evidence_id"), Evidence),
    "chargebacks": (
        _rows_sql("chargebacks", Chargeback._fields, "r.chargeback_id"),
        Chargeback,
    ),
    "deadlines": (
        _rows_sql("deadlines", ("request_id", "due_at", "ticks"), "r.due_at"),
        DeadlineRow,
    ),
    "silences": (_rows_sql("silences", SilenceRow._fields, "r.kind"), SilenceRow),
}
_UNSENT: Final = """
SELECT command_id FROM outbox
WHERE sent_at IS NULL AND command_id = ANY(%(command_ids)b::text[])
"""
_NEXT_IDS: Final = """
SELECT order_id FROM escrows WHERE order_id > %(after)b ORDER BY order_id LIMIT %(limit)b
"""


def read_order(connection: Snapshot, order_id: str) -> Dossier | None:
    """One order's dossier; None if no fact of it has come. Raises ArchiveTrouble."""
    found = _load(connection, _ONE, {"order_id": order_id}, with_unsent=True).get(order_id)
    if found is not None and found.lost is not None:
        raise archived.trouble(ArchiveDamaged(found.lost))
    return found


def read_range(connection: Snapshot, after: str, until: str) -> list[Dossier]:
    """The dossiers of all orders in (after, until], by the bytes of their ids.

    An order of which only children or facts are left is in it too.
    """
    found = _load(connection, _RANGE, {"after": after, "until": until}, with_unsent=False)
    return [found[order_id] for order_id in sorted(found, key=str.encode)]


def read_orders(connection: Snapshot, order_ids: Iterable[str]) -> dict[str, Dossier]:
    """The dossiers of those of these orders of which anything is there."""
    return _load(connection, _THESE, {"order_ids": list(order_ids)}, with_unsent=False)


def next_ids(connection: Snapshot, after: str, limit: int) -> list[str]:
    """The next order ids after this one, by their bytes: a page of the audit."""
    return [row[0] for row in fetch(connection, _NEXT_IDS, after=after, limit=limit)]


def _load(
    connection: Snapshot, where: str, parameters: dict[str, Any], *, with_unsent: bool
) -> dict[str, Dossier]:
    found: dict[str, Dossier] = {}

    def dossier(order_id: str) -> Dossier:
        known = found.get(order_id)
        if known is None:
            known = found[order_id] = Dossier(order_id)
        return known

    def rows(sql: str) -> list[tuple[Any, ...]]:
        return fetch(connection, sql.format(where=where), **parameters)

    for order_id, *columns in rows(_ESCROWS):
        row = Escrow(*columns)
        dossier(order_id).row = row._replace(loss_minor=int(row.loss_minor))
    for order_id, no, seq, outcome, code, salt, text, *columns in rows(_FACTS):
        stored = StoredFact(no, seq, outcome, code, salt, text, tuple(columns))
        dossier(order_id).facts.append(stored)
    for order_id, runs in archived.histories(connection, where, parameters).items():
        _add_archived(dossier(order_id), runs)
    for name, (sql, kind) in _SIMPLE.items():
        for order_id, *columns in rows(sql):
            getattr(dossier(order_id), name).append(kind(*columns))
    for order_id, no, n, asked_at, hold, *columns in rows(_COMMANDS):
        command = CommandRow(no, n, asked_at, hold, False, Command(*columns))
        dossier(order_id).commands.append(command)
    if with_unsent:
        _mark_unsent(connection, found.values())
    return found


def _add_archived(dossier: Dossier, runs: list[History] | ArchiveDamaged) -> None:
    """What is in files, beside what has come since; a fact with a text is in both, and the same."""
    if isinstance(runs, ArchiveDamaged):
        dossier.lost = str(runs)
        return
    kept = {stored.no: stored for stored in dossier.facts}
    for run in runs:
        if run.before != dossier.archived_head or run.from_no != dossier.archived_until + 1:
            dossier.lost = f"what is archived from decision {run.from_no} on follows nothing"
        dossier.archived_until, dossier.archived_head = run.until_no, run.head
        for fact in run.facts:
            filed = StoredFact(*fact[:4], None, None, fact.columns)
            here = kept.setdefault(fact.no, filed)
            if here is filed:
                dossier.archived.add(fact.no)
            elif here._replace(salt=None, text=None) != filed:
                dossier.lost = f"decision {fact.no} differs from its copy in the archive"
    dossier.facts = [kept[no] for no in sorted(kept)]


def _mark_unsent(connection: Snapshot, dossiers: Iterable[Dossier]) -> None:
    for dossier in dossiers:
        ids = [row.command.command_id for row in dossier.commands]
        unsent = {row[0] for row in fetch(connection, _UNSENT, command_ids=ids)}
        dossier.commands = [
            row._replace(unsent=row.command.command_id in unsent) for row in dossier.commands
        ]
