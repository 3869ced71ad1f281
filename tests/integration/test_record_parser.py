"""No batch that a real broker accepts stops a partition: what a hostile producer can send, sent."""

import uuid
from collections.abc import Iterator
from typing import Any

import lz4.frame
import pytest
from confluent_kafka import Producer as ForeignProducer
from kafka import TopicPartition
from kafka.errors import CorruptRecordError

from consumers.engine import record_parser
from consumers.engine.config import Settings, load_settings
from consumers.engine.kafka_clients import make_admin, make_consumer, make_producer
from schemas.topics import TOPICS
from tests.hand_made import (
    CODECS,
    CORRUPT_MESSAGE,
    INVALID_RECORD,
    batch,
    packed_batch,
    produce,
    record,
)

NOT_UTF_8 = b"ce_\xff"
REFUSED_SOMEHOW = -1  # the broker itself does not expect some of this


@pytest.fixture
def settings(kafka: str) -> Settings:
    return load_settings(kafka={"bootstrap_servers": kafka})


@pytest.fixture
def topic(settings: Settings) -> str:
    """One partition, with the settings of the catalogue."""
    name = f"hostile-{uuid.uuid4().hex[:12]}"
    admin = make_admin(settings)
    config = TOPICS[0].config("CreateTime")
    admin.create_topics(
        {name: {"num_partitions": 1, "replication_factor": 1, "configs": config}},
        wait_for_metadata=True,
    )
    admin.close()
    return name


@pytest.fixture(autouse=True)
def leave_the_client_as_it_was() -> Iterator[None]:
    yield
    record_parser.uninstall()


def read_all(settings: Settings, topic: str) -> list[Any]:
    """Every record up to the end; fails if the position stands still."""
    consumer = make_consumer(settings, None)
    try:
        return poll_all(consumer, TopicPartition(topic, 0))
    finally:
        consumer.close(autocommit=False)


def poll_all(consumer: Any, where: TopicPartition) -> list[Any]:
    consumer.assign([where])
    consumer.seek(where, 0)
    end = consumer.end_offsets([where])[where]
    records: list[Any] = []
    for _ in range(100):
        if consumer.position(where) >= end:
            return records
        for polled in consumer.poll(timeout_ms=200).values():
            records += polled
    raise AssertionError(f"stuck at {consumer.position(where)}, the end is {end}")


def write_a_good_one(settings: Settings, topic: str) -> None:
    producer = make_producer(settings)
    producer.send(topic, value=b"good", key=b"k").get(timeout=20)
    producer.close(timeout=10)


def test_a_header_name_that_is_not_utf_8_does_not_stop_its_neighbours(
    settings: Settings, topic: str, kafka: str
) -> None:
    made = batch([record(headers=[(NOT_UTF_8, b"x")]), record(1, value=b"neighbour")])
    assert produce(kafka, topic, made) == 0
    write_a_good_one(settings, topic)
    read = read_all(settings, topic)
    assert [r.value for r in read] == [b"v", b"neighbour", b"good"]
    assert read[0].headers == [("ce_\\xff", b"x")]


def test_the_client_alone_would_be_stuck_on_it(settings: Settings, topic: str, kafka: str) -> None:
    assert produce(kafka, topic, batch([record(headers=[(NOT_UTF_8, b"x")])])) == 0
    for _ in range(2):  # whoever reads on, raises; a second poll of the same one never returns
        consumer = make_consumer(settings, None)
        record_parser.uninstall()
        with pytest.raises(CorruptRecordError):
            poll_all(consumer, TopicPartition(topic, 0))
        consumer.close(autocommit=False)


def lz4_frame(*, content_checksum_is_wrong: bool = False, tail: bytes = b"") -> bytes:
    frame = bytearray(
        lz4.frame.compress(
            record() + record(1), block_linked=False, content_checksum=content_checksum_is_wrong
        )
    )
    if content_checksum_is_wrong:
        frame[-1] ^= 1
    return bytes(frame) + tail


