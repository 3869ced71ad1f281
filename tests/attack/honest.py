"""What honest senders send: any type, either mode, signed by whom it is bound to."""

import json
from random import Random
from typing import Any, Final, Literal, NamedTuple

from schemas.commands import COMMAND_TOPIC, COMMAND_TYPE, Kind
from schemas.door import Record
from schemas.facts import FACT_TYPES
from tests.attack.keys import signed
from tests.builders import T0, a_record, compact, sample

# stage → the source that may send its facts, and the holder of that source's key
SENDERS: Final = {
    "payments": ("/shop", "shop"),
    "shipments": ("/carrier/north", "carrier"),
    "refund_requests": ("/shop", "shop"),
    "mediation_rulings": ("/mediators/anna", "anna"),
    "gateway_results": ("/gateway", "gateway"),
    "operator_actions": ("/escrow/operators", "operators"),
    "deadlines": ("escrow-ticker", "ticker"),
    "supplier_reports": ("/shop", "shop"),
}
SOURCE_RULES: Final = {fact.name: [SENDERS[fact.stage][0]] for fact in FACT_TYPES.values()}
TYPES: Final = sorted(FACT_TYPES)


class Honest(NamedTuple):
    """A record as its sender wrote it, before and after he signed it."""

    plain: Record
    record: Record
    holder: str


def fact(rng: Random, n: int) -> Honest:
    """The n-th: an order of its own, so that all honest facts pass and none waits for another."""
    kind = FACT_TYPES[rng.choice(TYPES)]
    source, holder = SENDERS[kind.stage]
    mode: Literal["binary", "structured"] = rng.choice(("binary", "structured"))
    changes: dict[str, Any] = {}
    if "payment_id" in kind.model.model_fields:
        changes["payment_id"] = f"p-{n}"
    if "amount_minor" in kind.model.model_fields:
        changes["amount_minor"] = rng.randint(1, 10**6)
    data = sample(kind.name, f"o-{n}", **changes)
    record = a_record(kind.name, data, mode=mode, id=f"id-{n}", t=T0 + n)
    plain = from_source(record, source)
    return Honest(plain, signed(plain, holder), holder)


def from_source(record: Record, source: str) -> Record:
    """The same record in the name of this source; unsigned."""
    return with_attribute(record, "source", source)


def is_structured(record: Record) -> bool:
    return dict(record.headers)["content-type"] == b"application/cloudevents+json"


def with_attribute(record: Record, name: str, text: str) -> Record:
    """With another attribute, wherever its mode keeps it; signatures stay as they are."""
    if is_structured(record):
        event = json.loads(record.value or b"{}")
        return record._replace(value=compact({**event, name: text}))
    headers = [(n, v) for n, v in record.headers if n != f"ce_{name}"]
    return record._replace(headers=[*headers, (f"ce_{name}", text.encode())])


def command(rng: Random, n: int) -> Honest:
    """A command as the relay sends it."""
    kind: Kind = rng.choice(("refund", "payout"))
    data = {
        "command_id": f"c-{n}",
        "order_id": f"o-{n}",
        "payment_id": f"p-{n}",
        "party_id": "s-1",
        "amount_minor": rng.randint(1, 90) * 10_000 + 1,  # no magic amount of the simulator's
        "currency": "EUR",
        "purpose": "settlement",
        "decided_by": "buyer",
        "cause": {"source": "/shop", "id": f"id-{n}"},
        "attempt": 1,
        "not_after": "2030-01-01T00:00:00Z",
    }
    headers = [
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_id", f"c-{n}.1".encode()),
        ("ce_source", b"escrow"),
        ("ce_type", COMMAND_TYPE[kind].encode()),
    ]
    plain = Record(COMMAND_TOPIC[kind], 0, n, T0 + n, f"o-{n}".encode(), compact(data), headers)
    return Honest(plain, signed(plain, "relay"), "relay")
