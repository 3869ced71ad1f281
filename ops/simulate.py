"""The dry run of RULES 5: a file of records in, outcomes and orders out; nothing is sent.

The same door and the same `arrive` as the consumers. A file with a line that is no record leaves
no output at all.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Self

from escrow.arrival import Decided
from escrow.replay import Replay
from escrow.state import Order
from schemas.door import Fact, Record, Rejected, decode

_INT64: Final = 2**63
_NAMES: Final = {"topic", "key", "timestamp_ms", "headers", "value", "value_base64"}
_BLANK: Final = b" \t\r\n"


class NotARecord(ValueError):
    """Line {number} is not a record of the dry run's input format."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(f"line {number} is not a record: {why}")


def read_records(lines: Iterable[bytes]) -> Iterator[Record]:
    """One record a line, numbered from 1 without blank lines; raises NotARecord."""
    number = 0
    for line in lines:
        if line.strip(_BLANK):
            number += 1
            try:
                yield _record(line, number)
            except (ValueError, LookupError, RecursionError) as error:
                raise NotARecord(number, str(error)) from None


def simulate(lines: Iterable[bytes]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Run the rules over the input; returns the rows of OUT and of ORDERS (RULES 5)."""
    replay = Replay()
    outcomes: list[dict[str, Any]] = []
    for record in read_records(lines):
        outcomes.append(
            {"line": record.offset, "outcome": "applied", "code": None, "order_id": None}
        )
        fact = decode(record)
        if isinstance(fact, Rejected):
            outcomes[-1].update(outcome="dead_letter", code=fact.code)
        else:
            _take(replay, fact, outcomes)
    orders = sorted(replay.orders.items(), key=lambda item: item[0].encode())
    return outcomes, [order_row(order) for _, order in orders if order.escrow.status is not None]


def run(facts: Path, outcomes: Path, orders: Path) -> int:
    """`escrow simulate`: returns the number of records; writes both files, or neither."""
    with facts.open("rb") as lines:
        out_rows, order_rows = simulate(lines)
    for path, rows in ((outcomes, out_rows), (orders, order_rows)):
        with path.open("w", encoding="utf-8", newline="\n") as file:
            for row in rows:
                file.write(json.dumps(row, ensure_ascii=False, separators=(", ", ": ")) + "\n")
    return len(out_rows)


def order_row(order: Order) -> dict[str, Any]:
    """An order as a line of ORDERS."""
    row = order.escrow
    return {
        "order_id": row.order_id,
        "status": row.status,
        "currency": row.currency,
        "captured_minor": row.captured_minor,
        "held_minor": row.held_minor,
        "refunded_minor": row.refunded_minor,
        "paid_out_minor": row.paid_out_minor,
        "charged_back_minor": row.charged_back_minor,
        "supplier_debt_minor": row.supplier_debt_minor,
        "loss_minor": row.loss_minor,
        "commands": [
            {
                "kind": command.kind,
                "purpose": command.purpose,
                "payment_id": command.payment_id,
                "amount_minor": command.amount_minor,
                "currency": command.currency,
                "command_id": command.command_id,
                "state": command.state,
            }
            for command in order.commands.values()
        ],
    }


def _take(replay: Replay, fact: Fact, outcomes: list[dict[str, Any]]) -> None:
    """Write each decision into the line of the fact it is about: `offset` is the line number."""
    steps = replay.take(fact)
    outcomes[-1]["order_id"] = fact.order_id
    if steps == "duplicate":
        outcomes[-1]["outcome"] = "duplicate"
        return
    if steps == "id_conflict":
        outcomes[-1].update(outcome="dead_letter", code="id_conflict")
        return
    for step in steps:
        if isinstance(step, Decided):
            line = outcomes[step.fact.offset - 1]
            line.update(outcome=step.outcome, code=step.code)
        else:
            outcomes[step.waiting.fact.offset - 1]["code"] = step.waiting.code


class _Literal(float):
    """A number that remembers how it was written: 1e400 must not become Infinity."""

    literal: str

    def __new__(cls, literal: str) -> Self:
        number = super().__new__(cls, 0.0)
        number.literal = literal
        return number


def _refuse_constant(literal: str) -> Any:
    raise ValueError(f"{literal} is not JSON")


def _integer(literal: str) -> int | _Literal:
    return int(literal) if len(literal) < 4_000 and literal != "-0" else _Literal(literal)


_DECODER: Final = json.JSONDecoder(
    parse_float=_Literal, parse_int=_integer, parse_constant=_refuse_constant
)


def _record(line: bytes, number: int) -> Record:
    row = _DECODER.decode(line.decode("utf-8"))
    if not isinstance(row, dict) or not row.keys() <= _NAMES:
        raise ValueError("not an object of the known names")
    topic, key, timestamp_ms = row["topic"], row["key"], row["timestamp_ms"]
    if not isinstance(topic, str) or not isinstance(key, str | None):
        raise ValueError("topic is a text, key a text or null")
    if type(timestamp_ms) is not int or not -_INT64 <= timestamp_ms < _INT64:
        raise ValueError("timestamp_ms is an integer")
    headers = row.get("headers")
    headers = {} if headers is None else headers
    if not isinstance(headers, dict) or not all(isinstance(v, str) for v in headers.values()):
        raise ValueError("headers is an object of texts")
    return Record(
        topic,
        0,
        number,
        timestamp_ms,
        None if key is None else key.encode(),
        _value(row),
        [(name, text.encode()) for name, text in headers.items()],
    )


def _value(row: dict[str, Any]) -> bytes | None:
    if ("value" in row) == ("value_base64" in row):
        raise ValueError("one of value and value_base64")
    if "value_base64" in row:
        text = row["value_base64"]
        if not isinstance(text, str):
            raise ValueError("value_base64 is a text")
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise ValueError(f"value_base64: {error}") from None
    value = row["value"]
    if value is None:
        return None
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, dict):
        return _compact(value)
    raise ValueError("value is an object, a text or null")


_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def _compact(value: Any) -> bytes:
    """Compact UTF-8 JSON, numbers as they were written, lone surrogates as the escapes they were."""
    text = "".join(_tokens(value))
    return _SURROGATE.sub(lambda m: f"\\u{ord(m[0]):04x}", text).encode()


def _tokens(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield "{"
        for index, (name, member) in enumerate(value.items()):
            yield ("," if index else "") + json.dumps(name, ensure_ascii=False) + ":"
            yield from _tokens(member)
        yield "}"
    elif isinstance(value, list):
        yield "["
        for index, item in enumerate(value):
            yield "," if index else ""
            yield from _tokens(item)
        yield "]"
    elif isinstance(value, _Literal):
        yield value.literal
    else:
        yield json.dumps(value, ensure_ascii=False)
