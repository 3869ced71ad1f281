"""Every way known to us in which a record can be somebody else's than it says, with the reason that is due.

What comes before the signature in RULES 3.1 is told by the independent model of the door.
"""

from collections.abc import Callable
from random import Random
from typing import Final, NamedTuple

from schemas.door import Record
from schemas.facts import INPUT_TOPICS
from schemas.signatures import HEADER, signature_header
from tests.attack.honest import Honest, from_source, is_structured, with_attribute
from tests.attack.keys import BOUND, signed, signing
from tests.builders import compact
from tests.model import door as model

_BEFORE: Final = {
    "binary": {"too_large", "bad_envelope", "unknown_type", "wrong_topic"},
    "structured": {
        *("too_large", "bad_envelope", "unknown_type", "wrong_topic"),
        *("invalid_json", "duplicate_key"),
    },
}


class Attack(NamedTuple):
    """A record to be refused, and why it must be."""

    kind: str
    record: Record
    code: str


Forge = Callable[[Random, Honest], Record]


def _resigned(record: Record, holder: str, kid: str | None = None) -> Record:
    headers = [(n, v) for n, v in record.headers if n != HEADER]
    name, value = signature_header(
        signing(holder, kid), record.topic, record.key, record.value, headers
    )
    return record._replace(headers=[*headers, (name, value)])


def _with_signature(record: Record, value: bytes | None) -> Record:
    return record._replace(headers=[*record.headers, (HEADER, value)])


def _signature(record: Record) -> str:
    return (dict(record.headers)[HEADER] or b"").decode()


def stripped(_: Random, honest: Honest) -> Record:
    return honest.plain


def emptied(rng: Random, honest: Honest) -> Record:
    return _with_signature(honest.record, rng.choice((b"", b" ", b",", b"..")))


def noise(rng: Random, honest: Honest) -> Record:
    return _with_signature(honest.record, rng.randbytes(rng.randint(1, 300)))


def shortened(rng: Random, honest: Honest) -> Record:
    text = _signature(honest.record)
    return _with_signature(honest.record, text[: rng.randrange(len(text))].encode())


def flipped(rng: Random, honest: Honest) -> Record:
    raw = bytearray(_signature(honest.record).encode())
    raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(7)
    return _with_signature(honest.record, bytes(raw))


def of_a_stranger(_: Random, honest: Honest) -> Record:
    return _resigned(honest.plain, "mallory")


def of_a_stranger_under_a_known_kid(_: Random, honest: Honest) -> Record:
    return _resigned(honest.plain, "mallory", kid=honest.holder)


def of_somebody_else(rng: Random, honest: Honest) -> Record:
    """Of a holder whose key is bound to other sources or types."""
    others = [holder for holder in BOUND if holder not in (honest.holder, "next", "system")]
    return _resigned(honest.plain, rng.choice(others))


def agreed_to_by_a_stranger(_: Random, honest: Honest) -> Record:
    theirs = _signature(_resigned(honest.plain, "mallory"))
    return _with_signature(honest.record, f"{_signature(honest.record)},{theirs}".encode())


def of_another_record(_: Random, honest: Honest) -> Record:
    other = with_attribute(honest.plain, "id", "another")
    return _with_signature(honest.plain, _signature(signed(other, honest.holder)).encode())


def one_bit(rng: Random, honest: Honest) -> Record:
    value = bytearray(honest.record.value or b"")
    value[rng.randrange(len(value))] ^= 1 << rng.randrange(8)
    return honest.record._replace(value=bytes(value))


def another_amount(_: Random, honest: Honest) -> Record:
    value = honest.record.value or b""
    altered = value.replace(b'"amount_minor":', b'"amount_minor":9')
    return honest.record._replace(value=altered if altered != value else value + b" ")


def another_party(_: Random, honest: Honest) -> Record:
    value = honest.record.value or b""
    altered = value.replace(b'"b-1"', b'"b-9"').replace(b'"s-1"', b'"s-9"')
    return honest.record._replace(value=altered if altered != value else b" " + value)