@pytest.mark.parametrize(
    "made",
    [
        batch([record(attributes=0xFF), record(1)]),
        batch([record(headers=[(NOT_UTF_8, None)]), record(1)], codec=CODECS["none"]),
        batch([record(headers=[(NOT_UTF_8, b"")]), record(1)], codec=CODECS["gzip"]),
        batch([record(headers=[(b"", None), (b"", b"")]), record(1)]),
        batch([record(headers=[(b"h%d" % n, b"x") for n in range(10_000)]), record(1)]),
        batch([record(key=b"", value=b""), record(1, key=None, value=None)]),
        batch([record(value=bytes(30_000_000)), record(1)]),
        batch([record(), record(1)], timestamp=-1),
        batch([record(timestamp_delta=-(2**40)), record(1, timestamp_delta=2**40)]),
        batch([record(0), record(0)], codec=CODECS["none"]),
        packed_batch(lz4_frame(content_checksum_is_wrong=True), 2),
        packed_batch(lz4_frame(tail=b"after the end"), 2),
    ],
    ids=[
        "attributes with their high bit",
        "header without a value, unpacked",
        "gzip",
        "empty names",
        "ten thousand headers",
        "nothing in it",
        "a bomb",
        "no timestamp",
        "far times",
        "one offset twice",
        "LZ4 checksum of the content is wrong",
        "LZ4 with a tail",
    ],
)
def test_what_the_broker_takes_is_read(
    settings: Settings, topic: str, kafka: str, made: bytes
) -> None:
    assert produce(kafka, topic, made) == 0
    write_a_good_one(settings, topic)
    read = read_all(settings, topic)
    assert [r.offset for r in read] == [0, 1, 2]
    assert read[2].value == b"good"


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (batch([record()], crc_shift=1), CORRUPT_MESSAGE),
        (batch([record()], codec=5), REFUSED_SOMEHOW),
        (batch([record()], codec=7), REFUSED_SOMEHOW),
        (batch([record(headers=[(None, b"x")])]), INVALID_RECORD),
        (batch([record()], count=5), INVALID_RECORD),
        (batch([record(), record(1)], count=1), INVALID_RECORD),
        (batch([record() + b"junk"]), INVALID_RECORD),
        (batch([record(0), record(0)]), REFUSED_SOMEHOW),
        (packed_batch(lz4_frame()[:-4], 2), REFUSED_SOMEHOW),
    ],
    ids=[
        "wrong CRC",
        "codec 5",
        "codec 7",
        "header without a name",
        "too few",
        "too many",
        "junk behind",
        "one offset twice",
        "LZ4 without an end",
    ],
)
def test_what_the_broker_refuses_never_gets_here(
    settings: Settings, topic: str, kafka: str, made: bytes, code: int
) -> None:
    assert produce(kafka, topic, made) == code
    write_a_good_one(settings, topic)
    assert [r.value for r in read_all(settings, topic)] == [b"good"]


def test_a_batch_that_is_too_large_once_packed_anew_is_refused(topic: str, kafka: str) -> None:
    message_too_large = 10
    bits = "".join(f"{n * n:b}" for n in range(200_000))  # gzip packs digits, LZ4 repetitions
    large = batch([record(value=bits.encode())], codec=CODECS["gzip"])
    assert len(large) < 1_000_000
    assert produce(kafka, topic, large) == message_too_large


def test_aborted_transactions_and_their_markers_are_passed_over(
    settings: Settings, topic: str, kafka: str
) -> None:
    producer = ForeignProducer({"bootstrap.servers": kafka, "transactional.id": uuid.uuid4().hex})
    producer.init_transactions(20)
    for value, end in ((b"a", True), (b"b", False), (b"c", True), (b"d", False)):
        producer.begin_transaction()
        producer.produce(topic, value, partition=0)
        producer.flush(20)
        (producer.commit_transaction if end else producer.abort_transaction)(20)
    read = read_all(settings, topic)  # also: the position reaches the end, behind the last marker
    assert [(r.offset, r.value) for r in read] == [(0, b"a"), (4, b"c")]
