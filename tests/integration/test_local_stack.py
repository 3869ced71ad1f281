"""The embedded servers are real, keep what they were given through kill -9, and leave nothing behind."""

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import confluent_kafka
import psutil
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import NewTopic
from sqlalchemy import NullPool, create_engine, text

from ops.local.child import ChildFailedError
from ops.local.guardian import GRACE_SECONDS
from ops.local.kafka import BROKER, archive
from ops.local.ports import is_open
from ops.local.postgres import PostgresServer
from ops.local.stack import DataInUseError, Stack

TOPIC = "local-stack-test"
_UNKNOWN_TOPIC = 3

# Starts a stack in the folder given (none: a temporary one), says what it is, and waits to be killed.
KEEPER = """
import json, pathlib, sys, time
from ops.local.guardian import guardian
from ops.local.stack import Stack
with Stack(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else None) as stack:
    print(json.dumps({
        "bootstrap_servers": stack.bootstrap_servers, "database_url": stack.database_url,
        "data_dir": str(stack.data_dir), "servers": [stack.kafka.pid, stack.postgres.pid],
        "guardian": guardian.pid,
    }), flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def own_stack() -> Iterator[Stack]:
    """A stack that these tests may kill, beside the session's."""
    with Stack() as stack:
        yield stack


@pytest.fixture
def keepers() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def tmp_root() -> Iterator[Path]:
    """A folder that another user may reach, as `tmp_path` is not: PostgreSQL gives up root."""
    with tempfile.TemporaryDirectory(prefix="escrow-test-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def keep_a_stack(
    keepers: list[subprocess.Popen[str]], *folder: Path
) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    process = subprocess.Popen(
        [sys.executable, "-c", KEEPER, *map(str, folder)], stdout=subprocess.PIPE, text=True
    )
    keepers.append(process)
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def family(pids: list[int]) -> list[psutil.Process]:
    servers = [psutil.Process(pid) for pid in pids]
    return servers + [child for server in servers for child in server.children(recursive=True)]


def survivors(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    return psutil.wait_procs(processes, timeout=seconds)[1]


def make_topic(bootstrap_servers: str, topic: str = TOPIC) -> None:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap_servers)
    try:
        admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    finally:
        admin.close()


def send(bootstrap_servers: str, *values: bytes, topic: str = TOPIC) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap_servers, acks="all")
    try:
        for value in values:
            producer.send(topic, value).get(30)
    finally:
        producer.close()


def read(bootstrap_servers: str, count: int, topic: str = TOPIC) -> list[bytes]:
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=bootstrap_servers,
        auto_offset_reset="earliest",
        consumer_timeout_ms=30_000,
    )
    try:
        return [record.value for _, record in zip(range(count), consumer, strict=False)]
    finally:
        consumer.close()


def run_sql(database_url: str, statement: str) -> Any:
    engine = create_engine(database_url, poolclass=NullPool)
    with engine.begin() as connection:
        result = connection.execute(text(statement))
        return result.scalar() if result.returns_rows else None


def test_kafka_carries_records_between_two_independent_clients(kafka: str) -> None:
    make_topic(kafka, "two-clients")
    foreign = confluent_kafka.Producer({"bootstrap.servers": kafka})
    foreign.produce("two-clients", b"from librdkafka")
    assert foreign.flush(30) == 0
    send(kafka, b"from kafka-python", topic="two-clients")
    written = [b"from librdkafka", b"from kafka-python"]

    assert read(kafka, 2, "two-clients") == written

    reader = confluent_kafka.Consumer(
        {"bootstrap.servers": kafka, "group.id": "two-clients", "auto.offset.reset": "earliest"}
    )
    reader.subscribe(["two-clients"])
    try:
        messages = reader.consume(2, timeout=30)
    finally:
        reader.close()
    assert [message.value() for message in messages] == written


