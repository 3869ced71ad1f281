"""The scenes of the demo, each a promise of the buyer protection policy kept before your eyes."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from ops.demo.script import (
    Answer,
    Beat,
    Becomes,
    DeadLetter,
    Deal,
    Pays,
    Refused,
    Scene,
    Tells,
)

# Cut off in the middle, and with a card number in it that nobody may ever store.
POISON: Final = b'{"payment_id":"pay-clock","note":"my card is 4111 1111 1111 1111'


def scenes(suffix: str = "") -> Iterator[Scene]:
    """All of them. `suffix` keeps the ids apart where the servers have seen the story before."""
    teapot = Deal(order=f"teapot{suffix}", amount_minor=12_900, currency="EUR")
    yield Scene(
        title="An order that goes well",
        order=teapot.order,
        beats=(*_delivered(teapot), _confirmed(teapot)),
        closing="Only the buyer's word released the money.",
    )
    yield _never_arrives(
        Deal(order=f"kite{suffix}", amount_minor=8_450, currency="USD", method="mastercard")
    )
    yield _negotiated(Deal(order=f"violin{suffix}", amount_minor=24_000, currency="EUR"))
    yield _mediated(Deal(order=f"lantern{suffix}", amount_minor=18_000, currency="JPY"))
    yield Scene(
        title="The same fact twice",
        order=teapot.order,
        beats=(replace(_confirmed(teapot), outcome="duplicate", again=True, answers=()),),
        closing="Nothing was decided, nothing was paid again.",
    )
    yield _charged_back(Deal(order=f"camera{suffix}", amount_minor=56_000, currency="USD"))
    yield _poisoned(Deal(order=f"clock{suffix}", amount_minor=7_500, currency="EUR"))


def _delivered(deal: Deal) -> tuple[Beat, ...]:
    return (
        deal.captured(),
        deal.dispatched(1),
        deal.shipment(3, "delivered", "packaging intact", packaging="intact"),
    )


def _confirmed(deal: Deal) -> Beat:
    said = deal.says(4, "buyer", "delivery.confirmed", "all is well", buyer_id=deal.buyer)
    return _follows(
        said, Becomes(status="RELEASED"), Pays(kind="payout", amount_minor=deal.amount_minor)
    )


def _follows(beat: Beat, *answers: Answer) -> Beat:
    return replace(beat, answers=answers)


def _requested(deal: Deal, day: float, reason: str, amount_minor: int) -> Beat:
    said = deal.says(
        day,
        "buyer",
        "refund.requested",
        f"{reason.replace('_', ' ')}: {deal.money(amount_minor)}",
        request_id=f"req-{deal.order}",
        buyer_id=deal.buyer,
        reason=reason,
        **deal.amount(amount_minor),
    )
    return _follows(said, Becomes(status="DISPUTED"))


def _never_arrives(deal: Deal) -> Scene:
    lost = deal.shipment(9, "lost", "the parcel is gone")
    return Scene(
        title="One that never arrives",
        order=deal.order,
        beats=(
            deal.captured(),
            deal.dispatched(1),
            _requested(deal, 8, "not_arrived", deal.amount_minor),
            _follows(
                lost,
                Becomes(status="REFUNDED"),
                Pays(kind="refund", amount_minor=deal.amount_minor),
            ),
        ),
        closing="The carrier's own proof settled it: refunded in full.",
    )


def _negotiated(deal: Deal) -> Scene:
    def offer(day: float, by: str, amount_minor: int) -> Beat:
        return deal.says(
            day,
            by,
            "refund.offered",
            deal.money(amount_minor),
            request_id=f"req-{deal.order}",
            offer_id=f"offer-{by}-{deal.order}",
            **deal.party(by),
            **deal.amount(amount_minor),
        )

    def answer(day: float, by: str, what: str, offered_by: str) -> Beat:
        offer_id = f"offer-{offered_by}-{deal.order}"
        shows = f"the {offered_by}'s offer"
        who = deal.party(by)
        return deal.says(day, by, f"refund.offer_{what}", shows, offer_id=offer_id, **who)

    return Scene(
        title="One settled by negotiation",
        order=deal.order,
        beats=(
            *_delivered(deal),
            _requested(deal, 4, "not_as_described", 12_000),
            offer(4.5, "supplier", 4_000),
            answer(5, "buyer", "declined", "supplier"),
            offer(5.1, "buyer", 6_000),
            _follows(
                answer(6, "supplier", "accepted", "buyer"),
                Becomes(status="SPLIT"),
                Pays(kind="refund", amount_minor=6_000),
                Pays(kind="payout", amount_minor=18_000),
            ),
        ),
        closing="One settlement decides all the money.",
    )


def _mediated(deal: Deal) -> Scene:
    ask: dict[str, Any] = {"request_id": f"req-{deal.order}", "buyer_id": deal.buyer}
    early = deal.says(8, "buyer", "mediation.requested", "three days later", **ask)
    evidence = deal.says(
        15,
        "supplier",
        "evidence.submitted",
        "the chat, on day ten",
        evidence_id=f"chat-{deal.order}",
        **deal.party("supplier"),
        kind="chat_history",
        sha256="5e" * 32,
        size_bytes=48_211,
        media_type="text/html",
    )
    on_time = deal.says(15.01, "buyer", "mediation.requested", "now it is time", **ask)
    ruling = deal.says(
        15.9,
        "mediator",
        "ruling.issued",
        f"refund {deal.money(12_000)}",
        ruling_id=f"ruling-{deal.order}",
        request_id=f"req-{deal.order}",
        mediator_id="mediator-7",
        outcome="refund_partial",
        refund_minor=12_000,
        rationale="The crack is in the supplier's own photograph.",
    )
    return Scene(
        title="One for the mediator, who may be asked after ten days",
        order=deal.order,
        beats=(
            *_delivered(deal),
            _requested(deal, 5, "damaged", 18_000),
            replace(early, outcome="refused", answers=(Refused(code="too_early"),)),
            _follows(evidence, Tells(type="mediation.available")),
            _follows(on_time, Becomes(status="IN_MEDIATION")),
            _follows(
                ruling,
                Becomes(status="SPLIT"),
                Pays(kind="refund", amount_minor=12_000),
                Pays(kind="payout", amount_minor=6_000),
            ),
        ),
        closing="Ten days have passed by the records' own clock.",
    )


def _charged_back(deal: Deal) -> Scene:
    chargeback = f"cb-{deal.order}"
    opened = Beat(
        day=2,
        who="card net",
        type="payment.charged_back",
        shows=deal.money(),
        data={"chargeback_id": chargeback, "payment_id": f"pay-{deal.order}", **deal.amount()},
        answers=(Becomes(status="FROZEN"),),
    )
    confirmed = replace(
        _confirmed(deal), outcome="refused", shows="too late", answers=(Refused(code="frozen"),)
    )
    closed = Beat(
        day=9,
        who="card net",
        type="payment.chargeback_closed",
        shows="lost",
        data={"chargeback_id": chargeback, "outcome": "lost"},
        answers=(Becomes(status="CHARGED_BACK"),),
    )
    return Scene(
        title="A chargeback",
        order=deal.order,
        beats=(deal.captured(), opened, confirmed, closed),
        closing="The card network has taken the money itself: no command.",
    )


def _poisoned(deal: Deal) -> Scene:
    poison = replace(
        deal.captured(),
        shows="cut off, with a card number in it",
        outcome="dead_letter",
        answers=(DeadLetter(code="invalid_json"),),
        raw=POISON,
    )
    return Scene(
        title="A poison record",
        order=deal.order,
        beats=(poison, deal.captured(0.1)),
        closing="It is kept for an operator; its neighbour passes.",
    )
