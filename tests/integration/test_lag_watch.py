"""Looking at the lag again and again: over the same connections, with rates, and through a broken one."""

import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import pytest
from sqlalchemy import create_engine, text

from consumers.engine import admin, asking, watching
from consumers.engine.admin import Span
from consumers.engine.config import Settings
from consumers.engine.records import Partition
from ops.lag import by_stage
from ops.lag_watch import LagWatch
from ops.local.traffic import publish
from schemas.door import Record
from schemas.facts import PAYMENTS, STAGE_TOPICS
from storage.positions import take_epoch
from storage.reading import DatabaseTrouble
from tests.integration.small_world import said

HERE: Final = "payments"


@pytest.fixture
def watch(settings: Settings) -> Iterator[LagWatch]:
    """All stages stand at the end of what other tests have left in the topics."""
    admin.apply_topics(settings)
    engine = create_engine(settings.database.connection_url)
    with engine.begin() as connection:
        for stage, topic in STAGE_TOPICS.items():
            for (_, partition), span in admin.spans(settings, [topic]).items():
                take_epoch(connection, stage, topic, partition, "c", span.end)
    engine.dispose()
    with closing(LagWatch(settings)) as watch:
        yield watch


def some_payments(count: int, t: int) -> list[Record]:
    run = uuid.uuid4().hex[:8]
    return [
        said("payment.captured", f"o-{run}-{n}", 1)._replace(timestamp_ms=t) for n in range(count)
    ]


def move_to_end(settings: Settings, spans: dict[Partition, Span]) -> None:
    engine = create_engine(settings.database.connection_url)
    sql = text(
        "UPDATE consumer_positions SET next_offset = :end WHERE topic = :topic AND partition = :p"
    )
    with engine.begin() as connection:
        for (topic, partition), span in spans.items():
            connection.execute(sql, {"end": span.end, "topic": topic, "p": partition})
    engine.dispose()


def test_what_comes_and_goes_is_seen_with_its_rates(watch: LagWatch, settings: Settings) -> None:
    first = watch.look()
    assert {(row.behind, row.seconds, row.rate_in) for row in first.partitions} == {(0, 0.0, None)}
    sent_at = time.time_ns() // 1_000_000 - 30_000
    publish(some_payments(100, sent_at), settings)
    behind = watch.look()
    (stage,) = [row for row in by_stage(behind) if row.stage == HERE]
    assert (stage.behind, stage.rate_out, stage.drain_seconds) == (100, 0.0, None)
    assert stage.rate_in is not None
    assert stage.rate_in == pytest.approx(100 / behind.sampled_seconds)
    assert {row.next_at for row in behind.partitions if row.behind} == {sent_at}
    assert stage.seconds >= 30.0
    move_to_end(settings, admin.spans(settings, [PAYMENTS]))
    (done,) = [row for row in by_stage(watch.look()) if row.stage == HERE]
    assert (done.behind, done.seconds) == (0, 0.0)
    assert done.rate_out is not None
    assert done.rate_out > 0


def test_next_records_are_found_wherever_a_stage_stands(settings: Settings) -> None:
    """Once a look waited ten seconds, and missed partitions of which an earlier one had read ahead."""
    admin.apply_topics(settings)
    publish(some_payments(4_000, 1_700_000_000_000), settings)
    with closing(watching.KafkaWatch(settings)) as kafka:
        spans = kafka.spans([PAYMENTS])
        for back in range(700, 0, -100):  # as if batches of a hundred were decided
            places = {where: span.end - back for where, span in spans.items()}
            found = kafka.next_records(places, spans)
            assert {where: record.offset for where, record in found.items()} == places


def test_records_that_still_wait_are_read_once(
    watch: LagWatch, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Partition] = []

    def noting(consumer: Any, places: dict[Partition, int], spans: Any) -> Any:
        read.extend(places)
        return asking.read_by(consumer, places, spans)

    monkeypatch.setattr(watching, "read_by", noting)
    publish(some_payments(50, 1_700_000_000_000), settings)
    looks = [watch.look() for _ in range(3)]
    behind = [row for row in looks[0].partitions if row.behind]
    assert len(read) == len(behind)
    assert {row.next_at for look in looks for row in look.partitions if row.behind} == {
        1_700_000_000_000
    }


def test_the_clients_are_made_once(
    watch: LagWatch, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    made: list[str] = []
    for name in ("make_consumer", "make_admin"):
        make = getattr(watching, name)

        def noting(*args: Any, make: Any = make, name: str = name, **kwargs: Any) -> Any:
            made.append(name)
            return make(*args, **kwargs)

        monkeypatch.setattr(watching, name, noting)
    for _ in range(3):
        watch.look()
    assert sorted(made) == ["make_admin", "make_consumer"]


def test_what_does_not_answer_is_said_and_asked_again(watch: LagWatch, settings: Settings) -> None:
    """A look fails in one sentence; the next one works as soon as the server does."""
    watch.look()
    engine = create_engine(settings.database.connection_url)
    with engine.begin() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'escrow-lag' AND datname = current_database()"
            )
        )
    engine.dispose()
    with pytest.raises(DatabaseTrouble, match="does not answer"):
        watch.look()
    assert watch.look().partitions