def test_kafka_makes_no_topic_by_itself(kafka: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    try:
        assert admin.describe_topics(["not-there"])[0]["error_code"] == _UNKNOWN_TOPIC
        assert "not-there" not in admin.list_topics()
    finally:
        admin.close()


def test_each_database_starts_empty_and_durable(database_url: str) -> None:
    run_sql(database_url, "CREATE TABLE note (body text)")
    run_sql(database_url, "INSERT INTO note VALUES ('kept')")
    assert run_sql(database_url, "SELECT body FROM note") == "kept"
    assert run_sql(database_url, "SELECT current_setting('fsync')") == "on"
    assert run_sql(database_url, "SELECT current_setting('synchronous_commit')") == "on"


def test_a_second_stack_runs_beside_the_first(kafka: str, own_stack: Stack) -> None:
    assert own_stack.bootstrap_servers != kafka
    make_topic(own_stack.bootstrap_servers, "only-here")
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    try:
        assert "only-here" not in admin.list_topics()
    finally:
        admin.close()


def test_killed_servers_come_back_at_their_addresses_with_their_data(own_stack: Stack) -> None:
    kafka, postgres = own_stack.kafka, own_stack.postgres
    assert kafka is not None
    assert postgres is not None
    before = own_stack.environment
    make_topic(own_stack.bootstrap_servers)
    send(own_stack.bootstrap_servers, b"acknowledged")
    run_sql(own_stack.database_url, "CREATE TABLE note AS SELECT 'committed' AS body")

    kafka.kill()
    postgres.kill()
    assert not kafka.running
    assert not postgres.running
    postgres.start()
    kafka.start()

    assert own_stack.environment == before
    assert read(own_stack.bootstrap_servers, 1) == [b"acknowledged"]
    assert run_sql(own_stack.database_url, "SELECT body FROM note") == "committed"

    postgres.stop(immediate=True)
    postgres.start()
    assert run_sql(own_stack.database_url, "SELECT body FROM note") == "committed"


def test_stopping_leaves_no_process_no_port_and_no_folder() -> None:
    with Stack() as stack:
        assert stack.kafka is not None
        assert stack.postgres is not None
        processes = family([stack.kafka.pid, stack.postgres.pid])
        port = int(stack.bootstrap_servers.rpartition(":")[2])
        assert is_open(port)
    assert survivors(processes, seconds=5) == []
    assert not is_open(port)
    assert not stack.data_dir.exists()
    assert archive(BROKER).exists()  # the next one starts with half the work


def test_a_killed_parent_leaves_no_process_and_no_folder(
    keepers: list[subprocess.Popen[str]],
) -> None:
    keeper, said = keep_a_stack(keepers)
    processes = [*family(said["servers"]), psutil.Process(said["guardian"])]
    keeper.send_signal(signal.SIGKILL)
    assert survivors(processes, seconds=GRACE_SECONDS + 10) == []
    assert not Path(said["data_dir"]).exists()


def test_leftovers_of_a_killed_run_are_ended_and_its_data_kept(
    keepers: list[subprocess.Popen[str]], tmp_root: Path
) -> None:
    keeper, said = keep_a_stack(keepers, tmp_root)
    leftovers = family(said["servers"])
    make_topic(said["bootstrap_servers"])
    send(said["bootstrap_servers"], b"acknowledged")
    run_sql(said["database_url"], "CREATE TABLE note AS SELECT 'committed' AS body")

    with pytest.raises(DataInUseError, match=str(keeper.pid)):
        Stack(tmp_root).start()

    psutil.Process(said["guardian"]).kill()  # nobody is left to clean up
    keeper.kill()
    keeper.wait()
    assert all(process.is_running() for process in leftovers)

    with Stack(tmp_root) as stack:
        assert survivors(leftovers, seconds=5) == []
        assert read(stack.bootstrap_servers, 1) == [b"acknowledged"]
        assert run_sql(stack.database_url, "SELECT body FROM note") == "committed"


def test_a_server_that_cannot_start_says_why(tmp_root: Path) -> None:
    server = PostgresServer(tmp_root, settings={"shared_buffers": "plenty"})
    with pytest.raises(ChildFailedError, match="shared_buffers"):
        server.start()
    assert not server.running


def test_given_addresses_start_no_server() -> None:
    url = "postgresql+psycopg://someone@db.internal/escrow"
    with Stack(bootstrap_servers="kafka.internal:9092", database_url=url) as stack:
        assert stack.kafka is None
        assert stack.postgres is None
        assert stack.bootstrap_servers == "kafka.internal:9092"
        assert stack.database_url == url
