"""RULES 3.3 and 3.4: what expires, what waits and for how many, what is woken and when."""

from typing import Any, Final

from escrow.arrival import Moved
from escrow.policy import CURRENT
from tests.builders import T0, Story, an_order, given
from tests.unit.hashes import command_id, reissue_id

PAYOUT: Final = command_id("o-1", "payout", 1)
THIRTY_DAYS_MS: Final = 2_592_000_000


def waiting_types(story: Story) -> list[tuple[str, str]]:
    return [(waiting.fact.type, waiting.code) for waiting in story.order.waiting]


# --- expiry (3.3) ---


def test_a_parked_fact_expires_thirty_days_after_its_own_time() -> None:
    for ms, expires in ((THIRTY_DAYS_MS - 1, False), (THIRTY_DAYS_MS, True)):
        story = an_order().waits("delivery.confirmed").after(ms=ms)
        seen = given(story).when("payment.captured").then("applied", parked=0)
        if expires:
            seen.followed_by(("delivery.confirmed", "dead_letter", "parked_too_long"))
            assert story.row.status == "HELD"
        else:
            seen.followed_by(("delivery.confirmed", "applied", None))
            assert story.row.status == "RELEASED"


def test_a_ruling_never_expires() -> None:
    story = an_order().waits("ruling.issued").after(days=400)
    given(story).when("payment.captured").then("applied", parked=1)
    assert waiting_types(story) == [("ruling.issued", "awaiting_mediation")]


def test_every_fact_past_identity_expires_others_whatever_becomes_of_it() -> None:
    for fact, outcome, code in (
        ("delivery.confirmed", "refused", "already_settled"),
        ("gateway.settled", "parked", "awaiting_command"),
        ("deadline.reached", "applied", None),
    ):
        story = an_order().waits("gateway.accepted", command_id="c-9").released()
        seen = given(story.after(ms=THIRTY_DAYS_MS)).when(fact).then(outcome, code)
        seen.followed_by(("gateway.accepted", "dead_letter", "parked_too_long"))


def test_duplicates_conflicts_and_reports_expire_nothing() -> None:
    story = an_order().waits("gateway.accepted").held(id="x").after(ms=THIRTY_DAYS_MS)
    given(story).when("payment.captured", id="x").then("duplicate").followed_by()
    given(story).when("payment.captured", id="x", method="visa2").then("dead_letter", "id_conflict")
    given(story).when("supplier.reported").then("applied").followed_by()
    assert story.row.parked == 1


def test_facts_expire_in_the_order_in_which_they_came_each_by_its_own_time() -> None:
    story = an_order()
    for t, fact in (
        (T0 + 5, "refund.withdrawn"),
        (T0, "delivery.confirmed"),
        (T0 + 9, "refund.offered"),
    ):
        story.waits(fact, t=t)
    seen = given(story).when("deadline.reached", kind="park_limit", t=T0 + 5 + THIRTY_DAYS_MS)
    seen.then("applied").followed_by(
        ("refund.withdrawn", "dead_letter", "parked_too_long"),
        ("delivery.confirmed", "dead_letter", "parked_too_long"),
    )
    assert waiting_types(story) == [("refund.offered", "awaiting_payment")]


def test_a_woken_fact_expires_nothing_and_never_expires_itself() -> None:
    story = an_order().waits("delivery.confirmed", t=T0 + 10**10).waits("gateway.settled", t=T0)
    seen = given(story).when("payment.captured", t=T0 + 1).then("applied", status="RELEASED")
    seen.followed_by(("delivery.confirmed", "applied", None))
    assert waiting_types(story) == [("gateway.settled", "awaiting_command")]


# --- parking (3.3) ---


def crowded() -> Story:
    story = an_order()
    for n in range(CURRENT.parked_per_order_max):
        _, steps = story.send("gateway.accepted", command_id=f"c-{n}")
        assert not isinstance(steps, str)
    assert story.row.parked == 1000
    return story


