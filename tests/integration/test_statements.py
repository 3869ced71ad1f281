"""A batch costs the same number of statements for ten facts as for two thousand, and never more than a few dozen."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
import pytest
from sqlalchemy import Connection

from consumers.engine.batch import Ending, Job, run_batch
from consumers.engine.records import Chunk, Partition
from schemas.commands import command_id
from schemas.door import Record
from schemas.facts import INPUT_TOPICS
from storage.engine import stage_engine
from storage.positions import Position, take_epoch
from tests.builders import T0, a_record, sample
from tests.integration.sending import CLUSTER

# Positions 2, orders 2, reads 9; the rest are writes, one a table.
STATEMENTS_MAX: Final = 40
STAGE: Final = "all"
DAY: Final = 86_400_000


class Line:
    """Takes records of all topics in one batch, in the order given."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        with connection.begin():
            self._positions: dict[Partition, Position] = {
                (topic, 0): take_epoch(connection, STAGE, topic, 0, CLUSTER)
                for topic in INPUT_TOPICS
            }

    def batch(self, records: list[Record]) -> Counter[Ending]:
        places: dict[Partition, int] = {}
        placed = []
        for record in records:
            where = (record.topic, 0)
            offset = places.get(where, self._positions[where].next_offset)
            placed.append(record._replace(offset=offset))
            places[where] = offset + 1
        job = Job(STAGE, CLUSTER)
        endings = run_batch(self._connection, job, self._positions, Chunk(placed, places))
        for where, end in places.items():
            self._positions[where] = self._positions[where]._replace(next_offset=end)
        return endings


