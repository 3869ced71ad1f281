"""A database that goes back in time, on real servers: nothing is sent twice, nothing is lost, nothing is contradicted."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any, Final

import pytest
from sqlalchemy import NullPool, create_engine, text

from consumers.engine.admin import apply_topics, spans
from consumers.engine.config import Settings, load_settings
from consumers.engine.kafka_clients import cluster_id_of
from consumers.engine.log_reading import read_log
from consumers.engine.processing import Halt
from consumers.engine.promises import Promises
from consumers.engine.publishing import make_publisher
from consumers.engine.relay import Relay, run_relay
from consumers.engine.worker import run_stage
from consumers.stages import STAGES
from ops.local.traffic import publish
from schemas.commands import PAYOUT_COMMANDS
from schemas.door import Record
from schemas.facts import INPUT_TOPICS, STAGE_TOPICS
from storage.engine import stage_engine
from storage.outbox import SLICES
from storage.positions import take_epoch
from tests.builders import a_record, sample
from tests.conftest import SEED
from tests.integration.sending import a_topic
from tests.integration.waiting import until

WORKING: Final = ("payments", "refund_requests")
NAME: Final = f"restored-{SEED}"


class Line:
    """Two stages and a relay over one database, each started when asked."""

    def __init__(self, kafka: str, url: str) -> None:
        self.settings = load_settings(kafka={"bootstrap_servers": kafka}, database={"url": url})
        self.server = create_engine(url, poolclass=NullPool)

    def begin_here(self) -> None:
        """All positions at the ends of the logs: what was there before is not this test's."""
        apply_topics(self.settings)
        cluster = cluster_id_of(self.settings)
        stages = {topic: stage for stage, topic in STAGE_TOPICS.items()}
        with self.server.begin() as connection:
            for where, span in spans(self.settings, INPUT_TOPICS).items():
                take_epoch(connection, stages[where[0]], *where, cluster, span.end)

    def ask(self, sql: str) -> Any:
        with self.server.connect() as connection:
            return connection.execution_options(isolation_level="AUTOCOMMIT").scalar(text(sql))

    def tell(self, sql: str) -> None:
        """A statement that may stand in no transaction."""
        with self.server.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(text(sql))

    def works_until(
        self, done: Callable[[], object], *, relay: bool, restored: bool = False
    ) -> None:
        """Stages, and the relay if wanted, until this holds; none of them may halt."""
        stop = threading.Event()
        with ThreadPoolExecutor(len(WORKING) + 1) as pool:
            working = [
                pool.submit(run_stage, self.settings, STAGES[name], stop) for name in WORKING
            ]
            if relay:
                working.append(pool.submit(run_relay, self.settings, stop, restored=restored))
            try:
                until(lambda: done() or any(one.done() for one in working))
            finally:
                stop.set()
            for one in working:
                one.result(30)
        assert done()

    def settles(self, orders: int, *, relay: bool = True, restored: bool = False) -> None:
        """Until so many are released in all and, with a relay, all has gone out."""

        def done() -> bool:
            released = self.ask("SELECT count(*) FROM escrows WHERE status = 'RELEASED'")
            unsent = self.ask("SELECT count(*) FROM outbox WHERE sent_at IS NULL")
            return bool(released == orders and (unsent == 0 or not relay))

        self.works_until(done, relay=relay, restored=restored)

    def says(self, first: int, after: int) -> None:
        """Orders of these numbers are paid and confirmed."""
        records: list[Record] = []
        for n in range(first, after):
            order_id = f"{NAME}-{n}"
            changes = {"payment_id": f"p-{order_id}"}
            for type_name in ("payment.captured", "delivery.confirmed"):
                data = sample(type_name, order_id, **changes)
                records.append(a_record(type_name, data, id=f"{order_id}.{type_name}"))
                changes = {}
        publish(records, self.settings)

    def told(self) -> Counter[str]:
        """How often each command of this test's orders stands on the topic."""
        records = (r for part in read_log(self.settings, PAYOUT_COMMANDS) for r in part)
        return Counter(
            dict(record.headers)["ce_id"].decode()  # type: ignore[union-attr]
            for record in records
            if (record.key or b"").startswith(NAME.encode())
        )


def test_a_topic_that_holds_nothing_is_read_like_any_other(settings: Settings, kafka: str) -> None:
    assert list(read_log(settings, a_topic(kafka))) == []


def test_a_copy_of_the_files_keeps_its_timeline_so_the_relay_must_be_told(
    settings: Settings,
) -> None:
    """As far as the relay can see: the rows are unsent, the topic has them."""
    line = Line(settings.kafka.bootstrap_servers, settings.database.connection_url)
    line.begin_here()
    line.says(400, 403)
    line.settles(3)
    before = line.told()
    line.tell("UPDATE outbox SET sent_at = NULL")
    line.settles(3, restored=True)
    assert line.told() == before
    assert line.ask("SELECT marked FROM lineages ORDER BY life DESC LIMIT 1") == 3
    older = (
        "UPDATE outbox SET sent_at = NULL, payload = payload || ' ' WHERE command_id IS NOT NULL"
    )
    line.tell(older)
    with pytest.raises(Halt, match=r"(?s)with another body.*after a restore"):
        line.settles(3, restored=True)
    assert line.told() == before


def test_a_promise_is_kept_by_the_one_writer_of_its_slice(settings: Settings) -> None:
    line = Line(settings.kafka.bootstrap_servers, settings.database.connection_url)
    line.begin_here()
    line.says(300, 301)
    line.settles(1, relay=False)
    engine = stage_engine(settings.database.connection_url)
    publisher = make_publisher(settings)
    stale, newer = (Relay(engine, publisher, range(SLICES)) for _ in range(2))
    stale.take()
    rows = stale.read()
    (command,) = (row for row in rows if row.topic == PAYOUT_COMMANDS)
    digest = sha256(command.payload.encode()).digest()
    with line.server.begin() as connection:
        promised = {"order_id": command.key, "sent_id": command.sent_id, "digest": digest}
        connection.execute(
            text("INSERT INTO promises VALUES (:order_id, :sent_id, :digest)"), promised
        )
    newer.take()
    for relay in (stale, newer):
        relay.promises = Promises({command.key: {command.sent_id: digest}})
    assert stale.keep_promises(rows) == [], "who writes no more sends nothing"
    assert line.ask("SELECT count(*) FROM promises") == 1
    assert command.id not in {row.id for row in newer.keep_promises(rows)}
    assert line.ask("SELECT count(*) FROM promises") == 0
    assert line.ask(f"SELECT sent_at IS NOT NULL FROM outbox WHERE id = {command.id}")
    publisher.close()
    engine.dispose()


def test_a_relay_halts_where_an_order_takes_another_way_than_gateways_were_told(
    settings: Settings, database_url: str
) -> None:
    line = Line(settings.kafka.bootstrap_servers, database_url)
    line.begin_here()
    line.says(100, 101)
    line.settles(101 - 100)
    with line.server.begin() as connection:  # as if a restore had found it
        connection.execute(
            text("INSERT INTO promises VALUES (:order_id, 'told.1', '\\x00')"),
            {"order_id": f"{NAME}-101"},
        )
    line.says(101, 102)
    with pytest.raises(Halt, match=r"(?s)told\.1.*after a restore"):
        line.settles(2)
    sent = "SELECT count(*) FROM outbox WHERE sent_at IS NOT NULL AND command_id IS NOT NULL"
    assert line.ask(sent) == 1
