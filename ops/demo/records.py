"""The story's records, and which records answer them: no Kafka here, so that a test can hold it to the rules."""

import json

from escrow.policy import DAY_MS
from ops.demo.script import Answer, Beat, Becomes, DeadLetter, Pays, Refused, Scene, Tells
from ops.local.listener import Heard
from ops.local.traffic.cast import SOURCES
from schemas.commands import COMMAND_TOPIC
from schemas.door import Record
from schemas.facts import FACT_TYPES
from schemas.order_events import DEAD_LETTERS


class Pen:
    """Writes beats as records, each under an id of its own; `begin_ms` is day 0, record time."""

    def __init__(self, begin_ms: int) -> None:
        self._begin_ms = begin_ms
        self._written: dict[tuple[str, str], Record] = {}
        self._count = 0

    def write(self, scene: Scene, beat: Beat) -> Record:
        """The record to send: a new one, or for `again` the very same."""
        key = scene.order, beat.type
        if not beat.again:
            self._count += 1
            self._written[key] = self._record(scene, beat)
        return self._written[key]

    def _record(self, scene: Scene, beat: Beat) -> Record:
        order_id, topic = f"order-{scene.order}", FACT_TYPES[beat.type].topic
        value = beat.raw or json.dumps({"order_id": order_id, **beat.data}).encode()
        headers = {
            "content-type": "application/json",
            "ce_specversion": "1.0",
            "ce_id": f"{scene.order}-{self._count}",
            "ce_source": SOURCES[topic],
            "ce_type": beat.type,
        }
        t = self._begin_ms + int(beat.day * DAY_MS)
        encoded = tuple((name, text.encode()) for name, text in headers.items())
        return Record(topic, 0, 0, t, order_id.encode(), value, encoded)


def cause_of(record: Record) -> dict[str, str]:
    """How what follows on this record names it."""
    headers = {name: (value or b"").decode() for name, value in record.headers}
    return {"source": headers["ce_source"], "id": headers["ce_id"]}


def name_of(record: Record) -> str:
    """For people."""
    return f"{(dict(record.headers)['ce_type'] or b'').decode()} {cause_of(record)['id']}"


def answers(answer: Answer, heard: Heard, record: Record) -> bool:
    """Whether this is what must follow on the record."""
    data = heard.data
    caused = data.get("cause") == cause_of(record)
    match answer:
        case Becomes(status=status):
            return heard.type == "order.changed" and caused and data["to"] == status
        case Refused(code=code):
            return heard.type == "fact.refused" and caused and data["code"] == code
        case Pays(kind=kind, amount_minor=amount):
            topic = COMMAND_TOPIC[kind]
            return heard.topic == topic and caused and data["amount_minor"] == amount
        case Tells(type=type_name):
            return heard.type == type_name and heard.key.encode() == record.key
        case DeadLetter(code=code):
            place = (data.get("topic"), data.get("partition"), data.get("offset"))
            here = (record.topic, record.partition, record.offset)
            return heard.topic == DEAD_LETTERS and place == here and data["code"] == code
