"""A gateway acts on a command only if the relay wrote it so: the cases that any gateway can run."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from schemas.command_door import Unreadable, Unsigned, read_signed_command
from schemas.commands import PAYOUT_COMMANDS
from schemas.keys import KeyRing

VECTORS: Final = json.loads(
    (Path(__file__).parents[1] / "vectors" / "commands.json").read_text(encoding="utf-8")
)
RING: Final = KeyRing.from_jwks(VECTORS["jwks"])


def answer(record: dict[str, Any], topic: str | None = None) -> str:
    headers = [(name, text.encode()) for name, text in record["headers"].items()]
    value = None if record["value"] is None else record["value"].encode()
    where = record["topic"] if topic is None else topic
    try:
        read_signed_command(
            RING, where, record["key"].encode(), value, headers, record["timestamp_ms"]
        )
    except Unsigned:
        return "unsigned"
    except Unreadable:
        return "unreadable"
    return "command"


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
def test_each_record_has_its_answer(case: dict[str, Any]) -> None:
    assert answer(case["record"]) == case["answer"]


def test_the_cases_try_every_answer_and_every_part_that_is_signed() -> None:
    answers = [case["answer"] for case in VECTORS["cases"]]
    assert len({case["name"] for case in VECTORS["cases"]}) == len(answers) > 30
    assert {"command", "unsigned", "unreadable"} == set(answers)
    good = VECTORS["cases"][0]["record"]
    changed = {
        part
        for case in VECTORS["cases"]
        if case["answer"] == "unsigned"
        for part in _differences(good, case["record"])
    }
    parts = {"topic", "key", "value", "ce_id", "ce_source", "ce_type", "ce_subject", "content-type"}
    assert parts <= changed


def _differences(one: dict[str, Any], other: dict[str, Any]) -> set[str]:
    names = one["headers"].keys() | other["headers"].keys()
    headers = {n for n in names if one["headers"].get(n) != other["headers"].get(n)}
    return headers | {n for n in ("topic", "key", "value") if one[n] != other[n]}


def test_a_topic_that_carries_no_commands_has_none() -> None:
    good = VECTORS["cases"][0]["record"]
    assert good["topic"] == PAYOUT_COMMANDS
    assert answer(good, "escrow.payments.v1") == "unsigned"
