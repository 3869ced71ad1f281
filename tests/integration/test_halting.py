"""Each way in which a log can stop being the one that was read: the stage halts, and the runbook's way out is followed as written."""

import re
import shlex
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest
from kafka import TopicPartition
from kafka.errors import KafkaError
from sqlalchemy import Engine, create_engine, text

from consumers.engine.admin import apply_topics, spans
from consumers.engine.config import Settings
from consumers.engine.kafka_clients import cluster_id_of, make_admin
from consumers.engine.processing import Halt
from consumers.engine.worker import run_stage
from consumers.stages import STAGES
from ops.local.traffic import publish
from ops.positions import standings
from schemas.facts import INPUT_TOPICS, STAGE_TOPICS
from storage.positions import take_epoch
from tests.integration.program import Program
from tests.integration.test_positions import STAGE, TOPIC, ask, reports
from tests.integration.waiting import WAIT_SECONDS, until

RUNBOOK: Final = (Path(__file__).parents[2] / "docs/runbook.md").read_text(encoding="utf-8")


def recreate_topic(settings: Settings) -> None:
    """As someone with too many rights would."""
    admin = make_admin(settings)
    if TOPIC in admin.list_topics():
        admin.delete_topics([TOPIC])

    def made_again() -> bool:
        try:
            apply_topics(settings, replication_factor=1)
        except KafkaError:
            return False  # the old one is still being deleted
        found = spans(settings, [TOPIC])
        return bool(found) and all(span.end == 0 for span in found.values())

    until(made_again)
    admin.close()


@pytest.fixture
def db(settings: Settings) -> Iterator[Engine]:
    """All positions at the ends of the logs: what was there before is not this test's.

    Its topic holds nothing: another test's partition would be shorter afterwards, too.
    """
    apply_topics(settings)
    recreate_topic(settings)
    cluster = cluster_id_of(settings)
    stages = {topic: stage for stage, topic in STAGE_TOPICS.items()}
    engine = create_engine(settings.database.connection_url)
    with engine.begin() as connection:
        for where, span in spans(settings, INPUT_TOPICS).items():
            take_epoch(connection, stages[where[0]], *where, cluster, span.end)
    yield engine
    engine.dispose()


class World:
    """One stage, its topic, and the program at hand."""

    def __init__(self, settings: Settings, db: Engine, escrow: Program) -> None:
        self.settings, self.db, self.escrow = settings, db, escrow

    def decided(self) -> int:
        ((count,),) = ask(self.db, "SELECT count(*) FROM supplier_reports")
        return int(count)

    def works_until(self, done: Callable[[], bool]) -> None:
        """Let the stage work until this holds; it must not halt."""
        stop = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            working = pool.submit(run_stage, self.settings, STAGES[STAGE], stop)
            try:
                until(lambda: done() or working.done())
            finally:
                stop.set()
            working.result(30)
        assert done()

    def decides(self, count: int) -> None:
        """Let the stage work until so many reports are there in all."""
        self.works_until(lambda: self.decided() == count)

    def all_is_read(self) -> bool:
        return all(row["next_offset"] == row["log_end"] for row in self.rows())

    def halts(self, section: str) -> str:
        """The message with which the stage refuses to go on; it names this section."""
        stop, before = threading.Event(), self.decided()
        timer = threading.Timer(WAIT_SECONDS, stop.set)
        timer.start()
        with pytest.raises(Halt) as caught:
            run_stage(self.settings, STAGES[STAGE], stop)
        timer.cancel()
        assert self.decided() == before
        assert f"docs/runbook.md, `{section}`" in str(caught.value)
        return str(caught.value)

    def recreate_topic(self) -> None:
        recreate_topic(self.settings)

    def follow(self, section: str, offset: str) -> None:
        """Type what the section says, for each partition that is not as it was read.

        `offset`: which end of the log the words in capitals, or the 0, stand for there.
        """
        body = RUNBOOK.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
        block = re.search(r"^```\n(.*?positions set.*?)^```", body, re.MULTILINE | re.DOTALL)
        assert block is not None, f"{section} has no way out"
        lines = [shlex.split(line)[1:] for line in block[1].splitlines()]
        (words,) = [line for line in lines if line[:2] == ["positions", "set"]]
        assert ["positions", "show"] in [line[:2] for line in lines]
        for row in self.rows():
            said = dict(zip(words[2::2], words[3::2], strict=True))
            said |= {"--stage": STAGE, "--topic": TOPIC, "--partition": str(row["partition"])}
            said["--offset"] = str(row[offset])
            self.escrow("positions", "set", *(w for pair in said.items() for w in pair), "--yes")

    def rows(self) -> list[dict[str, Any]]:
        """Where the stage stands in each partition, whatever is wrong there."""
        found = standings(self.settings, [STAGE]).standings
        return [row._asdict() for row in found]


@pytest.fixture
def world(settings: Settings, db: Engine, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(settings, db, Program(settings, monkeypatch))
    publish(reports("first", 10), settings)
    made.decides(10)
    return made


def test_a_topic_that_was_recreated_and_has_grown_past_us(world: World, settings: Settings) -> None:
    world.recreate_topic()
    grown = max(row["next_offset"] for row in world.rows()) + 5
    publish(reports("second", grown), settings)
    assert "no longer holds the record" in world.halts("the log changed")
    world.follow("the log changed", "log_begin")
    world.decides(10 + grown)
    world.escrow("audit")


def test_a_topic_that_was_recreated_and_is_shorter(world: World, settings: Settings) -> None:
    world.recreate_topic()
    publish(reports("second", 3), settings)
    assert "the log ends at 3" in world.halts("the log is shorter")
    world.follow("the log is shorter", "log_begin")  # records were written after the loss
    world.decides(13)
    world.escrow("audit")


def test_a_log_that_lost_its_end_goes_on_at_it(world: World, settings: Settings) -> None:
    world.recreate_topic()
    world.halts("the log is shorter")
    world.follow("the log is shorter", "log_end")
    publish(reports("second", 2), settings)
    world.decides(12)
    world.escrow("audit")


def test_retention_that_passed_us(world: World, settings: Settings) -> None:
    publish(reports("gone", 4), settings)
    admin = make_admin(settings)
    admin.delete_records(
        {TopicPartition(*where): span.end for where, span in spans(settings, [TOPIC]).items()}
    )
    admin.close()
    assert "facts are lost" in world.halts("retention passed us")
    world.follow("retention passed us", "log_begin")
    publish(reports("gone", 4), settings)  # their senders send them again
    world.decides(14)
    assert "positions moved ahead by hand" in world.escrow("audit").stdout


def test_another_cluster(world: World, settings: Settings, db: Engine) -> None:
    """Its logs begin with what other tests have written: all of it is read, ours are duplicates."""
    with db.begin() as connection:
        connection.execute(text("UPDATE consumer_positions SET cluster_id = 'old'"))
    assert "belongs to cluster old" in world.halts("another cluster")
    world.follow("another cluster", "log_begin")
    name = f"later-{uuid.uuid4().hex[:8]}"
    publish(reports(name, 1), settings)
    world.works_until(world.all_is_read)
    assert ask(db, f"SELECT count(*) FROM supplier_reports WHERE id = '{name}-0'") == [(1,)]
    ((doubled,),) = ask(db, "SELECT sum(duplicate) FROM batches")
    assert doubled >= 10
