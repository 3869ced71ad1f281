"""What caps count: each attempt of a command once, however often it is sent.

Counting and letting through is one transaction at a time, whoever sends.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from storage.rows import execute, fetch

_LOCK: Final = "SELECT pg_advisory_xact_lock(7_305_001)"
_SEEN: Final = """
SELECT g.order_id, g.command_id, g.attempt FROM sending_grants g
JOIN unnest(%(order_ids)b::text[], %(command_ids)b::text[], %(attempts)b::int[])
  AS s(order_id, command_id, attempt) USING (order_id, command_id, attempt)
"""
_RELEASED: Final = """
SELECT h.order_id, h.command_id FROM sending_holds h
JOIN unnest(%(order_ids)b::text[], %(command_ids)b::text[]) AS s(order_id, command_id)
  USING (order_id, command_id)
WHERE h.released
"""
_PAID: Final = """
SELECT party_id, currency, sum(amount_minor)::bigint FROM sending_grants
WHERE kind = 'payout' AND party_id = ANY(%(parties)b::text[]) AND at > now() - interval '1 hour'
GROUP BY party_id, currency
"""
# what went out before a person resumed does not open the breaker again
_SPENT: Final = """
SELECT currency, sum(amount_minor)::bigint FROM sending_grants
WHERE at > greatest(now() - interval '1 hour', (SELECT coalesce(max(i.at), '-infinity')
  FROM instructions i WHERE i.type = 'sending.resumed'))
GROUP BY currency
"""
_GRANT: Final = """
INSERT INTO sending_grants (order_id, command_id, attempt, kind, party_id, currency, amount_minor)
SELECT * FROM unnest(%(order_ids)b::text[], %(command_ids)b::text[], %(attempts)b::int[],
  %(kinds)b::text[], %(parties)b::text[], %(currencies)b::text[], %(amounts)b::bigint[])
"""
_FORGET: Final = "DELETE FROM sending_grants WHERE at < now() - interval '2 days'"


class Payable(NamedTuple):
    """What a record of the outbox would pay."""

    order_id: str
    command_id: str
    attempt: int
    kind: str
    party_id: str
    currency: str
    amount_minor: int


def lock(connection: Connection) -> None:
    """One sender at a time counts and lets through; held until the transaction ends."""
    fetch(connection, _LOCK)


def granted(connection: Connection, asked: Sequence[Payable]) -> set[tuple[str, str, int]]:
    """Those of these that were let through before: sent again, they are not counted again."""
    ids = [list(column) for column in zip(*(one[:3] for one in asked), strict=True)]
    rows = fetch(connection, _SEEN, order_ids=ids[0], command_ids=ids[1], attempts=ids[2])
    return set(rows)


def released(connection: Connection, asked: Sequence[Payable]) -> set[tuple[str, str]]:
    """Those of these that a person has released: no cap stops them."""
    return set(
        fetch(
            connection,
            _RELEASED,
            order_ids=[one.order_id for one in asked],
            command_ids=[one.command_id for one in asked],
        )
    )


def paid_within_the_hour(
    connection: Connection, parties: Iterable[str]
) -> dict[tuple[str, str], int]:
    """Payouts let through, by supplier and currency."""
    rows = fetch(connection, _PAID, parties=sorted(set(parties)))
    return {(party, currency): amount for party, currency, amount in rows}


def spent_within_the_hour(connection: Connection) -> dict[str, int]:
    """All that was let through since, or since a person resumed, by currency."""
    return dict(fetch(connection, _SPENT))


def grant(connection: Connection, let_through: Sequence[Payable]) -> None:
    """Count these."""
    if let_through:
        columns = [list(column) for column in zip(*let_through, strict=True)]
        names = (
            "order_ids",
            "command_ids",
            "attempts",
            "kinds",
            "parties",
            "currencies",
            "amounts",
        )
        execute(connection, _GRANT, **dict(zip(names, columns, strict=True)))


def forget_old_grants(connection: Connection) -> None:
    """What is older than any window."""
    execute(connection, _FORGET)
