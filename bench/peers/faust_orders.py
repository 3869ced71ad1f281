"""Faust as its own manual shows it: agents, a table with its changelog, at least once; no SQL.

`python -m bench.peers.faust_orders`: one process for all topics, until it is stopped. The table is
kept in memory; it has no ledger, no dedupe, and its commands may be sent twice.
"""

import json
import tempfile
from typing import Any

import faust

from consumers.engine.config import load_settings
from schemas.commands import PAYOUT_COMMANDS
from schemas.facts import PAYMENTS, REFUND_REQUESTS, SHIPMENTS

_servers = load_settings().kafka.bootstrap_servers
app = faust.App(
    "bench-faust",
    broker=";".join(f"kafka://{server}" for server in _servers.split(",")),
    store="memory://",
    datadir=tempfile.mkdtemp(prefix="bench-faust-"),
    topic_partitions=4,
    topic_replication_factor=1,
    topic_allow_declare=True,
    processing_guarantee="at_least_once",
    consumer_auto_offset_reset="earliest",
    producer_linger=0.002,
    web_enabled=False,
)
orders = app.Table("orders", default=dict, partitions=4)
commands = app.topic(PAYOUT_COMMANDS, value_serializer="raw", key_serializer="raw")


def _raw(name: str) -> Any:
    return app.topic(name, value_serializer="raw", key_serializer="raw")


async def _merge(key: bytes, change: dict[str, Any]) -> None:
    """Take one fact into the order's row; send the command once both are known."""
    name = key.decode()
    order = {**orders[name], **change}
    if order.get("amount_minor") and order.get("confirmed") and not order.get("released"):
        order["released"] = True
        payload = {"order_id": name, "amount_minor": order["amount_minor"]}
        await commands.send(key=key, value=json.dumps(payload).encode())
    orders[name] = order


@app.agent(_raw(PAYMENTS))
async def payments(stream: Any) -> None:
    async for key, value in stream.items():
        await _merge(key, {"amount_minor": json.loads(value)["amount_minor"]})


@app.agent(_raw(SHIPMENTS))
async def shipments(stream: Any) -> None:
    async for key, value in stream.items():
        await _merge(key, {"shipment_id": json.loads(value)["shipment_id"]})


@app.agent(_raw(REFUND_REQUESTS))
async def confirmations(stream: Any) -> None:
    async for key, value in stream.items():
        await _merge(key, {"confirmed": json.loads(value)["buyer_id"]})


if __name__ == "__main__":
    faust.Worker(app, loglevel="warning").execute_from_commandline()
