"""How the tables would lie on several machines (Citus): all of an order in one place, chosen by its id.

Every statement of stages and relay names the orders it touches, and joins by nothing else; so it can
be answered order by order. What looks at all orders belongs to people and to the ticker. A test holds
each statement to that. No cluster was tried: `OPEN` says what one would still ask for.
"""

from collections.abc import Iterator
from typing import Final

from storage.tables import APPEND_ONLY, metadata

# Table → the column by which its rows are spread. Those by order lie together.
BY_ORDER: Final = (
    "escrows",
    "facts",
    "fact_texts",
    "resolutions",
    "parked",
    "shipments",
    "offers",
    "evidence",
    "chargebacks",
    "commands",
    "postings",
    "deadlines",
    "silences",
    "promises",
    "archived_orders",
)
BY_THEIR_OWN_KEY: Final = {"identities": "identity", "payments": "payment_id"}
# The rest stays on the coordinator: short-lived, or a row a stage. `outbox` is read in one order, and
# what stops a row of it lies beside it.
ON_THE_COORDINATOR: Final = tuple(
    sorted(metadata.tables.keys() - {*BY_ORDER, *BY_THEIR_OWN_KEY.keys()})
)

# Statements of the ticker that look at all orders: each by a partial index, a few rows of each shard.
LOOKS_EVERYWHERE: Final = {
    "ticking._DUE": "what is due: the first rows of an index on each shard, merged",
    "ticking._TICKED": "ticks that were sent and are still there: few, by an index on each shard",
    "ticking._LOST_DEADLINES": "ticks that nobody has decided for an hour",
    "ticking._LOST_PARKED": "the same of parked facts",
    "ticking._LOST_SILENCES": "the same of silences",
    "ticking._NOT_AHEAD": "marks of a clock that was ahead: none, by the index of silent commands",
    "lineage._OPEN": "after a restore: all promises, once a start",
}
OPEN: Final = {
    "orders._LOCK": "locks rows of many shards in one statement: to be sent a shard at a time, sorted",
    "relaying._LOCK_ORDERS": "the same, for the relay's share lock",
    "guards": "triggers on distributed tables: to be made on every shard, and let_facts_go with them",
    "fact_seq": "drawn by the coordinator: records of two coordinators would have no order",
}


def ddl() -> Iterator[str]:
    """What the owner runs on the coordinator after `escrow migrate`, on empty tables."""
    first, *others = BY_ORDER
    for table in APPEND_ONLY:
        if table.name in BY_ORDER:
            yield f"DROP TRIGGER append_only ON {table.name}"
    yield f"SELECT create_distributed_table('{first}', 'order_id')"
    for table_name in others:
        yield (
            f"SELECT create_distributed_table('{table_name}', 'order_id',"
            f" colocate_with => '{first}')"
        )
    for table_name, column in BY_THEIR_OWN_KEY.items():
        yield (
            f"SELECT create_distributed_table('{table_name}', '{column}', colocate_with => 'none')"
        )
    for table in APPEND_ONLY:
        if table.name in BY_ORDER:
            yield _GUARD.format(table=table.name)


_GUARD: Final = """
SELECT run_command_on_shards('{table}', $$CREATE TRIGGER append_only
  BEFORE UPDATE OR DELETE OR TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()$$)
""".strip()
