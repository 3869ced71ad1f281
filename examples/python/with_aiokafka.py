"""With aiokafka: an order is paid in, confirmed, and paid out. Usage: with_aiokafka.py ORDER.

Reading needs the package cramjam besides: the broker keeps its topics compressed with lz4.
"""

import asyncio
import json
import os
import sys
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

SERVERS = os.environ.get("ESCROW_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:9092")


async def send(producer: Any, topic: str, kind: str, id_: str, data: dict[str, Any]) -> None:
    """A fact in binary mode. Sent again under the same source and id, it is a duplicate."""
    headers = {
        "content-type": "application/json",
        "ce_specversion": "1.0",
        "ce_source": "/examples/aiokafka",
        "ce_id": id_,
        "ce_type": kind,
    }
    encoded = [(name, value.encode()) for name, value in headers.items()]
    key, value = data["order_id"].encode(), json.dumps(data).encode()
    await producer.send_and_wait(topic, key=key, value=value, headers=encoded)


async def command_of(order: str) -> dict[str, Any]:
    """The payout of this order, as soon as it is ordered."""
    consumer = AIOKafkaConsumer(
        "escrow.payout-commands.v1",
        bootstrap_servers=SERVERS,
        group_id=f"aiokafka-{order}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
    )
    async with consumer:
        async for record in consumer:
            kind = dict(record.headers)["ce_type"]
            if record.key == order.encode() and kind == b"payout.release":
                command: dict[str, Any] = json.loads(record.value)
                return command
    raise AssertionError("a consumer does not end by itself")


async def main(order: str) -> None:
    """Pay, confirm, then answer the payout as a gateway would."""
    captured = {
        "order_id": order, "payment_id": f"pay-{order}", "buyer_id": "anna", "supplier_id": "acme",
        "amount_minor": 4200, "currency": "EUR", "method": "visa", "paid_through": "escrow",
        "agreement_accepted": True,
    }  # fmt: skip
    confirmed = {"order_id": order, "buyer_id": "anna"}
    producer = AIOKafkaProducer(bootstrap_servers=SERVERS, enable_idempotence=True)
    async with producer:
        await send(
            producer, "escrow.payments.v1", "payment.captured", f"{order}.captured", captured
        )
        topic = "escrow.refund-requests.v1"
        await send(producer, topic, "delivery.confirmed", f"{order}.confirmed", confirmed)
        command = await asyncio.wait_for(command_of(order), 60)
        # A real gateway moves the money here, once for each command_id, and remembers that it has.
        result = {
            name: command[name] for name in ("order_id", "command_id", "amount_minor", "currency")
        }
        id_ = f"{command['command_id']}.{command['attempt']}.settled"
        await send(producer, "escrow.gateway-results.v1", "gateway.settled", id_, result)
    print("paid out", command["amount_minor"], command["currency"], "to", command["party_id"])


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
