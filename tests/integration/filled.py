"""A real database filled by the real batch, record by record or in runs, without a broker between."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Final

from sqlalchemy import Connection, NullPool, create_engine

from consumers.engine.batch import Job, run_batch
from consumers.engine.records import Chunk
from consumers.engine.trusting import Trusting
from ops.record_lines import read_records
from schemas.door import Record
from schemas.facts import STAGE_TOPICS
from storage.engine import stage_engine
from storage.migrate import upgrade
from storage.positions import take_epoch
from storage.tables import APPEND_ONLY

CLUSTER: Final = "test-cluster"
STAGE_OF: Final = {topic: stage for stage, topic in STAGE_TOPICS.items()}


class Filler:
    """Feeds records to stages in the order given; offsets are counted a topic, partition 0."""

    def __init__(
        self,
        url: str,
        offsets: Mapping[str, int] | None = None,
        trusting: Trusting | None = None,
    ) -> None:
        """`offsets`: where topics that were fed before go on. `trusting`: whom the stages believe."""
        upgrade(url)
        self._believes = (None, None) if trusting is None else (trusting.trust, trusting.second)
        self._url = url
        self._offsets: defaultdict[str, int] = defaultdict(int, offsets or {})

    def lines(self, content: bytes, runs: bool = True) -> int:
        """Feed a file in the form of RULES 5."""
        return self.records(read_records(content.split(b"\n")), runs=runs)

    def records(self, records: Iterable[Record], runs: bool = True) -> int:
        """Decide records; a run of one topic is one batch. Returns how many there were."""
        fed = 0
        engine = stage_engine(self._url)
        known = [record for record in records if record.topic in STAGE_OF]
        try:
            with engine.connect() as connection:
                for topic, run in groupby(known, key=lambda record: record.topic):
                    fed += self._run(connection, topic, list(run), one_by_one=not runs)
        finally:
            engine.dispose()
        return fed

    def _run(
        self, connection: Connection, topic: str, run: list[Record], *, one_by_one: bool
    ) -> int:
        """Decide a run of one topic in one batch, or in one a record."""
        with connection.begin():
            position = take_epoch(connection, STAGE_OF[topic], topic, 0, CLUSTER)
        start = self._offsets[topic]
        chunk = [record._replace(offset=start + n) for n, record in enumerate(run)]
        for piece in [[record] for record in chunk] if one_by_one else [chunk]:
            end = piece[-1].offset + 1
            job = Job(STAGE_OF[topic], CLUSTER, *self._believes)
            run_batch(connection, job, {(topic, 0): position}, Chunk(piece, {(topic, 0): end}))
            position = position._replace(next_offset=end)
        self._offsets[topic] += len(chunk)
        return len(chunk)


def corrupt(url: str, *statements: str) -> None:
    """Change rows behind everyone's back, as a superuser, or an owner, who turns guards off and on again."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        asked = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
        guarded = [] if connection.exec_driver_sql(asked).scalar_one() else APPEND_ONLY
        if not guarded:
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        for table in guarded:
            connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER append_only")
        for statement in statements:
            connection.exec_driver_sql(statement)
        for table in guarded:
            connection.exec_driver_sql(f"ALTER TABLE {table} ENABLE TRIGGER append_only")
