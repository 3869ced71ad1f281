"""How much a fact costs the database's log: records and bytes of WAL, counted for one backend.

The workload of the benchmarks in batches of 1,000. A new index or a wider row shows here first.
"""

from collections import defaultdict

from sqlalchemy import text

from consumers.engine.batch import Job, run_batch
from consumers.engine.records import Chunk
from ops.local.traffic import PLAIN_FACTS, plain
from schemas.door import Record
from storage.engine import Connection, stage_engine
from storage.positions import take_epoch
from tests.integration.sending import CLUSTER

ORDERS = 2_000
BATCH = 1_000
WAL_RECORDS_MAX = 9.8  # a fact
WAL_BYTES_MAX = 1_660
_WAL = text("SELECT wal_records, wal_bytes FROM pg_stat_get_backend_wal(pg_backend_pid())")


def wal(connection: Connection) -> tuple[int, int]:
    with connection.begin():
        connection.execute(text("SELECT pg_stat_force_next_flush()"))
    with connection.begin():
        records, size = connection.execute(_WAL).one()
    return int(records), int(size)


def test_wal_of_a_fact_stays_what_it_is(database_url: str) -> None:
    engine = stage_engine(database_url)
    topics: defaultdict[str, list[Record]] = defaultdict(list)
    for record in plain(ORDERS):
        topics[record.topic].append(record._replace(offset=len(topics[record.topic])))
    with engine.connect() as connection:
        before = wal(connection)
        for topic, records in topics.items():
            with connection.begin():
                position = take_epoch(connection, "all", topic, 0, CLUSTER)
            for begin in range(0, len(records), BATCH):
                part = records[begin : begin + BATCH]
                end = begin + len(part)
                run_batch(
                    connection,
                    Job("all", CLUSTER),
                    {(topic, 0): position},
                    Chunk(part, {(topic, 0): end}),
                )
                position = position._replace(next_offset=end)
        after = wal(connection)
    engine.dispose()
    facts = PLAIN_FACTS * ORDERS
    wal_records, wal_bytes = (
        (late - early) / facts for early, late in zip(before, after, strict=True)
    )
    assert wal_records > 5, "nothing was counted"
    assert wal_records <= WAL_RECORDS_MAX, wal_records
    assert wal_bytes <= WAL_BYTES_MAX, wal_bytes
