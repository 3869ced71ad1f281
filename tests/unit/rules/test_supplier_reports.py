"""RULES 3.3, check 0: a report is applied; it concerns no order."""

from escrow.state import Escrow
from tests.builders import an_order, given


def test_a_report_is_applied_and_leaves_every_order_alone() -> None:
    story = an_order("s-1").held()
    before = story.row
    seen = given(story).when("supplier.reported").then("applied")
    assert seen.fact.order_id is None
    assert seen.decided.escrow._replace(decision_no=0, chain_head=b"") == Escrow("")
    assert story.row == before


def test_the_same_supplier_can_be_reported_again_under_a_new_id() -> None:
    story = an_order().says("supplier.reported")
    given(story).when("supplier.reported").then("applied")
    assert story.replay.orders == {}
