"""A stage that runs ahead of the captures waits while they are worked off, and never for a dead stage."""

import threading
from collections import Counter
from collections.abc import Iterator

import pytest
from typing_extensions import override

from consumers.engine.batch import Ending
from consumers.engine.giving_way import give_way
from storage.engine import Connection, stage_engine
from storage.positions import Step, fence, take_epoch

EARLY: Counter[Ending] = Counter({("parked", "awaiting_payment"): 6, ("applied", None): 5})
IN_TIME: Counter[Ending] = Counter({("parked", "awaiting_payment"): 5, ("applied", None): 5})


class Captures(threading.Event):
    """The stage of payments: commits a batch in each of the first `batches` waits."""

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
        return self.is_set()


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    engine = stage_engine(database_url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def test_who_is_in_time_does_not_wait(connection: Connection) -> None:
    captures = Captures(connection, batches=3)
    assert not give_way(connection, IN_TIME, captures)
    assert captures.waits == 0


def test_waits_until_the_captures_stand_still(connection: Connection) -> None:
    captures = Captures(connection, batches=3)
    assert give_way(connection, EARLY, captures)
    assert captures.waits == 4


def test_looks_once_at_a_stage_of_payments_that_is_down(connection: Connection) -> None:
    captures = Captures(connection, batches=0)
    assert not give_way(connection, EARLY, captures)
    assert captures.waits == 1


def test_a_stop_ends_the_wait(connection: Connection) -> None:
    captures = Captures(connection, batches=3)
    captures.set()
    give_way(connection, EARLY, captures)
    assert captures.waits == 1
