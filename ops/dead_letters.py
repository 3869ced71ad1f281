"""A dead letter is replayed as the record it was, byte for byte, on its own topic: never as a row.

What happened to it then is decided by the stage that reads it, like any other record.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from consumers.engine import admin
from consumers.engine.config import Settings
from consumers.engine.places import read_places
from schemas.door import Record
from schemas.topics import TOPIC_NAMES
from storage.dead_letter_reading import LetterRow, record_action

# These would end the same way again, whatever is done here.
POINTLESS: Final[dict[str, str]] = {
    "parked_too_long": "it was accepted once and keeps its identity: "
    "its sender must send it again under a new id",
    "too_large": "no fact is so long: its sender must send a shorter one",
    "id_conflict": "its id belongs to another fact: its sender must send it again under a new id",
}


class CannotReplay(Exception):
    """The dead letter cannot be replayed; the text says why."""


class Original(NamedTuple):
    """The record to republish, and where its bytes come from."""

    record: Record
    taken_from: str


def place_of(letter: LetterRow) -> str:
    """How people name a dead letter: `payments/0/17` for escrow.payments.v1, partition, offset."""
    topic = letter.topic
    if topic in TOPIC_NAMES:
        topic = topic.removeprefix("escrow.").removesuffix(".v1")
    return f"{topic}/{letter.partition}/{letter.offset}"


def topic_in_full(topic: str) -> str:
    """`escrow.payments.v1` for payments; any other name as it is."""
    in_full = f"escrow.{topic}.v1"
    return in_full if in_full in TOPIC_NAMES else topic


def parse_place(text: str) -> tuple[str, int, int]:
    """The place of a record, its topic in short or in full. Raises ValueError."""
    topic, partition, offset = text.rsplit("/", 2)
    return topic_in_full(topic), int(partition), int(offset)


def find_originals(
    settings: Settings, letters: Sequence[LetterRow]
) -> list[Original | CannotReplay]:
    """For each letter the original record from its place in the log, else a kept copy that is whole.

    Where there is neither, why it cannot be replayed. Raises KafkaUnavailable.
    """
    cluster_id = admin.cluster_id(settings)
    here = [letter for letter in letters if letter.cluster_id == cluster_id]
    records = read_places(settings, [letter[1:4] for letter in here if _has_point(letter)])
    return [
        _original(letter, records.get(letter[1:4]) if letter.cluster_id == cluster_id else None)
        for letter in letters
    ]


def _has_point(letter: LetterRow) -> bool:
    return letter.code not in POINTLESS


def _original(letter: LetterRow, record: Record | None) -> Original | CannotReplay:
    if not _has_point(letter):
        return CannotReplay(POINTLESS[letter.code])
    if record is not None and _digest(record.value) == letter.value_sha256:
        return Original(record, "its place in the log")
    copy = _kept_copy(letter)
    if copy is None:
        return CannotReplay(
            "the original is gone from the log, and the kept copy was cut or redacted: "
            "its sender must send it again"
        )
    return Original(copy, "the kept copy")


def replay(
    settings: Settings, letter: LetterRow, original: Original, operator_id: str, reason: str
) -> tuple[int, int]:
    """Write down who does it and why, then republish; returns the new partition and offset.

    Raises DatabaseTrouble (nothing was done) or KafkaUnavailable (written down as failed).
    """
    url = settings.database.connection_url
    record_action(url, letter, action="replayed", operator_id=operator_id, reason=reason)
    try:
        return admin.republish(settings, original.record)
    except (admin.KafkaUnavailable, ValueError) as error:
        record_action(
            url,
            letter,
            action="replay_failed",
            operator_id=operator_id,
            reason=f"{type(error).__name__}: {error}"[:1_000],
        )
        if isinstance(error, ValueError):
            raise CannotReplay(str(error)) from None
        raise


def _kept_copy(letter: LetterRow) -> Record | None:
    """The kept copy, where nothing was cut off, replaced, or turned into text on the way."""
    if letter.cut or letter.redacted or _digest(letter.value) != letter.value_sha256:
        return None
    texts = [letter.key or "", *letter.headers, *letter.headers.values()]
    if any("*" in text or "\\x" in text for text in texts):  # perhaps digits, perhaps bytes
        return None
    return Record(
        letter.topic,
        letter.partition,
        letter.offset,
        letter.t,
        None if letter.key is None else letter.key.encode(),
        letter.value,
        [(name, text.encode()) for name, text in letter.headers.items()],
    )


def _digest(value: bytes | None) -> bytes | None:
    return None if value is None else sha256(value).digest()
