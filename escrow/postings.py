"""Double entry: a movement is one row with a debit, a credit and one amount, so it balances."""

from typing import Final, Literal, NamedTuple, get_args

Account = Literal[
    "buyer_funds",  # what buyers paid in
    "held",  # in escrow
    "supplier_payable",  # decided for suppliers
    "refunds_payable",  # decided for buyers
    "sent_back",  # never in escrow: duplicate or ineligible payments on their way back
    "charged_back",  # taken from what was held by a card network
    "card_network",  # taken by a card network beyond what was held
    "supplier_receivable",  # what suppliers owe us after a chargeback
    "platform_loss",
]
ACCOUNTS: Final[tuple[Account, ...]] = get_args(Account)


class Movement(NamedTuple):
    """`amount_minor` > 0 leaves `debit` for `credit`."""

    debit: Account
    credit: Account
    amount_minor: int
    currency: str


def movement(
    debit: Account, credit: Account, amount_minor: int, currency: str
) -> tuple[Movement, ...]:
    """One movement, or none where there is nothing to move."""
    return (Movement(debit, credit, amount_minor, currency),) if amount_minor else ()
