"""RULES 5, input: what a line may be, and that a line that is no record leaves nothing behind."""

import base64
import json
from pathlib import Path
from typing import Any, Final

import pytest
from typer.testing import CliRunner

from ops.cli.main import app
from tests.builders import T0, sample
from tests.unit.dry import Dry, line, read


@pytest.fixture
def dry(tmp_path: Path) -> Dry:
    return Dry(tmp_path)


def test_blank_lines_are_skipped_and_not_numbered(dry: Dry) -> None:
    rows = dry.run("", line("payment.captured"), " \t\r", "", line("shipment.lost"), " ")
    assert len(rows) == 2


def test_lines_end_at_line_feeds_only(dry: Dry) -> None:
    signs = "a\u2028b\u2029c\u0085d"
    text = json.dumps(line("refund.requested", note="x"), ensure_ascii=False)
    rows = dry.run(
        text.replace('"x"', '"a\u2028b\u2029c"'),
        json.dumps(line("shipment.dispatched", carrier=signs[:4]), ensure_ascii=False) + "\r",
    )
    assert [row[0] for row in rows] == ["parked", "parked"]
    assert dry.code(text.replace(" ", "\x0c", 1)) == 2


def test_a_file_may_end_without_a_line_feed_or_be_empty(dry: Dry) -> None:
    dry.facts.write_bytes(b"")
    for raw, count in ((b"", 0), (json.dumps(line("shipment.lost")).encode(), 1)):
        dry.facts.write_bytes(raw)
        arguments = ["simulate", str(dry.facts), "--outcomes", str(dry.out)]
        result = CliRunner().invoke(app, [*arguments, "--orders", str(dry.orders)])
        assert result.exit_code == 0
        assert len(read(dry.out)) == count
        assert read(dry.orders) == []


RECORD: Final = line("shipment.lost")
BINARY: Final = {
    "content-type": "application/json",
    "ce_specversion": "1.0",
    "ce_id": "1",
    "ce_source": "/büro",
    "ce_type": "shipment.lost",
}
NO_RECORDS: Final[dict[str, dict[str, Any] | str | bytes]] = {
    "not JSON": "{",
    "a text": '"x"',
    "an array": "[]",
    "null": "null",
    "two objects": "{}{}",
    "empty": "{}",
    "a BOM": b"\xef\xbb\xbf" + json.dumps(RECORD).encode(),
    "not UTF-8": b'{"topic":"\xff"}',
    "NaN": json.dumps({**RECORD, "timestamp_ms": float("nan")}),
    "Infinity inside the value": json.dumps({**RECORD, "value": {"a": float("inf")}}),
    "an unknown name": {**RECORD, "partition": 0},
    "no topic": {k: v for k, v in RECORD.items() if k != "topic"},
    "no key": {k: v for k, v in RECORD.items() if k != "key"},
    "no timestamp": {k: v for k, v in RECORD.items() if k != "timestamp_ms"},
    "no value": {k: v for k, v in RECORD.items() if k != "value"},
    "both values": {**RECORD, "value_base64": "e30="},
    "topic null": {**RECORD, "topic": None},
    "topic a number": {**RECORD, "topic": 5},
    "key a number": {**RECORD, "key": 5},
    "timestamp a text": {**RECORD, "timestamp_ms": "5"},
    "timestamp a fraction": {**RECORD, "timestamp_ms": 5.0},
    "timestamp true": {**RECORD, "timestamp_ms": True},
    "timestamp null": {**RECORD, "timestamp_ms": None},
    "timestamp too large": {**RECORD, "timestamp_ms": 2**63},
    "timestamp endless": json.dumps(RECORD).replace(str(T0), "9" * 5_000),
    "headers a list": {**RECORD, "headers": []},
    "headers a text": {**RECORD, "headers": ""},
    "headers a number": {**RECORD, "headers": 0},
    "headers false": {**RECORD, "headers": False},
    "headers of numbers": {**RECORD, "headers": {"a": 1}},
    "headers of null": {**RECORD, "headers": {"a": None}},
    "value a number": {**RECORD, "value": 5},
    "value an array": {**RECORD, "value": []},
    "value true": {**RECORD, "value": True},
    "base64 null": {**{k: v for k, v in RECORD.items() if k != "value"}, "value_base64": None},
    "base64 unpadded": {**{k: v for k, v in RECORD.items() if k != "value"}, "value_base64": "e30"},
    "base64 of others": {
        **{k: v for k, v in RECORD.items() if k != "value"},
        "value_base64": "e3-_",
    },
    "a surrogate as text": json.dumps({**RECORD, "value": "\ud800"}),
    "a surrogate as key": json.dumps({**RECORD, "key": "\ud800"}),
    "a surrogate as header name": json.dumps({**RECORD, "headers": {"\udc00": "a"}}),
    "a surrogate as header": json.dumps({**RECORD, "headers": {"ce_id": "\ud800"}}),
}


