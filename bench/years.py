"""Do tables stay flat through a year? `python -m bench.years --facts 500000`, a database of its own.

Time is simulated: stories of orders in record time, decided by the stages' own batch; what is sent is
marked as the relay marks it, gateways settle, the ticker's deadlines are decided, old rows of the
outbox leave after a simulated week. Autovacuum is the only one who cleans up.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from consumers.engine.batch import Job, run_batch
from consumers.engine.records import Chunk
from escrow.policy import DAY_MS
from escrow.schedule import deadline_id
from ops.local.postgres import PostgresServer
from ops.local.traffic import START_MS, Knobs, stories
from schemas.door import Record
from schemas.facts import FACT_TYPES, INPUT_TOPICS
from schemas.order_events import rfc3339
from storage import relaying, ticking, totals
from storage.engine import Connection, stage_engine
from storage.migrate import upgrade
from storage.outbox import SLICES
from storage.positions import Position, take_epoch
from storage.relaying import Unsent
from storage.rows import fetch

BATCH: Final = 1_000
LOOKS: Final = 12  # as months
ORDERS_A_DAY: Final = 300  # so that half a million facts are a year
KEPT_DAYS: Final = 7  # of the outbox
_SIZES: Final = """
SELECT relname, pg_total_relation_size(relid), n_live_tup, n_dead_tup,
  n_tup_upd, n_tup_hot_upd, autovacuum_count
FROM pg_stat_user_tables ORDER BY pg_total_relation_size(relid) DESC
"""


class Look(NamedTuple):
    """The tables at one instant."""

    day: int
    facts: int
    batch_ms: float  # since the look before
    tables: dict[str, tuple[Any, ...]]  # name → bytes, live, dead, updates, of them HOT, vacuums


class Year:
    """One database, and all that works on it, in one thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._job = Job("all", "years")
        self._offsets: defaultdict[str, int] = defaultdict(int)
        with connection.begin():
            self._positions: dict[tuple[str, int], Position] = {
                (topic, 0): take_epoch(connection, "all", topic, 0, "years")
                for topic in INPUT_TOPICS
            }
            self._slices = relaying.take(connection, range(SLICES))
        self._answers: list[Record] = []
        self._ids = 0
        self.facts = 0
        self.now = START_MS

    def lives(self, records: list[Record]) -> None:
        """One batch of the world's records and what follows: answers of gateways, deadlines."""
        self.now = max(record.timestamp_ms for record in records)
        taken, self._answers = self._answers, []
        self._decide([*records, *taken, *self._due()])
        while sent := self._send():
            self._answers += [self._settled(row) for row in sent if row.type in _PAID]

    def tidy(self, kept_seconds: float) -> None:
        """What the ticker does beside: totals, and the outbox's old rows."""
        with self._connection.begin():
            totals.fold(self._connection)
            while relaying.purge(self._connection, kept_seconds) == _PURGED:
                pass

    def _decide(self, records: list[Record]) -> None:
        ends: dict[tuple[str, int], int] = {}
        placed = []
        for record in records:
            offset = self._offsets[record.topic]
            self._offsets[record.topic] = ends[record.topic, 0] = offset + 1
            placed.append(record._replace(offset=offset))
        run_batch(self._connection, self._job, self._positions, Chunk(placed, ends))
        for where, end in ends.items():
            self._positions[where] = self._positions[where]._replace(next_offset=end)
        self.facts += len(records)

    def _send(self) -> list[Unsent]:
        with self._connection.begin():
            rows = relaying.read_unsent(self._connection, range(SLICES), 512, 1 << 20)
            if rows:
                relaying.mark_sent(self._connection, self._slices, [row.id for row in rows])
        return rows

    def _due(self) -> list[Record]:
        with self._connection.begin():
            due = ticking.due(self._connection, self.now)
            ticking.mark_ticked(self._connection, due, self.now)
        records = []
        for deadline in due:
            order_id, kind, due_at, request_id, ticks = deadline[1], deadline[0], *deadline[2:]
            id_ = deadline_id(order_id, kind, due_at, request_id, ticks + 1)
            data = f'"deadline_id":"{id_}","kind":"{kind}","due_at":"{rfc3339(due_at)}"'
            records.append(self._record("deadline.reached", order_id, data))
        return records

    def _settled(self, row: Unsent) -> Record:
        command_id = row.sent_id.partition(".")[0]
        amount = row.payload.partition('"amount_minor":')[2].partition(",")[0]
        currency = row.payload.partition('"currency":"')[2][:3]
        data = f'"command_id":"{command_id}","amount_minor":{amount},"currency":"{currency}"'
        return self._record("gateway.settled", row.key, data)

    def _record(self, type_name: str, order_id: str, data: str) -> Record:
        self._ids += 1
        headers = [
            ("content-type", b"application/json"),
            ("ce_specversion", b"1.0"),
            ("ce_id", f"year-{self._ids}".encode()),
            ("ce_source", b"/years"),
            ("ce_type", type_name.encode()),
        ]
        value = f'{{"order_id":"{order_id}",{data}}}'.encode()
        topic = FACT_TYPES[type_name].topic
        return Record(topic, 0, 0, self.now, order_id.encode(), value, headers)


