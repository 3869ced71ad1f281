"""The dry run, RULES 5: a file of records in, outcomes and orders out; a bad line leaves nothing written."""

import argparse
import base64
import binascii
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.model.door import Record, Rejected, open_record
from tests.model.rules import World
from tests.model.state import Order, dead
from tests.model.strict_json import Doubled, Json, NotJson, compact, parse

NEEDED = {"topic", "key", "timestamp_ms"}
ALLOWED = NEEDED | {"headers", "value", "value_base64"}
T_LIMIT = 2**63  # timestamps are signed 64-bit integers


class NotARecord(Exception):
    """Line `args[0]` is not a record."""


@dataclass
class Result:
    """The two outputs as parsed lines, and the world for those who want to look closer."""

    outcomes: list[dict[str, object]]
    orders: list[dict[str, object]]
    world: World


def read_records(content: bytes) -> Iterator[Record]:
    number = 0
    for line in content.split(b"\n"):
        if not line.strip(b" \t\r"):
            continue
        number += 1
        try:
            with room_for(line):
                parsed, _ = parse(line, None, as_written=True)
                record = to_record(parsed)
        except (NotJson, UnicodeEncodeError):  # a text without UTF-8 bytes
            record = None
        if record is None:
            raise NotARecord(number)
        yield record


@contextmanager
def room_for(line: bytes) -> Iterator[None]:
    """A line may be nested as deeply as it likes: only the door counts."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(before + 3 * (line.count(b"[") + line.count(b"{")))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def to_record(line: Json) -> Record | None:
    """The record of a line, or None; UnicodeEncodeError if a text of it has no UTF-8 bytes."""
    if not isinstance(line, dict) or not line.keys() >= NEEDED or not line.keys() <= ALLOWED:
        return None
    topic, key, t = line["topic"], line["key"], line["timestamp_ms"]
    headers = to_headers(line.get("headers"))
    if not isinstance(topic, str) or not (key is None or isinstance(key, str)) or headers is None:
        return None
    if (
        type(t) is not int
        or not -T_LIMIT <= t < T_LIMIT
        or ("value" in line) == ("value_base64" in line)
    ):
        return None
    for each in (topic, key or "", *headers.keys(), *headers.values()):
        each.encode()
    if "value_base64" in line:
        raw = from_base64(line["value_base64"])
        return None if raw is None else Record(topic, key, t, headers, raw)
    value = line["value"]
    if value is None:
        return Record(topic, key, t, headers, None)
    if isinstance(value, dict | Doubled | str):
        content = value if isinstance(value, str) else compact(value)
        return Record(topic, key, t, headers, content.encode())
    return None


def to_headers(given: Json) -> dict[str, str] | None:
    if given is None:
        return {}
    if isinstance(given, Doubled):
        if not all(isinstance(value, str) for _, value in given.members):
            return None
        given = dict(given.members)  # of several headers with one name the last counts
    if not isinstance(given, dict):
        return None
    texts = {name: value for name, value in given.items() if isinstance(value, str)}
    return texts if len(texts) == len(given) else None


def from_base64(value: Json) -> bytes | None:
    if not isinstance(value, str):
        return None
    try:
        return base64.b64decode(value.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return None


def run_record(world: World, line: int, record: Record) -> str | None:
    """Decides one record; returns the order it concerns, if it is past the door."""
    try:
        fact = open_record(record)
    except Rejected as rejected:
        world.answers[line] = dead(str(rejected.args[0]))
        return None
    world.arrive(line, fact)
    return fact.order_id


def run(content: bytes) -> Result:
    world = World()
    order_ids = {}
    for line, record in enumerate(list(read_records(content)), 1):
        order_ids[line] = run_record(world, line, record)
    outcomes: list[dict[str, object]] = [
        {
            "line": line,
            "outcome": world.answers[line].outcome,
            "code": world.answers[line].code,
            "order_id": order_id,
        }
        for line, order_id in order_ids.items()
    ]
    return Result(outcomes, [show(order) for order in listed(world)], world)


def listed(world: World) -> list[Order]:
    rows = [order for order in world.orders.values() if order.status is not None]
    return sorted(rows, key=lambda order: order.order_id.encode())


def show(order: Order) -> dict[str, object]:
    return {
        "order_id": order.order_id,
        "status": order.status,
        "currency": order.currency,
        "captured_minor": order.captured,
        "held_minor": order.held,
        "refunded_minor": order.refunded,
        "paid_out_minor": order.paid_out,
        "charged_back_minor": order.charged_back,
        "supplier_debt_minor": order.supplier_debt,
        "loss_minor": order.loss,
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
            for command in order.commands
        ],
    }


def write_lines(path: Path, rows: list[dict[str, object]]) -> None:
    lines = [json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.model")
    parser.add_argument("facts", type=Path)
    parser.add_argument("--outcomes", type=Path, required=True)
    parser.add_argument("--orders", type=Path, required=True)
    options = parser.parse_args(arguments)
    try:
        result = run(options.facts.read_bytes())
    except NotARecord as bad:
        sys.stderr.write(f"line {bad.args[0]} is not a record\n")
        return 2
    write_lines(options.outcomes, result.outcomes)
    write_lines(options.orders, result.orders)
    return 0
