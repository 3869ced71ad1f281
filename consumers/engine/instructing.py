"""An operator's instruction takes effect once: the same again is a duplicate, another under its id is none.

What it does to sending is written in the batch's own transaction; no order is asked.
"""

from typing import Final

from schemas.door import Instruction
from schemas.reasons import Outcome

_APPLIED: Final[tuple[Outcome, str | None]] = ("applied", None)


class Instructed:
    """The instructions of one batch. `known`: identity → type and payload of earlier ones."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.new: list[Instruction] = []

    def take(self, said: Instruction) -> tuple[Outcome, str | None]:
        """Its outcome and code."""
        before = self.known.get((said.source, said.id))
        if before is None:
            self.known[said.source, said.id] = (said.type, said.payload)
            self.new.append(said)
            return _APPLIED
        if before == (said.type, said.payload):
            return "duplicate", None
        return "dead_letter", "id_conflict"
