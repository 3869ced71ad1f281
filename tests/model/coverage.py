"""What the generator must reach, written down from RULES by hand: every cell, outcome, code and alarm.

`missing(worlds)` says what a number of generated files did not reach.
"""

from collections.abc import Iterable

from tests.model.plans import OFFER_TYPES, ORDER_TYPES, RESULTS, SHIPMENTS
from tests.model.rules import World

STATUSES = (
    "none NOT_PROTECTED HELD DISPUTED IN_MEDIATION FROZEN RELEASED REFUNDED SPLIT CHARGED_BACK"
)
DOOR = (
    "too_large invalid_json duplicate_key bad_envelope unknown_type wrong_topic invalid_data "
    "key_mismatch card_number"
)
COMMON = "wrong_party already_settled frozen not_protected"

# type -> codes of a refusal, by its own rule and by the ladder of RULES 3.3
REFUSALS: dict[str, str] = {
    "payment.captured": "payment_exists payment_reused not_paid_through_escrow",
    "payment.charged_back": "chargeback_exists",
    "payment.chargeback_closed": "no_such_chargeback chargeback_is_closed",
    "delivery.confirmed": f"{COMMON} request_open",
    "refund.requested": f"{COMMON} currency_mismatch request_exists request_open "
    "amount_out_of_range full_refund_only",
    "refund.offered": f"{COMMON} currency_mismatch no_open_request no_such_request offer_exists "
    "amount_out_of_range",
    "refund.offer_accepted": f"{COMMON} no_open_request offer_not_open own_offer",
    "refund.offer_declined": f"{COMMON} no_open_request offer_not_open own_offer",
    "refund.withdrawn": f"{COMMON} no_open_request no_such_request",
    "evidence.submitted": "wrong_party evidence_exists",
    "mediation.requested": f"{COMMON} no_open_request already_in_mediation no_such_request "
    "too_early",
    "ruling.issued": "not_protected already_ruled ruling_final already_settled no_such_request "
    "amount_out_of_range",
    "gateway.settled": "amount_mismatch command_is_settled command_is_returned",
    "gateway.failed": "amount_mismatch command_is_settled command_is_returned command_is_failed",
    "gateway.returned": "amount_mismatch command_is_returned",
    "gateway.accepted": "amount_mismatch",
    "command.reissued": "command_not_final command_is_reissued",
}
WAITING = {
    "awaiting_payment": [
        *SHIPMENTS,
        *OFFER_TYPES,
        "payment.charged_back",
        "payment.chargeback_closed",
        "delivery.confirmed",
        "refund.requested",
        "refund.withdrawn",
        "evidence.submitted",
        "mediation.requested",
        "ruling.issued",
    ],
    "awaiting_command": [*RESULTS, "command.reissued"],
    "awaiting_mediation": ["ruling.issued"],
    "awaiting_chargeback": ["ruling.issued"],
}
ALARMS = (
    "payment_reused chargeback_mismatch chargeback_after_settlement chargeback_unmatched "
    "chargeback_over_held double_loss chargeback_unmatched_lost ruling_final gateway_mismatch "
    "settled_after_reissue command_failed command_returned"
)
UNPROTECTED = "not_paid_through_escrow agreement_not_accepted method_not_supported"
BRANCHES = {
    "carrier's proof DISPUTED",
    "carrier's proof IN_MEDIATION",
    "settled with less than was offered",
    "another chargeback keeps it frozen",
    "lost again after all was charged back",
    "lost after settlement in another currency",
    "waits on: awaiting_payment -> awaiting_mediation",
    "waits on: awaiting_payment -> awaiting_chargeback",
    "waits on: awaiting_mediation -> awaiting_chargeback",
    "waits on: awaiting_chargeback -> awaiting_mediation",
    "waking passes 1",
    "waking passes 2",
    "waking passes 3",
    "expired awaiting_payment",
    "expired awaiting_command",
}


def expected_notes() -> set[str]:
    notes = set(BRANCHES)
    notes |= {f"{kind} applied None" for kind in ORDER_TYPES}
    notes |= {f"payment.captured applied {code}" for code in UNPROTECTED.split()}
    notes |= {f"{kind} refused {c}" for kind, codes in REFUSALS.items() for c in codes.split()}
    notes |= {f"{kind} parked {code}" for code, kinds in WAITING.items() for kind in kinds}
    notes |= {f"alarm {alarm}" for alarm in ALARMS.split()}
    notes |= {f"woken {code} {how}" for code in WAITING for how in ("applied", "refused")}
    return notes


def expected_ends() -> set[tuple[str, str | None]]:
    """Outcomes that a line can end with, where a rule's own notes do not tell."""
    dead = {("dead_letter", code) for code in DOOR.split()}
    dead |= {("dead_letter", c) for c in ("id_conflict", "parked_too_long", "parking_full")}
    return {*dead, ("duplicate", None), *(("parked", code) for code in WAITING)}


def missing(worlds: Iterable[World]) -> list[str]:
    cells = {(status, kind) for status in STATUSES.split() for kind in ORDER_TYPES}
    notes, ends = expected_notes(), expected_ends()
    for world in worlds:
        cells -= world.cells
        notes -= world.notes
        ends -= set(world.answers.values())
    return sorted([*map(str, cells), *notes, *map(str, ends)])


def unexpected(world: World) -> list[str]:
    """Rule outcomes that no line above allows: the model itself would be wrong."""
    known = expected_notes()
    said = (" applied ", " refused ", " parked ")
    rules = [n for n in world.notes if any(word in n for word in said) and "woken" not in n]
    return sorted(set(rules) - known)
