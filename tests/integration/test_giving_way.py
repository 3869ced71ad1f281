"""A stage that runs ahead of the captures waits for those of its orders, and never for a dead stage."""

import threading
from collections import Counter
from collections.abc import Iterator

import pytest
from sqlalchemy import text
from typing_extensions import override

from consumers.engine.batch import Ending
from consumers.engine.giving_way import RECORDS_MIN, GivingWay
from schemas.door import Record
from storage.engine import Connection, stage_engine
from storage.positions import Step, fence, take_epoch
from tests.builders import a_record, sample

EARLY: Counter[Ending] = Counter({("parked", "awaiting_payment"): 1, ("applied", None): 9})
IN_TIME: Counter[Ending] = Counter({("applied", None): 10})


def facts(count: int = RECORDS_MIN) -> list[Record]:
    orders = (f"o-{n}" for n in range(count))
    return [a_record("shipment.lost", sample("shipment.lost", order), id=order) for order in orders]


class Captures(threading.Event):
    """The stage of payments: in each of the first `batches` waits it commits one; the last has the captures."""

    def __init__(self, connection: Connection, batches: int) -> None:
        super().__init__()
        self.waits = 0
        self._connection = connection
        self._batches = batches
        with connection.begin():
            self._epoch = take_epoch(connection, "payments", "p", 0, "c").epoch

    @override
    def wait(self, timeout: float | None = None) -> bool:
        self.waits += 1
        if self.waits <= self._batches:
            step = Step("p", 0, self._epoch, self.waits - 1, self.waits, None, None, -1)
            with self._connection.begin():
                assert fence(self._connection, "payments", [step])
                if self.waits == self._batches:
                    self._connection.execute(_CAPTURED, {"count": RECORDS_MIN})
        return self.is_set()


_CAPTURED = text(
    "INSERT INTO escrows (order_id, status) SELECT 'o-' || n, 'NOT_PROTECTED'"
    " FROM generate_series(0, :count - 1) AS n"
)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    engine = stage_engine(database_url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def wary(captures: Captures) -> GivingWay:
    giving_way = GivingWay("shipments", captures)
    giving_way.after(EARLY)
    return giving_way


def test_who_was_in_time_does_not_look(connection: Connection) -> None:
    captures = Captures(connection, batches=3)
    giving_way = GivingWay("shipments", captures)
    giving_way.after(IN_TIME)
    giving_way.before(connection, facts())
    assert captures.waits == 0


def test_the_stage_of_payments_does_not_wait_for_itself(connection: Connection) -> None:
    """A chargeback that overtakes its capture is parked there, too."""
    captures = Captures(connection, batches=3)
    giving_way = GivingWay("payments", captures)
    giving_way.after(EARLY)
    giving_way.before(connection, facts())
    assert captures.waits == 0


def test_a_small_batch_is_decided_as_it_comes(connection: Connection) -> None:
    captures = Captures(connection, batches=3)
    wary(captures).before(connection, facts(RECORDS_MIN - 1))
    assert captures.waits == 0


def test_who_was_early_waits_until_the_captures_are_there(connection: Connection) -> None:
    captures = Captures(connection, batches=3)
    giving_way = wary(captures)
    giving_way.before(connection, facts())
    assert captures.waits == 3
    giving_way.before(connection, facts())
    assert captures.waits == 3, "they are there"


def test_a_stage_of_payments_that_stands_still_is_waited_for_once(connection: Connection) -> None:
    captures = Captures(connection, batches=0)
    giving_way = wary(captures)
    giving_way.before(connection, facts())
    waits = captures.waits
    assert waits > 0
    giving_way.before(connection, facts())
    assert captures.waits == waits


def test_keys_that_can_be_no_order_are_not_waited_for(connection: Connection) -> None:
    captures = Captures(connection, batches=0)
    keys = (None, b"", "ü".encode(), b"o\0", b"\xff")
    records = [record._replace(key=keys[n % len(keys)]) for n, record in enumerate(facts())]
    wary(captures).before(connection, records)
    assert captures.waits == 0


def test_a_stop_ends_the_wait(connection: Connection) -> None:
    captures = Captures(connection, batches=3)
    captures.set()
    wary(captures).before(connection, facts())
    assert captures.waits == 1
