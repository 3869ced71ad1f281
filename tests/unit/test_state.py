"""The row, its children, the policy, and effects that are joined."""

from typing import get_args

import pytest

from escrow.decision import Alarm, Applied, join
from escrow.policy import CURRENT, POLICIES, policy_of
from escrow.postings import Movement, movement
from escrow.state import Command, CommandState, Escrow, Order, Shipment
from tests.builders import an_order


def test_number_and_head_are_the_last_two_fields_of_a_row() -> None:
    row = an_order().disputed().row
    assert row.linked(99, b"head") == row._replace(decision_no=99, chain_head=b"head")


def test_a_row_of_which_nothing_is_known_says_nothing() -> None:
    said = set(Escrow("o-1")[1:])
    assert said == {None, "", 0, b""}
    assert Escrow("o-1").policy_version is None
    assert Command._field_defaults == {
        "state": "PENDING",
        "attempt": 1,
        "failures": 0,
        "reissue_id": None,
        "asked_at": 0,
    }


def test_the_states_of_a_command_are_those_of_rules_4_6() -> None:
    assert get_args(CommandState) == ("PENDING", "ACCEPTED", "SETTLED", "FAILED", "RETURNED")


def test_an_order_holds_nothing_that_is_not_named() -> None:
    with pytest.raises(AttributeError):
        an_order().held().order.note = "by the way"  # type: ignore[attr-defined]


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
    assert policy_of(None, 0) is CURRENT
    assert all(policy_of(version, 0).version == version for version in POLICIES)
    assert CURRENT.version == max(POLICIES)
    with pytest.raises(KeyError):  # a version that is not known is never taken for the current one
        policy_of(max(POLICIES) + 1, 0)


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
        "effective_at": 0,
        "auto_confirm_after_ms": None,
        "supplier_silence_ms": None,
    }


def test_nothing_to_move_is_no_movement() -> None:
    assert movement("held", "charged_back", 0, "EUR") == ()
    assert movement("held", "charged_back", 1, "EUR") == (
        Movement("held", "charged_back", 1, "EUR"),
    )


@pytest.mark.parametrize("announcing", ["a", "b", "ab", ""])
def test_effects_are_joined_in_their_order_and_the_last_row_stands(announcing: str) -> None:
    rows = Escrow("o-1"), Escrow("o-1", "HELD")
    parts = [
        Applied(
            row,
            holds=(name,),
            alarms=(Alarm("ruling_final"),),
            mediation_available=name in announcing,
        )
        for row, name in zip(rows, "ab", strict=True)
    ]
    joined = join(parts)
    assert (joined.escrow, joined.holds, len(joined.alarms)) == (rows[1], ("a", "b"), 2)
    assert joined.mediation_available == bool(announcing)
