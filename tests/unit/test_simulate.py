"""RULES 5, output: what stands in OUT and in ORDERS, byte for byte the same each time."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders import T0
from tests.unit import hashes
from tests.unit.dry import Dry, line, read


@pytest.fixture
def dry(tmp_path: Path) -> Dry:
    return Dry(tmp_path)


def test_an_order_goes_well(dry: Dry) -> None:
    rows = dry.run(line("payment.captured"), line("delivery.confirmed"))
    assert rows == [("applied", None, "o-1"), ("applied", None, "o-1")]
    command = {
        "kind": "payout",
        "purpose": "settlement",
        "payment_id": "p-1",
        "amount_minor": 1000,
        "currency": "EUR",
        "command_id": hashes.command_id("o-1", "payout", 1),
        "state": "PENDING",
    }
    order = {
        "order_id": "o-1",
        "status": "RELEASED",
        "currency": "EUR",
        "captured_minor": 1000,
        "held_minor": 0,
        "refunded_minor": 0,
        "paid_out_minor": 1000,
        "charged_back_minor": 0,
        "supplier_debt_minor": 0,
        "loss_minor": 0,
        "commands": [command],
    }
    assert read(dry.orders) == [order]
    assert list(read(dry.orders)[0]) == list(order)
    assert list(read(dry.orders)[0]["commands"][0]) == list(command)


def test_commands_stand_in_the_order_of_decisions_with_their_states(dry: Dry) -> None:
    payout = hashes.command_id("o-1", "payout", 1)
    back = hashes.command_id("o-1", "refund", 1)
    dry.run(
        line("payment.captured"),
        line("payment.captured", id="2", payment_id="p-2", amount_minor=7, currency="JPY"),
        line("delivery.confirmed"),
        line("gateway.failed", command_id=payout),
        line("gateway.accepted", command_id=back, amount_minor=7, currency="JPY"),
        line("command.reissued", command_id=payout),
    )
    commands = read(dry.orders)[0]["commands"]
    assert [(c["command_id"], c["purpose"], c["state"], c["currency"]) for c in commands] == [
        (back, "duplicate_payment", "ACCEPTED", "JPY"),
        (payout, "settlement", "FAILED", "EUR"),
        (hashes.reissue_id(payout), "reissue", "PENDING", "EUR"),
    ]


def test_not_protected_has_its_payments_currency_and_no_amounts(dry: Dry) -> None:
    rows = dry.run(
        line("payment.captured", method="cash", currency="BHD"),
        line("payment.captured", order_id="o-2", payment_id="p-2", paid_through="other", id="2"),
        line(
            "payment.captured", order_id="o-3", payment_id="p-3", agreement_accepted=False, id="3"
        ),
    )
    assert [row[:2] for row in rows] == [
        ("applied", "method_not_supported"),
        ("applied", "not_paid_through_escrow"),
        ("applied", "agreement_not_accepted"),
    ]
    orders = read(dry.orders)
    assert {order["status"] for order in orders} == {"NOT_PROTECTED"}
    assert (orders[0]["currency"], orders[0]["captured_minor"]) == ("BHD", 0)
    assert [len(order["commands"]) for order in orders] == [1, 0, 1]


def test_a_woken_fact_shows_what_it_became(dry: Dry) -> None:
    rows = dry.run(
        line("delivery.confirmed", buyer_id="b-2"),
        line("shipment.delivered"),
        line("ruling.issued"),
        line("refund.withdrawn"),
        line("payment.captured"),
        line("gateway.settled"),
    )
    assert [row[:2] for row in rows] == [
        ("refused", "wrong_party"),
        ("applied", None),
        ("parked", "awaiting_mediation"),
        ("refused", "no_open_request"),
        ("applied", None),
        ("parked", "awaiting_command"),
    ]


def test_an_expired_fact_is_a_dead_letter_of_its_order(dry: Dry) -> None:
    rows = dry.run(line("delivery.confirmed"), line("payment.captured", t=T0 + 30 * 86_400_000))
    assert rows == [("dead_letter", "parked_too_long", "o-1"), ("applied", None, "o-1")]


def test_the_thousand_and_first_parked_fact_is_a_dead_letter_of_its_order(dry: Dry) -> None:
    rows = dry.run(*(line("shipment.lost", id=f"{n}") for n in range(1_001)))
    assert set(rows[:-1]) == {("parked", "awaiting_payment", "o-1")}
    assert rows[-1] == ("dead_letter", "parking_full", "o-1")


def test_duplicates_and_conflicts_are_of_the_order_they_name(dry: Dry) -> None:
    rows = dry.run(
        line("payment.captured"),
        line("payment.captured", t=T0 + 5),
        line("payment.captured", amount_minor=1),
        line("payment.captured", order_id="o-2"),
        line("supplier.reported", id="payment.captured-1"),
    )
    assert rows == [
        ("applied", None, "o-1"),
        ("duplicate", None, "o-1"),
        ("dead_letter", "id_conflict", "o-1"),
        ("dead_letter", "id_conflict", "o-2"),
        ("dead_letter", "id_conflict", None),
    ]


def test_the_door_and_supplier_reports_name_no_order(dry: Dry) -> None:
    rows = dry.run(
        line("shipment.lost", key="o-2"),
        line("supplier.reported"),
        {**line("shipment.lost"), "value": None},
        {**line("shipment.lost"), "timestamp_ms": -1},
    )
    assert rows == [
        ("dead_letter", "key_mismatch", None),
        ("applied", None, None),
        ("dead_letter", "invalid_json", None),
        ("dead_letter", "bad_envelope", None),
    ]
    assert read(dry.orders) == []


def test_orders_are_sorted_by_the_bytes_of_their_ids(dry: Dry) -> None:
    ids = ["b", "a", "B", "a.1", "a-1", "a_1", "a:1", "10", "9", "aa"]
    dry.run(*(line("payment.captured", id=i, order_id=i, payment_id=i) for i in ids))
    assert [order["order_id"] for order in read(dry.orders)] == sorted(ids, key=str.encode)


def test_orders_without_an_escrow_row_have_no_line(dry: Dry) -> None:
    dry.run(line("shipment.lost"), line("deadline.reached", order_id="o-2"))
    assert read(dry.orders) == []


def test_loss_may_exceed_what_an_amount_may(dry: Dry) -> None:
    most = 2**53 - 1
    lines = [line("payment.captured", amount_minor=most), line("delivery.confirmed")]
    for n in range(3):
        lines += [
            line("payment.charged_back", id=f"o{n}", chargeback_id=f"c{n}", amount_minor=most),
            line("payment.chargeback_closed", id=f"c{n}", chargeback_id=f"c{n}", outcome="lost"),
        ]
    dry.run(*lines)
    (order,) = read(dry.orders)
    assert (order["supplier_debt_minor"], order["loss_minor"]) == (most, 2 * most)


def test_the_same_file_gives_the_same_bytes_in_another_process(dry: Dry, tmp_path: Path) -> None:
    lines = [
        line("payment.captured", order_id=f"o{n}", payment_id=f"p{n}", id=f"{n}") for n in range(20)
    ]
    lines += [line("delivery.confirmed", order_id=f"o{n}", id=f"d{n}") for n in range(20)]
    dry.run(*lines)
    out, orders = tmp_path / "out2", tmp_path / "orders2"
    command = [sys.executable, "-m", "ops.cli.main", "simulate", str(dry.facts)]
    command += ["--outcomes", str(out), "--orders", str(orders)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert out.read_bytes() == dry.out.read_bytes()
    assert orders.read_bytes() == dry.orders.read_bytes()
