"""What an adapter's author provides: a way to give it command records, and to see what it says and does.

`moved` is the truth of the gateway behind the adapter (its sandbox's list of payments), never the
adapter's own word.
"""

from typing import Literal, NamedTuple, Protocol, runtime_checkable

from schemas.commands import Kind, PaymentCommand
from schemas.keys import Signing

Trick = Literal[
    "refuses_for_now",  # the first try is declined, a later one will go
    "refuses_for_good",  # every try is declined, for a reason that stays
    "silent_before",  # no answer from the gateway, and nothing done; later it works
    "silent_after",  # no answer from the gateway, yet the money has moved; later it tells
    "comes_back",  # the money moves, and the payee's bank returns it
    "dies_after_the_effect",  # the adapter is killed once the money has moved, and restarted
]


class Given(NamedTuple):
    """One record of a command topic, as the adapter reads it from Kafka."""

    kind: Kind  # which topic: escrow.refund-commands.v1 or escrow.payout-commands.v1
    t: int  # ms UTC, the record's timestamp
    key: str
    headers: tuple[tuple[str, bytes], ...]
    value: bytes


class Said(NamedTuple):
    """One record that the adapter has written to escrow.gateway-results.v1."""

    key: str
    headers: tuple[tuple[str, bytes], ...]
    value: bytes


class Moved(NamedTuple):
    """Money that has really moved. Returned money has moved, too."""

    command_id: str
    party_id: str
    amount_minor: int
    currency: str


class Rig(Protocol):
    """One adapter with an empty memory, and the gateway behind it."""

    def now(self) -> int:
        """The adapter's clock, ms UTC."""

    def arrange(self, trick: Trick, command: PaymentCommand) -> PaymentCommand | None:
        """Make the gateway behave so for this command, by its id or by another, magic amount.

        None: this cannot be made here; the check is reported as not tried.
        """

    def give(self, *records: Given) -> None:
        """Let the adapter read these, in this order; returns once it has dealt with them."""

    def said(self) -> list[Said]:
        """All that it has answered so far, in order."""

    def moved(self) -> list[Moved]:
        """All payments that the gateway has made so far."""

    def restart(self) -> None:
        """Kill the adapter and start it again on what it has kept."""

    def close(self) -> None:
        """The check is over."""


@runtime_checkable
class Patient(Protocol):
    """A rig whose adapter answers in its own time: what must come is waited for so long."""

    @property
    def patience_seconds(self) -> float: ...


@runtime_checkable
class Verifying(Protocol):
    """A rig whose adapter acts only on what this key has signed, so the kit signs what it gives."""

    @property
    def relay_key(self) -> Signing | None:
        """None: it acts on whatever it reads."""
