"""The dry run of RULES 5: a file of records in, outcomes and orders out; nothing is sent.

The same door and the same `arrive` as the consumers. A file with a line that is no record leaves
no output at all.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from shutil import SameFileError
from typing import Any

from escrow.arrival import Decided
from escrow.replay import Replay
from escrow.state import Order
from ops.record_lines import read_records
from schemas.door import Fact, Rejected, decode


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
    _refuse_one_file_twice(facts, outcomes, orders)
    with facts.open("rb") as lines:
        out_rows, order_rows = simulate(lines)
    _make_sure_of(outcomes, orders)
    for path, rows in ((outcomes, out_rows), (orders, order_rows)):
        with path.open("w", encoding="utf-8", newline="\n") as file:
            for row in rows:
                file.write(json.dumps(row, ensure_ascii=False, separators=(", ", ": ")) + "\n")
    return len(out_rows)


def _refuse_one_file_twice(*paths: Path) -> None:
    files = [path.resolve() for path in paths if not _is_stream(path)]
    for file in files:
        if files.count(file) > 1:
            raise SameFileError(f"{file} is named twice")


def _make_sure_of(*paths: Path) -> None:
    """Each can be written, or none is left behind that was not there before."""
    made: list[Path] = []
    try:
        for path in paths:
            if not _is_stream(path):
                new = not path.exists()
                path.open("ab").close()
                made += [path] if new else []
    except OSError:
        for path in made:
            path.unlink()
        raise


def _is_stream(path: Path) -> bool:
    return path.is_fifo() or path.is_char_device() or path.is_socket()


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