@pytest.fixture
def line(database_url: str) -> Iterator[Line]:
    engine = stage_engine(database_url)
    with engine.connect() as connection:
        yield Line(connection)
    engine.dispose()


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every statement that goes through the driver."""
    seen: list[str] = []

    def noting(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
            seen.append(query.decode() if isinstance(query, bytes) else str(query))
            return method(self, query, *args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        for name in ("execute", "executemany", "copy", "stream"):
            patch.setattr(psycopg.Cursor, name, noting(getattr(psycopg.Cursor, name)))
        yield seen


def shape(statements: list[str]) -> Counter[str]:
    """Statements by what they are, whatever is in them."""
    return Counter(" ".join(statement.split())[:60] for statement in statements)


def said(type_name: str, order_id: str, n: int, t: int = T0, **data: object) -> Record:
    changes = {"payment_id": f"p-{order_id}"} if type_name.startswith("payment.c") else {}
    if type_name == "payment.chargeback_closed":
        changes = {}
    fact = sample(type_name, order_id, **changes | data)
    return a_record(type_name, fact, id=f"{order_id}.{type_name}.{n}", t=t + n)


def past(world: int) -> list[Record]:
    """What the orders of one world have been through when `everything` comes."""

    def o(name: str) -> str:
        return f"{name}-{world}"

    orders = ("payout", "failed", "going", "parcel", "claimed", "withdrawn", "due", "proof")
    failed = command_id(o("failed"), "payout", 1)
    return [
        *(said("payment.captured", o(order), 1) for order in orders),
        said("delivery.confirmed", o("payout"), 2),
        said("delivery.confirmed", o("failed"), 2),
        said("gateway.failed", o("failed"), 3, command_id=failed),
        said("command.reissued", o("failed"), 4, command_id=failed),
        said("shipment.dispatched", o("parcel"), 2),
        said("payment.charged_back", o("claimed"), 2),
        said("refund.requested", o("withdrawn"), 2),
        said("refund.requested", o("due"), 2),
        said("shipment.lost", o("waiting"), 1),
        said("ruling.issued", o("waiting"), 2),
    ]


def everything(world: int) -> list[Record]:
    """A fact for every kind of row that a batch can read or write."""

    def o(name: str) -> str:
        return f"{name}-{world}"

    payout = command_id(o("payout"), "payout", 1)
    failed = command_id(o("failed"), "payout", 1)
    later = T0 + 10 * DAY
    broken = a_record("payment.captured", {"order_id": o("bad")}, id=o("bad"))
    report = sample("supplier.reported", report_id=o("report"))
    return [
        said("payment.captured", o("new"), 10),
        said("gateway.settled", o("payout"), 10, command_id=payout),
        said("gateway.settled", o("failed"), 10, command_id=failed),  # its reissue is held
        said("delivery.confirmed", o("going"), 10),
        said("shipment.delivered", o("parcel"), 10),
        said("shipment.dispatched", o("parcel"), 11, shipment_id="sh-2"),
        said("evidence.submitted", o("parcel"), 12),
        said("payment.chargeback_closed", o("claimed"), 10),
        said("payment.charged_back", o("claimed"), 11, chargeback_id="cb-2"),
        said("refund.withdrawn", o("withdrawn"), 10),
        said("refund.requested", o("withdrawn"), 11, request_id="r-2", note="torn"),
        said("refund.offered", o("withdrawn"), 12, request_id="r-2", amount_minor=1),
        said("deadline.reached", o("due"), 10, t=later, deadline_id=o("d")),
        said("payment.captured", o("waiting"), 10),  # wakes the parcel; the ruling waits on
        said("shipment.lost", o("unpaid"), 10),
        a_record("supplier.reported", report, id=o("report"), t=T0),
        broken,
    ]


def test_every_kind_of_fact_at_once_stays_below_the_maximum(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.batch(past(0))
    with counted(monkeypatch) as statements:
        endings = line.batch(everything(0))
    assert {outcome for outcome, _ in endings} == {"applied", "parked", "dead_letter"}
    assert endings["applied", None] == len(everything(0)) - 2
    # Exactly: a smaller number means that the batch no longer has everything in it.
    assert len(statements) == STATEMENTS_MAX, "\n".join(sorted(statements))


def test_two_thousand_facts_cost_as_many_statements_as_seventeen(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, many = range(1), range(1, 121)
    line.batch([record for world in (*few, *many) for record in past(world)])
    shapes = []
    for worlds in (few, many):
        records = [record for world in worlds for record in everything(world)]
        with counted(monkeypatch) as statements:
            endings = line.batch(records)
        assert endings["applied", None] == len(records) - 2 * len(worlds)
        shapes.append(shape(statements))
    assert len(everything(0)) * len(many) >= 2_000
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    ("kind", "at_most"), [("capture", 16), ("duplicate", 11), ("parked", 13), ("garbage", 5)]
)
def test_ten_and_two_thousand_of_one_kind(
    line: Line, monkeypatch: pytest.MonkeyPatch, kind: str, at_most: int
) -> None:
    def records(numbers: range) -> list[Record]:
        match kind:
            case "parked":
                return [said("shipment.lost", f"o-{n}", 1) for n in numbers]
            case "garbage":
                return [said("shipment.lost", f"o-{n}", 1)._replace(value=b"{") for n in numbers]
            case _:
                return [said("payment.captured", f"o-{n}", 1) for n in numbers]

    counts = []
    for numbers in (range(10), range(10, 2_010)):
        if kind == "duplicate":
            line.batch(records(numbers))
        with counted(monkeypatch) as statements:
            endings = line.batch(records(numbers))
        assert sum(endings.values()) == len(numbers)
        counts.append(shape(statements))
    assert counts[0] == counts[1]
    assert counts[0].total() <= at_most, sorted(counts[0])


def test_one_order_with_two_thousand_facts(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an order has been through costs no statement either."""
    line.batch([said("payment.captured", "o", 1)])
    counts = []
    for numbers in (range(10), range(10, 2_010)):
        facts = [
            said("evidence.submitted", "o", n, evidence_id=f"e-{n}", sha256=f"{n:064x}")
            for n in numbers
        ]
        with counted(monkeypatch) as statements:
            line.batch(facts)
        counts.append(shape(statements))
    assert counts[0] == counts[1]
