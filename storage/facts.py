"""A fact is written once, with the outcome of its arrival, and its identity beside it.

What becomes of a parked fact later is a row of its own.
"""

from collections.abc import Collection, Iterable
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, NamedTuple, cast

from psycopg.types.json import Json
from sqlalchemy import Connection

from schemas.door import Fact, fact_digest, sealed_digest
from schemas.facts import FACT_TYPES, FactData
from storage.rows import fetch

FACT_COLUMNS: Final = (
    "order_id",
    "source",
    "id",
    "type",
    "t",
    "partition",
    "offset",
    "payload",
    "text_digest",
    "attributes",
)
_IDENTITIES: Final = """
SELECT identity, digest, salt, text_digest FROM identities
WHERE identity = ANY(%(identities)b::bytea[])
"""


class Known(NamedTuple):
    """What an identity has been used for. With a text: its salt (gone once forgotten) and digest."""

    digest: bytes
    salt: bytes | None
    text_digest: bytes | None

    def same(self, fact: Fact) -> bool:
        """True if this unsealed fact says the same (RULES 3.2)."""
        if self.digest != fact.digest[:16] or (self.text_digest is None) != (fact.text is None):
            return False
        if fact.text is None or self.salt is None:
            return True
        return sha256(self.salt + fact.text.encode()).digest() == self.text_digest


@lru_cache(maxsize=8_192)  # a batch asks twice: once for all, once in turn
def identity_key(source: str, id_: str) -> bytes:
    """16 bytes of SHA-256 over source and id: the key of the identities."""
    return sha256(f"{source}\n{id_}".encode()).digest()[:16]


def identity_of(fact: Fact) -> bytes:
    """The key of this fact's identity."""
    return identity_key(fact.source, fact.id)


def known_identities(connection: Connection, identities: Collection[bytes]) -> dict[bytes, Known]:
    """Those of these identities that were used before."""
    if not identities:
        return {}
    rows = fetch(connection, _IDENTITIES, identities=list(identities))
    return {identity: Known(*rest) for identity, *rest in rows}


def attributes_of(fact: Fact) -> Json | None:
    """CloudEvents time and extensions, where there are any; they decide nothing."""
    if fact.time is None and not fact.extensions:
        return None
    return Json({"time": fact.time, "extensions": dict(fact.extensions)})


def fact_from_row(row: Iterable[Any]) -> Fact:
    """A stored fact as it was decided, but for its free text, which no rule reads."""
    order_id, source, id_, type_name, t, partition, offset, payload, text_digest, attributes = row
    known = FACT_TYPES[type_name]
    stored = payload.encode()
    return Fact(
        type_name,
        cast(FactData, known.model.model_validate_json(stored)),
        order_id,
        source,
        id_,
        t,
        stored,
        None,
        sealed_digest(fact_digest(type_name, stored), text_digest),
        (attributes or {}).get("time"),
        tuple((attributes or {}).get("extensions", {}).items()),
        known.topic,
        partition,
        offset,
        None,
        text_digest,
    )
