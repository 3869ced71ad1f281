"""Small stories written by hand from RULES, in `cases/*.txt`, with what each fact must become.

A story is a line of title, then a line a fact: its type, what differs from the usual, and the
outcome it ends with; at last `=`, the order's row. `@10d+4` sets the time (milliseconds), which
else stays. Nobody's program wrote the expectations.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from tests.model.policy import DAY
from tests.model.rules_commands import short_digest
from tests.model.shapes import FACTS, TOPIC_OF, Check
from tests.model.strict_json import Json

FOLDER = Path(__file__).with_name("cases")
FIGURES = ("captured", "held", "refunded", "paid_out", "charged_back", "supplier_debt", "loss")
STEP = re.compile(r"(\S.*?)\s{2,}(\S.*)")

USUAL: dict[str, Json] = {
    "payment_id": "p1",
    "buyer_id": "b",
    "supplier_id": "s",
    "amount_minor": 100,
    "currency": "USD",
    "method": "visa",
    "paid_through": "escrow",
    "agreement_accepted": True,
    "chargeback_id": "c1",
    "shipment_id": "h1",
    "carrier": "post",
    "tracking_number": "1",
    "cause": "undeliverable",
    "request_id": "r1",
    "reason": "other",
    "offer_id": "f1",
    "by": "supplier",
    "evidence_id": "e1",
    "sha256": "1",
    "size_bytes": 1,
    "media_type": "image/png",
    "ruling_id": "u1",
    "mediator_id": "m",
    "command": "payout1",
    "reissue_id": "x1",
    "operator_id": "op",
    "deadline_id": "d1",
    "due_at": "2026-01-31T00:00:00Z",
    "report_id": "t1",
    "product_id": "x",
    "asked_for": "cash",
}
USUAL_OF: dict[str, dict[str, Json]] = {
    "payment.chargeback_closed": {"outcome": "lost"},
    "ruling.issued": {"outcome": "refund_full"},
    "evidence.submitted": {"kind": "photo", "by": "buyer"},
    "deadline.reached": {"kind": "park_limit"},
}


@dataclass
class Story:
    """A file of RULES 5, and what it must give."""

    title: str
    lines: list[bytes]
    ends: list[tuple[str, str | None]]  # outcome and code of each line
    row: str | None = None  # as written in the story; None: no escrow row

    @property
    def content(self) -> bytes:
        return b"\n".join(self.lines)


def stories() -> list[Story]:
    found: list[Story] = []
    for path in sorted(FOLDER.glob("*.txt")):
        t = 0
        for written in path.read_text(encoding="utf-8").splitlines():
            if not written.startswith(" "):
                if written and not written.startswith("#"):
                    found.append(Story(f"{path.stem}: {written}", [], []))
                    t = 0
            elif written.startswith("  = "):
                row = written.removeprefix("  = ")
                found[-1].row = None if row == "none" else row
            else:
                t = add_step(found[-1], written, t)
    return found


def add_step(story: Story, written: str, t: int) -> int:
    match = STEP.fullmatch(written.strip())
    assert match is not None, written
    words, end = match.group(1).split(), match.group(2).split()
    kind, given = words[0], {}
    for word in words[1:]:
        if word.startswith("@"):
            t = to_time(word[1:])
        else:
            name, _, value = word.partition("=")
            given[name] = value
    assert len(end) in {1, 2}
    story.ends.append((end[0], end[1] if len(end) == 2 else None))
    story.lines.append(to_line(kind, given, t, len(story.lines)))
    return t


def to_time(written: str) -> int:
    days, _, rest = written.rpartition("d")
    return int(days or 0) * DAY + int(rest or 0)


def to_line(kind: str, given: dict[str, str], t: int, number: int) -> bytes:
    order_id = given.pop("order", "o")
    fact_id = given.pop("id", f"n{number}")
    usual = USUAL | USUAL_OF.get(kind, {})
    fields: dict[str, Check] = FACTS[TOPIC_OF[kind]][kind]
    data: dict[str, Json] = {n: usual[n] for n in fields if n in usual and not n.endswith("?")}
    data |= {name: to_value(value) for name, value in given.items() if name != "command"}
    if kind != "supplier.reported":
        data["order_id"] = to_value(order_id)
    if "command_id" in fields:
        data["command_id"] = to_command_id(order_id, given.get("command", "payout1"))
    if "party_id" in fields:
        data.setdefault("party_id", {"buyer": "b", "supplier": "s"}[str(data["by"])])
    if "sha256" in data:
        data["sha256"] = str(data["sha256"]) * 64
    key = data["supplier_id"] if kind == "supplier.reported" else data["order_id"]
    event = {"specversion": "1.0", "id": fact_id, "source": "by-hand", "type": kind, "data": data}
    line = {"topic": TOPIC_OF[kind], "key": key, "timestamp_ms": t, "value": event}
    return json.dumps(line).encode()


def to_value(written: str) -> Json:
    words: dict[str, Json] = {"true": True, "false": False, "null": None}
    return words[written] if written in words else int(written) if written.isdigit() else written


def to_command_id(order_id: str, written: str) -> str:
    name, *again = written.split("+")
    command_id = short_digest(f"{order_id}\n{name[:-1]}\n{name[-1]}")
    for _ in again:
        command_id = short_digest(f"{command_id}\nreissue")
    return command_id


def written_row(order: dict[str, object]) -> str:
    """An order's row in the words of the stories; figures that are 0 are left out."""
    figures = [f"{name}={order[f'{name}_minor']}" for name in FIGURES if order[f"{name}_minor"]]
    commands = order["commands"]
    assert isinstance(commands, list)
    told = [f"{c['kind']} {c['purpose']} {c['amount_minor']} {c['state']}" for c in commands]
    return " | ".join([" ".join([str(order["status"]), *figures]), *told])
