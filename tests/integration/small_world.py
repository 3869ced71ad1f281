"""A few orders with a bit of everything: what audits, exports and pages are tried on."""

from typing import Final

from schemas.commands import command_id
from schemas.door import Record
from tests.builders import T0, a_record, sample

RELEASED: Final = "o-released"
SPLIT: Final = "o-split"
HELD: Final = "o-held"
PARKED: Final = "o-parked"


def said(type_name: str, order_id: str, n: int, **data: object) -> Record:
    changes = {"payment_id": f"p-{order_id}"} if type_name == "payment.captured" else {}
    fact = sample(type_name, order_id, **changes | data)
    return a_record(type_name, fact, id=f"{order_id}.{n}", t=T0 + n)


def a_small_world() -> list[Record]:
    """Orders released, split, held and unpaid, with notes, results, a chargeback and a report."""
    payout = command_id(RELEASED, "payout", 1)
    return [
        said("payment.captured", RELEASED, 1),
        said("payment.captured", SPLIT, 1),
        said("payment.captured", HELD, 1),
        said("shipment.delivered", RELEASED, 2),
        said("shipment.delivered", PARKED, 2),
        said("delivery.confirmed", RELEASED, 3),
        said("refund.requested", SPLIT, 3, amount_minor=300, note="torn"),
        said("evidence.submitted", SPLIT, 4),
        said("refund.offer_accepted", SPLIT, 5),
        said("refund.requested", HELD, 3, note="not as shown"),
        said("refund.withdrawn", HELD, 4),
        said("gateway.accepted", RELEASED, 4, command_id=payout),
        said("gateway.settled", RELEASED, 5, command_id=payout),
        said("payment.charged_back", HELD, 5, chargeback_id="cb-1", payment_id="p-other"),
        said("delivery.confirmed", RELEASED, 6),
        a_record("supplier.reported", t=T0, id="report-1"),
        a_record("payment.captured", {"order_id": "o-bad"}, t=T0, id="bad-1"),
    ]
