"""The judge of the chaos runs says `ok` of a true world, and `bad` of each lie told about it.

A world is decided for real once; then its recorded rows, topics or effects are bent one at a time.
"""

import copy
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.local.traffic import Knobs, stories
from schemas.door import Record
from tests.chaos.checker import Judge
from tests.chaos.recorded import Recorded, Recorder, Row, Seen
from tests.integration.test_batch_equals_dry_run import feed

KNOBS = Knobs(duplicates=0.1, conflicts=0.05, garbage=0.1, disorder=0.2, orders_per_day=4)
Lie = Callable[[Recorded], object]


class Rows(Recorder):
    """Only the rows are read; the topics are what was fed, and what the outbox says was told."""

    def __init__(self, url: str, fed: list[Record]) -> None:
        super().__init__("", url, Path())
        self._fed = fed

    def world(self) -> Recorded:
        recorded = Recorded(defaultdict(list))
        self._read_rows(recorded)
        offsets: Counter[str] = Counter()
        for record in self._fed:
            headers = tuple(record.headers)
            seen = Seen(record.topic, 0, offsets[record.topic], record.timestamp_ms, record.key,
                        record.value, headers)  # fmt: skip
            offsets[record.topic] += 1
            recorded.topics[record.topic, 0].append(seen)
        for row in recorded.rows["outbox"]:
            row["sent_at"] = row["id"]
            told = recorded.topics[row["topic"], 0]
            id_ = (("ce_id", row["sent_id"].encode()),)
            told.append(
                Seen(
                    row["topic"], 0, len(told), 0, row["key"].encode(), row["payload"].encode(), id_
                )
            )
        return recorded


@pytest.fixture
def true_world(database_url: str) -> Recorded:
    fed = list(stories(138, 60, knobs=KNOBS))[:-40]  # so that some orders are still open
    feed(database_url, fed, random.Random(1), 40)
    return Rows(database_url, fed).world()


def first(recorded: Recorded, table: str, **wanted: object) -> Row:
    rows = recorded.rows[table]
    return next(r for r in rows if all(r[name] == value for name, value in wanted.items()))


def bend(table: str, column: str, by: int, **wanted: object) -> Lie:
    def lie(recorded: Recorded) -> None:
        first(recorded, table, **wanted)[column] += by

    return lie


def drop(table: str, **wanted: object) -> Lie:
    return lambda recorded: recorded.rows[table].remove(first(recorded, table, **wanted))


def settle_twice(recorded: Recorded) -> None:
    command = first(recorded, "commands", purpose="settlement")
    recorded.rows["commands"].append(command | {"decision_no": command["decision_no"] + 1})


def effects(times: int, **other: object) -> Lie:
    def lie(recorded: Recorded) -> None:
        command = first(recorded, "commands", purpose="settlement")
        command["state"] = "SETTLED"
        recorded.effects += [{**command, "came_back": False, **other}] * times

    return lie


def lose_a_record(recorded: Recorded) -> None:
    fact = first(recorded, "facts", type="payment.captured")
    recorded.rows["facts"].remove(fact)


def say_otherwise(recorded: Recorded) -> None:
    first(recorded, "facts", type="payment.captured")["id"] = "another"


def tell_in_another_order(recorded: Recorded) -> None:
    counts = Counter((row["topic"], row["key"]) for row in recorded.rows["outbox"])
    topic, key = counts.most_common(1)[0][0]
    recorded.topics[topic, 0].sort(key=lambda s: -s.offset if s.key == key.encode() else 0)


def tell_less(recorded: Recorded) -> None:
    """Neither a row nor a record: only the rules know that it is missing."""
    row = first(recorded, "outbox", type="order.changed")
    recorded.rows["outbox"].remove(row)
    told = recorded.topics[row["topic"], 0]
    told.remove(next(seen for seen in told if seen.header("ce_id") == row["sent_id"]))


LIES: dict[str, tuple[str, Lie]] = {
    "money from nowhere": ("I1", bend("escrows", "held_minor", 1, status="RELEASED")),
    "settled twice": ("I2", settle_twice),
    "paid twice": ("I3", effects(2)),
    "paid another amount": ("I3", effects(1, amount_minor=1)),
    "settled, not paid": ("I3", effects(0)),
    "an effect nobody ordered": ("I3", effects(1, command_id="x")),
    "told in another order": ("I3 told", tell_in_another_order),
    "not told": ("I3 told", lambda r: r.topics["escrow.order-events.v1", 0].pop()),
    "another amount in the row": ("I4", bend("escrows", "loss_minor", 1, status="RELEASED")),
    "a command too few": ("I4", drop("commands")),
    "refused for another reason": (
        "I4", lambda r: first(r, "facts", outcome="refused").update(code="made_up"),
    ),
    "waits for another reason": ("I4", lambda r: first(r, "parked").update(code="made_up")),
    "told less than was decided": ("I4 told", tell_less),
    "told more than was decided": (
        "I4 told", lambda r: r.rows["outbox"].append(first(r, "outbox", type="refund.issue")),
    ),
    "a fact lost": ("I5", lose_a_record),
    "another fact stored": ("I5", say_otherwise),
    "a duplicate not counted": ("I5", bend("batches", "applied", 1)),
    "a dead letter lost": ("I6", drop("letters")),
    "another code": ("I6", lambda r: first(r, "letters").update(code="made_up")),
    "a gap between batches": ("I7", bend("batches", "next_offset", 1)),
    "a position that went back": ("I7", bend("positions", "next_offset", -1)),
    "another outcome in the chain": ("I9", lambda r: first(r, "facts").update(t=1)),
    "a deadline lost": ("I10", drop("deadlines")),
    "a deadline too early": ("I10", bend("deadlines", "due_at", -1)),
    "a row of the outbox waits": ("I11", lambda r: first(r, "outbox").update(sent_at=None)),
}  # fmt: skip


def test_a_true_world_is_ok(true_world: Recorded) -> None:
    verdict = Judge().judge(true_world)
    assert verdict.violations == []
    assert verdict.word == "ok"
    assert verdict.counts["facts"] > 100
    assert verdict.counts["dead_letters"] > 10


def test_every_lie_is_found_where_it_lies(true_world: Recorded) -> None:
    for name, (invariant, lie) in LIES.items():
        bent = copy.deepcopy(true_world)
        lie(bent)
        verdict = Judge().judge(bent)
        assert verdict.word == "bad", name
        assert verdict.counts[invariant] > 0, (name, verdict.violations)


def test_history_that_changed_between_two_looks_is_found(true_world: Recorded) -> None:
    judge = Judge()
    assert judge.judge(copy.deepcopy(true_world)).word == "ok"
    first(true_world, "batches")["epoch"] += 1
    assert any(text.startswith("I9") for text in judge.judge(true_world).violations)


def test_what_was_not_read_is_unknown_not_ok(true_world: Recorded) -> None:
    true_world.missing.append("the ends of topics")
    assert Judge().judge(true_world).word == "unknown"
