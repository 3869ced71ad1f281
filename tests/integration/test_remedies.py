"""Each class of database error has its one remedy, and neither a fact nor a neighbour is lost by it.

Errors are made by a trigger on `facts`, for one fact or for all, some times or always.
"""

import time
from collections.abc import Iterator
from typing import Any, Final

import pytest
from sqlalchemy import Engine, create_engine, text

from consumers.engine import batch, processing
from consumers.engine.batch import Job
from consumers.engine.processing import Halt, Processor, Unknown
from consumers.engine.records import Chunk
from escrow.arrival import Decided, Moved, arrive
from escrow.state import Order
from schemas.door import Fact, Record
from schemas.facts import SHIPMENTS
from storage.engine import stage_engine
from storage.positions import take_epoch
from tests.builders import a_record, sample
from tests.integration.sending import CLUSTER

WHERE: Final = (SHIPMENTS, 0)
COUNT: Final = 40
FOR_EVER: Final = 1_000_000
# Sequences count what a rollback takes back.
TRIGGER: Final = """
CREATE SEQUENCE raised;
CREATE FUNCTION raise_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF nextval('raised') <= TG_ARGV[1]::bigint THEN
    RAISE EXCEPTION 'made by the test' USING ERRCODE = TG_ARGV[0], CONSTRAINT = TG_ARGV[2];
  END IF;
  RETURN NULL;
END $$
"""


class Trial:
    """A batch of facts, a processor, and what became of it."""

    def __init__(self, engine: Engine, url: str) -> None:
        self.engine = engine
        self.idled: list[float] = []
        self._stage_engine = stage_engine(url)
        self.connection = self._stage_engine.connect()
        with self.connection.begin():
            self.positions = {WHERE: take_epoch(self.connection, "shipments", *WHERE, CLUSTER)}
        self.processor = Processor(
            self.connection, Job("shipments", CLUSTER), self.positions, self.idled.append
        )
        self.run(TRIGGER)

    def raising(
        self, state: str, *, only: str | None = None, times: int = FOR_EVER, constraint: str = ""
    ) -> None:
        """From now on writing a fact (those whose id is like `only`) fails with this SQLSTATE."""
        when = f"WHEN (NEW.id LIKE '{only}')" if only else ""
        self.run(
            f"CREATE TRIGGER raising AFTER INSERT ON facts FOR EACH ROW {when}"
            f" EXECUTE FUNCTION raise_it('{state}', {times}, '{constraint}')"
        )

    def process(self, records: list[Record]) -> None:
        begin = self.positions[WHERE].next_offset
        placed = [record._replace(offset=begin + n) for n, record in enumerate(records)]
        self.processor.process(Chunk(placed, {WHERE: begin + len(records)}))

    def run(self, sql: str) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(sql))

    def ask(self, sql: str) -> list[Any]:
        with self.engine.begin() as connection:
            rows = connection.execute(text(sql)).all()
        return [row[0] if len(row) == 1 else tuple(row) for row in rows]

    @property
    def raised(self) -> int:
        """How often the error came."""
        return int(self.ask("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM raised")[0])

    def batches(self) -> list[tuple[int, int]]:
        """Where each batch began and ended; each must begin where the one before it ended."""
        rows = self.ask("SELECT first_offset, next_offset FROM batches ORDER BY 1")
        assert [first for first, _ in rows] == [0, *(end for _, end in rows)][: len(rows)]
        return rows

    def assert_done(self, count: int, letters: int = 0) -> None:
        """All records are accounted for, once each."""
        assert self.positions[WHERE].next_offset == count
        assert self.ask("SELECT next_offset FROM consumer_positions") == [count]
        assert self.batches()[-1][1] == count
        assert self.ask("SELECT sum(parked), sum(dead_letter) FROM batches") == [
            (count - letters, letters)
        ]
        for table, expected in (("facts", count - letters), ("dead_letters", letters)):
            assert self.ask(f"SELECT count(*) FROM {table}") == [expected]
        assert self.ask("SELECT count(*) FROM identities") == [count - letters]

    def assert_untouched(self) -> None:
        """Nothing of the batch is there, and the connection can be used again."""
        assert self.positions[WHERE].next_offset == 0
        for table in ("facts", "identities", "escrows", "batches", "dead_letters", "outbox"):
            assert self.ask(f"SELECT count(*) FROM {table}") == [0], table
        assert self.ask("SELECT epoch, next_offset FROM consumer_positions") == [(1, 0)]
        assert not self.connection.in_transaction()

    def close(self) -> None:
        self.connection.close()
        self._stage_engine.dispose()


