"""What never changes in a simulated world: the database has one life, and the policy one version."""

from typing import Any

from storage import lineage, policies
from tests.simulation.database import Server, Tx
from tests.simulation.statements.answers import Answer, answers, rows_of


@answers(lineage._HERE, lineage._LAST)
def _one_life(_server: Server, _tx: Tx, _sql: str, _p: dict[str, Any]) -> Answer:
    return rows_of([("1", 1)])


@answers(lineage._LAST_SENT)
def _never_sent(_server: Server, _tx: Tx, _sql: str, _p: dict[str, Any]) -> Answer:
    return rows_of([(None,)])


@answers(lineage._OPEN)
def _no_promises(_server: Server, _tx: Tx, _sql: str, _p: dict[str, Any]) -> Answer:
    return [], 0


@answers(policies._READ)
def _no_policies(_server: Server, _tx: Tx, _sql: str, _p: dict[str, Any]) -> Answer:
    return [], 0
