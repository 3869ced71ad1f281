"""The relay on a real Kafka and a real PostgreSQL: order, crashes, rivals, holds, refusals."""

import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from kafka.admin import ConfigResource, ConfigResourceType
from sqlalchemy import Engine

from consumers.engine import relay as relay_module
from consumers.engine.config import Settings
from consumers.engine.publishing import Publisher, Wire, make_publisher
from consumers.engine.relay import _IDLE_SECONDS, Relay, run_relay
from escrow.telling import Outgoing
from ops.local.kafka import KafkaServer
from schemas.commands import command_id, reissue_command_id
from schemas.door import Record
from storage import outbox, relaying
from storage.engine import stage_engine
from storage.migrate import upgrade
from storage.outbox import SLICES, slice_of
from tests.builders import T0, a_record, sample
from tests.integration.sending import (
    Stages,
    a_topic,
    header,
    ids,
    kafka_admin,
    rows,
    run,
    sent_to,
)

ALL = range(SLICES)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    upgrade(database_url)
    engine = stage_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def settings(kafka: str, database_url: str) -> Settings:
    return Settings(
        kafka={"bootstrap_servers": kafka},
        database={"url": database_url},
    )


@pytest.fixture
def publisher(settings: Settings) -> Iterator[Publisher]:
    publisher = make_publisher(settings)
    yield publisher
    publisher.close()


@pytest.fixture
def relays(settings: Settings, database_url: str) -> Iterator[Callable[..., Relay]]:
    """Makes relays, each with its own connection and client, as processes have."""
    made: list[tuple[Engine, Publisher]] = []

    def make(**options: Any) -> Relay:
        engine = stage_engine(database_url, name="escrow-relay")
        publisher = make_publisher(settings)
        made.append((engine, publisher))
        return Relay(engine, publisher, options.pop("slices", ALL), **options)

    yield make
    for engine, publisher in made:
        publisher.close()
        engine.dispose()


def message(topic: str, key: str, id_: str, payload: str = "{}", **more: Any) -> Outgoing:
    return Outgoing(topic, key, "order.changed", id_, T0, payload, **more)


def put(engine: Engine, *messages: Outgoing) -> None:
    with engine.begin() as connection:
        outbox.append(connection, messages)


def drain(relay: Relay) -> int:
    """Step until nothing is left."""
    total = 0
    while sent := relay.step():
        total += sent
    return total


def unsent(engine: Engine) -> list[str]:
    found = rows(engine, "SELECT sent_id FROM outbox WHERE sent_at IS NULL ORDER BY id")
    return [row[0] for row in found]


def by_key(records: list[Record]) -> dict[bytes, list[str]]:
    """What a reader who drops repeated ids sees of each key, in order."""
    seen: defaultdict[bytes, list[str]] = defaultdict(list)
    for record in records:
        assert record.key is not None
        id_ = header(record, "ce_id")
        if id_ not in seen[record.key]:
            seen[record.key].append(id_)
    return seen


def keys_of_slices(*slices: int) -> list[str]:
    """A key for each of these slices."""
    numbers = (f"o-{n}" for n in range(10_000))
    found: dict[int, str] = {}
    for key in numbers:
        found.setdefault(slice_of(key), key)
    return [found[slice_] for slice_ in slices]


def test_what_was_decided_goes_out_as_cloud_events_in_binary_mode(
    engine: Engine, kafka: str, relays: Callable[..., Relay]
) -> None:
    order_id = f"o-{uuid.uuid4().hex[:8]}"
    capture = a_record("payment.captured", sample("payment.captured", order_id), id="c", t=T0)
    capture = capture._replace(headers=[*capture.headers, ("ce_traceparent", b"00-1")])
    confirm = a_record(
        "delivery.confirmed", sample("delivery.confirmed", order_id), id="d", t=T0 + 5
    )
    assert Stages(engine).decide(capture, confirm) == [("applied", None)] * 2
    topic = a_topic(kafka)
    run(
        engine,
        "UPDATE outbox SET topic = :topic WHERE topic <> :commands",
        topic=topic,
        commands="",
    )
    relay = relays()
    relay.take()
    assert drain(relay) == 3
    assert unsent(engine) == []
    held, released, payout = sent_to(kafka, [topic])
    assert dict(held.headers) == {
        "content-type": b"application/json",
        "ce_specversion": b"1.0",
        "ce_id": header(held, "ce_id").encode(),
        "ce_source": b"escrow",
        "ce_type": b"order.changed",
        "ce_traceparent": b"00-1",
    }
    assert [r.timestamp_ms for r in (held, released, payout)] == [T0, T0 + 5, T0 + 5]
    assert {r.key for r in (held, released, payout)} == {order_id.encode()}
    assert header(payout, "ce_type") == "payout.release"
    assert header(payout, "ce_id") == f"{command_id(order_id, 'payout', 1)}.1"
    assert "ce_traceparent" not in dict(payout.headers)
    payloads = [row[0].encode() for row in rows(engine, "SELECT payload FROM outbox ORDER BY id")]
    assert payloads == [held.value, released.value, payout.value]


