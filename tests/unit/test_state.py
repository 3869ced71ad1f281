"""The row, its children, and what a broken rule would meet: the assertions on money stay on."""

from dataclasses import dataclass
from typing import Any

import pytest

from escrow import arrival, decide, settlement
from escrow.decision import Alarm, Applied, join
from escrow.policy import CURRENT, POLICIES, policy_of
from escrow.postings import Movement, movement
from escrow.state import Escrow, Order, Shipment
from tests.builders import a_fact, an_order


def test_number_and_head_are_the_last_two_fields_of_a_row() -> None:
    row = an_order().disputed().row
    assert row.linked(99, b"head") == row._replace(decision_no=99, chain_head=b"head")


def test_evidence_met_under_another_id_is_known_by_side_and_digest() -> None:
    order = Order(Escrow("o-1"), {})
    order.met("buyer", "a" * 64)
    order.met("supplier", "b" * 64)
    assert set(order.evidence_digests) == {("buyer", "a" * 64), ("supplier", "b" * 64)}
    assert list(order.evidence) == []


def test_two_orders_share_no_child() -> None:
    first, second = Order(Escrow("o-1"), {}), Order(Escrow("o-2"), {})
    first.put(Shipment("sh-1", "lost", None))
    assert not second.shipments


def test_a_policy_is_found_by_its_version_and_the_current_one_without() -> None:
    assert policy_of(None) is CURRENT
    assert all(policy_of(version).version == version for version in POLICIES)
    assert CURRENT.version == max(POLICIES)


def test_the_policy_is_that_of_rules_4_9() -> None:
    assert POLICIES[1]._asdict() == {
        "version": 1,
        "methods": {"visa", "mastercard"},
        "mediation_after_ms": 10 * 24 * 3_600_000,
        "park_limit_ms": 30 * 24 * 3_600_000,
        "parked_per_order_max": 1_000,
        "max_attempts": 5,
        "gateway_patience_ms": 15 * 60_000,
        "command_valid_for_ms": 24 * 3_600_000,
    }


def test_nothing_to_move_is_no_movement() -> None:
    assert movement("held", "charged_back", 0, "EUR") == ()
    assert movement("held", "charged_back", 1, "EUR") == (
        Movement("held", "charged_back", 1, "EUR"),
    )


def test_effects_are_joined_in_their_order_and_the_last_row_stands() -> None:
    rows = Escrow("o-1"), Escrow("o-1", "HELD")
    parts = [
        Applied(
            row, holds=(name,), alarms=(Alarm("ruling_final"),), mediation_available=name == "a"
        )
        for row, name in zip(rows, "ab", strict=True)
    ]
    joined = join(parts)
    assert (joined.escrow, joined.holds, len(joined.alarms)) == (rows[1], ("a", "b"), 2)
    assert joined.mediation_available


@dataclass
class Broken:
    """A rule that loses money: what would stop it?"""

    row: Escrow

    def __call__(self, *_: Any) -> Applied:
        return Applied(self.row)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"held_minor": 999}, "does not add up"),
        ({"held_minor": -1, "refunded_minor": 1001}, "below zero"),
        ({"status": "RELEASED"}, "settled, yet held"),
    ],
)
def test_a_rule_that_loses_money_is_stopped(
    changes: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = an_order().held().order
    monkeypatch.setattr(decide, "_by_type", Broken(order.escrow._replace(**changes)))
    with pytest.raises(AssertionError, match=said):
        decide.decide(order, a_fact("shipment.lost"))


def test_a_change_of_status_that_no_table_allows_is_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order = an_order().held().order
    monkeypatch.setattr(decide, "_by_type", Broken(order.escrow._replace(status="IN_MEDIATION")))
    with pytest.raises(AssertionError, match="HELD -> IN_MEDIATION"):
        arrival.arrive(order, a_fact("shipment.lost"))


def test_there_is_no_second_settlement() -> None:
    story = an_order().released()
    with pytest.raises(AssertionError, match="needs money that is held"):
        settlement.settle(story.order, a_fact("delivery.confirmed"), 0, "buyer")
