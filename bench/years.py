"""Do tables stay flat through a year? `python -m bench.years --facts 500000`, a database of its own.

Time is simulated: stories of orders in record time, decided by the stages' own batch; what is sent is
marked as the relay marks it, gateways settle, the ticker's deadlines are decided, old rows of the
outbox leave after a simulated week, and each month orders of which nothing was heard for sixty days
are archived. Autovacuum is the only one who cleans up. CPU is told, not speed: a year may be lived
through in the background.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import psutil

from consumers.engine.batch import Job, run_batch
from consumers.engine.records import Chunk
from escrow.policy import DAY_MS
from escrow.schedule import deadline_id
from ops.archive import archive
from ops.local.postgres import PostgresServer
from ops.local.traffic import START_MS, Knobs, stories
from schemas.door import Record
from schemas.facts import FACT_TYPES, INPUT_TOPICS
from schemas.order_events import rfc3339
from storage import relaying, ticking, totals
from storage.archiving import Told
from storage.engine import Connection, reading_engine
from storage.migrate import upgrade
from storage.outbox import SLICES
from storage.positions import Position, take_epoch
from storage.relaying import Unsent
from storage.rows import execute, fetch

BATCH: Final = 1_000
LOOKS: Final = 12  # as months
DAYS: Final = 365
FACTS_AN_ORDER: Final = 5.2  # of these stories, answers of gateways and ticks among them
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
    cpu_us: float  # a fact since the look before, ours and the server's, archiving aside
    archived: int  # bytes of files
    archive_seconds: float  # that this month's took
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
    parser.add_argument("--facts", type=int, default=500_000, help="in the whole year, about")
    parser.add_argument(
        "--archive-after", type=int, default=60, metavar="DAYS", help="of silence; 0: never"
    )
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="escrow-years-") as place:
        Path(place).chmod(0o755)
        files = Path(place, "archive")
        files.mkdir()
        server = PostgresServer(Path(place, "data"), settings={"autovacuum_naptime": "5s"})
        server.start()
        try:
            looks = list(_year(server.database_url, given, files))
        finally:
            server.stop(immediate=True)
    print(_told(looks))


def _year(url: str, given: argparse.Namespace, files: Path) -> Iterator[Look]:
    upgrade(url)
    engine = reading_engine(url)  # no timeouts: in the background it may have to wait for its turn
    knobs = Knobs(orders_per_day=round(given.facts / DAYS / FACTS_AN_ORDER))
    stream = stories(given.seed, given.facts // 4, knobs=knobs)
    began = time.monotonic()
    with engine.connect() as connection:
        with connection.begin():
            for way in ("seqscan", "hashjoin", "mergejoin"):  # as on a stage's connection
                execute(connection, f"SET enable_{way} = off")
        year, spent = Year(connection), _cpu_seconds(connection)
        for look in range(1, LOOKS + 1):
            before = year.facts
            while year.facts < given.facts * look // LOOKS:
                records = list(islice(stream, BATCH))
                if not records:
                    break
                year.lives(records)
                days = max((year.now - START_MS) / DAY_MS, 1.0)
                year.tidy(KEPT_DAYS * (time.monotonic() - began) / days)
            used = _cpu_seconds(connection) - spent
            took = _archive(url, files, year.now, given.archive_after)
            yield _look(connection, year, 1e6 * used / (year.facts - before), files, took)
            spent = _cpu_seconds(connection)
    engine.dispose()


def _archive(url: str, files: Path, now: int, after_days: int) -> float:
    """What has been quiet for so long leaves; returns the seconds that it took."""
    began = time.monotonic()
    if after_days:
        told = Told("bench", "a month is over")
        _, passed_over = archive(url, files, now - after_days * DAY_MS, "20260101", told)
        assert passed_over == []
    return time.monotonic() - began


def _cpu_seconds(connection: Connection) -> float:
    """Of this process and of the server's process that works for it."""
    with connection.begin():
        ((pid,),) = fetch(connection, "SELECT pg_backend_pid()")
    return time.process_time() + sum(psutil.Process(pid).cpu_times()[:2])


def _look(
    connection: Connection, year: Year, cpu_us: float, files: Path, archive_seconds: float
) -> Look:
    with connection.begin():
        tables = {row[0]: tuple(row[1:]) for row in fetch(connection, _SIZES)}
    archived = sum(path.stat().st_size for path in files.iterdir())
    day = (year.now - START_MS) // DAY_MS
    look = Look(day, year.facts, cpu_us, archived, archive_seconds, tables)
    size = sum(table[0] for table in tables.values())
    print(
        f"day {day}: {look.facts:,} facts, {size / 1e6:,.0f} MB in tables, {archived / 1e6:,.1f} MB"
        f" in files ({archive_seconds:.0f} s), CPU {cpu_us:.0f} µs a fact",
        flush=True,
    )
    return look


def _told(looks: list[Look]) -> str:
    """Kilobytes a table at six looks, and how the last one stands."""
    shown = looks[1::2]
    lines = [
        "| table | "
        + " | ".join(f"day {look.day}" for look in shown)
        + " | dead | HOT | vacuums |",
        "|---" * (len(shown) + 4) + "|",
    ]
    for name, (size, _, dead, updates, hot, vacuums) in looks[-1].tables.items():
        if size < 100_000 and not updates:
            continue
        sizes = " | ".join(f"{_bytes(look, name) / 1024:,.0f}" for look in shown)
        ratio = f"{hot / updates:.0%}" if updates else ""
        lines.append(f"| `{name}` | {sizes} | {dead:,} | {ratio} | {vacuums} |")
    wholes = (sum(table[0] for table in look.tables.values()) for look in shown)
    lines.append(
        "| all tables | " + " | ".join(f"{size / 1024:,.0f}" for size in wholes) + " | | | |"
    )
    files = " | ".join(f"{look.archived / 1024:,.0f}" for look in shown)
    lines.append(f"| files of the archive | {files} | | | |")
    cpu = " | ".join(f"{look.cpu_us:.0f}" for look in shown)
    lines.append(f"| CPU µs a fact | {cpu} | | | |")
    return "\n".join(lines)


def _bytes(look: Look, table: str) -> int:
    return int(look.tables[table][0])


if __name__ == "__main__":
    main()
