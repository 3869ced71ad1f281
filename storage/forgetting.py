"""A buyer's own words are erased for good; what proves his orders stays whole.

Texts and their salts go, so that no digest can be guessed back; decisions, chains and postings are not touched.
"""

from typing import Final, NamedTuple

from psycopg import Error as DriverError
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from storage.engine import stage_engine
from storage.reading import DatabaseTrouble, explain_trouble
from storage.rows import execute, fetch


class Forgotten(NamedTuple):
    """How much was erased, or would be."""

    orders: int  # of this buyer
    texts: int  # notes and rationales in them
    reports: int  # texts of his reports of suppliers
    letters: int  # kept copies of dead letters under his orders' keys


_ORDERS: Final = "SELECT order_id FROM escrows WHERE buyer_id = %(buyer_id)b ORDER BY order_id"
_TEXTS: Final = """
DELETE FROM fact_texts x USING facts f
WHERE x.order_id = ANY(%(order_ids)b::text[])
  AND f.order_id = x.order_id AND f.decision_no = x.decision_no
RETURNING f.source, f.id
"""
_REPORTS: Final = """
UPDATE supplier_reports SET text = NULL
WHERE text IS NOT NULL AND payload::jsonb ->> 'buyer_id' = %(buyer_id)b
RETURNING source, id
"""
_SALTS: Final = """
UPDATE identities i SET salt = NULL
FROM unnest(%(sources)b::text[], %(ids)b::text[]) AS s(source, id)
WHERE i.identity = substr(sha256(convert_to(s.source || E'\\n' || s.id, 'UTF8')), 1, 16)
"""
# The original lies in the log until retention; a replay takes it from there, never from here.
_LETTERS: Final = """
UPDATE dead_letters SET value = NULL, cut = true
WHERE key = ANY(%(order_ids)b::text[]) AND value IS NOT NULL
"""
_NOTE: Final = """
INSERT INTO erasures (buyer_sha256, operator_id, reason, orders, texts, reports, letters)
VALUES (sha256(convert_to(%(buyer_id)b, 'UTF8')), %(operator_id)b, %(reason)b, %(orders)b,
  %(texts)b, %(reports)b, %(letters)b)
"""


def forget(
    url: str, buyer_id: str, operator_id: str, reason: str, *, dry_run: bool = False
) -> Forgotten:
    """Erase, and write down who did it and why; the buyer by his digest alone. All in one commit.

    `dry_run`: count only. Raises DatabaseTrouble.
    """
    engine = stage_engine(url, name="escrow-operator")
    try:
        with engine.connect() as connection, connection.begin() as transaction:
            done = _erase(connection, buyer_id)
            if dry_run:
                transaction.rollback()
            else:
                told = {"buyer_id": buyer_id, "operator_id": operator_id, "reason": reason}
                execute(connection, _NOTE, **told, **done._asdict())
            return done
    except (SQLAlchemyError, DriverError) as error:
        raise DatabaseTrouble(explain_trouble(error)) from None
    finally:
        engine.dispose()


def _erase(connection: Connection, buyer_id: str) -> Forgotten:
    order_ids = [row[0] for row in fetch(connection, _ORDERS, buyer_id=buyer_id)]
    texts = fetch(connection, _TEXTS, order_ids=order_ids)
    reports = fetch(connection, _REPORTS, buyer_id=buyer_id)
    if gone := texts + reports:
        sources, ids = zip(*gone, strict=True)
        execute(connection, _SALTS, sources=list(sources), ids=list(ids))
    letters = execute(connection, _LETTERS, order_ids=order_ids)
    return Forgotten(len(order_ids), len(texts), len(reports), letters)
