"""A fact that has left the waiting room takes no place in it: RULES 3.3, "fewer than 1,000 parked facts"."""

from escrow.arrival import Decided
from escrow.replay import Replay
from schemas.door import Fact, Record, decode


def _fact(topic: str, type_name: str, id_: str, data: str) -> Fact:
    headers = {
        "content-type": b"application/json",
        "ce_specversion": b"1.0",
        "ce_id": id_.encode(),
        "ce_source": b"/test",
        "ce_type": type_name.encode(),
    }
    fact = decode(Record(topic, 0, 0, 1, b"o", data.encode(), list(headers.items())))
    assert isinstance(fact, Fact)
    return fact


def test_woken_facts_leave_room_for_as_many_others() -> None:
    replay = Replay()
    for n in range(500):
        lost = f'{{"order_id":"o","shipment_id":"s{n}"}}'
        replay.take(_fact("escrow.shipments.v1", "shipment.lost", f"s{n}", lost))
    assert replay.orders["o"].escrow.parked == 500
    capture = (
        '{"order_id":"o","payment_id":"p","buyer_id":"b","supplier_id":"s","amount_minor":5,'
        '"currency":"EUR","method":"visa","paid_through":"escrow","agreement_accepted":true}'
    )
    replay.take(_fact("escrow.payments.v1", "payment.captured", "c", capture))
    assert replay.orders["o"].escrow.parked == 0
    codes = []
    for n in range(1001):
        ruling = (
            f'{{"order_id":"o","ruling_id":"r{n}","request_id":"q","mediator_id":"m",'
            '"outcome":"release"}'
        )
        steps = replay.take(_fact("escrow.mediation-rulings.v1", "ruling.issued", f"r{n}", ruling))
        assert isinstance(steps, tuple)
        assert isinstance(steps[0], Decided)
        codes.append(steps[0].code)
    assert codes == ["awaiting_mediation"] * 1000 + ["parking_full"]