def test_order_is_kept_within_an_order_over_many_rounds_and_partitions(
    engine: Engine, kafka: str, relays: Callable[..., Relay], rng: Random
) -> None:
    topic = a_topic(kafka, 3)
    said: defaultdict[bytes, list[str]] = defaultdict(list)
    messages = []
    for n in range(4_000):
        key = f"o-{rng.randrange(30)}"
        messages.append(message(topic, key, f"{n}", "x" * rng.randrange(2_000)))
        said[key.encode()].append(f"{n}")
    put(engine, *messages)
    relay = relays(rows_max=40, bytes_max=20_000)
    relay.take()
    assert drain(relay) == 4_000
    assert relay.counts["rounds"] > 6
    records = sent_to(kafka, [topic])
    assert len(records) == 4_000
    assert by_key(records) == said


def test_a_round_is_bounded_in_rows_and_bytes(engine: Engine, relays: Callable[..., Relay]) -> None:
    (key,) = keys_of_slices(3)
    put(engine, *(message("t", key, str(n), "x" * 100) for n in range(50)))
    few = relays(rows_max=7)
    few.take()
    assert [row.sent_id for row in few.read()] == [str(n) for n in range(7)]
    light = relays(bytes_max=1_000)
    light.take()
    assert len(light.read()) == 10
    big = relays(bytes_max=10)
    big.take()
    assert len(big.read()) == 1, "one row goes out however big it is"


def test_killed_between_send_and_mark_sends_again_with_the_same_ids(
    engine: Engine, kafka: str, relays: Callable[..., Relay]
) -> None:
    topic = a_topic(kafka, 2)
    said = [message(topic, f"o-{n % 7}", f"{n}") for n in range(100)]
    put(engine, *said)
    killed = relays(rows_max=5)
    killed.take()
    assert len(killed.send(killed.read())) > 20
    next_one = relays(rows_max=5)
    next_one.take()
    assert drain(next_one) == 100
    records = sent_to(kafka, [topic])
    assert len(records) > 120
    assert set(ids(records)) == {m.id for m in said}
    for key, seen in by_key(records).items():
        assert seen == [m.id for m in said if m.key.encode() == key]


def test_a_stale_relay_marks_nothing_and_gives_its_slices_up(
    engine: Engine, kafka: str, relays: Callable[..., Relay]
) -> None:
    topic = a_topic(kafka)
    put(engine, *(message(topic, f"o-{n}", f"{n}") for n in range(40)))
    stale, fresh = relays(), relays()
    stale.take()
    sent = stale.send(stale.read())
    fresh.take()
    assert stale.mark(sent) == 0
    assert stale.epochs == {}
    assert stale.counts["lost"] == SLICES
    assert len(unsent(engine)) == 40
    assert stale.step() == 0
    assert drain(fresh) == 40
    assert sorted(ids(sent_to(kafka, [topic]))) == sorted([str(n) for n in range(40)] * 2)


