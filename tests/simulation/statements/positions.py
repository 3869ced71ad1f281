"""Positions: epochs are taken, fenced by, and read."""

from typing import Any, Final

from storage import positions, silent_writers
from tests.simulation.database import Row, Server, Tx
from tests.simulation.statements.answers import Answer, answers, pick, rows_of

_POSITION: Final = (
    "topic", "partition", "cluster_id", "epoch", "next_offset", "last_offset", "last_digest",
)  # fmt: skip


@answers(positions._TAKE_EPOCH)
def _take_epoch(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    key = p["stage"], p["topic"], p["partition"]
    row: Row = {
        "stage": p["stage"], "topic": p["topic"], "partition": p["partition"],
        "cluster_id": p["cluster_id"], "epoch": 1, "next_offset": p["start"],
        "last_offset": None, "last_digest": None, "t_max": -1,
    }  # fmt: skip
    if not server.insert(tx, "consumer_positions", key, row):
        there = server.get(tx, "consumer_positions", key)
        assert there is not None
        row = {**there, "epoch": there["epoch"] + 1}
        server.put(tx, "consumer_positions", key, row)
    return rows_of([pick(row, _POSITION)])


@answers(silent_writers._END)
def _end_silent(_server: Server, _tx: Tx, _sql: str, _p: dict[str, Any]) -> Answer:
    """Nobody: a COPY is one step here, and who idles between steps is ended by the server's own timeout."""
    return rows_of([])


@answers(positions._LOCK)
def _lock_positions(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    found: list[tuple[Any, ...]] = []
    for topic, partition in sorted(zip(p["topics"], p["partitions"], strict=True)):
        key = p["stage"], topic, partition
        if server.get(tx, "consumer_positions", key) is not None:
            server.lock(tx, "consumer_positions", key)
            found.append((topic,))
    return rows_of(found)


@answers(positions._FENCE)
def _fence(server: Server, tx: Tx, sql: str, p: dict[str, Any]) -> Answer:
    by_epoch, by_offset = "p.epoch = s.epoch" in sql, "p.next_offset = s.expected" in sql
    moved: list[tuple[Any, ...]] = []
    names = ("topics", "partitions", "epochs", "expected", "next_offsets", "last_offsets",
             "last_digests", "t_max")  # fmt: skip
    for topic, partition, epoch, expected, after, last, digest, t_max in zip(
        *(p[name] for name in names), strict=True
    ):
        key = p["stage"], topic, partition
        server.lock(tx, "consumer_positions", key)
        row = server.get(tx, "consumer_positions", key)
        if row is None or (by_epoch and row["epoch"] != epoch):
            continue
        if by_offset and row["next_offset"] != expected:
            continue
        row = {**row, "next_offset": after, "t_max": max(row["t_max"], t_max)}
        if last is not None:
            row |= {"last_offset": last, "last_digest": digest}
        server.put(tx, "consumer_positions", key, row)
        moved.append((topic, partition))
    return rows_of(moved)


@answers(positions._READ)
def _read_positions(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    rows = server.seen(tx, "consumer_positions")
    return rows_of([pick(rows[key], _POSITION) for key in sorted(rows) if key[0] == p["stage"]])


@answers(positions._PROGRESS)
def _progress(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    rows = server.seen(tx, "consumer_positions")
    return rows_of(
        [(sum(row["next_offset"] for key, row in rows.items() if key[0] == p["stage"]),)]
    )


@answers(positions._NOW)
def _decided_until(server: Server, tx: Tx, _sql: str, _p: dict[str, Any]) -> Answer:
    rows = server.seen(tx, "consumer_positions").values()
    return rows_of([(max((row["t_max"] for row in rows), default=-1),)])
