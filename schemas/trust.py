"""Who may send what: a fact is looked at only if its source may send its type, and has signed it.

A source alone is a claim; it is worth something where the broker's authority, or a signature,
stands behind it. Where a signature is asked for, none is as bad as a wrong one.
"""

import json
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

from schemas.door import Distrust, Record, Trust
from schemas.envelope import Envelope, last_headers
from schemas.facts import FACT_TYPES, FactType
from schemas.instructions import INSTRUCTION_TYPES
from schemas.keys import Key, KeyRing
from schemas.signatures import HEADER, Covered, Unsigned, signers


class SourceRules:
    """Patterns of sources for each type; a type without a pattern has no sender."""

    def __init__(self, rules: object) -> None:
        """Raises ValueError for a type that does not exist, and for patterns that are no list.

        A bare text is no list: taken letter by letter, the `*` in it would let everyone in.
        """
        if not isinstance(rules, Mapping):
            raise ValueError("expected a JSON object: type → list of source patterns")
        unknown = rules.keys() - FACT_TYPES.keys() - INSTRUCTION_TYPES.keys()
        if unknown:
            raise ValueError(f"no such type: {', '.join(sorted(unknown))}")
        self._rules = {name: _texts(name, patterns) for name, patterns in rules.items()}
        self._may = lru_cache(maxsize=4096)(self._matches)

    @classmethod
    def from_file(cls, path: Path) -> "SourceRules":
        """A JSON object: fact type → list of source patterns (`*` stands for any text)."""
        return cls(json.loads(path.read_text(encoding="utf-8")))

    def refuses(self, fact: FactType, sent: Envelope, record: Record) -> Distrust | None:
        """`unauthorized_source` unless a pattern of the type matches the source."""
        del record
        if self._may(fact.name, sent.source):
            return None
        return Distrust("unauthorized_source", "this source may not send this type")

    def _matches(self, type_name: str, source: str) -> bool:
        return any(fnmatchcase(source, pattern) for pattern in self._rules.get(type_name, ()))


class SignatureRules:
    """Each signature must hold; facts of the stages in `required` must have one.

    `stamped_by_broker`: a record's time is the broker's, so that a key revoked at an instant
    still counts before it; where senders set the time, it counts no more at all.
    """

    def __init__(
        self, ring: KeyRing, required: Collection[str], *, stamped_by_broker: bool
    ) -> None:
        self.ring = ring  # may be exchanged while at work
        self._required = frozenset(required)
        self._revoked_for_all_time = not stamped_by_broker

    def refuses(self, fact: FactType, sent: Envelope, record: Record) -> Distrust | None:
        """`bad_signature` unless all is signed as it should be."""
        headers = last_headers(record.headers)
        if HEADER not in headers and fact.stage not in self._required:
            return None
        try:
            self.signers(sent, record)
        except Unsigned as error:
            return Distrust("bad_signature", str(error))
        return None

    def signers(self, sent: Envelope, record: Record) -> tuple[Key, ...]:
        """Whose signatures the record carries. Raises Unsigned."""
        headers = last_headers(record.headers)
        what = Covered(record.topic, record.key, sent, headers.get("content-type"), record.value)
        return signers(
            self.ring,
            what,
            headers.get(HEADER),
            record.timestamp_ms,
            revoked_for_all_time=self._revoked_for_all_time,
        )


class AllOf:
    """Several rules, in the order in which RULES 3.1 asks for them."""

    def __init__(self, *rules: Trust) -> None:
        self._rules = rules

    def refuses(self, fact: FactType, sent: Envelope, record: Record) -> Distrust | None:
        """What the first that refuses says."""
        for rule in self._rules:
            if (distrust := rule.refuses(fact, sent, record)) is not None:
                return distrust
        return None


def _texts(name: str, patterns: object) -> tuple[str, ...]:
    if isinstance(patterns, list):
        texts = tuple(pattern for pattern in patterns if isinstance(pattern, str))
        if len(texts) == len(patterns):
            return texts
    raise ValueError(f"{name}: the patterns are a list of texts")
