"""What we send: commands and order events as their models write and read them."""

from typing import Any, Final, get_args

import pytest
from pydantic import ValidationError

from schemas.commands import (
    COMMAND_TOPIC,
    COMMAND_TYPE,
    CommandStatusRequested,
    Kind,
    PaymentCommand,
    reissue_command_id,
)
from schemas.commands import command_id as product_command_id
from schemas.order_events import (
    AlarmRaised,
    DeadLettered,
    FactRefused,
    MediationAvailable,
    OrderChanged,
    rfc3339,
    sent_id,
)
from schemas.words import WireModel
from tests.unit.hashes import command_id, reissue_id

CAUSE: Final = {"source": "/shop", "id": "id-1"}
COMMAND: Final[dict[str, Any]] = {
    "command_id": "c" * 32,
    "order_id": "o-1",
    "payment_id": "p-1",
    "party_id": "b-1",
    "amount_minor": 1,
    "currency": "EUR",
    "purpose": "settlement",
    "decided_by": None,
    "cause": CAUSE,
    "attempt": 1,
    "not_after": "2026-01-31T10:00:00.000Z",
}
CHANGED: Final[dict[str, Any]] = {
    "order_id": "o-1",
    "from": None,
    "to": "HELD",
    "held_minor": 1,
    "refunded_minor": 0,
    "paid_out_minor": 0,
    "currency": "EUR",
    "decided_by": "carrier",
    "cause": CAUSE,
    "decision_no": 1,
    "chain_head": "00",
}
DEAD: Final[dict[str, Any]] = {
    "code": "too_large",
    "detail": "70000 bytes",
    "topic": "t",
    "partition": 0,
    "offset": 1,
    "timestamp_ms": 5,
    "key": None,
    "headers": {"a": "b"},
    "value_base64": None,
    "value_bytes": 70000,
    "value_sha256": "0" * 64,
    "cut": True,
    "redacted": False,
}
SENT: Final[list[tuple[type[WireModel], dict[str, Any]]]] = [
    (PaymentCommand, COMMAND),
    (CommandStatusRequested, {"command_id": "c", "order_id": "o-1"}),
    (OrderChanged, CHANGED),
    (
        FactRefused,
        {"order_id": "o", "cause": CAUSE, "type": "t", "code": "c", "detail": {"eligible_at": "x"}},
    ),
    (MediationAvailable, {"order_id": "o", "request_id": "r", "first_requested_at": "x"}),
    (AlarmRaised, {"order_id": None, "alarm": "id_conflict", "cause": CAUSE, "detail": None}),
    (DeadLettered, DEAD),
]


@pytest.mark.parametrize(("model", "data"), SENT)
def test_what_we_send_is_read_back_as_it_was(model: type[WireModel], data: dict[str, Any]) -> None:
    sent = model.model_validate(data)
    assert model.model_validate_json(sent.model_dump_json()) == sent
    assert sent.model_dump() == data
    with pytest.raises(ValidationError):
        model.model_validate({**data, "more": 1})


@pytest.mark.parametrize(
    "change",
    [
        {"amount_minor": 0},
        {"attempt": 0},
        {"purpose": "gift"},
        {"decided_by": "us"},
        {"not_after": "tomorrow"},
        {"currency": "XXX"},
    ],
)
def test_a_command_that_no_rule_gives_is_none(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PaymentCommand.model_validate({**COMMAND, **change})


def test_command_ids_are_those_of_rules_4_6() -> None:
    for n in (1, 2, 10):
        assert product_command_id("o-1", "refund", n) == command_id("o-1", "refund", n)
        assert product_command_id("o-1", "payout", n) == command_id("o-1", "payout", n)
    assert reissue_command_id("c" * 32) == reissue_id("c" * 32)
    # golden: the gateway's idempotency keys must stay the same through every version
    assert product_command_id("o-1", "payout", 1) == "9fdb5f9ac51b13176e480eb97d5c6c2e"
    assert set(COMMAND_TOPIC) == set(COMMAND_TYPE) == set(get_args(Kind))


def test_ids_of_what_we_tell_differ_by_cause_type_and_index() -> None:
    ids = {sent_id(c, t, n) for c in ("a", "b") for t in ("x", "y") for n in (0, 1)}
    assert len(ids) == 8


@pytest.mark.parametrize(
    ("t", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1, "1970-01-01T00:00:00.001Z"),
        (951_782_400_999, "2000-02-29T00:00:00.999Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (253_402_300_800_000, "9999-12-31T23:59:59.999Z"),
        (2**63, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_times_are_told_in_milliseconds_utc(t: int, text: str) -> None:
    assert rfc3339(t) == text
