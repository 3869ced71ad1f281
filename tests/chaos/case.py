"""What was recorded, opened by the model's door, beside the rows: what every check looks at.

Rules come from `tests.model`, which was written from RULES alone.
"""

from functools import cached_property
from typing import Final

from tests.chaos.recorded import Recorded, Row, Seen, Spot
from tests.model.door import Fact, Record, Rejected, open_record
from tests.model.rules import World
from tests.model.shapes import TOPIC_OF

VALUE_BYTES_MAX: Final = 65_536
STAGE_OF: Final = {topic: topic.split(".")[1].replace("-", "_") for topic in TOPIC_OF.values()}


class Case:
    """The recorded inputs, opened by the model's door, beside the rows."""

    def __init__(self, recorded: Recorded) -> None:
        self.recorded, self.rows = recorded, recorded.rows
        self.ends = {
            place: len(seen) for place, seen in recorded.topics.items() if place[0] in STAGE_OF
        }
        self.places: dict[Spot, Fact | str] = {
            seen.spot: self.opened(seen)
            for (topic, _), records in recorded.topics.items()
            if topic in STAGE_OF
            for seen in records
        }
        self.stored: dict[Spot, Row] = {}
        for row in self.rows["facts"]:
            self.stored[TOPIC_OF[row["type"]], row["partition"], row["offset"]] = row
        for row in self.rows["reports"]:
            row |= {"type": "supplier.reported", "order_id": None, "outcome": "applied"}
            self.stored[TOPIC_OF["supplier.reported"], row["partition"], row["offset"]] = row
        self.letters = {
            (row["topic"], row["partition"], row["offset"]): row["code"]
            for row in self.rows["letters"]
        }
        self.resolved = {(r["order_id"], r["parked_no"]): r for r in self.rows["resolutions"]}
        self.in_order = sorted(self.stored.items(), key=lambda item: int(item[1]["seq"]))

    def opened(self, seen: Seen) -> Fact | str:
        """By the model's door."""
        return opened(seen)

    @cached_property
    def world(self) -> World:
        """What the rules make of the facts, in the order in which they were decided."""
        world = World()
        for line, (spot, _) in enumerate(self.in_order, 1):
            fact = self.places.get(spot)
            if isinstance(fact, Fact):
                world.arrive(line, fact)
        return world


def opened(seen: Seen) -> Fact | str:
    """The fact in a record, or the code with which the door must refuse it."""
    if seen.value is not None and len(seen.value) > VALUE_BYTES_MAX:
        return "too_large"
    sent = {n: v for n, v in dict(seen.headers).items() if v is not None and _matters(n)}
    if _is_structured(sent):  # its `ce_*` headers are ignored, whatever their bytes
        sent = {n: v for n, v in sent.items() if n == "content-type"}
    try:
        headers = {n: v.decode() for n, v in sent.items()}
    except UnicodeDecodeError:
        return "bad_envelope"
    try:
        key = None if seen.key is None else seen.key.decode()
    except UnicodeDecodeError:
        key = None
    try:
        return open_record(Record(seen.topic, key, seen.t, headers, seen.value))
    except Rejected as rejected:
        return str(rejected.args[0])


def _is_structured(headers: dict[str, bytes]) -> bool:
    """RULES 2: by the content type, or because there is no sign of the binary mode."""
    if "content-type" not in headers:
        return "ce_specversion" not in headers
    media = headers["content-type"].partition(b";")[0].strip(b" \t").lower()
    return media == b"application/cloudevents+json"


def _matters(header: str) -> bool:
    return header.startswith("ce_") or header == "content-type"
