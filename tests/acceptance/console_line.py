"""A real line with a console beside it, and orders in every state that a page has something to say about."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from consumers.engine.config import Settings
from ops.lag import compare
from ops.lag_watch import take_sample
from ops.local.pipeline import Pipeline
from ops.local.processes import escrow
from ops.local.traffic import Knobs, publish, stories
from schemas.door import Record
from tests.acceptance.webhooks_beside import webhooks_beside
from tests.builders import a_record, sample

DAY_MS: Final = 86_400_000
VIOLIN: Final = "order-violin"  # in mediation
LAMP: Final = "order-lamp"  # paid with an amount that is none: a dead letter
SPOILT: Final = "spoilt-lamp"
ORDERS: Final = 60


def fact(type_name: str, order_id: str, t: int, **data: object) -> Record:
    """A fact of this order: its payment, parties and ids are named for it."""
    n = f"{order_id}-{type_name}-{t}"
    names = {"payment_id": f"pay-{order_id}"} if type_name == "payment.captured" else {}
    return a_record(type_name, sample(type_name, order_id, **names | data), id=n, t=t)


def the_violin(start: int) -> list[Record]:
    """Paid, sent, disputed, negotiated in vain, before the mediator."""
    return [
        fact("payment.captured", VIOLIN, start, amount_minor=24_000),
        fact("shipment.dispatched", VIOLIN, start + DAY_MS),
        fact("shipment.delivered", VIOLIN, start + 3 * DAY_MS, packaging="damaged"),
        fact(
            "refund.requested",
            VIOLIN,
            start + 4 * DAY_MS,
            reason="not_as_described",
            amount_minor=12_000,
            note="The neck is cracked.",
        ),
        fact("evidence.submitted", VIOLIN, start + 5 * DAY_MS),
        fact(
            "refund.offered", VIOLIN, start + 5 * DAY_MS + 1, offer_id="offer-1", amount_minor=4_000
        ),
        fact(
            "refund.offer_declined",
            VIOLIN,
            start + 6 * DAY_MS,
            offer_id="offer-1",
            by="buyer",
            party_id="b-1",
        ),
        fact("delivery.confirmed", VIOLIN, start + 7 * DAY_MS),  # refused: a request is open
        fact("mediation.requested", VIOLIN, start + 15 * DAY_MS),
    ]


def the_world(now_ms: int) -> Iterator[Record]:
    """Some traffic with garbage in it, the violin, and a payment that cannot be read."""
    start = now_ms - 28 * DAY_MS
    yield from stories(7, ORDERS, prefix="seven", start_ms=start, knobs=Knobs(garbage=0.02))
    yield from the_violin(start)
    spoilt = sample("payment.captured", LAMP, payment_id="pay-lamp", amount_minor=42.5)
    yield a_record("payment.captured", spoilt, id=SPOILT, t=start + 16 * DAY_MS)


@contextmanager
def console_line(**more: str) -> Iterator[Pipeline]:
    """The line, its console open to a mediator called olga, the world decided, and others told of it.

    `more`: variables for all programs.
    """
    with TemporaryDirectory() as folder:
        given = {
            "ESCROW_WEB__ROLE": "mediator",
            "ESCROW_WEB__OPERATOR": "olga",
            "ESCROW_WEB__WEBHOOKS": folder,
        }
        with Pipeline(web=True, metrics=True, views=True, env=given | more) as pipeline:
            publish(the_world(time.time_ns() // 1_000_000), pipeline.settings)
            pipeline.wait_idle(90)
            with webhooks_beside(pipeline.settings, Path(folder)):
                yield pipeline


def many_parcels(count: int, prefix: str) -> Iterator[Record]:
    """Records of orders that nobody has paid: they are parked at once."""
    now = time.time_ns() // 1_000_000
    for n in range(count):
        yield fact("shipment.delivered", f"{prefix}-{n}", now)


def behind(settings: Settings, stage: str) -> int:
    """The truth about a stage's lag, asked of the servers themselves."""
    report = compare(None, take_sample(settings), settings)
    return sum(row.behind for row in report.partitions if row.stage == stage)


def write_account(line: Pipeline, file: Path, plant: int) -> int:
    """The gateway's own file of all that it did, with so many differences planted."""
    told = subprocess.run(
        [
            *escrow("gateway", "--data", str(line.gateway_dir), "--write-file", str(file)),
            *("--plant", str(plant), "--seed", "7"),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    return len(told.stdout.splitlines())
