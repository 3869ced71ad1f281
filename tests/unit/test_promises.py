"""What a restored database may send beside what gateways were told before."""

from hashlib import sha256

import pytest

from consumers.engine.processing import Halt
from consumers.engine.promises import Promises, _commands
from schemas.commands import PAYOUT_COMMANDS
from schemas.door import Record
from schemas.order_events import ORDER_EVENTS, SOURCE
from storage.lineage import Told
from storage.relaying import Unsent


def a_row(
    id_: int, order_id: str, sent_id: str, body: str = "{}", type_: str = "payout.release"
) -> Unsent:
    return Unsent(id_, 0, PAYOUT_COMMANDS, order_id, type_, sent_id, 1, body, None, None)


def promised(*said: tuple[str, str, str]) -> Promises:
    found: dict[str, dict[str, bytes]] = {}
    for order_id, sent_id, body in said:
        found.setdefault(order_id, {})[sent_id] = sha256(body.encode()).digest()
    return Promises(found)


def test_without_a_promise_all_is_sent() -> None:
    rows = [a_row(1, "o-1", "c.1"), a_row(2, "o-2", "d.1")]
    assert Promises().split(rows) == (rows, [])


def test_what_was_told_with_an_equal_body_is_not_sent_again() -> None:
    promises = promised(("o-1", "c.1", "{}"), ("o-1", "c.2", "[]"))
    told, again, other = (
        a_row(1, "o-1", "c.1"),
        a_row(2, "o-1", "c.2", "[]"),
        a_row(3, "o-2", "d.1"),
    )
    assert promises.split([told, other, again]) == ([other], [told, again])
    assert len(promises) == 0
    later = a_row(4, "o-1", "c.3")  # what was promised is kept: the order may go on
    assert promises.split([later]) == ([later], [])


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (a_row(1, "o-1", "c.1", "[]"), "with another body"),
        (a_row(1, "o-1", "x.1"), "x.1 would be sent, but gateways were told c.1"),
    ],
)
def test_nothing_is_sent_that_contradicts_what_was_told(row: Unsent, says: str) -> None:
    with pytest.raises(Halt, match=f"(?s){says}.*after a restore"):
        promised(("o-1", "c.1", "{}")).split([a_row(0, "o-2", "d.1"), row])


def test_what_is_no_command_is_told_again() -> None:
    event = a_row(1, "o-1", "e", type_="order.changed")
    asked = a_row(2, "o-1", "q", type_="command.status_requested")
    promises = promised(("o-1", "c.1", "{}"))
    assert promises.split([event, asked]) == ([event, asked], [])
    assert len(promises) == 1


def test_commands_are_found_among_all_that_a_topic_holds() -> None:
    body = b'{"order_id":"o-1","command_id":"c","attempt":2}'

    def record(type_: str, value: bytes | None = body, source: str = SOURCE) -> Record:
        headers = [("ce_type", type_.encode()), ("ce_id", b"c.2"), ("ce_source", source.encode())]
        return Record(ORDER_EVENTS, 0, 0, 1, b"o-1", value, headers)

    records = [
        record("command.status_requested"),
        record("payout.release", None),
        record("payout.release", b"else", source="/someone"),
        record("payout.release"),
    ]
    assert list(_commands(records)) == [Told("o-1", "c.2", "c", 2, sha256(body).digest())]