@pytest.mark.parametrize("bad", NO_RECORDS.values(), ids=NO_RECORDS)
def test_a_line_that_is_no_record_ends_with_2_its_number_and_nothing_written(
    dry: Dry, bad: dict[str, Any] | str | bytes
) -> None:
    dry.out.write_text("before")
    assert dry.code("", line("payment.captured"), line("shipment.lost"), "", bad) == 2
    assert "line 3 " in dry.error
    assert dry.out.read_text() == "before"
    assert not dry.orders.exists()


def test_the_first_line_that_is_no_record_is_named(dry: Dry) -> None:
    assert dry.code("{}", "{}") == 2
    assert "line 1 " in dry.error


def test_a_file_that_is_not_there_ends_with_2(dry: Dry) -> None:
    arguments = ["simulate", str(dry.facts), "--outcomes", str(dry.out)]
    assert CliRunner().invoke(app, [*arguments, "--orders", str(dry.orders)]).exit_code == 2
    assert not dry.out.exists()


@pytest.mark.parametrize("orders", ["missing/orders.jsonl", ".", "out.jsonl", "facts.jsonl"])
@pytest.mark.parametrize("before", [None, "before"])
def test_both_files_are_written_or_neither(
    dry: Dry, tmp_path: Path, orders: str, before: str | None
) -> None:
    if before is not None:
        dry.out.write_text(before)
    dry.orders = tmp_path / orders
    assert dry.code(RECORD) == 2
    assert (dry.out.read_text() if dry.out.exists() else None) == before
    assert json.loads(dry.facts.read_text()) == RECORD


def test_a_device_may_be_named_twice(dry: Dry) -> None:
    dry.out = dry.orders = Path("/dev/null")
    assert dry.code(RECORD) == 0


def test_a_value_may_be_an_object_a_text_base64_or_null(dry: Dry) -> None:
    bare = {name: member for name, member in RECORD.items() if name != "value"}
    raw = json.dumps(RECORD["value"])
    rows = dry.run(
        RECORD,
        {**RECORD, "value": raw},
        {**bare, "value_base64": base64.b64encode(raw.encode()).decode()},
        {**RECORD, "value": "{"},
        {**RECORD, "value": ""},
        {**bare, "value_base64": ""},
        {**bare, "value_base64": base64.b64encode(b"\xff{}").decode()},
        {**RECORD, "value": None},
    )
    assert [row[0] for row in rows] == ["parked", "duplicate", "duplicate"] + ["dead_letter"] * 5
    assert {row[1] for row in rows[3:]} == {"invalid_json"}


def test_headers_make_it_binary_and_may_be_null_or_absent(dry: Dry) -> None:
    rows = dry.run(
        {**RECORD, "headers": BINARY, "value": sample("shipment.lost")},
        {**RECORD, "headers": None},
        {**RECORD, "headers": {}},
        {**RECORD, "headers": {"content-type": "text/plain"}},
    )
    assert [row[:2] for row in rows] == [
        ("parked", "awaiting_payment"),
        ("parked", "awaiting_payment"),
        ("duplicate", None),
        ("dead_letter", "bad_envelope"),
    ]


def test_numbers_in_an_object_keep_their_spelling(dry: Dry) -> None:
    text = json.dumps(line("gateway.failed"))
    assert text.count("1000") == 1
    numbers = ["1e400", "-1e400", "1000.0", "1E3", "0.1e-400", "9" * 30, "9" * 6_000, "1000"]
    rows = dry.run(*(text.replace("1000", number) for number in numbers))
    assert [row[1] for row in rows] == ["invalid_data"] * 7 + ["awaiting_command"]


def test_minus_zero_is_the_integer_0_also_as_a_timestamp(dry: Dry) -> None:
    text = json.dumps(RECORD).replace(str(T0), "-0")
    assert dry.run(text)[0][0] == "parked"


