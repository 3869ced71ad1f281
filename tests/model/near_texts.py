"""Texts at the edge: nearly card numbers and nearly times, made by chance; and files of nothing else."""

import json
import random

from tests.model.cards import luhn
from tests.model.strict_json import Json

SEPARATORS = ["", "", "", " ", "-", " ", "-", "  ", " -", ".", "x", "\u00a0", "\t", "_", "٣"]
OFFSETS = [
    "Z",
    "z",
    "+00:00",
    "-00:00",
    "+23:59",
    "-23:59",
    "+24:00",
    "+01:60",
    "+0100",
    "",
    "+1:00",
]
DAYS = [0, 1, 15, 28, 29, 30, 31, 32]


def near_card(rng: random.Random) -> str:
    """Chains of groups of digits around and inside a run that satisfies Luhn, or just does not."""
    size = rng.choice([11, 12, 13, 14, 16, 16, 18, 19, 20, 21])
    digits = rng.choice("123456789") + "".join(rng.choices("0123456789", k=size - 2))
    last = next(d for d in "0123456789" if luhn(digits + d))
    digits += last if rng.random() < 0.8 else rng.choice("0123456789")
    places = sorted(rng.sample(range(1, size), rng.choice([0, 0, 1, 2, 3, 5, size - 1])))
    groups = [digits[a:b] for a, b in zip([0, *places], [*places, size], strict=True)]
    usual = rng.choice(["", " ", "-"])
    text = groups[0]
    for group in groups[1:]:
        text += (rng.choice(SEPARATORS) if rng.random() < 0.1 else usual) + group
    return around(rng) + text + around(rng)[::-1]


def around(rng: random.Random) -> str:
    """What stands before: nothing, a word, or another group joined or not joined."""
    if rng.random() < 0.4:
        return ""
    return rng.choice(["no ", "12", "4", "4111", "0" * 16, "x"]) + rng.choice(SEPARATORS)


def near_time(rng: random.Random) -> str:
    """A time of RFC 3339 with each part at or just over its limits."""
    year = rng.choice([1, 1900, 2000, 2023, 2024, 2100, 9999])
    month = rng.choice([0, 1, 2, 2, 4, 6, 9, 11, 12, 13])
    hour, minute = rng.choice([0, 12, 23, 23, 24]), rng.choice([0, 30, 59, 59, 60])
    second = rng.choice([0, 1, 59, 60, 61]) if rng.random() < 0.4 else 7
    date = f"{year:04}-{month:02}-{rng.choice(DAYS):02}"
    clock = f"{hour:02}:{minute:02}:{second:02}" + rng.choice(
        ["", "", ".5", ".000000001", ".", ",5"]
    )
    if rng.random() < 0.4:
        clock = f"{rng.choice([7, 15, 16, 23]):02}:{rng.choice([29, 59]):02}:60"
        offset = rng.choice(["Z", "-08:00", "+05:30", "+00:00", "-00:30", "+16:00", "-07:59"])
    else:
        offset = rng.choice(OFFSETS)
    return date + rng.choice(["T", "T", "T", "t", " ", ""]) + clock + offset


def near_texts_file(seed: int) -> bytes:
    """Supplier reports, which no order's state can touch: each lives or dies by its texts alone."""
    rng = random.Random(f"texts {seed}")
    return b"\n".join(report_line(rng, number) for number in range(150))


def report_line(rng: random.Random, number: int) -> bytes:
    asked_for = near_card(rng) if rng.random() < 0.5 else "cash"
    data: dict[str, Json] = {
        "report_id": "t1",
        "supplier_id": "s1",
        "buyer_id": "b1",
        "product_id": "x",
        "asked_for": asked_for,
        "note": " ".join(near_card(rng) for _ in range(rng.choice([1, 1, 3]))),
    }
    event = {"specversion": "1.0", "id": f"{number}", "source": "s", "type": "supplier.reported"}
    if rng.random() < 0.4:
        data["note"] = "x" * rng.choice([1, 1999, 2000, 2001])
        event["time"] = near_time(rng)
    topic = "escrow.supplier-reports.v1"
    value = event | {"data": data}
    return json.dumps({"topic": topic, "key": "s1", "timestamp_ms": 1, "value": value}).encode()
