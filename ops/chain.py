"""An order's hash chain, recomputed from stored facts and outcomes alone: no rule has a say in it.

Each link is SHA-256 over the head before it, the fact's digest, the decision's number, the fact's
identity and time, and the outcome. docs/evidence.md shows how to do the same by hand.
"""

from collections.abc import Iterator
from hashlib import sha256
from typing import NamedTuple

from schemas.door import fact_digest, sealed_digest
from storage.dossiers import Dossier, StoredFact


class BrokenChain(Exception):
    """A decision about a fact that is not stored; the text says which."""


class Link(NamedTuple):
    """What one decision adds to the chain."""

    no: int
    digest: bytes  # of the fact it is about
    source: str
    id: str
    t: int
    outcome: str
    code: str | None

    def head(self, before: bytes) -> bytes:
        """The chain's head after this decision."""
        said = f"{self.no}\n{self.source}\n{self.id}\n{self.t}\n{self.outcome}\n{self.code or ''}\n"
        return sha256(before + self.digest + said.encode()).digest()


def links(dossier: Dossier) -> list[Link]:
    """All decisions in their order. Raises BrokenChain."""
    by_no = {stored.no: stored for stored in dossier.facts}
    found = [_link(stored.no, stored, stored.outcome, stored.code) for stored in dossier.facts]
    for resolution in dossier.resolutions:
        about = by_no.get(resolution.parked_no)
        if about is None:
            raise BrokenChain(f"decision {resolution.no} resolves a parked fact that is not stored")
        found.append(_link(resolution.no, about, resolution.outcome, resolution.code))
    return sorted(found, key=lambda link: link.no) if dossier.resolutions else found


def heads(dossier: Dossier, head: bytes = b"") -> Iterator[tuple[int, bytes]]:
    """The head after each decision, from the one before the first on. Raises BrokenChain."""
    for link in links(dossier):
        head = link.head(head)
        yield link.no, head


def digest_of(stored: StoredFact) -> bytes:
    """What the chain knows of this fact: type and payload, and the text by its salted digest."""
    return sealed_digest(fact_digest(stored.type, stored.payload.encode()), stored.text_digest)


def _link(no: int, stored: StoredFact, outcome: str, code: str | None) -> Link:
    digest = digest_of(stored)
    return Link(no, digest, stored.source, stored.id, stored.t, outcome, code)