def test_relays_share_the_slices_and_only_the_lost_ones_are_given_up(
    engine: Engine, kafka: str, relays: Callable[..., Relay]
) -> None:
    topic = a_topic(kafka)
    lower, upper = keys_of_slices(2, 11)
    put(engine, message(topic, lower, "low"), message(topic, upper, "high"))
    everyone, half = relays(), relays(slices=range(8))
    everyone.take()
    half.take()
    assert [row.sent_id for row in half.read()] == ["low"]
    assert everyone.step() == 1, "both are sent, but one of the slices is another's now"
    assert sorted(everyone.epochs) == list(range(8, 16))
    assert unsent(engine) == ["low"]
    assert half.step() == 1
    assert unsent(engine) == []


def test_a_mark_waits_for_one_who_is_just_taking_over_and_then_loses(
    engine: Engine, kafka: str, relays: Callable[..., Relay]
) -> None:
    topic = a_topic(kafka)
    put(engine, message(topic, "o-1", "1"))
    relay = relays()
    relay.take()
    sent = relay.send(relay.read())
    with engine.connect() as rival:
        with rival.begin():
            relaying.take(rival, ALL)
            marked: list[int] = []
            marking = threading.Thread(target=lambda: marked.append(relay.mark(sent)))
            marking.start()
            marking.join(0.3)
            assert marking.is_alive()
        marking.join(5)
    assert marked == [0]
    assert unsent(engine) == ["1"]


def test_slices_without_a_sign_of_life_are_taken_over_and_left_ones_at_once(
    engine: Engine, relays: Callable[..., Relay], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "SIGN_SECONDS", 0.0)
    first, second = relays(), relays()
    first.take()
    second.take()
    first.keep()
    assert first.epochs == {}, "the newer one works"
    run(engine, "UPDATE outbox_slices SET seen_at = now() - interval '1 minute' WHERE slice < 3")
    first.keep()
    assert sorted(first.epochs) == [0, 1, 2]
    second.keep()
    assert sorted(second.epochs) == list(range(3, 16))
    second.leave()
    first.keep()
    assert sorted(first.epochs) == list(ALL)


def test_a_lower_id_that_commits_later_is_still_sent(
    engine: Engine, database_url: str, kafka: str, relays: Callable[..., Relay]
) -> None:
    topic = a_topic(kafka)
    relay = relays()
    relay.take()
    slow = stage_engine(database_url)
    with slow.connect() as connection:
        with connection.begin():
            outbox.append(connection, [message(topic, "o-1", "early id, late commit")])
            put(engine, message(topic, "o-2", "late id, early commit"))
            assert drain(relay) == 1
        assert drain(relay) == 1
    slow.dispose()
    assert ids(sent_to(kafka, [topic])) == ["late id, early commit", "early id, late commit"]


class Reissued:
    """A payout that failed, was reissued, and whose first answer then came after all."""

    def __init__(self, engine: Engine, topic: str) -> None:
        self.engine = engine
        self.order_id = f"o-{uuid.uuid4().hex[:8]}"
        self.old = command_id(self.order_id, "payout", 1)
        self.new = reissue_command_id(self.old)
        self.stages = Stages(engine)
        self.decide("payment.captured")
        self.decide("delivery.confirmed")
        self.decide("gateway.failed", command_id=self.old)
        self.decide("command.reissued", command_id=self.old)
        run(engine, "UPDATE outbox SET topic = :topic", topic=topic)

    def decide(self, type_name: str, **data: Any) -> None:
        record = a_record(
            type_name,
            sample(type_name, self.order_id, **data),
            id=f"{type_name}-{uuid.uuid4().hex}",
        )
        assert self.stages.decide(record) == [("applied", None)]

    def settle_the_old_one(self) -> None:
        self.decide("gateway.settled", command_id=self.old)


def test_a_reissue_on_hold_is_not_sent_until_a_person_lets_it_go(
    engine: Engine, kafka: str, relays: Callable[..., Relay]
) -> None:
    topic = a_topic(kafka)
    story = Reissued(engine, topic)
    relay = relays()
    relay.take()
    story.settle_the_old_one()
    run(engine, "UPDATE outbox SET topic = :topic", topic=topic)
    drain(relay)
    assert unsent(engine) == [f"{story.new}.1"]
    assert f"{story.new}.1" not in ids(sent_to(kafka, [topic]))
    assert f"{story.old}.1" in ids(sent_to(kafka, [topic]))
    with engine.begin() as connection:
        assert relaying.backlog(connection) == (1, 1)
    run(engine, "DELETE FROM command_holds")
    assert drain(relay) == 1
    assert ids(sent_to(kafka, [topic]))[-1] == f"{story.new}.1"


