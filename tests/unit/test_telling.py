"""RULES 4.6 and 4.8: what each decision sends, under ids that every repetition shares."""

import json
from hashlib import sha256
from typing import Any, Final

import pytest

from escrow.arrival import Decided
from escrow.telling import Outgoing, id_conflict_alarm, tell
from schemas.commands import PaymentCommand
from schemas.order_events import AlarmRaised, FactRefused, MediationAvailable, OrderChanged
from schemas.words import WireModel
from tests.builders import T0, Seen, a_fact, an_order, given
from tests.unit.hashes import command_id, reissue_id

CAUSE: Final = {"source": "/shop", "id": "it"}
EVENTS: Final = "escrow.order-events.v1"
REFUND: Final = command_id("o-1", "refund", 1)
PAYOUT: Final = command_id("o-1", "payout", 1)


MODELS: Final[dict[str, type[WireModel]]] = {
    "order.changed": OrderChanged,
    "fact.refused": FactRefused,
    "mediation.available": MediationAvailable,
    "alarm.raised": AlarmRaised,
    "refund.issue": PaymentCommand,
    "payout.release": PaymentCommand,
}


def told(seen: Seen) -> list[Outgoing]:
    """All that is told of a fact; each payload is exactly what its model in `schemas` would say."""
    out = [out for step in seen.steps if isinstance(step, Decided) for out in tell(step)]
    for sent in out:
        model = MODELS[sent.type].model_validate_json(sent.payload)
        assert model.model_dump_json() == sent.payload
    return out


def data(out: Outgoing) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(out.payload)
    return parsed


def event_id(type_name: str, index: int, cause: str = "/shop\nit") -> str:
    return sha256(f"{cause}\n{type_name}\n{index}".encode()).hexdigest()[:32]


def test_the_first_change_of_status_comes_from_null() -> None:
    seen = given(an_order()).when("payment.captured", id="it")
    (changed,) = told(seen)
    assert (changed.topic, changed.key, changed.type, changed.t) == (
        EVENTS,
        "o-1",
        "order.changed",
        T0,
    )
    assert changed.id == event_id("order.changed", 0)
    assert data(changed) == {
        "order_id": "o-1",
        "from": None,
        "to": "HELD",
        "held_minor": 1000,
        "refunded_minor": 0,
        "paid_out_minor": 0,
        "currency": "EUR",
        "decided_by": None,
        "cause": CAUSE,
        "decision_no": 1,
        "chain_head": seen.story.row.chain_head.hex(),
    }


def test_a_settlement_tells_the_change_then_sends_the_refund_then_the_payout() -> None:
    seen = given(an_order().disputed(amount_minor=300)).when(
        "refund.offer_accepted", id="it", t=T0 + 1
    )
    changed, refund, payout = told(seen)
    assert (data(changed)["from"], data(changed)["to"]) == ("DISPUTED", "SPLIT")
    assert (data(changed)["decided_by"], data(changed)["paid_out_minor"]) == ("agreement", 700)
    assert (refund.topic, refund.type, refund.key) == (
        "escrow.refund-commands.v1",
        "refund.issue",
        "o-1",
    )
    assert (payout.topic, payout.type) == ("escrow.payout-commands.v1", "payout.release")
    assert (refund.id, refund.command_id, refund.t) == (f"{REFUND}.1", REFUND, T0 + 1)
    assert not any(out.may_be_held for out in (changed, refund, payout))
    assert data(payout) == {
        "command_id": PAYOUT,
        "order_id": "o-1",
        "payment_id": "p-1",
        "party_id": "s-1",
        "amount_minor": 700,
        "currency": "EUR",
        "purpose": "settlement",
        "decided_by": "agreement",
        "cause": CAUSE,
        "attempt": 1,
        "not_after": "2023-11-15T22:13:20.001Z",
    }


def test_a_retry_is_told_under_an_id_of_its_own_attempt_and_valid_from_its_own_fact() -> None:
    story = an_order().released().after(days=3)
    (again,) = told(given(story).when("gateway.failed", command_id=PAYOUT, retryable=True))
    assert (again.id, data(again)["attempt"]) == (f"{PAYOUT}.2", 2)
    assert data(again)["not_after"] == "2023-11-18T22:13:20.000Z"
    assert data(again)["cause"] == {"source": "/shop", "id": "o-1.2"}, "why the money moves"


def test_a_reissue_is_sent_with_its_own_cause_and_the_old_decision() -> None:
    seen = given(an_order().failed()).when("command.reissued", id="it", command_id=PAYOUT)
    (again,) = told(seen)
    assert (again.command_id, again.may_be_held) == (reissue_id(PAYOUT), True)
    sent = PaymentCommand.model_validate_json(again.payload)
    assert (sent.purpose, sent.decided_by, sent.cause.id) == ("reissue", "buyer", "it")


def test_a_refusal_is_told_to_its_sender_with_what_helps() -> None:
    seen = given(an_order().disputed()).when("mediation.requested", id="it")
    (refused,) = told(seen)
    assert refused.id == event_id("fact.refused", 0)
    assert data(refused) == {
        "order_id": "o-1",
        "cause": CAUSE,
        "type": "mediation.requested",
        "code": "too_early",
        "detail": {"eligible_at": "2023-11-24T22:13:20.000Z"},
    }


