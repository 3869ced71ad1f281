"""What really happened, read beside the system under test: the topics, the rows, the gateway's file.

Nothing of consumers, storage or escrow is used to read it. `complete` is False where a read fell short.
"""

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg
from kafka import KafkaConsumer, TopicPartition
from psycopg.rows import dict_row

READ_SECONDS_MAX: Final = 60.0
Row = dict[str, Any]
Spot = tuple[str, int, int]  # topic, partition, offset

QUERIES: Final = {
    "escrows": "SELECT * FROM escrows",
    "commands": "SELECT * FROM commands ORDER BY order_id, decision_no, n",
    "facts": "SELECT f.*, x.text FROM facts f LEFT JOIN fact_texts x USING (order_id, decision_no)",
    "reports": "SELECT * FROM supplier_reports",
    "resolutions": "SELECT * FROM resolutions",
    "parked": "SELECT order_id, decision_no, code FROM parked",
    "deadlines": "SELECT order_id, request_id, due_at FROM deadlines",
    "letters": 'SELECT topic, partition, "offset", code FROM dead_letters',
    "batches": "SELECT * FROM batches ORDER BY stage, topic, partition, first_offset",
    "positions": "SELECT * FROM consumer_positions",
    "outbox": "SELECT id, topic, key, type, sent_id, sent_at, payload FROM outbox ORDER BY id",
    "payments": "SELECT payment_id, order_id FROM payments",
    "postings": "SELECT order_id, debit, credit, amount_minor, currency FROM postings",
    "identities": "SELECT count(*) AS n FROM identities",
}


class Seen(NamedTuple):
    """A record as it lies in Kafka."""

    topic: str
    partition: int
    offset: int
    t: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]

    @property
    def spot(self) -> Spot:
        return self.topic, self.partition, self.offset

    def header(self, name: str) -> str:
        return next(
            ((v or b"").decode(errors="replace") for n, v in reversed(self.headers) if n == name),
            "",
        )


@dataclass
class Recorded:
    """Everything that the judge looks at."""

    topics: dict[tuple[str, int], list[Seen]] = field(default_factory=dict)
    rows: dict[str, list[Row]] = field(default_factory=dict)
    effects: list[Row] = field(default_factory=list)
    untold: set[str] = field(
        default_factory=set
    )  # commands the gateway is silent about until asked
    missing: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return not self.missing


class Recorder:
    """Reads topics on from where it was: a log only grows."""

    def __init__(self, bootstrap_servers: str, url: str, gateway_dir: Path) -> None:
        self._servers, self._gateway_dir = bootstrap_servers, gateway_dir
        self._url = url.replace("postgresql+psycopg://", "postgresql://")
        self._topics: dict[tuple[str, int], list[Seen]] = {}

    def read(self) -> Recorded:
        recorded = Recorded(self._topics)
        self._read_rows(recorded)
        self._read_effects(recorded)
        self._read_topics(recorded)
        return recorded

    def _read_rows(self, recorded: Recorded) -> None:
        with psycopg.connect(self._url, row_factory=dict_row) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            for name, query in QUERIES.items():
                recorded.rows[name] = connection.execute(query.encode()).fetchall()

    def _read_effects(self, recorded: Recorded) -> None:
        file = self._gateway_dir / "gateway.sqlite3"
        if not file.exists():
            recorded.missing.append("the gateway's file")
            return
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=10)) as db:
            db.row_factory = sqlite3.Row
            recorded.effects = [dict(row) for row in db.execute("SELECT * FROM effects ORDER BY n")]
            silent = db.execute("SELECT command_id FROM cases WHERE NOT is_told")
            recorded.untold = {row[0] for row in silent}

    def _read_topics(self, recorded: Recorded) -> None:
        consumer = KafkaConsumer(
            bootstrap_servers=self._servers, enable_auto_commit=False, group_id=None
        )
        try:
            names = sorted(n for n in consumer.topics() if n.startswith("escrow."))
            where = [
                TopicPartition(n, p) for n in names for p in consumer.partitions_for_topic(n) or ()
            ]
            if not where:
                recorded.missing.append("all topics")
                return
            ends = consumer.end_offsets(where)
            consumer.assign(where)
            for w in where:
                consumer.seek(w, len(self._topics.setdefault((w.topic, w.partition), [])))
            until = time.monotonic() + READ_SECONDS_MAX
            while any(len(self._topics[w.topic, w.partition]) < ends[w] for w in where):
                if time.monotonic() > until:
                    recorded.missing.append("the ends of topics")
                    return
                for w, records in consumer.poll(timeout_ms=500, max_records=20_000).items():
                    self._topics[w.topic, w.partition] += [
                        Seen(
                            r.topic,
                            r.partition,
                            r.offset,
                            r.timestamp,
                            r.key,
                            r.value,
                            tuple(r.headers),
                        )
                        for r in records
                    ]
        finally:
            consumer.close()
