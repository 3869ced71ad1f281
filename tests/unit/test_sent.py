"""What we send, in words that a gateway and a marketplace can rely on (RULES 4.6, 4.8)."""

import json
from typing import Any, Final, get_args

import pytest
from pydantic import ValidationError

from schemas import commands, order_events
from schemas.commands import COMMAND_TOPIC, COMMAND_TYPE, Cause, PaymentCommand
from schemas.words import WireModel
from tests.unit import hashes

COMMAND: Final = PaymentCommand(
    command_id="c" * 32,
    order_id="o-1",
    payment_id="p-1",
    party_id="b-1",
    amount_minor=1,
    currency="EUR",
    purpose="settlement",
    decided_by="ruling",
    cause=Cause(source="/shop", id="id-1"),
    attempt=1,
    not_after="2026-01-31T10:00:00Z",
)


def test_a_command_is_written_and_read_field_by_field_as_rules_4_6_says() -> None:
    raw = COMMAND.model_dump_json()
    assert list(json.loads(raw)) == [
        "command_id",
        "order_id",
        "payment_id",
        "party_id",
        "amount_minor",
        "currency",
        "purpose",
        "decided_by",
        "cause",
        "attempt",
        "not_after",
    ]
    assert PaymentCommand.model_validate_json(raw) == COMMAND
    asked = commands.CommandStatusRequested(command_id="c", order_id="o-1")
    assert json.loads(asked.model_dump_json()) == {"command_id": "c", "order_id": "o-1"}


@pytest.mark.parametrize(
    "change",
    [
        {"attempt": 0},
        {"amount_minor": 0},
        {"amount_minor": 1.0},
        {"currency": "XXX"},
        {"purpose": "gift"},
        {"decided_by": "supplier"},
        {"not_after": "tomorrow"},
        {"cause": {"source": "", "id": "x"}},
        {"fee_minor": 1},
    ],
)
def test_a_command_that_says_anything_else_is_none(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PaymentCommand.model_validate(COMMAND.model_dump() | change)


def test_nobody_decides_money_that_is_sent_back() -> None:
    back = COMMAND.model_copy(update={"purpose": "not_eligible", "decided_by": None})
    assert PaymentCommand.model_validate_json(back.model_dump_json()) == back


def test_commands_have_their_topics_and_types() -> None:
    assert COMMAND_TOPIC == {
        "refund": "escrow.refund-commands.v1",
        "payout": "escrow.payout-commands.v1",
    }
    assert COMMAND_TYPE == {"refund": "refund.issue", "payout": "payout.release"}


@pytest.mark.parametrize("order_id", ["o-1", "a" * 64, "A:b.c_d"])
@pytest.mark.parametrize("n", [1, 2, 10])
def test_command_ids_are_what_anyone_can_compute(order_id: str, n: int) -> None:
    for kind in get_args(commands.Kind):
        id_ = commands.command_id(order_id, kind, n)
        assert id_ == hashes.command_id(order_id, kind, n)
        assert commands.reissue_command_id(id_) == hashes.reissue_id(id_)


def test_two_command_ids_never_change() -> None:
    assert commands.command_id("o-1", "refund", 1) == "872923d8a0ae22c60cf5897c86a3953a"
    assert commands.reissue_command_id("0" * 32) == "9ae59cc91b347367ccce4552241424de"


def test_order_events_are_written_and_read_back() -> None:
    cause = Cause(source="/shop", id="id-1")
    events: list[WireModel] = [
        order_events.OrderChanged(
            order_id="o-1",
            from_status=None,
            to_status="HELD",
            held_minor=5,
            refunded_minor=0,
            paid_out_minor=0,
            currency="EUR",
            decided_by=None,
            cause=cause,
            decision_no=1,
            chain_head="00",
        ),
        order_events.FactRefused(
            order_id="o-1", cause=cause, type="x", code="frozen", detail={"a": "b"}
        ),
        order_events.MediationAvailable(order_id="o-1", request_id="r-1", first_requested_at="t"),
        order_events.AlarmRaised(order_id=None, alarm="id_conflict", cause=cause),
        order_events.DeadLettered(
            code="too_large",
            detail="70000 bytes",
            topic="t",
            partition=0,
            offset=7,
            timestamp_ms=-1,
            key=None,
            headers={},
            value_base64=None,
            value_bytes=None,
            value_sha256=None,
            cut=False,
            redacted=True,
        ),
    ]
    for event in events:
        raw = event.model_dump_json()
        assert type(event).model_validate_json(raw) == event
        with pytest.raises(ValidationError):
            type(event).model_validate(json.loads(raw) | {"fee_minor": 1})


@pytest.mark.parametrize(
    ("t", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1, "1970-01-01T00:00:00.001Z"),
        (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (253_402_300_800_000, "9999-12-31T23:59:59.999Z"),
        (2**63 - 1, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_instants_are_told_to_the_millisecond_and_never_past_year_9999(t: int, text: str) -> None:
    assert order_events.rfc3339(t) == text
