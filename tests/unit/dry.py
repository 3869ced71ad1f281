"""Dry runs through the program itself, in files of their own (RULES 5)."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from ops.cli.main import app
from schemas.facts import FACT_TYPES
from tests.builders import T0, sample


def line(type_name: str, **data: Any) -> dict[str, Any]:
    """A structured record as a line; `id`, `t` and `key` are the record's own."""
    id_, t = data.pop("id", f"{type_name}-1"), data.pop("t", T0)
    key = data.pop("key", None)
    whole = sample(type_name, **data)
    key = key or whole.get("order_id", whole.get("supplier_id"))
    event = {"specversion": "1.0", "id": id_, "source": "/shop", "type": type_name, "data": whole}
    topic = FACT_TYPES[type_name].topic
    return {"topic": topic, "key": key, "timestamp_ms": t, "value": event}


class Dry:
    """One dry run through the program itself, in files of its own."""

    def __init__(self, folder: Path) -> None:
        self.facts = folder / "facts.jsonl"
        self.out = folder / "out.jsonl"
        self.orders = folder / "orders.jsonl"
        self.error = ""

    def code(self, *lines: dict[str, Any] | str | bytes) -> int:
        """Run; the exit code. Lines are given as objects, as text or as bytes."""
        raw = (
            one
            if isinstance(one, bytes)
            else (one if isinstance(one, str) else json.dumps(one)).encode()
            for one in lines
        )
        self.facts.write_bytes(b"\n".join(raw) + b"\n")
        arguments = ["simulate", str(self.facts)]
        arguments += ["--outcomes", str(self.out), "--orders", str(self.orders)]
        result = CliRunner().invoke(app, arguments)
        self.error = result.output
        return result.exit_code

    def run(self, *lines: dict[str, Any] | str | bytes) -> list[tuple[str, str | None, str | None]]:
        """(outcome, code, order_id) of each line of OUT, whose numbers must be in order."""
        assert self.code(*lines) == 0, self.error
        rows = read(self.out)
        assert [row["line"] for row in rows] == list(range(1, len(rows) + 1))
        assert all(list(row) == ["line", "outcome", "code", "order_id"] for row in rows)
        return [(row["outcome"], row["code"], row["order_id"]) for row in rows]


def read(path: Path) -> list[dict[str, Any]]:
    text = path.read_bytes().decode("utf-8")
    assert not text or text.endswith("\n")
    return [json.loads(row) for row in text.split("\n")[:-1]]