def test_a_hold_that_is_being_decided_is_waited_for(
    engine: Engine, database_url: str, kafka: str, relays: Callable[..., Relay]
) -> None:
    story = Reissued(engine, a_topic(kafka))
    relay = relays()
    relay.take()
    deciding = stage_engine(database_url)
    read: list[list[relaying.Unsent]] = []
    reading = threading.Thread(target=lambda: read.append(relay.read()))
    with deciding.connect() as connection:
        with connection.begin():  # as storage/orders.py and storage/decisions.py do
            connection.exec_driver_sql(
                f"SELECT FROM escrows WHERE order_id = '{story.order_id}' FOR NO KEY UPDATE"
            )
            reading.start()
            reading.join(0.3)
            assert reading.is_alive(), "the order is locked: its hold may be on the way"
            connection.exec_driver_sql(
                f"INSERT INTO command_holds VALUES ('{story.order_id}', '{story.new}', 'test')"
            )
        reading.join(5)
    deciding.dispose()
    (found,) = read
    assert f"{story.new}.1" not in {row.sent_id for row in found}
    assert f"{story.old}.1" in {row.sent_id for row in found}


def test_a_reissue_that_was_let_go_counts_as_sent_even_if_the_relay_then_dies(
    engine: Engine, kafka: str, relays: Callable[..., Relay]
) -> None:
    topic = a_topic(kafka)
    story = Reissued(engine, topic)
    dies = relays()
    dies.take()
    assert f"{story.new}.1" in {row.sent_id for row in dies.read()}
    story.settle_the_old_one()
    run(engine, "UPDATE outbox SET topic = :topic", topic=topic)
    relay = relays()
    relay.take()
    drain(relay)
    assert f"{story.new}.1" in ids(sent_to(kafka, [topic]))
    with engine.begin() as connection:
        assert relaying.backlog(connection) == (0, 0)


def test_a_stale_relay_lets_nothing_go(engine: Engine, relays: Callable[..., Relay]) -> None:
    story = Reissued(engine, "t")
    stale, fresh = relays(), relays()
    stale.take()
    fresh.take()
    assert f"{story.new}.1" not in {row.sent_id for row in stale.read()}
    assert f"{story.new}.1" in {row.sent_id for row in fresh.read()}


def test_a_refused_row_stops_its_slice_in_order_and_no_other(
    engine: Engine,
    kafka: str,
    relays: Callable[..., Relay],
    rng: Random,
) -> None:
    topic = a_topic(kafka, 1, **{"max.message.bytes": "3000"})
    bad, good = keys_of_slices(1, 2)
    big = rng.randbytes(10_000).hex()  # does not compress below the limit
    put(
        engine,
        message(topic, bad, "b1"),
        message(topic, bad, "b2", big),
        message(topic, bad, "b3"),
        message(topic, good, "g1"),
        message(topic, good, "g2"),
    )
    relay = relays()
    relay.take()
    for _ in range(4):
        relay.step()
    assert unsent(engine) in (["b2", "b3"], ["b1", "b2", "b3"])
    sent = ids(sent_to(kafka, [topic]))
    assert "b2" not in sent
    assert "b3" not in sent, "what follows a refused row stays behind it"
    assert {"g1", "g2"} <= set(sent)
    assert relay.counts["refused"] == 1, "the slice rests"
    with kafka_admin(kafka) as admin:
        admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": "1000000"})]
        )
    relay._rests_until.clear()  # time goes by
    assert _until(lambda: relay.step() > 0 and unsent(engine) == [], step_seconds=0.5)
    assert by_key(sent_to(kafka, [topic]))[bad.encode()] == ["b1", "b2", "b3"]


