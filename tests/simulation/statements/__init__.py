"""Each statement of the write path, relay and ticker as a function over the tables of `database`.

Guards and locking clauses are looked up in the statement's own text, so that a statement that loses
one loses it here, too. A statement that is not here raises: nothing is answered by guessing.
"""

from tests.simulation.statements import decisions, life, orders, positions, relay, ticker
from tests.simulation.statements.answers import STATEMENTS, Statement

__all__ = ["decisions", "find", "life", "orders", "positions", "relay", "ticker"]


def find(sql: str) -> Statement:
    known = STATEMENTS.get(sql)
    if known is None:
        assert sql.startswith("INSERT INTO dead_letters"), f"no such statement here: {sql}"
        known = STATEMENTS[sql] = decisions.dead_letters_written
    return known