@pytest.fixture
def trial(database_url: str) -> Iterator[Trial]:
    engine = create_engine(database_url)
    made = Trial(engine, database_url)
    yield made
    made.close()
    engine.dispose()


def a_fact(name: str, order_id: str | None = None) -> Record:
    data = sample("shipment.lost", order_id or f"o-{name}")
    return a_record("shipment.lost", data, id=name)


def facts(*bad: int, count: int = COUNT) -> list[Record]:
    """Facts of as many orders; those at `bad` are the culprits."""
    return [a_fact(f"bad-{n}" if n in bad else f"good-{n}") for n in range(count)]


@pytest.mark.parametrize(
    "state", ["40001", "40P01", "55P03", "53100", "53200", "53300", "57000", "58030"]
)
def test_what_passes_is_tried_again_whole(trial: Trial, state: str) -> None:
    trial.raising(state, times=3)
    trial.process(facts())
    assert trial.raised == 3 + COUNT
    assert len(trial.idled) == 3
    assert trial.idled == sorted(trial.idled), "it waits longer each time"
    assert trial.batches() == [(0, COUNT)]
    trial.assert_done(COUNT)


@pytest.mark.parametrize("constraint", ["pk_identities", "pk_payments", "pk_supplier_reports"])
def test_a_race_for_a_global_key_is_run_again(trial: Trial, constraint: str) -> None:
    trial.raising("23505", times=2, constraint=constraint)
    trial.process(facts())
    assert len(trial.idled) == 2
    trial.assert_done(COUNT)


def test_what_takes_too_long_is_halved(trial: Trial) -> None:
    trial.run(
        "CREATE FUNCTION too_long() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF (SELECT count(*) FROM added) > 5 THEN"
        "  RAISE EXCEPTION 'too long' USING ERRCODE = '57014'; END IF; RETURN NULL; END $$;"
        "CREATE TRIGGER too_long AFTER INSERT ON facts REFERENCING NEW TABLE AS added"
        " FOR EACH STATEMENT EXECUTE FUNCTION too_long()"
    )
    trial.process(facts())
    assert [end - first for first, end in trial.batches()] == [5] * 8
    assert trial.idled == []
    trial.assert_done(COUNT)


def test_one_record_that_takes_too_long_is_tried_again_as_a_member_of_the_group(
    trial: Trial,
) -> None:
    """It cannot be cut further; the wait between keeps the group from throwing the worker out."""
    trial.raising("57014", times=3)
    trial.process(facts(count=1))
    assert len(trial.idled) == 3
    trial.assert_done(1)


@pytest.mark.parametrize("state", ["22003", "22P02", "22021", "22P05", "54000", "54001"])
def test_a_value_that_cannot_be_stored_is_found_among_its_neighbours(
    trial: Trial, state: str
) -> None:
    trial.raising(state, only="bad-%")
    trial.process(facts(17))
    assert trial.ask('SELECT code, id, "offset" FROM dead_letters') == [
        ("not_storable", None, 17),
    ]
    assert trial.ask("SELECT count(*) FROM facts WHERE id LIKE 'bad%'") == [0]
    assert trial.ask("SELECT count(*) FROM escrows WHERE order_id LIKE 'o-bad%'") == [0]
    told = "SELECT key FROM outbox WHERE topic = 'escrow.dead-letters.v1'"
    assert trial.ask(told) == ["o-bad-17"]
    trial.assert_done(COUNT, letters=1)
    assert len(trial.batches()) <= 2 * COUNT.bit_length(), "found by halves"


@pytest.mark.parametrize("bad", [(0,), (COUNT - 1,), (7, 8), (0, 20, COUNT - 1), tuple(range(40))])
def test_culprits_anywhere_are_found(trial: Trial, bad: tuple[int, ...]) -> None:
    trial.raising("22003", only="bad-%")
    trial.process(facts(*bad))
    assert trial.ask('SELECT "offset" FROM dead_letters ORDER BY 1') == list(bad)
    trial.assert_done(COUNT, letters=len(bad))


def test_facts_of_the_culprits_own_order_are_decided_in_their_order(trial: Trial) -> None:
    trial.raising("22003", only="bad")
    trial.process([a_fact("first", "o"), a_fact("bad", "o"), a_fact("last", "o")])
    assert trial.ask("SELECT id, decision_no FROM facts ORDER BY decision_no") == [
        ("first", 1),
        ("last", 2),
    ]
    assert trial.ask("SELECT parked FROM escrows") == [2]