def test_after_a_failure_nothing_more_leaves_the_client(
    publisher: Publisher, kafka: str, rng: Random
) -> None:
    """The one thing asked of kafka-python that is not in its public interface."""
    topic = a_topic(kafka, 1, **{"max.message.bytes": "3000"})
    big = rng.randbytes(10_000)
    wires = [Wire(topic, b"k", b"x" * 100, [("n", str(n).encode())], T0) for n in range(2_000)]
    wires[500] = wires[500]._replace(value=big)
    results = publisher.publish(wires)
    assert [n for n, error in enumerate(results) if error is None] == list(
        range(next(n for n, error in enumerate(results) if error is not None))
    )
    assert results[500] is not None
    sent = [int(header(record, "n")) for record in sent_to(kafka, [topic])]
    assert sent == list(range(len(sent))), "in order, up to the refused one"
    assert len(sent) <= 500
    assert not any("network-thread" in thread.name for thread in threading.enumerate())
    assert publisher.publish(wires[:3]) == [None] * 3, "the next call has a new client"


def test_sent_rows_are_kept_for_their_time_and_then_cleared_away(
    engine: Engine, kafka: str, relays: Callable[..., Relay]
) -> None:
    topic = a_topic(kafka)
    put(engine, *(message(topic, "o-1", str(n)) for n in range(10)))
    relay = relays(rows_max=6)
    relay.take()
    assert relay.step() == 6
    run(engine, "UPDATE outbox SET sent_at = now() - interval '2 hours' WHERE sent_id IN ('0','1')")
    with engine.begin() as connection:
        assert relaying.purge(connection, 3_600) == 2
        assert relaying.purge(connection, 3_600) == 0
    assert rows(engine, "SELECT sent_id FROM outbox ORDER BY id")[0] == ("2",)
    assert unsent(engine) == ["6", "7", "8", "9"]


def test_a_relay_whose_connection_is_ended_goes_on(
    engine: Engine, kafka: str, settings: Settings
) -> None:
    topic = a_topic(kafka)
    with running(settings):
        for n in range(3):
            put(engine, message(topic, "o-1", str(n)))
            assert _until(lambda: unsent(engine) == [])
            run(
                engine,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'escrow-relay' AND datname = current_database()",
            )
    assert ids(sent_to(kafka, [topic])) == ["0", "1", "2"]
    left = rows(engine, "SELECT count(*) FROM outbox_slices WHERE seen_at IS NULL")
    assert left == [(SLICES,)], "it has said that it leaves"


def test_a_kafka_that_is_away_is_waited_for(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    server = KafkaServer(tmp_path / "kafka", heap_mb=256)
    server.start()
    try:
        topic = a_topic(server.bootstrap_servers)
        settings = Settings(
            kafka={"bootstrap_servers": server.bootstrap_servers},
            database={"url": database_url},
        )
        with running(settings):
            put(engine, message(topic, "o-1", "before"))
            assert _until(lambda: unsent(engine) == [])
            server.stop()
            put(engine, *(message(topic, "o-1", f"meanwhile {n}") for n in range(5)))
            time.sleep(1)
            assert len(unsent(engine)) == 5
            server.start()
            assert _until(lambda: unsent(engine) == [], seconds=60)
        seen = by_key(sent_to(server.bootstrap_servers, [topic]))[b"o-1"]
        assert seen == ["before", *(f"meanwhile {n}" for n in range(5))]
    finally:
        server.stop()


def test_an_idle_relay_still_sends_what_comes(
    engine: Engine, kafka: str, settings: Settings
) -> None:
    topic = a_topic(kafka)
    with running(settings):
        put(engine, message(topic, "o-1", "warm"))
        assert _until(lambda: unsent(engine) == [])
        for n in range(5):
            time.sleep(0.3)  # long enough for its longest sleep
            put(engine, message(topic, "o-1", str(n)))
            assert _until(lambda: unsent(engine) == [], step_seconds=0.005)
    assert max(_IDLE_SECONDS) < 0.1, "asleep for longer, it would be felt"


class running:  # noqa: N801  reads as a word: `with running(settings):`
    """`run_relay` in a thread of its own, asked to stop at the end."""

    def __init__(self, settings: Settings) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=run_relay, args=(settings, self._stop))

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(20)
        assert not self._thread.is_alive()


def _until(is_so: Callable[[], bool], seconds: float = 20.0, step_seconds: float = 0.05) -> bool:
    end = time.perf_counter() + seconds
    while not is_so():
        if time.perf_counter() > end:
            return False
        time.sleep(step_seconds)
    return True
