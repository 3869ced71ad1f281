"""`named_child` says what must be read: with only that, each fact is decided just the same."""

from escrow.naming import Named, named_child
from schemas.facts import FACT_TYPES
from tests.builders import a_fact

NAMED = {
    "shipment.dispatched": Named("shipment", "sh-1"),
    "shipment.delivered": Named("shipment", "sh-1"),
    "shipment.lost": Named("shipment", "sh-1"),
    "shipment.returned": Named("shipment", "sh-1"),
    "refund.requested": Named("offer", "r-1"),
    "refund.offered": Named("offer", "f-1"),
    "evidence.submitted": Named("evidence", "e-1"),
    "payment.charged_back": Named("chargeback", "cb-1"),
    "payment.chargeback_closed": Named("chargeback", "cb-1"),
    "gateway.accepted": Named("command", "c-1"),
    "gateway.settled": Named("command", "c-1"),
    "gateway.failed": Named("command", "c-1"),
    "gateway.returned": Named("command", "c-1"),
    "command.reissued": Named("command", "c-1"),
}


def test_each_type_names_its_child_or_none() -> None:
    assert {name: named_child(a_fact(name)) for name in FACT_TYPES} == {
        name: NAMED.get(name) for name in FACT_TYPES
    }
