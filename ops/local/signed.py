"""A key for each who writes on a line of this machine, bound to what the catalogue of topics lets him write.

The private halves lie beside his password, the public ones in one JWKS; data keep the keys they were
begun with. A source may be anything here: whoever tries the line names his own.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from consumers.engine.acls import PRINCIPALS
from consumers.engine.ticker import SOURCE as TICKER_SOURCE
from ops.signing_keys import NewKey, make_key
from schemas.instructions import INSTRUCTION_TYPES
from schemas.keys import SIGNED_TYPES, KeyRing
from schemas.order_events import SOURCE
from schemas.topics import TOPICS

ADMIN: Final = "admin"  # who sets up may say everything, at the broker as well
JWKS: Final = "keys.json"
_ANY: Final = "*"
_SOURCES: Final = {"relay": SOURCE, "ticker": TICKER_SOURCE}


class Signed(NamedTuple):
    """The folder with everybody's keys."""

    folder: Path

    @classmethod
    def made_in(cls, folder: Path) -> "Signed":
        """With a key for each who has none yet."""
        made = cls(folder)
        there = {key.holder for key in made._ring().all()}
        for wanted in _wanted():
            if wanted.holder not in there:
                make_key(wanted, made._private(wanted.holder), made.jwks)
        return made

    @property
    def jwks(self) -> Path:
        return self.folder / JWKS

    def settings_of(self, who: str) -> dict[str, Any]:
        """The section `signing` of this program or partner; who writes nothing has no key."""
        private = self._private(who)
        own = {"private_key_file": private} if private.exists() else {}
        return {"keys_file": self.jwks, **own}

    def environment_of(self, who: str) -> dict[str, str]:
        """The same as variables."""
        told = self.settings_of(who)
        return {f"ESCROW_SIGNING__{name.upper()}": str(path) for name, path in told.items()}

    def _private(self, holder: str) -> Path:
        return self.folder / f"{holder}.jwk"

    def _ring(self) -> KeyRing:
        return KeyRing.from_file(self.jwks) if self.jwks.exists() else KeyRing()


def _wanted() -> Iterator[NewKey]:
    for who in PRINCIPALS:
        written = {name for topic in TOPICS if who in topic.writers for name in topic.types}
        if who == "operator":
            written |= set(INSTRUCTION_TYPES)
        types = sorted(written.intersection(SIGNED_TYPES))
        if types:
            yield NewKey(who, [_SOURCES.get(who, _ANY)], types)
    yield NewKey(ADMIN, [_ANY], [_ANY])
