"""A stage that is asked to stop does so in good order, whatever it is waiting for."""

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine, text

from consumers.engine.admin import apply_topics, spans
from consumers.engine.config import Settings
from consumers.engine.kafka_clients import cluster_id_of
from consumers.engine.worker import run_stage
from consumers.stages import STAGES
from ops.local.traffic import publish
from schemas.facts import INPUT_TOPICS, PAYMENTS, STAGE_TOPICS
from storage.positions import take_epoch
from tests.builders import a_record
from tests.integration.waiting import until

STAGE = STAGES["payments"]


@pytest.fixture
def db(settings: Settings) -> Iterator[Engine]:
    """All positions at the ends of the logs: what was there before is not this test's."""
    apply_topics(settings)
    cluster = cluster_id_of(settings)
    stages = {topic: stage for stage, topic in STAGE_TOPICS.items()}
    engine = create_engine(settings.database.connection_url)
    with engine.begin() as connection:
        for where, span in spans(settings, INPUT_TOPICS).items():
            take_epoch(connection, stages[where[0]], *where, cluster, span.end)
    yield engine
    engine.dispose()


def test_it_stops_while_the_database_refuses_its_batch(settings: Settings, db: Engine) -> None:
    """A full disk is retried for as long as it takes, but not beyond the wish to stop."""
    with db.begin() as connection:
        connection.execute(
            text(
                "CREATE SEQUENCE refused; CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql"
                " AS $$ BEGIN PERFORM nextval('refused');"
                " RAISE EXCEPTION 'disk full' USING ERRCODE = '53100'; END $$;"
                "CREATE TRIGGER refuse BEFORE INSERT ON facts EXECUTE FUNCTION refuse()"
            )
        )
    stop = threading.Event()
    worker = threading.Thread(target=run_stage, args=(settings, STAGE, stop), daemon=True)
    worker.start()
    publish([a_record("payment.captured")], settings)

    def refused() -> int:
        with db.begin() as connection:
            return int(connection.execute(text("SELECT last_value FROM refused")).scalar_one())

    until(lambda: refused() >= 3)
    stop.set()
    worker.join(15)
    assert not worker.is_alive(), "a worker does not stop"
    with db.begin() as connection:
        behind = text("SELECT sum(next_offset) FROM consumer_positions WHERE stage = 'payments'")
        reached = connection.execute(behind).scalar_one()
        assert connection.execute(text("SELECT count(*) FROM facts")).scalar_one() == 0
    assert reached == sum(span.end for span in spans(settings, [PAYMENTS]).values()) - 1