_PAID: Final = frozenset({"payout.release", "refund.issue"})
_PURGED: Final = 5_000


def main() -> None:
    """Live through it, and look twelve times."""
    parser = argparse.ArgumentParser(prog="python -m bench.years", description=__doc__)
    parser.add_argument("--facts", type=int, default=500_000, help="the world's facts, about")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="escrow-years-") as folder:
        Path(folder).chmod(0o755)
        server = PostgresServer(Path(folder, "data"), settings={"autovacuum_naptime": "5s"})
        server.start()
        try:
            looks = list(_year(server.database_url, given.facts, given.seed))
        finally:
            server.stop(immediate=True)
    print(_told(looks))


def _year(url: str, facts: int, seed: int) -> Iterator[Look]:
    upgrade(url)
    engine = stage_engine(url)
    knobs = Knobs(orders_per_day=ORDERS_A_DAY)
    stream = stories(seed, facts // 4, knobs=knobs)
    began = time.monotonic()
    with engine.connect() as connection:
        year = Year(connection)
        for look in range(1, LOOKS + 1):
            since, batches = time.monotonic(), 0
            while year.facts < facts * look // LOOKS:
                records = list(islice(stream, BATCH))
                if not records:
                    break
                year.lives(records)
                batches += 1
                days = max((year.now - START_MS) / DAY_MS, 1.0)
                year.tidy(KEPT_DAYS * (time.monotonic() - began) / days)
            batch_ms = (time.monotonic() - since) / max(batches, 1) * 1_000
            yield _look(connection, year, batch_ms)
    engine.dispose()


def _look(connection: Connection, year: Year, batch_ms: float) -> Look:
    with connection.begin():
        tables = {row[0]: tuple(row[1:]) for row in fetch(connection, _SIZES)}
    look = Look((year.now - START_MS) // DAY_MS, year.facts, batch_ms, tables)
    size = sum(table[0] for table in tables.values())
    text = f"day {look.day}: {look.facts:,} facts, {size / 1e6:,.0f} MB"
    print(f"{text}, {batch_ms:.0f} ms a batch", flush=True)
    return look


def _told(looks: list[Look]) -> str:
    """Kilobytes a table at four looks, and how the last one stands."""
    shown = [looks[len(looks) * part // 4 - 1] for part in (1, 2, 3, 4)]
    lines = [
        "| table | "
        + " | ".join(f"day {look.day}" for look in shown)
        + " | dead | HOT | vacuums |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, (size, _, dead, updates, hot, vacuums) in looks[-1].tables.items():
        if size < 100_000 and not updates:
            continue
        sizes = " | ".join(f"{look.tables[name][0] / 1024:,.0f}" for look in shown)
        ratio = f"{hot / updates:.0%}" if updates else ""
        lines.append(f"| `{name}` | {sizes} | {dead:,} | {ratio} | {vacuums} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
