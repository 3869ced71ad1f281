"""Everything that a batch decided, gathered in memory and written table by table in one commit.

The number of statements depends on which kinds of rows there are, never on how many.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Literal

from sqlalchemy import Connection, Table

from escrow.arrival import Decided, Moved
from escrow.decision import Applied
from escrow.schedule import ends_deadlines, expires_at, opened, voided
from escrow.silence import silence_of
from escrow.state import (
    Chargeback,
    Child,
    Claim,
    Command,
    Escrow,
    Evidence,
    Offer,
    Order,
    Shipment,
    Waiting,
)
from escrow.telling import Outgoing, tell
from schemas.door import Fact
from schemas.supplier_reports import SupplierReported
from storage import tables
from storage.facts import Known, attributes_of
from storage.orders import update_orders
from storage.rows import copy_rows, execute, update_rows
from storage.totals import add_deltas

_FACT_COLUMNS: Final = (
    "order_id",
    "decision_no",
    "source",
    "id",
    "type",
    "t",
    "partition",
    "offset",
    "payload",
    "text_digest",
    "attributes",
    "outcome",
    "code",
)
_REPORT_COLUMNS: Final = (
    "source",
    "id",
    "supplier_id",
    "report_id",
    "t",
    "partition",
    "offset",
    "payload",
    "text",
)
_COMMAND_CHANGES: Final = ("state", "attempt", "failures", "reissue_id", "asked_at")
_LEAVE: Final = """
DELETE FROM parked p USING unnest(%(order_ids)b::text[], %(nos)b::int[]) AS s(order_id, no)
WHERE p.order_id = s.order_id AND p.decision_no = s.no
"""
_VOID: Final = """
DELETE FROM deadlines d USING unnest(%(order_ids)b::text[], %(request_ids)b::text[])
  AS s(order_id, request_id)