def another_order(rng: Random, honest: Honest) -> Record:
    """Copied to another key, with the order in its data changed or not."""
    key = b"o-victim"
    if rng.random() < 0.5:
        return honest.record._replace(key=key)
    value = (honest.record.value or b"").replace(honest.record.key or b"", key)
    return honest.record._replace(key=key, value=value)


def another_topic(rng: Random, honest: Honest) -> Record:
    return honest.record._replace(
        topic=rng.choice([topic for topic in INPUT_TOPICS if topic != honest.record.topic])
    )


def another_attribute(rng: Random, honest: Honest) -> Record:
    name = rng.choice(("id", "source", "subject"))
    text = {"id": "another", "source": "/shopp", "subject": (honest.record.key or b"").decode()}
    return with_attribute(honest.record, name, text[name])


def another_content_type(_: Random, honest: Honest) -> Record:
    old = (dict(honest.record.headers)["content-type"] or b"").decode()
    return honest.record._replace(
        headers=[*honest.record.headers, ("content-type", f"{old};charset=utf-8".encode())]
    )


def another_mode(_: Random, honest: Honest) -> Record:
    """The same event, told in the other way."""
    if is_structured(honest.record):
        return honest.record._replace(
            headers=[*honest.record.headers, ("content-type", b"application/json")]
        )
    attributes = {
        name[3:]: (value or b"").decode()
        for name, value in honest.plain.headers
        if name.startswith("ce_")
    }
    event = compact(attributes)[:-1] + b',"data":' + (honest.record.value or b"") + b"}"
    return honest.record._replace(
        value=event,
        headers=[*honest.record.headers, ("content-type", b"application/cloudevents+json")],
    )


def in_the_name_of_somebody_else(rng: Random, honest: Honest) -> Record:
    """One's own key, somebody else's source."""
    thieves = [holder for holder in ("carrier", "gateway", "anna") if holder != honest.holder]
    thief = rng.choice(thieves)
    return _resigned(from_source(honest.plain, "/shop"), thief)


FORGERIES: Final[tuple[Forge, ...]] = (
    stripped,
    emptied,
    noise,
    shortened,
    flipped,
    of_a_stranger,
    of_a_stranger_under_a_known_kid,
    of_somebody_else,
    agreed_to_by_a_stranger,
    of_another_record,
    one_bit,
    another_amount,
    another_party,
    another_order,
    another_topic,
    another_attribute,
    another_content_type,
    another_mode,
    in_the_name_of_somebody_else,
)


def forge(rng: Random, honest: Honest) -> Attack:
    """A random forgery of this record."""
    make = rng.choice(FORGERIES)
    record = make(rng, honest)
    return Attack(make.__name__, record, due_code(record))


def without_authority(rng: Random, honest: Honest) -> Attack:
    """Signed as it should be, by one whom the source rules do not let send this type."""
    del rng
    record = _resigned(from_source(honest.plain, "/shop"), "shop")
    code = "unauthorized_source" if honest.holder != "shop" else ""
    return Attack("without_authority", record, code)


def in_his_own_name(honest: Honest) -> Attack:
    """A command signed, and said, by one whose key may sign every type: he is not the relay."""
    record = _resigned(from_source(honest.plain, "/shop"), "shop")
    return Attack("in_his_own_name", record, "forged")


def due_code(record: Record) -> str:
    """What an earlier check of RULES 3.1 says by the independent model; else `bad_signature`."""
    headers = {n: v.decode("utf-8", "surrogateescape") for n, v in record.headers if v is not None}
    mode = "structured" if model.is_structured(headers) else "binary"
    key = None if record.key is None else record.key.decode()
    try:
        model.open_record(
            model.Record(record.topic, key, record.timestamp_ms, headers, record.value)
        )
    except model.Rejected as rejected:
        code: str = rejected.args[0]
        if code in _BEFORE[mode]:
            return code
    return "bad_signature"
