"""What a batch writes besides plain rows: what leaves, what is held, letters that are new."""

from collections import defaultdict
from typing import Any

from storage import dead_letters, decisions
from tests.simulation.database import Row, Server, Tx
from tests.simulation.statements.answers import Answer, answers, delete, rows_of


@answers(decisions._LEAVE)
def _leave(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    return delete(server, tx, "parked", zip(p["order_ids"], p["nos"], strict=True))


@answers(decisions._VOID)
def _void(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    return delete(server, tx, "deadlines", zip(p["order_ids"], p["request_ids"], strict=True))


@answers(decisions._FIRED)
def _fired(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    limits: dict[str, int] = defaultdict(lambda: -1)
    for order_id, t in zip(p["order_ids"], p["ts"], strict=True):
        limits[order_id] = max(limits[order_id], t)
    there = server.seen(tx, "deadlines")
    return delete(
        server, tx, "deadlines", [k for k, row in there.items() if row["due_at"] <= limits[k[0]]]
    )


@answers(decisions._HOLD)
def _hold(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    made = 0
    for key in zip(p["order_ids"], p["command_ids"], strict=True):
        row: Row = {
            "order_id": key[0], "command_id": key[1], "reason": "settled_after_reissue",
        }  # fmt: skip
        made += server.insert(tx, "command_holds", key, row)
    return [], made


def dead_letters_written(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    new: list[tuple[Any, ...]] = []
    fields = dead_letters.DeadLetter._fields
    for values in zip(*(p[name] for name in fields), strict=True):
        row = {"cluster_id": p["cluster_id"], **dict(zip(fields, values, strict=True))}
        key = p["cluster_id"], row["topic"], row["partition"], row["offset"]
        if server.insert(tx, "dead_letters", key, row):
            new.append(key[1:])
    return rows_of(new)
