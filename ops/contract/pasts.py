"""Orders with a past, as lists of facts: at least one for each status, more where the past matters."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from escrow.policy import DAY_MS
from escrow.state import Status
from ops.contract.examples import ORDER
from schemas.commands import command_id

AMOUNT: Final = 4200
OTHER_ORDER: Final = "order-1000"  # an earlier one, which holds pay-1000
_PAYOUT: Final = command_id(ORDER, "payout", 1)


NO_CHANGES: Final[Mapping[str, Any]] = MappingProxyType({})


class Said(NamedTuple):
    """One fact: its golden example with these changes, `wait_ms` after the one before."""

    type: str
    changes: Mapping[str, Any] = NO_CHANGES
    wait_ms: int = 0


class Past(NamedTuple):
    """What has happened before; `status` is where it has led."""

    status: Status | None
    facts: tuple[Said, ...]


_PAID: Final = Said("payment.captured")
_ASKED: Final = Said("refund.requested")
_ALL: Final = Said("refund.requested", {"amount_minor": AMOUNT})
_NEVER_CAME: Final = Said("refund.requested", {"amount_minor": AMOUNT, "reason": "not_arrived"})
_TAKEN: Final = Said("refund.offer_accepted")
_TO_MEDIATOR: Final = Said("mediation.requested", wait_ms=10 * DAY_MS)
_FROZEN: Final = Said("payment.charged_back")
_LOST: Final = Said("payment.chargeback_closed", {"outcome": "lost"})
_CONFIRMED: Final = Said("delivery.confirmed")
_OFFER: Final = Said("refund.offered")
_PARCEL: Final = Said("shipment.dispatched")
_PART: Final = {"amount_minor": 600}


def _ruled(outcome: str, refund_minor: int | None) -> Said:
    return Said("ruling.issued", {"outcome": outcome, "refund_minor": refund_minor})


def _result(type_name: str, **changes: Any) -> Said:
    return Said(f"gateway.{type_name}", changes)


PASTS: Final[tuple[Past, ...]] = (
    Past(None, ()),
    Past("NOT_PROTECTED", (Said("payment.captured", {"paid_through": "other"}),)),
    Past("NOT_PROTECTED", (Said("payment.captured", {"method": "cash"}), _FROZEN)),
    Past("HELD", (_PAID,)),
    Past("HELD", (_PAID, _PARCEL)),
    Past("HELD", (_PAID, _ASKED, Said("refund.withdrawn"))),
    Past("HELD", (_PAID, Said("shipment.lost"))),
    Past("HELD", (_PAID, _FROZEN, Said("payment.chargeback_closed"))),
    Past("DISPUTED", (_PAID, _ASKED)),
    Past("DISPUTED", (_PAID, _ALL)),
    Past("DISPUTED", (_PAID, _ASKED, _OFFER)),
    Past("DISPUTED", (_PAID, _NEVER_CAME)),
    Past("DISPUTED", (_PAID, _NEVER_CAME, _PARCEL)),
    Past("IN_MEDIATION", (_PAID, _ASKED, _TO_MEDIATOR)),
    Past("IN_MEDIATION", (_PAID, _ALL, _TO_MEDIATOR, _OFFER)),
    Past(
        "IN_MEDIATION",
        (_PAID, _ALL, _TO_MEDIATOR, Said("refund.offered", {"amount_minor": AMOUNT})),
    ),
    Past("IN_MEDIATION", (_PAID, _NEVER_CAME, _TO_MEDIATOR)),
    Past("FROZEN", (_PAID, _FROZEN)),
    Past("FROZEN", (_PAID, _ASKED, _FROZEN)),
    Past("FROZEN", (_PAID, _ASKED, _TO_MEDIATOR, _FROZEN)),
    Past("FROZEN", (_PAID, Said("payment.charged_back", _PART))),
    Past("FROZEN", (_PAID, _FROZEN, Said("payment.charged_back", {"chargeback_id": "cb-78"}))),
    Past("FROZEN", (_PAID, _NEVER_CAME, _PARCEL, _FROZEN, Said("shipment.lost"))),
    Past("RELEASED", (_PAID, _CONFIRMED)),
    Past("RELEASED", (_PAID, _CONFIRMED, _result("accepted"))),
    Past("RELEASED", (_PAID, _CONFIRMED, _result("settled"))),
    Past("RELEASED", (_PAID, _CONFIRMED, _result("failed"))),
    Past("RELEASED", (_PAID, _CONFIRMED, _result("returned"))),
    Past("RELEASED", (_PAID, _CONFIRMED, _result("failed"), Said("command.reissued"))),
    Past("RELEASED", (_PAID, _CONFIRMED, _result("returned"), Said("command.reissued"))),
    Past("RELEASED", (_PAID, _CONFIRMED, _FROZEN)),
    Past("RELEASED", (_PAID, _ASKED, _TO_MEDIATOR, _ruled("release", None))),
    Past("REFUNDED", (_PAID, _ALL, _TAKEN)),
    Past("REFUNDED", (_PAID, _ALL, _TAKEN, _FROZEN)),
    Past("REFUNDED", (_PAID, _ASKED, _TO_MEDIATOR, _ruled("refund_full", None))),
    Past("SPLIT", (_PAID, _ASKED, _TAKEN)),
    Past("SPLIT", (_PAID, _ASKED, _TO_MEDIATOR, _ruled("refund_partial", 1200))),
    Past("CHARGED_BACK", (_PAID, _FROZEN, _LOST)),
)
# What may have been said besides, in whatever status; only to these types does it make a difference.
_STRAY: Final = {"chargeback_id": "cb-79", "payment_id": "pay-9"}
_OPENED: Final = Said("payment.charged_back", _STRAY)
_CLOSED: Final = Said("payment.chargeback_closed", {"chargeback_id": "cb-79"})
BESIDES: Final[dict[str, tuple[tuple[Said, ...], ...]]] = {
    "evidence.submitted": ((Said("evidence.submitted"),),),
    "payment.charged_back": ((_OPENED,),),
    "payment.chargeback_closed": ((_OPENED,), (_OPENED, _CLOSED)),
}
BEFORE: Final = Said(
    "payment.captured", {"order_id": OTHER_ORDER, "payment_id": "pay-1000", "order": None}
)

# What is said to each of these orders, besides the golden example itself: changes, and a wait.
_STRANGER: Final = {"buyer_id": "mallory"}
_BY_STRANGER: Final = {"party_id": "mallory"}
_OWN: Final = {"by": "buyer", "party_id": "anna"}
_DOLLARS: Final = {"currency": "USD"}
_TOO_MUCH: Final = {"amount_minor": AMOUNT + 1}
_NEW_PAYMENT: Final = {"payment_id": "pay-1002"}
TRIED: Final[dict[str, tuple[Said, ...]]] = {
    name: tuple(Said(name, changes, wait) for changes, wait in tried)
    for name, tried in {
        "payment.captured": (
            (_NEW_PAYMENT, 0),
            ({**_NEW_PAYMENT, "paid_through": "other"}, 0),
            ({**_NEW_PAYMENT, "agreement_accepted": False}, 0),
            ({**_NEW_PAYMENT, "method": "cash"}, 0),
            ({"payment_id": "pay-1000"}, 0),
        ),
        "payment.charged_back": (
            ({"chargeback_id": "cb-79"}, 0),
            ({"chargeback_id": "cb-79", "payment_id": "pay-9"}, 0),
        ),
        "payment.chargeback_closed": (({"outcome": "lost"}, 0), ({"chargeback_id": "cb-79"}, 0)),
        "shipment.returned": (({"cause": "customs"}, 0),),
        "delivery.confirmed": ((_STRANGER, 0), ({"withdraws_request_id": "req-1"}, 0)),
        "refund.requested": (
            (_STRANGER, 0),
            (_DOLLARS, 0),
            (_TOO_MUCH, 0),
            ({"request_id": "req-2"}, 0),
            ({"request_id": "req-2", **_TOO_MUCH}, 0),
            ({"request_id": "req-2", "reason": "not_arrived"}, 0),
            ({"request_id": "req-2", "reason": "not_arrived", "amount_minor": AMOUNT}, 0),
        ),
        "refund.offered": (
            (_BY_STRANGER, 0),
            (_DOLLARS, 0),
            (_TOO_MUCH, 0),
            ({"offer_id": "offer-2"}, 0),
            ({"offer_id": "offer-2", **_TOO_MUCH}, 0),
            ({"request_id": "req-9"}, 0),
        ),
        "refund.offer_accepted": (
            (_BY_STRANGER, 0),
            (_OWN, 0),
            ({"offer_id": "offer-1"}, 0),
            ({"offer_id": "offer-1", **_OWN}, 0),
        ),
        "refund.offer_declined": (
            (_BY_STRANGER, 0),
            (_OWN, 0),
            ({"offer_id": "offer-1"}, 0),
            ({"offer_id": "offer-1", **_OWN}, 0),
        ),
        "refund.withdrawn": ((_STRANGER, 0), ({"request_id": "req-9"}, 0)),
        "evidence.submitted": ((_BY_STRANGER, 0),),
        "mediation.requested": (
            (_STRANGER, 0),
            ({}, 10 * DAY_MS),
            ({"request_id": "req-9"}, 0),
        ),
        "ruling.issued": (
            ({"outcome": "release", "refund_minor": None}, 0),
            ({"outcome": "refund_full", "refund_minor": None}, 0),
            ({"refund_minor": AMOUNT}, 0),
            ({"refund_minor": 1300}, 0),
            ({"request_id": "req-9"}, 0),
        ),
        "gateway.accepted": ((_DOLLARS, 0), ({"command_id": "unknown-1"}, 0)),
        "gateway.settled": ((_DOLLARS, 0), ({"command_id": "unknown-1"}, 0)),
        "gateway.failed": (
            (_DOLLARS, 0),
            ({"retryable": True}, 0),
            ({"command_id": "unknown-1"}, 0),
        ),
        "gateway.returned": ((_DOLLARS, 0), ({"command_id": "unknown-1"}, 0)),
        "command.reissued": (({"command_id": "unknown-1"}, 0),),
    }.items()
}