def test_the_thousand_and_first_parked_fact_is_a_dead_letter_and_leaves_nothing() -> None:
    story = crowded()
    before = story.row
    given(story).when("delivery.confirmed", id="last").then("dead_letter", "parking_full")
    assert story.row == before
    # and no identity: after a place is free the same record waits as if it were new
    given(story).when("payment.captured").then("applied", parked=1000)
    given(story).when("ruling.issued", id="r").then("dead_letter", "parking_full")
    given(story).when("delivery.confirmed", id="last").then("applied", status="RELEASED")


def test_expiry_makes_room_first() -> None:
    story = crowded().after(ms=THIRTY_DAYS_MS)
    given(story).when("delivery.confirmed").then("parked", "awaiting_payment", parked=1)


def test_expiry_counts_also_where_the_newcomer_finds_no_room() -> None:
    story = an_order().waits("delivery.confirmed", t=T0 - THIRTY_DAYS_MS)
    for n in range(1, 1000):
        story.send("gateway.accepted", command_id=f"c-{n}", t=T0 - THIRTY_DAYS_MS)
    story.send("refund.withdrawn", t=T0 - 1)
    given(story).when("refund.withdrawn", t=T0).then("parked", "awaiting_payment", parked=1)


def test_a_fact_that_stays_parked_is_not_counted_again() -> None:
    story = an_order().waits("ruling.issued")
    for status in ("HELD", "DISPUTED", "FROZEN", "DISPUTED"):
        {"HELD": story.held, "FROZEN": story.frozen}.get(
            status,
            story.disputed
            if story.row.status == "HELD"
            else lambda: story.says("payment.chargeback_closed"),
        )()
        assert (story.row.status, story.row.parked) == (status, 1)


# --- waking (3.4) ---


def test_what_came_before_the_payment_is_tried_in_the_order_in_which_it_came() -> None:
    story = an_order()
    story.waits("refund.requested", amount_minor=400).waits("delivery.confirmed")
    story.waits("refund.offer_accepted")
    seen = given(story).when("payment.captured").then("applied", status="SPLIT", parked=0)
    seen.followed_by(
        ("refund.requested", "applied", None),
        ("delivery.confirmed", "refused", "request_open"),
        ("refund.offer_accepted", "applied", None),
    )


def test_woken_facts_keep_their_own_time() -> None:
    story = an_order().waits("refund.requested", t=T0 + 50)
    given(story).when("payment.captured", t=T0 + 99).then("applied", first_requested_at=T0 + 50)


def test_waking_goes_on_pass_after_pass_until_one_applies_none() -> None:
    story = an_order().waits("gateway.settled", command_id=PAYOUT)
    story.waits("command.reissued", command_id=PAYOUT).waits("delivery.confirmed")
    seen = given(story).when("payment.captured").then("applied", status="RELEASED", parked=0)
    seen.followed_by(
        ("delivery.confirmed", "applied", None),
        ("gateway.settled", "applied", None),
        ("command.reissued", "refused", "command_not_final"),
    )


def test_what_stays_parked_keeps_no_other_from_being_tried() -> None:
    story = an_order().waits("ruling.issued").waits("delivery.confirmed")
    seen = given(story).when("payment.captured").then("applied", status="RELEASED", parked=0)
    seen.followed_by(
        ("ruling.issued", "parked", "awaiting_mediation"),
        ("delivery.confirmed", "applied", None),
        ("ruling.issued", "refused", "already_settled"),
    )


def test_one_applied_fact_is_enough_for_another_pass_whatever_comes_after_it() -> None:
    story = an_order().waits("gateway.settled", command_id=PAYOUT)
    story.waits("delivery.confirmed").waits("refund.withdrawn")
    seen = given(story).when("payment.captured").then("applied", status="RELEASED", parked=0)
    seen.followed_by(
        ("delivery.confirmed", "applied", None),
        ("refund.withdrawn", "refused", "already_settled"),
        ("gateway.settled", "applied", None),
    )


