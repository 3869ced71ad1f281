"""Who may send what: a fact is looked at only if its source may send its type.

A source alone is a claim; it is worth something where the broker's authority, or a signature,
stands behind it.
"""

import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

from schemas.door import Record
from schemas.envelope import Envelope
from schemas.facts import FACT_TYPES, FactType
from schemas.reasons import DoorCode


class SourceRules:
    """Patterns of sources for each type; a type without a pattern has no sender."""

    def __init__(self, rules: Mapping[str, object]) -> None:
        """Raises ValueError for a type that does not exist, and for patterns that are no list.

        A bare text is no list: taken letter by letter, the `*` in it would let everyone in.
        """
        unknown = rules.keys() - FACT_TYPES.keys()
        if unknown:
            raise ValueError(f"no such type: {', '.join(sorted(unknown))}")
        self._rules = {name: _texts(name, patterns) for name, patterns in rules.items()}
        self._may = lru_cache(maxsize=4096)(self._matches)

    @classmethod
    def from_file(cls, path: Path) -> "SourceRules":
        """A JSON object: fact type → list of source patterns (`*` stands for any text)."""
        return cls(json.loads(path.read_text(encoding="utf-8")))

    def refuses(self, fact: FactType, sent: Envelope, record: Record) -> DoorCode | None:
        """`unauthorized_source` unless a pattern of the type matches the source."""
        del record
        return None if self._may(fact.name, sent.source) else "unauthorized_source"

    def _matches(self, type_name: str, source: str) -> bool:
        return any(fnmatchcase(source, pattern) for pattern in self._rules.get(type_name, ()))


def _texts(name: str, patterns: object) -> tuple[str, ...]:
    if isinstance(patterns, list):
        texts = tuple(pattern for pattern in patterns if isinstance(pattern, str))
        if len(texts) == len(patterns):
            return texts
    raise ValueError(f"{name}: the patterns are a list of texts")
