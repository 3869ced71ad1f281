"""Each beat is sent to Kafka, and what must follow is waited for there: the story fails where it does not come.

Answers are found by their cause, gateway results by their command; what became of the record
itself is read from the stored decisions.
"""

import time
from threading import Event
from typing import Final, NamedTuple, Protocol, TypeVar

from consumers.engine.config import Settings
from consumers.engine.kafka_clients import make_producer
from consumers.engine.signing import own_key
from ops.demo.records import Pen, answers, cause_of, name_of
from ops.demo.script import Answer, Beat, Pays, Scene
from ops.local.listener import Heard, Listener
from ops.local.traffic import headers_of
from schemas.commands import COMMAND_TOPIC
from schemas.door import Record
from schemas.facts import GATEWAY_RESULTS
from schemas.order_events import DEAD_LETTERS, ORDER_EVENTS
from storage.pulse import Fate, fate_of
from storage.reading import snapshot

TOPICS: Final = (ORDER_EVENTS, DEAD_LETTERS, GATEWAY_RESULTS, *COMMAND_TOPIC.values())
ANSWER_SECONDS_MAX: Final = 30.0
_LOOK_SECONDS: Final = 0.05
_ACK_SECONDS: Final = 30.0
_T = TypeVar("_T")


class StoryFailed(Exception):
    """The pipeline did not answer as it must; the text says to what, and what was expected."""


class StoryStopped(Exception):
    """Somebody wants to stop in the middle."""


class Sent(NamedTuple):
    """A record on its topic."""

    record: Record  # with its real partition and offset
    at: float  # time.monotonic() of the acknowledgement


class Reply(NamedTuple):
    """What the pipeline said: the answer that was expected, the record it came as, and the result."""

    answer: Answer
    heard: Heard
    result: Heard | None  # the gateway's, for a payment
    seconds: float  # since the fact was acknowledged


class Page(Protocol):
    """Where the story is told."""

    def scene(self, number: int, scene: Scene) -> None: ...
    def beat(self, beat: Beat, sent: Sent) -> None: ...
    def reply(self, reply: Reply) -> None: ...
    def fate(self, beat: Beat, fate: Fate, seconds: float) -> None: ...
    def closing(self, scene: Scene) -> None: ...


class Teller:
    """Tells scenes, one after the other, and believes nothing that it has not heard."""

    def __init__(
        self, settings: Settings, listener: Listener, page: Page, stop: Event, begin_ms: int
    ) -> None:
        """`begin_ms` is day 0 of the story, record time."""
        self._settings, self._listener, self._page = settings, listener, page
        self._stop = stop
        self._producer = make_producer(settings, linger_ms=0)
        self._key = own_key(settings)
        self._pen = Pen(begin_ms)

    def close(self) -> None:
        """Leave Kafka."""
        self._producer.close(timeout=2)

    def tell(self, number: int, scene: Scene) -> None:
        """Raises StoryFailed, or StoryStopped."""
        self._page.scene(number, scene)
        for beat in scene.beats:
            self._beat(scene, beat)
        self._page.closing(scene)

    def _beat(self, scene: Scene, beat: Beat) -> None:
        sent = self._send(self._pen.write(scene, beat))
        self._page.beat(beat, sent)
        for answer in beat.answers:
            self._page.reply(self._hear(sent, answer))
        fate = self._fate(sent.record)
        if fate.outcome != beat.outcome:
            raise StoryFailed(f"{beat.type} of {scene.order}: {fate.outcome}, not {beat.outcome}")
        self._page.fate(beat, fate, time.monotonic() - sent.at)
        if beat.outcome == "duplicate":
            self._hear_nothing_new(sent.record)

    def _send(self, record: Record) -> Sent:
        if self._stop.is_set():
            raise StoryStopped
        future = self._producer.send(
            record.topic,
            key=record.key,
            value=record.value,
            headers=headers_of(record, self._key),
            timestamp_ms=record.timestamp_ms,
        )
        place = future.get(timeout=_ACK_SECONDS)
        there = record._replace(partition=place.partition, offset=place.offset)
        return Sent(there, time.monotonic())

    def _hear(self, sent: Sent, answer: Answer) -> Reply:
        heard = self._wait(sent.record, answer)
        result = None
        if isinstance(answer, Pays):
            result = self._result(heard)
        return Reply(answer, heard, result, (result or heard).at - sent.at)

    def _wait(self, record: Record, answer: Answer) -> Heard:
        heard = self._listener.wait_for(
            lambda heard: answers(answer, heard, record), ANSWER_SECONDS_MAX, self._stop
        )
        return self._came(heard, f"no {answer} for {name_of(record)}")

    def _result(self, command: Heard) -> Heard:
        """What the gateway says, decided by the pipeline."""
        command_id = command.data["command_id"]
        heard = self._listener.wait_for(
            lambda heard: (
                heard.type == "gateway.settled" and heard.data.get("command_id") == command_id
            ),
            ANSWER_SECONDS_MAX,
            self._stop,
        )
        result = self._came(heard, f"no gateway.settled for command {command_id}")
        place = (result.topic, result.partition, result.offset)
        fate = self._decided((result.source, result.id), result.key, place)
        if fate.outcome != "applied":
            raise StoryFailed(f"gateway.settled for {command_id}: {fate.outcome} {fate.code}")
        return result

    def _fate(self, record: Record) -> Fate:
        assert record.key is not None
        cause = cause_of(record)
        place = (record.topic, record.partition, record.offset)
        return self._decided((cause["source"], cause["id"]), record.key.decode(), place)

    def _decided(
        self, identity: tuple[str, str], order_id: str, place: tuple[str, int, int]
    ) -> Fate:
        deadline = time.monotonic() + ANSWER_SECONDS_MAX
        while time.monotonic() < deadline and not self._stop.is_set():
            with snapshot(self._settings.database.connection_url) as connection:
                fate = fate_of(connection, identity, order_id, place)
            if fate is not None:
                return fate
            time.sleep(_LOOK_SECONDS)
        none: Fate | None = None
        return self._came(none, f"no decision about {identity[1]} in {place[0]}")

    def _hear_nothing_new(self, record: Record) -> None:
        """A repeated fact must leave exactly what the first one said: each record's id once."""
        cause = cause_of(record)
        said = self._listener.all_of(lambda heard: heard.data.get("cause") == cause)
        if len(said) != len({heard.id for heard in said}):
            raise StoryFailed(f"{name_of(record)} was answered again")

    def _came(self, thing: _T | None, otherwise: str) -> _T:
        if thing is not None:
            return thing
        if self._stop.is_set():
            raise StoryStopped
        raise StoryFailed(f"{otherwise} within {ANSWER_SECONDS_MAX:g} s")
