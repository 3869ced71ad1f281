"""A log that is not the one that was read: the stage must halt with its message, and never skip.

Each fault falsifies one topic under a stopped stage, or all at once. The stage is started twice: both
times it must halt, name the cause, and leave rows and position as they were. What was falsified stays
so; stages whose topics are whole go on.
"""

import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import psycopg
from kafka import TopicPartition

from consumers.engine.admin import apply_topics, spans
from consumers.engine.kafka_clients import make_admin
from schemas.facts import STAGE_TOPICS
from tests.chaos.kills import Feed
from tests.chaos.line import STAGES, Line

HALT_SECONDS_MAX: Final = 40.0
Damage = Callable[[], None]


class Falsifier:
    """The line, what feeds it, and which stages have halted so far."""

    def __init__(self, line: Line, feed: Feed) -> None:
        self.line, self.feed = line, feed
        self.halted: set[str] = set()
        self.wrong: list[str] = []

    def falsify(self, stages: tuple[str, ...], damage: Damage, *said: str) -> bool:
        """True where every one of these stages halts twice, saying one of these, and has changed nothing."""
        for stage in stages:
            self.line.stop(stage)
        before = {stage: self.rows(stage) for stage in stages}
        damage()
        self.halted |= set(stages)
        return bool(stages) and all(self._halts(stages, before, said) for _ in range(2))

    def _halts(
        self, stages: tuple[str, ...], before: dict[str, Any], said: tuple[str, ...]
    ) -> bool:
        for stage in stages:
            self.line.start_program(stage)
        waiting, until = set(stages), time.monotonic() + HALT_SECONDS_MAX
        while waiting and time.monotonic() < until:
            waiting -= {stage for each in said for stage in self.line.halted(f"`{each}`")}
            time.sleep(0.1)
        for stage in waiting:
            self.wrong.append(f"{stage} has not halted with {said}: {self.line.log_of(stage)}")
        changed = [stage for stage in stages if self.rows(stage) != before[stage]]
        self.wrong += [f"{stage}: rows or position have changed" for stage in changed]
        return not waiting and not changed

    def rows(self, stage: str) -> Any:
        """Where the stage stands, and what it has decided."""
        url = self.line.url.replace("postgresql+psycopg://", "postgresql://")
        with psycopg.connect(url) as connection:
            stands = connection.execute(
                b"SELECT partition, next_offset, last_offset, last_digest FROM consumer_positions"
                b" WHERE stage = %s ORDER BY partition",
                (stage,),
            ).fetchall()
            batches = connection.execute(
                b"SELECT count(*), sum(next_offset - first_offset) FROM batches WHERE stage = %s",
                (stage,),
            ).fetchone()
        return stands, batches

    def has_read(self, stage: str) -> bool:
        """Who has read nothing of a topic cannot know it again."""
        return any(next_offset for _, next_offset, *_ in self.rows(stage)[0])

    def await_others(self) -> None:
        """Stages whose topics are whole must come to their ends."""
        url = self.line.url.replace("postgresql+psycopg://", "postgresql://")
        topics = {stage: topic for stage, topic in STAGE_TOPICS.items() if stage not in self.halted}
        until = time.monotonic() + 60
        while True:
            ends = spans(self.line.settings, list(topics.values()))
            with psycopg.connect(url) as connection:
                rows = connection.execute(
                    b"SELECT topic, partition, next_offset FROM consumer_positions"
                ).fetchall()
            stands = {(topic, partition): offset for topic, partition, offset in rows}
            behind = [str(w) for w, span in ends.items() if stands.get(w, 0) < span.end]
            if not behind:
                return
            if time.monotonic() > until:
                self.wrong.append(f"whole, yet behind: {behind[:4]}")
                return
            time.sleep(0.2)

    def recreate(self, topic: str) -> None:
        """Delete and make again: empty, under the same name."""
        admin = make_admin(self.line.settings)
        try:
            admin.delete_topics([topic])
            until = time.monotonic() + 30
            while topic in {each["name"] for each in admin.describe_topics()}:
                assert time.monotonic() < until, f"{topic} is still there"
                time.sleep(0.1)
        finally:
            admin.close()
        apply_topics(self.line.settings)