def test_a_refused_fact_wakes_nobody() -> None:
    story = an_order().in_mediation().frozen().waits("ruling.issued")
    seen = given(story).when("delivery.confirmed").then("refused", "frozen")
    seen.followed_by()


def test_a_reissue_wakes_the_result_that_waited_for_it() -> None:
    story = an_order().failed().waits("gateway.settled", command_id=reissue_id(PAYOUT))
    given(story).when("command.reissued", command_id=PAYOUT).then("applied").followed_by(
        ("gateway.settled", "applied", None)
    )


def test_an_applied_fact_that_changes_nothing_for_the_waiting_leaves_them_as_they_are() -> None:
    story = an_order().released().waits("command.reissued", command_id="c-9")
    given(story).when("gateway.settled", command_id=PAYOUT).then("applied").followed_by()
    assert waiting_types(story) == [("command.reissued", "awaiting_command")]


def test_a_ruling_that_stays_parked_moves_on_to_its_next_reason() -> None:
    story = an_order().waits("ruling.issued")
    seen = given(story).when("payment.captured").then("applied")
    seen.followed_by(("ruling.issued", "parked", "awaiting_mediation"))
    assert isinstance(seen.steps[-1], Moved)
    seen = given(story).when("payment.charged_back").then("applied", status="FROZEN")
    seen.followed_by(("ruling.issued", "parked", "awaiting_chargeback"))
    seen = given(story).when("payment.chargeback_closed").then("applied", status="HELD")
    seen.followed_by(("ruling.issued", "parked", "awaiting_mediation"))
    given(story).when("refund.requested").then("applied").followed_by()
    assert (story.row.parked, len(story.order.waiting)) == (1, 1)
    seen = given(story.after(days=10)).when("mediation.requested")
    seen.then("applied", status="RELEASED", decided_by="ruling")
    seen.followed_by(("ruling.issued", "applied", None))


def test_a_waiting_ruling_is_refused_once_the_order_is_settled_or_the_request_is_another() -> None:
    story = an_order().disputed().waits("ruling.issued")
    given(story).when("refund.offer_accepted").then("applied").followed_by(
        ("ruling.issued", "refused", "already_settled")
    )
    story = an_order().held().waits("ruling.issued", request_id="r-9").disputed()
    given(story.after(days=10)).when("mediation.requested").then(
        "applied", status="IN_MEDIATION"
    ).followed_by(("ruling.issued", "refused", "no_such_request"))


def test_no_protection_wakes_and_refuses_what_waited_for_the_payment() -> None:
    story = an_order().waits("refund.requested").waits("shipment.lost").waits("ruling.issued")
    seen = given(story).when("payment.captured", paid_through="other")
    seen.then("applied", "not_paid_through_escrow", parked=0, shipments_known=1)
    seen.followed_by(
        ("refund.requested", "refused", "not_protected"),
        ("shipment.lost", "applied", None),
        ("ruling.issued", "refused", "not_protected"),
    )


def test_the_carriers_proof_is_looked_at_after_each_woken_fact() -> None:
    request: dict[str, Any] = {"reason": "not_arrived"}
    story = an_order().waits("refund.requested", **request).waits("shipment.lost")
    story.waits("delivery.confirmed", withdraws_request_id="r-1")
    seen = (
        given(story)
        .when("payment.captured")
        .then("applied", status="REFUNDED", decided_by="carrier")
    )
    seen.followed_by(
        ("refund.requested", "applied", None),
        ("shipment.lost", "applied", None),
        ("delivery.confirmed", "refused", "already_settled"),
    )


def test_a_woken_shipment_can_prove_the_loss_before_the_rest_of_the_pass() -> None:
    story = an_order().waits("shipment.lost").waits("refund.requested", reason="not_arrived")
    story.waits("shipment.dispatched", shipment_id="sh-2")
    given(story).when("payment.captured").then("applied", status="REFUNDED", shipments_known=2)
