"""One catalogue of every code that leaves this system, each with its sentence.

Dashboards, senders and documents depend on these words; a test holds the sets against the code
and the docs against the sets.
"""

from typing import Final, Literal, get_args

DoorCode = Literal[
    "too_large",
    "invalid_json",
    "duplicate_key",
    "bad_envelope",
    "unknown_type",
    "wrong_topic",
    "bad_signature",
    "unauthorized_source",
    "invalid_data",
    "key_mismatch",
    "card_number",
    "not_storable",
]
DeadLetterCode = DoorCode | Literal["id_conflict", "parked_too_long", "parking_full"]
RefusalCode = Literal[
    "payment_exists",
    "payment_reused",
    "not_paid_through_escrow",
    "not_protected",
    "wrong_party",
    "currency_mismatch",
    "already_settled",
    "frozen",
    "chargeback_exists",
    "no_such_chargeback",
    "chargeback_is_closed",
    "request_open",
    "request_exists",
    "amount_out_of_range",
    "full_refund_only",
    "no_open_request",
    "no_such_request",
    "offer_exists",
    "offer_not_open",
    "own_offer",
    "evidence_exists",
    "already_in_mediation",
    "too_early",
    "already_ruled",
    "ruling_final",
    "amount_mismatch",
    "command_is_settled",
    "command_is_returned",
    "command_is_failed",
    "command_not_final",
    "command_is_reissued",
]
ParkCode = Literal[
    "awaiting_payment", "awaiting_mediation", "awaiting_chargeback", "awaiting_command"
]
AppliedCode = Literal["not_paid_through_escrow", "agreement_not_accepted", "method_not_supported"]
AlarmCode = Literal[
    "payment_reused",
    "id_conflict",
    "chargeback_mismatch",
    "chargeback_after_settlement",
    "chargeback_unmatched",
    "chargeback_unmatched_lost",
    "chargeback_over_held",
    "double_loss",
    "ruling_final",
    "gateway_mismatch",
    "settled_after_reissue",
    "command_failed",
    "command_returned",
]
Outcome = Literal["applied", "refused", "parked", "duplicate", "dead_letter"]
OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)

DEAD_LETTERS: Final[dict[str, str]] = {
    "too_large": "The value is longer than 65,536 bytes.",
    "invalid_json": "The value is not one JSON object by RFC 8259, nested at most 32 deep.",
    "duplicate_key": "One name stands twice in one object of the value.",
    "bad_envelope": "The CloudEvents envelope lacks or garbles something required.",
    "unknown_type": "No fact has this type.",
    "wrong_topic": "The type belongs to another topic.",
    "bad_signature": "The signature is missing or does not verify.",
    "unauthorized_source": "This source may not send facts of this type.",
    "invalid_data": "The data do not follow the schema of the type.",
    "key_mismatch": "Record key, subject and order id are not the same.",
    "card_number": "A text holds what looks like a card number.",
    "not_storable": "The database cannot take a value of this fact.",
    "id_conflict": "This source has used this id before for something else.",
    "parked_too_long": "What the fact waited for did not come within the park limit.",
    "parking_full": "Too many facts of this order are waiting already.",
}
REFUSALS: Final[dict[str, str]] = {
    "payment_exists": "This payment was captured for this order before.",
    "payment_reused": "This payment was captured for another order before.",
    "not_paid_through_escrow": "The payment did not go through escrow.",
    "not_protected": "The order's payment is not protected; nothing is held.",
    "wrong_party": "The sender is not this order's buyer or supplier.",
    "currency_mismatch": "The currency is not the order's.",
    "already_settled": "The order is settled; that is final.",
    "frozen": "A chargeback is open; nothing else moves until it is closed.",
    "chargeback_exists": "This chargeback was recorded before.",
    "no_such_chargeback": "The order has no chargeback of this id.",
    "chargeback_is_closed": "This chargeback is closed already.",
    "request_open": "A refund request is open.",
    "request_exists": "This request id was used before in this order.",
    "amount_out_of_range": "The amount is not within what is available.",
    "full_refund_only": "What did not arrive is refunded in full, not in part.",
    "no_open_request": "No refund request is open.",
    "no_such_request": "The open refund request has another id.",
    "offer_exists": "This offer id was used before in this order.",
    "offer_not_open": "This offer is not the open one.",
    "own_offer": "One cannot answer one's own offer.",
    "evidence_exists": "This evidence was submitted before.",
    "already_in_mediation": "The order is in mediation already.",
    "too_early": "Mediation can be asked for ten days after the first refund request.",
    "already_ruled": "The mediator has ruled just so before.",
    "ruling_final": "The mediator has ruled otherwise before, and that is final.",
    "amount_mismatch": "Amount or currency is not the command's.",
    "command_is_settled": "The command is settled already.",
    "command_is_returned": "The command is returned already.",
    "command_is_failed": "The command has failed for good already.",
    "command_not_final": "Only a failed or returned command can be reissued.",
    "command_is_reissued": "The command was reissued before.",
}
PARKED: Final[dict[str, str]] = {
    "awaiting_payment": "Waits for the payment of its order.",
    "awaiting_mediation": "The ruling waits for mediation to be asked for.",
    "awaiting_chargeback": "The ruling waits for the open chargeback to be closed.",
    "awaiting_command": "Waits for the command that it answers.",
}
NOT_PROTECTED: Final[dict[str, str]] = {
    "not_paid_through_escrow": "Paid outside escrow: not protected, and nothing to send back.",
    "agreement_not_accepted": "The agreement was not accepted: not protected, sent back.",
    "method_not_supported": "The payment method is not supported: not protected, sent back.",
}
ALARMS: Final[dict[str, str]] = {
    "payment_reused": "One payment was captured for two orders.",
    "id_conflict": "One source used one id for two different facts.",
    "chargeback_mismatch": "A chargeback's currency or amount does not fit its payment.",
    "chargeback_after_settlement": "A chargeback came after the order was settled.",
    "chargeback_unmatched": "A chargeback names a payment that the order does not hold.",
    "chargeback_unmatched_lost": "A chargeback that fits no held payment was lost.",
    "chargeback_over_held": "A lost chargeback took more than was held.",
    "double_loss": "A lost chargeback follows a refund: the money left twice.",
    "ruling_final": "A mediator ruled twice, and differently.",
    "gateway_mismatch": "A gateway answered with another amount or currency.",
    "settled_after_reissue": "A command settled although it had been reissued.",
    "command_failed": "A command failed for good.",
    "command_returned": "A command's money came back.",
}
