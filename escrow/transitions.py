"""Which statuses a fact may lead to, for each status it meets: an assertion on results and the
source of the documented matrix, not a driver.

Waking is not in it: each woken fact is held against its own row.
"""

from typing import Final

from escrow.state import Status

OPEN: Final[tuple[Status, ...]] = ("HELD", "DISPUTED", "IN_MEDIATION")
STATUSES: Final[tuple[Status | None, ...]] = (
    None,
    "NOT_PROTECTED",
    *OPEN,
    "FROZEN",
    "RELEASED",
    "REFUNDED",
    "SPLIT",
    "CHARGED_BACK",
)
_SETTLE_ANY: Final[frozenset[Status]] = frozenset({"RELEASED", "REFUNDED", "SPLIT"})

# (status, type) -> other statuses it may end in; staying as it is is always allowed.
# REFUNDED at shipments: the carrier's proof (RULES 3.4).
TRANSITIONS: Final[dict[tuple[Status | None, str], frozenset[Status]]] = {
    (None, "payment.captured"): frozenset({"HELD", "NOT_PROTECTED"}),
    ("NOT_PROTECTED", "payment.captured"): frozenset({"HELD"}),
    ("HELD", "payment.charged_back"): frozenset({"FROZEN"}),
    ("DISPUTED", "payment.charged_back"): frozenset({"FROZEN"}),
    ("IN_MEDIATION", "payment.charged_back"): frozenset({"FROZEN"}),
    # REFUNDED: back to the dispute, and the carrier's proof came while it was frozen
    ("FROZEN", "payment.chargeback_closed"): frozenset({*OPEN, "CHARGED_BACK", "REFUNDED"}),
    ("HELD", "delivery.confirmed"): frozenset({"RELEASED"}),
    ("DISPUTED", "delivery.confirmed"): frozenset({"RELEASED"}),
    ("IN_MEDIATION", "delivery.confirmed"): frozenset({"RELEASED"}),
    ("HELD", "refund.requested"): frozenset({"DISPUTED", "REFUNDED"}),
    ("DISPUTED", "refund.offer_accepted"): frozenset({"REFUNDED", "SPLIT"}),
    ("IN_MEDIATION", "refund.offer_accepted"): frozenset({"REFUNDED", "SPLIT"}),
    ("DISPUTED", "refund.withdrawn"): frozenset({"HELD"}),
    ("IN_MEDIATION", "refund.withdrawn"): frozenset({"HELD"}),
    ("DISPUTED", "mediation.requested"): frozenset({"IN_MEDIATION"}),
    ("IN_MEDIATION", "ruling.issued"): _SETTLE_ANY,
    ("DISPUTED", "shipment.lost"): frozenset({"REFUNDED"}),
    ("IN_MEDIATION", "shipment.lost"): frozenset({"REFUNDED"}),
    ("DISPUTED", "shipment.returned"): frozenset({"REFUNDED"}),
    ("IN_MEDIATION", "shipment.returned"): frozenset({"REFUNDED"}),
}
# Only where the policy lets silence decide, which it does not unless told to.
BY_SILENCE: Final[dict[tuple[Status | None, str], frozenset[Status]]] = {
    ("HELD", "deadline.reached"): frozenset({"RELEASED"}),
    ("DISPUTED", "deadline.reached"): frozenset({"REFUNDED", "SPLIT"}),
}
_NOWHERE: Final[frozenset[Status]] = frozenset()


def allowed(old: Status | None, fact_type: str, new: Status | None) -> bool:
    """True if a fact of this type may lead from `old` to `new`."""
    key = old, fact_type
    return (
        old == new or new in TRANSITIONS.get(key, _NOWHERE) or new in BY_SILENCE.get(key, _NOWHERE)
    )