def test_an_object_may_hold_what_only_escapes_can_say(dry: Dry) -> None:
    text = json.dumps(line("shipment.dispatched", carrier="CARRIER"))
    rows = dry.run(
        text.replace("CARRIER", r"\ud83d\ude00 ß é"),
        text.replace("CARRIER", r"\ud800"),
        text.replace("CARRIER", r"\u0000"),
        text.replace("CARRIER", r"a\"\\b"),
    )
    codes = [row[1] for row in rows]
    assert codes == ["awaiting_payment", "invalid_json", "invalid_data", "id_conflict"]


def test_doubled_names_are_found_in_a_text_value(dry: Dry) -> None:
    raw = json.dumps(RECORD["value"])
    rows = dry.run({**RECORD, "value": raw.replace("{", '{"id":"x",', 1)})
    assert rows == [("dead_letter", "duplicate_key", None)]


def test_sizes_are_those_of_the_compact_utf_8(dry: Dry) -> None:
    event = RECORD["value"]
    room = 65_536 - len(json.dumps({**event, "x": ""}, separators=(",", ":")))
    rows = dry.run(
        {**RECORD, "value": {**event, "x": "a" * room}},
        {**RECORD, "value": {**event, "x": "a" * (room + 1)}},
        {**RECORD, "value": {**event, "x": "é" * (room // 2)}},
    )
    assert [row[:2] for row in rows] == [
        ("parked", "awaiting_payment"),
        ("dead_letter", "too_large"),
        ("duplicate", None),
    ]


DEPTHS: Final = {
    "awaiting_payment": [2, 31, 32],
    "invalid_json": [33, 63, 64, 65, 66, 127, 128, 129, 900, 1_000, 10_000],
    "too_large": [33_000, 100_000],
}


@pytest.mark.parametrize(("code", "depth"), [(c, depth) for c in DEPTHS for depth in DEPTHS[c]])
@pytest.mark.parametrize(("start", "end"), [("[", "]"), ('{"": ', "}")])
def test_an_object_may_be_nested_as_deeply_as_it_likes(
    dry: Dry, start: str, end: str, code: str, depth: int
) -> None:
    deep = start * (depth - 1) + r'"[{\\"' + end * (depth - 1)
    text = json.dumps({**RECORD, "value": {**RECORD["value"], "zz": "DEEP"}})
    rows = dry.run(text.replace('"DEEP"', deep), RECORD)
    assert [row[1] for row in rows] in ([code, "awaiting_payment"], [code, None])


@pytest.mark.parametrize(
    "deep",
    [
        "[" * 5_000,
        "[" * 5_000 + "]" * 4_999,
        "[" * 5_000 + "]" * 5_001,
        "[" * 5_000 + "}" + "]" * 4_999,
        "[" * 5_000 + "nul" + "]" * 5_000,
        '{"a":' * 2_000 + "}" * 2_000,
    ],
)
def test_nor_is_it_a_record_if_it_is_broken_deep_inside(dry: Dry, deep: str) -> None:
    text = json.dumps({**RECORD, "value": {"zz": "DEEP"}})
    assert dry.code(RECORD, text.replace('"DEEP"', deep)) == 2
    assert "line 2 " in dry.error


def test_doubled_names_are_found_in_an_object_as_it_stands(dry: Dry) -> None:
    text = json.dumps(RECORD)
    rows = dry.run(
        text.replace('"id":', '"id": "x", "id":', 1),
        text.replace('"id":', '"z": [{"a": 1, "\\u0061": 1e400}], "id":', 1),
        text.replace('"id":', '"z": [{"a": 1, "\\u0061": "\\ud800"}], "id":', 1),
        text,
    )
    assert [row[1] for row in rows] == ["duplicate_key"] * 2 + ["invalid_json", "awaiting_payment"]


def test_a_record_has_each_name_once_and_of_its_headers_the_last_counts(dry: Dry) -> None:
    text = json.dumps({**RECORD, "headers": BINARY, "value": sample("shipment.lost")})
    for name in ("topic", "key", "timestamp_ms", "value"):
        assert dry.code(text.replace("{", f'{{"{name}": null, ', 1)) == 2
    one, other = (text.replace('"ce_id"', f'"ce_id": "{id_}", "ce_id"') for id_ in "ab")
    assert [row[0] for row in dry.run(one, other)] == ["parked", "duplicate"]