def test_a_refusal_with_an_alarm_tells_both() -> None:
    story = an_order().held()
    refused, alarm = told(given(an_order("o-2", beside=story)).when("payment.captured", id="it"))
    assert (refused.key, data(refused)["detail"]) == ("o-2", None)
    assert data(alarm) == {
        "order_id": "o-2",
        "alarm": "payment_reused",
        "cause": CAUSE,
        "detail": None,
    }


def test_several_alarms_have_several_ids() -> None:
    story = an_order().released()
    alarms = told(given(story).when("payment.charged_back", id="it", amount_minor=1001))
    assert [data(alarm)["alarm"] for alarm in alarms] == [
        "chargeback_mismatch",
        "chargeback_after_settlement",
    ]
    assert [alarm.id for alarm in alarms] == [event_id("alarm.raised", n) for n in (0, 1)]
    assert data(alarms[0])["detail"] == {"chargeback_id": "cb-1", "amount_minor": "1001 EUR"}


def test_two_changes_of_one_decision_are_told_one_after_the_other() -> None:
    story = an_order().held().says("shipment.lost")
    first, second, refund = told(
        given(story).when("refund.requested", id="it", reason="not_arrived")
    )
    assert [(data(out)["from"], data(out)["to"]) for out in (first, second)] == [
        ("HELD", "DISPUTED"),
        ("DISPUTED", "REFUNDED"),
    ]
    assert [data(out)["held_minor"] for out in (first, second)] == [1000, 0]
    assert (first.id, second.id) == (event_id("order.changed", 0), event_id("order.changed", 1))
    assert refund.type == "refund.issue"


def test_mediation_available_names_the_request_and_the_first_one_s_time() -> None:
    story = an_order().disputed().after(days=10)
    (available,) = told(given(story).when("deadline.reached", id="it"))
    assert (available.type, available.key) == ("mediation.available", "o-1")
    assert available.id == event_id("mediation.available", 0)
    assert data(available) == {
        "order_id": "o-1",
        "request_id": "r-1",
        "first_requested_at": "2023-11-14T22:13:20.000Z",
    }


@pytest.mark.parametrize("fact", ["shipment.lost", "evidence.submitted", "supplier.reported"])
def test_a_fact_that_changes_nothing_for_others_tells_nothing(fact: str) -> None:
    assert told(given(an_order().held()).when(fact)) == []


def test_parked_duplicate_and_expired_facts_tell_nothing_themselves() -> None:
    story = an_order()
    assert told(given(story).when("delivery.confirmed", id="x")) == []
    assert told(given(story).when("delivery.confirmed", id="x")) == []
    seen = given(story.after(days=30)).when("deadline.reached")
    assert told(seen) == []


def test_a_woken_fact_is_told_of_as_its_own_cause() -> None:
    story = an_order().waits("delivery.confirmed", id="woken").waits("refund.withdrawn", id="no")
    first, second, _payout, refused = told(given(story).when("payment.captured", id="it"))
    assert data(first)["cause"]["id"] == "it"
    assert data(second)["cause"]["id"] == data(_payout)["cause"]["id"] == "woken"
    assert second.id == event_id("order.changed", 0, "/shop\nwoken")
    assert (data(refused)["code"], data(refused)["cause"]["id"]) == ("already_settled", "no")


def test_no_two_things_told_share_an_id_and_the_same_facts_tell_the_same_again() -> None:
    def run() -> list[Outgoing]:
        story = an_order()
        out = told(given(story).when("payment.captured"))
        for fact, changes in (
            ("refund.requested", {}),
            ("payment.charged_back", {"amount_minor": 1001}),
            ("payment.chargeback_closed", {}),
            ("payment.captured", {"payment_id": "p-2"}),
            ("refund.offer_accepted", {}),
            ("gateway.failed", {"command_id": REFUND, "retryable": True}),
        ):
            out += told(given(story).when(fact, **changes))
        return out

    everything = run()
    assert len({(out.topic, out.id) for out in everything}) == len(everything) == 9
    assert run() == everything


def test_extensions_of_the_fact_are_carried_along() -> None:
    fact = a_fact("payment.captured")._replace(extensions=(("traceparent", "00-ab"),))
    steps = an_order().replay.take(fact)
    assert not isinstance(steps, str)
    (decided,) = steps
    assert isinstance(decided, Decided)
    assert [out.extensions for out in tell(decided)] == [(("traceparent", "00-ab"),)]


def test_an_id_conflict_is_an_alarm_whose_id_is_the_records_place() -> None:
    fact = a_fact("payment.captured", id="it")._replace(partition=3, offset=17)
    alarm = id_conflict_alarm(fact)
    place = "escrow.payments.v1/3/17"
    assert (alarm.topic, alarm.key, alarm.type) == (EVENTS, "o-1", "alarm.raised")
    assert alarm.id == event_id("alarm.raised", 0, place)
    assert data(alarm) == {
        "order_id": "o-1",
        "alarm": "id_conflict",
        "cause": CAUSE,
        "detail": {"type": "payment.captured"},
    }


def test_an_id_conflict_of_a_report_is_keyed_by_its_supplier() -> None:
    alarm = id_conflict_alarm(a_fact("supplier.reported"))
    assert (alarm.key, data(alarm)["order_id"]) == ("s-1", None)


def test_a_time_past_year_9999_stays_at_its_end() -> None:
    seen = given(an_order()).when("payment.captured", method="cash", t=2**62)
    command = told(seen)[-1]
    assert data(command)["not_after"].startswith("9999-12-31T23:59:59.")
