"""The books of one order, folded from its movements alone: they must give its row at any time."""

from collections import Counter
from collections.abc import Iterable
from typing import Final, get_args

from escrow.arrival import Decided, Moved
from escrow.decision import Applied
from escrow.postings import ACCOUNTS, Movement
from escrow.state import DISPUTE_OPEN, SETTLED, Escrow, Order, Status
from schemas.commands import command_id, reissue_command_id

STATUSES: Final = get_args(Status)


class Books:
    """All movements and sends of one order's decisions, in their order."""

    def __init__(self) -> None:
        self.moved: Counter[tuple[str, str, str]] = Counter()  # (debit, credit, currency)
        self.unmatched_loss: Counter[str] = Counter()  # the platform's, not the order's
        self.settlements = 0

    def take(self, steps: Iterable[Decided | Moved]) -> None:
        for step in steps:
            if isinstance(step, Decided) and isinstance(step.result, Applied):
                self._post(step.result)
                self.settlements += sum(change.escrow.status in SETTLED for change in step.changes)

    def _post(self, applied: Applied) -> None:
        unmatched = any(alarm.code == "chargeback_unmatched_lost" for alarm in applied.alarms)
        for entry in applied.movements:
            _assert_entry(entry)
            if unmatched:
                assert (entry.debit, entry.credit) == ("platform_loss", "card_network")
                self.unmatched_loss[entry.currency] += entry.amount_minor
            else:
                self.moved[entry.debit, entry.credit, entry.currency] += entry.amount_minor
        written = {child for child in applied.children if child in applied.sends}
        assert written == set(applied.sends), "every command that is sent is written too"

    def check(self, order: Order) -> None:
        """The row equals the fold, the invariant holds, the commands are the settlement."""
        row = order.escrow
        assert row.status is None or row.status in STATUSES
        parts = row.held_minor + row.refunded_minor + row.paid_out_minor + row.charged_back_minor
        assert row.captured_minor == parts
        assert min(row[8:15]) >= 0
        if row.status in SETTLED or row.status in (None, "NOT_PROTECTED"):
            assert row.held_minor == 0
        else:
            assert row.held_minor == row.available_minor > 0
        assert self.settlements == (row.status in SETTLED), "one settlement, and no second one"
        expected = {
            ("buyer_funds", "held"): row.captured_minor,
            ("held", "refunds_payable"): row.refunded_minor,
            ("held", "supplier_payable"): row.paid_out_minor,
            ("held", "charged_back"): row.charged_back_minor,
            ("supplier_receivable", "card_network"): row.supplier_debt_minor,
            ("platform_loss", "card_network"): row.loss_minor,
        }
        folded = {
            (debit, credit): amount
            for (debit, credit, currency), amount in self.moved.items()
            if credit != "sent_back" and currency == row.currency
        }
        assert folded == {pair: amount for pair, amount in expected.items() if amount}
        assert row.supplier_debt_minor <= row.paid_out_minor
        assert row.parked == len(order.waiting)
        assert_open_parts(row)
        self._check_commands(order)

    def _check_commands(self, order: Order) -> None:
        row = order.escrow
        settled: Counter[str] = Counter()
        sent_back: Counter[tuple[str, str, str]] = Counter()
        n: Counter[str] = Counter()
        for command in order.commands.values():
            if command.purpose == "reissue":
                old = next(c for c in order.commands.values() if c.reissue_id == command.command_id)
                assert command.command_id == reissue_command_id(old.command_id)
                assert command[3:8] == old[3:8], "payment, party, amount, currency, decided_by"
                continue
            n[command.kind] += 1
            assert command.command_id == command_id(row.order_id, command.kind, n[command.kind])
            if command.purpose == "settlement":
                assert command.kind not in settled
                settled[command.kind] += command.amount_minor
            else:
                sent_back["buyer_funds", "sent_back", command.currency] += command.amount_minor
        assert settled == +Counter(refund=row.refunded_minor, payout=row.paid_out_minor)
        assert sent_back == {pair: m for pair, m in self.moved.items() if pair[1] == "sent_back"}
        assert (row.refund_commands, row.payout_commands) == (n["refund"], n["payout"])
        if row.status in SETTLED:
            assert settled.total() == row.available_minor


def _assert_entry(entry: Movement) -> None:
    assert entry.debit in ACCOUNTS
    assert entry.credit in ACCOUNTS
    assert entry.debit != entry.credit
    assert type(entry.amount_minor) is int
    assert entry.amount_minor > 0


def assert_open_parts(row: Escrow) -> None:
    """Request, offer and what is remembered stand exactly where the status says so."""
    disputed = row.status in DISPUTE_OPEN
    if row.status != "FROZEN":
        assert (row.request_id is not None) == disputed
        assert row.frozen_from is None
    else:
        assert row.frozen_from in ("HELD", "DISPUTED", "IN_MEDIATION")
        assert row.chargebacks_open > 0
    assert (row.request_id is None) == (row.request_reason is None)
    offer = (row.offer_id, row.offer_by, row.offer_minor)
    assert None not in offer or offer == (None, None, None)
    assert row.offer_id is None or row.request_id is not None
    assert (row.decided_by is not None) == (row.status in SETTLED)
    assert 0 <= row.shipments_failed <= row.shipments_known
    assert (row.ruling_outcome is not None) == (row.decided_by == "ruling")