WHERE d.order_id = s.order_id AND d.request_id = s.request_id
"""
_FIRED: Final = """
DELETE FROM deadlines d USING unnest(%(order_ids)b::text[], %(ts)b::bigint[]) AS s(order_id, t)
WHERE d.order_id = s.order_id AND d.due_at <= s.t
"""
_SPOKEN: Final = "DELETE FROM silences WHERE order_id = ANY(%(order_ids)b::text[])"
_HOLD: Final = """
INSERT INTO command_holds (order_id, command_id, reason)
SELECT s.order_id, s.command_id, 'settled_after_reissue'
FROM unnest(%(order_ids)b::text[], %(command_ids)b::text[]) AS s(order_id, command_id)
ON CONFLICT DO NOTHING
"""


Written = Literal[
    "orders", "totals", "history", "children", "parked", "deadlines", "payments", "identities"
]


class Decisions:
    """What is to be written for the orders of one batch. Add in the order of decision."""

    def __init__(self, orders: dict[str, Order]) -> None:
        self._orders = orders
        self._before = {order_id: order.escrow for order_id, order in orders.items()}
        self._last = dict(self._before)  # the row at the last change of status
        self._loaded = {
            order_id: (set(order.shipments), set(order.chargebacks), set(order.commands))
            for order_id, order in orders.items()
            if order.shipments or order.chargebacks or order.commands
        }
        self.messages: list[Outgoing] = []
        self.identities: list[tuple[bytes, Known]] = []
        self._facts: list[tuple[Any, ...]] = []
        self._texts: list[tuple[Any, ...]] = []
        self._resolutions: list[tuple[Any, ...]] = []
        self._postings: list[tuple[Any, ...]] = []
        self._reports: list[tuple[Any, ...]] = []
        self._claims: list[tuple[str, str]] = []
        self._children: dict[type, dict[tuple[str, str], tuple[Any, ...]]] = defaultdict(dict)
        self._new_commands: dict[tuple[str, str], tuple[int, int]] = {}
        self._waiting: dict[tuple[str, int], Waiting] = {}
        self._left: list[tuple[str, int]] = []
        self._moved: dict[tuple[str, int], str] = {}
        self._holds: list[tuple[str, str]] = []
        self._scheduled: dict[tuple[str, str], int] = {}
        self._voided: list[tuple[str, str]] = []
        self._fired: list[tuple[str, int]] = []

    def add(self, order: Order, steps: Sequence[Decided | Moved]) -> None:
        """Take over what one arrival at `order` brought about."""
        for step in steps:
            if isinstance(step, Moved):
                self._move(order.escrow.order_id, step.waiting)
            elif step.no:
                self._add(order.escrow.order_id, step)

    def add_report(self, fact: Fact) -> None:
        """Keep a buyer's report of a supplier; it concerns no order."""
        assert isinstance(fact.data, SupplierReported)
        report = (fact.data.supplier_id, fact.data.report_id)
        place = (fact.t, fact.partition, fact.offset)
        self._reports.append(
            (fact.source, fact.id, *report, *place, fact.payload.decode(), fact.text)
        )

    def _add(self, order_id: str, step: Decided) -> None:
        if step.parked_no is None:
            self._add_fact(order_id, step)
        else:
            self._resolutions.append((order_id, step.no, step.parked_no, step.outcome, step.code))
            if self._waiting.pop((order_id, step.parked_no), None) is None:
                self._left.append((order_id, step.parked_no))
                self._moved.pop((order_id, step.parked_no), None)
        if isinstance(step.result, Applied):
            self._apply(order_id, step.no, step.result)
        self._reschedule(order_id, step)
        if ends_deadlines(step.escrow, step.fact):
            self._fired.append((order_id, step.fact.t))
            key = order_id, step.escrow.request_id or ""
            if self._scheduled.get(key, step.fact.t + 1) <= step.fact.t:  # in one batch: a rebuild
                del self._scheduled[key]
        if step.result is not None:
            self.messages.extend(tell(step))

    def _add_fact(self, order_id: str, step: Decided) -> None:
        fact, no = step.fact, step.no
        self._facts.append(
            (
                order_id,
                no,
                fact.source,
                fact.id,
                fact.type,
                fact.t,
                fact.partition,
                fact.offset,
                fact.payload.decode(),
                fact.text_digest,
                attributes_of(fact),
                step.outcome,
                step.code,
            )
        )
        if fact.text is not None:
            self._texts.append((order_id, no, fact.salt, fact.text))
        if step.outcome == "parked":
            waiting = Waiting(no, fact, step.code)  # type: ignore[arg-type]
            self._waiting[order_id, no] = waiting

    def _apply(self, order_id: str, no: int, applied: Applied) -> None:
        for n, moved in enumerate(applied.movements):
            self._postings.append((order_id, no, n, *moved))
        for n, child in enumerate(applied.children):
            self._add_child(order_id, no, n, child)
        self._holds.extend((order_id, command_id) for command_id in applied.holds)

    def _add_child(self, order_id: str, no: int, n: int, child: Child) -> None:
        if isinstance(child, Claim):
            self._claims.append((child.payment_id, order_id))
            return
        self._children[type(child)][order_id, child[0]] = child
        if isinstance(child, Command):
            _, _, known = self._loaded.get(order_id, _NOTHING)
            if child.command_id not in known:
                self._new_commands.setdefault((order_id, child.command_id), (no, n))

    def _move(self, order_id: str, waiting: Waiting) -> None:
        if (order_id, waiting.no) in self._waiting:
            self._waiting[order_id, waiting.no] = waiting
        else:
            self._moved[order_id, waiting.no] = waiting.code

    def _reschedule(self, order_id: str, step: Decided) -> None:
        for change in step.changes:
            old, new = self._last[order_id], change.escrow
            if (gone := voided(old, new)) is not None and (
                self._scheduled.pop((order_id, gone), None) is None
            ):
                self._voided.append((order_id, gone))
            if (schedule := opened(old, new)) is not None:
                self._scheduled[order_id, schedule.request_id] = schedule.due_at
            self._last[order_id] = new

    def write(
        self, connection: Connection, written: Callable[[Written], None] = lambda _: None
    ) -> None:
        """Write all of it but the messages; `written` hears of each part that stands."""
        changes = [
            (before, order.escrow)
            for order_id, order in self._orders.items()
            if order.escrow is not (before := self._before[order_id])
        ]
        update_orders(connection, changes)
        written("orders")
        add_deltas(connection, changes)
        written("totals")
        self._write_history(connection)
        written("history")
        self._write_children(connection)
        written("children")
        self._write_parked(connection)
        written("parked")
        self._write_deadlines(connection)
        _write_silences(connection, changes)
        written("deadlines")
        _copy(connection, tables.payments, ("payment_id", "order_id"), sorted(self._claims))
        written("payments")
        _copy(
            connection,
            tables.identities,
            ("identity", "digest", "salt", "text_digest"),
            sorted((identity, *known) for identity, known in self.identities),
        )
        written("identities")
        _copy(connection, tables.supplier_reports, _REPORT_COLUMNS, self._reports)

    def _write_history(self, connection: Connection) -> None:
        _copy(connection, tables.facts, _FACT_COLUMNS, self._facts)
        _copy(
            connection,
            tables.fact_texts,
            ("order_id", "decision_no", "salt", "text"),
            self._texts,
        )
        _copy(
            connection,
            tables.resolutions,
            ("order_id", "decision_no", "parked_no", "outcome", "code"),
            self._resolutions,
        )
        _copy(
            connection,
            tables.postings,
            ("order_id", "decision_no", "n", "debit", "credit", "amount_minor", "currency"),
            self._postings,
        )

    def _write_children(self, connection: Connection) -> None:
        self._write_changing(connection, Shipment, tables.shipments, 0)
        self._write_changing(connection, Chargeback, tables.chargebacks, 1)
        for kept, table in ((Offer, tables.offers), (Evidence, tables.evidence)):
            rows = [(order_id, *row) for (order_id, _), row in self._children[kept].items()]
            _copy(connection, table, ("order_id", *kept._fields), rows)
        self._write_commands(connection)
        if self._holds:
            order_ids, command_ids = zip(*self._holds, strict=True)
            execute(connection, _HOLD, order_ids=list(order_ids), command_ids=list(command_ids))

    def _write_changing(
        self, connection: Connection, child: type[Shipment | Chargeback], table: Table, at: int
    ) -> None:
        """Children that are inserted once and then change: those loaded, at `at`, are there."""
        new: list[tuple[Any, ...]] = []
        changed: list[tuple[Any, ...]] = []
        for (order_id, child_id), row in self._children[child].items():
            known = self._loaded.get(order_id, _NOTHING)[at]
            (changed if child_id in known else new).append((order_id, *row))
        columns = ("order_id", *child._fields)
        _copy(connection, table, columns, new)
        update_rows(connection, table, columns, changed)

    def _write_commands(self, connection: Connection) -> None:
        new: list[tuple[Any, ...]] = []
        changed: list[tuple[Any, ...]] = []
        for key, row in self._children[Command].items():
            command = Command(*row)
            if key in self._new_commands:
                new.append((key[0], *command, *self._new_commands[key]))
            else:
                values = (getattr(command, name) for name in _COMMAND_CHANGES)
                changed.append((*key, *values))
        columns = ("order_id", *Command._fields, "decision_no", "n")
        _copy(connection, tables.commands, columns, new)
        update_rows(
            connection,
            tables.commands,
            ("order_id", "command_id", *_COMMAND_CHANGES),
            changed,
        )

    def _write_parked(self, connection: Connection) -> None:
        rows = [
            (order_id, no, waiting.code, expires_at(waiting))
            for (order_id, no), waiting in self._waiting.items()
        ]
        _copy(connection, tables.parked, ("order_id", "decision_no", "code", "expires_at"), rows)
        moved = [(*key, code) for key, code in self._moved.items()]
        update_rows(connection, tables.parked, ("order_id", "decision_no", "code"), moved)
        if self._left:
            order_ids, nos = zip(*self._left, strict=True)
            execute(connection, _LEAVE, order_ids=list(order_ids), nos=list(nos))

    def _write_deadlines(self, connection: Connection) -> None:
        if self._voided:
            order_ids, request_ids = zip(*self._voided, strict=True)
            execute(connection, _VOID, order_ids=list(order_ids), request_ids=list(request_ids))
        if self._fired:
            order_ids, ts = zip(*self._fired, strict=True)
            execute(connection, _FIRED, order_ids=list(order_ids), ts=list(ts))
        rows = [(*key, due_at) for key, due_at in self._scheduled.items()]
        _copy(connection, tables.deadlines, ("order_id", "request_id", "due_at"), rows)


def _write_silences(connection: Connection, changes: Sequence[tuple[Escrow, Escrow]]) -> None:
    """What will decide an order if nobody speaks: a row follows from the order's row alone."""
    moved = [
        (after.order_id, old, new)
        for before, after in changes
        if (before.silent_since is not None or after.silent_since is not None)
        and (old := silence_of(before)) != (new := silence_of(after))
    ]
    gone = [order_id for order_id, old, _ in moved if old is not None]
    if gone:
        execute(connection, _SPOKEN, order_ids=gone)
    rows = [(order_id, *new) for order_id, _, new in moved if new is not None]
    _copy(connection, tables.silences, ("order_id", "kind", "due_at"), rows)


_NOTHING: Final[tuple[set[str], set[str], set[str]]] = (set(), set(), set())


def _copy(
    connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    rows = list(rows)
    if rows:
        copy_rows(connection, table, columns, rows)