def test_a_fact_that_could_not_be_stored_is_looked_at_afresh(trial: Trial) -> None:
    """It leaves no identity (RULES 3.2): once the cause is mended, sending it again is enough."""
    trial.raising("22003", only="bad-%")
    trial.process(facts(1, count=3))
    trial.run("DROP TRIGGER raising ON facts")
    trial.process([a_fact("bad-1")])
    assert trial.ask("SELECT outcome FROM facts WHERE id = 'bad-1'") == ["parked"]


def test_too_many_that_cannot_be_stored_are_not_the_records_fault(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert processing.NOT_STORABLE_MAX == 100
    assert processing.NOT_STORABLE_WINDOW_SECONDS == 600
    monkeypatch.setattr(processing, "NOT_STORABLE_MAX", 3)
    trial.raising("22003", only="bad-%")
    with pytest.raises(Halt, match="not storable"):
        trial.process(facts(2, 5, 6, 30, 31))
    assert trial.ask('SELECT "offset" FROM dead_letters ORDER BY 1') == [2, 5, 6]
    assert trial.ask("SELECT next_offset FROM consumer_positions") == [30]
    assert trial.batches()[-1][1] == 30


def test_a_few_now_and_then_do_not_add_up(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10**9, 400))  # every look at the clock is 400 seconds later
    monkeypatch.setattr(processing, "NOT_STORABLE_MAX", 3)
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    trial.raising("22003", only="bad-%")
    trial.process(facts(2, 5, 6, 30, 31))
    trial.assert_done(COUNT, letters=5)


@pytest.mark.parametrize(
    "state", ["23514", "23505", "23502", "23P01", "P0001", "42501", "42P01", "42703", "XX001"]
)
def test_what_only_a_person_can_mend_halts_with_nothing_written(trial: Trial, state: str) -> None:
    trial.raising(state, only="bad-%", constraint="ck_something")
    with pytest.raises(Halt, match=f"{state}: made by the test.*runbook"):
        trial.process(facts(11))
    trial.assert_untouched()
    assert trial.raised == 1
    assert trial.idled == []


@pytest.mark.parametrize("state", ["08006", "08003", "57P01", "57P02", "57P03", "25P03"])
def test_a_connection_that_goes_leaves_the_outcome_unknown(trial: Trial, state: str) -> None:
    trial.raising(state)
    with pytest.raises(Unknown, match=state):
        trial.process(facts())
    assert trial.ask("SELECT count(*) FROM facts") == [0]
    assert trial.positions[WHERE].next_offset == 0


def test_an_update_that_finds_no_row_halts(trial: Trial) -> None:
    """A row that is gone between its lock and its update cannot be: a check of ours."""
    trial.run(
        "CREATE FUNCTION lose_it() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RETURN NULL; END $$;"
        "CREATE TRIGGER losing BEFORE UPDATE ON escrows FOR EACH ROW"
        " WHEN (OLD.order_id = 'o-good-3') EXECUTE FUNCTION lose_it()"
    )
    with pytest.raises(Halt, match=r"LookupError: escrows: 40 rows.*`a check failed`"):
        trial.process(facts())
    trial.assert_untouched()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (AssertionError("money went missing"), "AssertionError: money went missing, test_remedies"),
        (KeyError("o-1"), "KeyError: 'o-1', test_remedies"),
        (TypeError("4111 1111 1111 1111"), "TypeError, test_remedies"),
        (ZeroDivisionError(), "ZeroDivisionError, test_remedies"),
        (RecursionError(), "RecursionError, test_remedies"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_bug_in_a_rule_halts_with_nothing_written(
    trial: Trial, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def broken(order: Order, fact: Fact) -> tuple[Decided | Moved, ...]:
        if fact.id == "bad-11":
            raise error
        return arrive(order, fact)

    monkeypatch.setattr(batch, "arrive", broken)
    with pytest.raises(Halt) as caught:
        trial.process(facts(11))
    assert said in str(caught.value)
    assert "`a check failed`" in str(caught.value)
    assert "4111" not in str(caught.value)
    trial.assert_untouched()
    monkeypatch.undo()
    trial.process(facts(11))  # the mended program goes on where it stood
    trial.assert_done(COUNT)