def _shorter(falsifier: Falsifier, stage: str) -> None:
    falsifier.recreate(STAGE_TOPICS[stage])


def _regrown(falsifier: Falsifier, stage: str) -> None:
    """As many records again in every partition, and more: others than those that were read."""
    topic = STAGE_TOPICS[stage]
    before = spans(falsifier.line.settings, [topic])
    falsifier.recreate(topic)
    while any(
        spans(falsifier.line.settings, [topic])[where].end <= span.end
        for where, span in before.items()
    ):
        falsifier.feed.burst(20)


def _retention(falsifier: Falsifier, stage: str) -> None:
    """What came while the stage was down is deleted before it was read."""
    topic = STAGE_TOPICS[stage]
    before = spans(falsifier.line.settings, [topic])
    while any(
        spans(falsifier.line.settings, [topic])[where].end <= span.end
        for where, span in before.items()
    ):
        falsifier.feed.burst(20)
    ends = {TopicPartition(*w): s.end for w, s in spans(falsifier.line.settings, [topic]).items()}
    admin = make_admin(falsifier.line.settings)
    admin.delete_records(ends)
    admin.close()


def _truncated(falsifier: Falsifier, stage: str) -> None:
    """The file of each partition loses its last bytes while the broker is dead; it recovers what is whole."""
    (node,) = falsifier.line.servers.nodes
    node.kill()
    for folder in (node.data_dir / "topics").glob(f"{STAGE_TOPICS[stage]}-*"):
        for log in folder.glob("*.log"):
            size = log.stat().st_size
            with log.open("r+b") as file:
                file.truncate(max(size - 10, 0))
    node.start()


# The ticker and the gateway go on writing meanwhile: their topic may be as long again as it was.
_Way = tuple[Callable[[Falsifier, str], None], tuple[str, ...], tuple[str, ...]]
TOPICS: Final[dict[str, _Way]] = {
    "topic recreated": (
        _shorter, ("the log is shorter", "the log changed"), ("gateway_results", "deadlines"),
    ),
    "topic recreated and regrown": (_regrown, ("the log changed",), ("payments", "shipments")),
    "retention passed what was not read": (
        _retention, ("retention passed us",), ("payments", "shipments"),
    ),
    "log truncated": (
        _truncated, ("the log is shorter",), ("refund_requests", "mediation_rulings"),
    ),
}  # fmt: skip
WHOLE: Final = "older data directory restored"
FAULTS: Final = (*TOPICS, WHOLE)


def falsify_topics(falsifier: Falsifier, rng: random.Random, done: Counter[str]) -> None:
    """Each fault under a stage of its own; what is whole goes on all the while."""
    for name in rng.sample(list(TOPICS), len(TOPICS)):
        damage, said, stages = TOPICS[name]
        falsifier.feed.burst()
        falsifier.await_others()
        ready = [s for s in stages if s not in falsifier.halted and falsifier.has_read(s)]
        stage = rng.choice(ready)
        if falsifier.falsify((stage,), partial(damage, falsifier, stage), *said):
            done[name] += 1
        sys.stdout.write(f"  {stage}: {name}\n")
        sys.stdout.flush()
        falsifier.feed.burst()
        falsifier.await_others()


def restore_older(falsifier: Falsifier, done: Counter[str]) -> None:
    """A copy of the broker's whole directory, put back after the stages have gone on from there."""
    line, (node,) = falsifier.line, falsifier.line.servers.nodes
    here, copy = node.data_dir / "topics", node.data_dir / "older"
    stages = [name for name in STAGES if name not in falsifier.halted]
    falsifier.await_others()
    line.stop_all()
    node.stop()
    shutil.copytree(here, copy)
    node.start()
    line.start_missing()
    before = {name: falsifier.rows(name) for name in stages}
    for _ in range(10):
        falsifier.feed.burst(20)
    falsifier.await_others()
    line.stop_all()
    moved = tuple(name for name in stages if falsifier.rows(name) != before[name])

    def put_back() -> None:
        node.stop()
        shutil.rmtree(here)
        copy.rename(here)
        node.start()

    if falsifier.falsify(moved, put_back, "the log is shorter"):
        done[WHOLE] += 1
