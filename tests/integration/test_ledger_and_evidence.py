"""What auditors and mediators take away: the ledger of a period, and an order that proves itself."""

import csv
import io
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, text

from consumers.engine.config import Settings
from ops.evidence_pack import BadPack, verify_pack
from tests.builders import T0, a_record, sample
from tests.conftest import SEED
from tests.integration.filled import Filler, corrupt
from tests.integration.program import Program
from tests.integration.small_world import HELD, PARKED, RELEASED, SPLIT, a_small_world
from tests.model.generator import generate


@pytest.fixture
def escrow(settings: Settings, monkeypatch: pytest.MonkeyPatch, database_url: str) -> Program:
    Filler(database_url).records(a_small_world())
    return Program(settings, monkeypatch)


def test_every_movement_of_a_period_once_and_no_other(escrow: Program) -> None:
    rows = list(csv.DictReader(io.StringIO(escrow("ledger", "export").stdout)))
    assert len(rows) == 6  # three captures, a payout, a refund and its remainder
    assert sorted(rows, key=lambda row: int(row["t"])) == rows
    parts = [
        escrow("ledger", "export", *times, "--format", "jsonl").stdout.splitlines()
        for times in (("--to", str(T0 + 3)), ("--from", str(T0 + 3)))
    ]
    assert [len(part) for part in parts] == [3, 3]
    said = [json.loads(line) for part in parts for line in part]
    assert [str(row["amount_minor"]) for row in said] == [row["amount_minor"] for row in rows]
    assert {row["fact_type"] for row in said} == {
        "payment.captured",
        "delivery.confirmed",
        "refund.offer_accepted",
    }
    assert "nothing was booked" in escrow("ledger", "export", "--to", "5", code=1).stderr


def test_what_a_woken_fact_moves_is_booked_when_it_was_woken(
    escrow: Program, database_url: str
) -> None:
    early = a_record("delivery.confirmed", sample("delivery.confirmed", "o-w"), id="w1", t=T0 + 100)
    late = sample("payment.captured", "o-w", payment_id="p-w")
    other = Filler(database_url, {"escrow.payments.v1": 5, "escrow.refund-requests.v1": 7})
    corrupt(database_url, "UPDATE consumer_positions SET next_offset = 5 WHERE stage = 'payments'")
    corrupt(
        database_url,
        "UPDATE consumer_positions SET next_offset = 7 WHERE stage = 'refund_requests'",
    )
    other.records([early, a_record("payment.captured", late, id="w2", t=T0 + 200)])
    lines = escrow("ledger", "export", "--from", str(T0 + 100), "--format", "jsonl").stdout
    booked = [json.loads(line) for line in lines.splitlines()]
    assert [(row["credit"], row["t"], row["fact_id"]) for row in booked] == [
        ("held", T0 + 200, "w2"),
        ("supplier_payable", T0 + 200, "w2"),
    ]


def test_a_trial_balance_at_any_date(escrow: Program, database_url: str) -> None:
    (euros,) = escrow.json("ledger", "balance")
    balances = {line["account"]: line["balance_minor"] for line in euros["lines"]}
    assert balances == {
        "buyer_funds": -3000,
        "held": 1000,
        "supplier_payable": 1700,
        "refunds_payable": 300,
    }
    assert euros["debit_minor"] == euros["credit_minor"] == 5000
    assert (euros["held_by_orders"], euros["balances"]) == (1000, True)
    (before,) = escrow.json("ledger", "balance", "--at", str(T0 + 3))
    assert {line["account"]: line["balance_minor"] for line in before["lines"]}["held"] == 3000
    assert "balances  6 movements; orders hold 10.00 EUR" in escrow("ledger", "balance").stdout
    corrupt(database_url, f"DELETE FROM postings WHERE order_id = '{HELD}'")
    assert "does not balance" in escrow("ledger", "balance", code=1).stdout


@pytest.mark.parametrize("order_id", [RELEASED, SPLIT, HELD, PARKED])
def test_a_pack_proves_itself(escrow: Program, tmp_path: Path, order_id: str) -> None:
    file = tmp_path / "pack.zip"
    made = escrow.json("order", "evidence", order_id, "-o", str(file))
    proved = escrow.json("order", "evidence", "--verify", str(file))
    assert (proved["verdict"], proved["order_id"], proved["findings"]) == ("proved", order_id, [])
    assert proved["digest"] == made["digest"]
    shown = escrow.json("order", "show", order_id)
    assert proved["chain_head"] == shown["order"]["chain_head"]
    assert proved["facts"] == len(shown["facts"])
    with zipfile.ZipFile(file) as pack:
        manifest = pack.read("manifest.json")
        assert sha256(manifest).hexdigest() == made["digest"]
        summary = pack.read("summary.txt").decode()
    assert order_id in summary
    assert "\x1b" not in summary
    assert "it proves itself" in escrow("order", "evidence", "--verify", str(file)).stdout


def test_whatever_came_every_pack_proves_itself(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, database_url: str, tmp_path: Path
) -> None:
    seed = SEED % 1_000_000
    content, _ = generate(seed, orders=4, facts_per_order=20, hostility=0.1)
    Filler(database_url).lines(content)
    engine = create_engine(database_url, poolclass=NullPool)
    with engine.connect() as connection:
        order_ids = connection.execute(text("SELECT order_id FROM escrows")).scalars().all()
    assert order_ids, f"seed {seed}"
    program = Program(settings, monkeypatch)
    for order_id in order_ids:
        program("order", "evidence", "-o", str(tmp_path / "pack"), "--", order_id)
        proved = verify_pack((tmp_path / "pack").read_bytes())
        assert (proved.order_id, proved.findings) == (order_id, []), f"seed {seed}"


def changed(content: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    """The pack with its files changed, and zipped again."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("facts.jsonl", b'\\"amount_minor\\":300', b'\\"amount_minor\\":301'),
        ("facts.jsonl", b'"text":"torn"', b'"text":"fine"'),
        ("facts.jsonl", b'"outcome":"applied"', b'"outcome":"refused"'),
        ("rows.json", b'"refunded_minor": 300', b'"refunded_minor": 400'),
        ("rows.json", b'"party_id": "', b'"party_id": "x'),
        ("chain.txt", b"1 ", b"2 "),
        ("summary.txt", b"SPLIT", b"RELEASED"),
    ],
)
def test_a_pack_that_was_touched_does_not(
    escrow: Program, tmp_path: Path, name: str, old: bytes, new: bytes
) -> None:
    file = tmp_path / "pack.zip"
    escrow("order", "evidence", SPLIT, "-o", str(file))
    content = file.read_bytes()

    def touch(there: str, raw: bytes) -> bytes:
        if there != name:
            return raw
        assert old in raw
        return raw.replace(old, new, 1)

    touched = changed(content, touch)
    assert verify_pack(touched).findings
    # even where the manifest was made to fit, only the readable summary can lie
    fitted = changed(
        touched,
        lambda there, raw: (
            raw.replace(
                sha256(_file(content, name)).hexdigest().encode(),
                sha256(_file(touched, name)).hexdigest().encode(),
            )
            if there == "manifest.json"
            else raw
        ),
    )
    assert bool(verify_pack(fitted).findings) == (name != "summary.txt")
    assert verify_pack(fitted).digest != verify_pack(content).digest
    file.write_bytes(touched)
    escrow("order", "evidence", "--verify", str(file), code=1)


def _file(content: bytes, name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as pack:
        return pack.read(name)


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + bytes(18), b"no zip at all"])
def test_what_is_no_pack_is_refused(escrow: Program, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(BadPack):
        verify_pack(content)
    escrow("order", "evidence", "--verify", str(tmp_path / "f"), code=2)


def test_wrong_use(escrow: Program) -> None:
    escrow("order", "evidence", code=2)
    escrow("order", "evidence", "o-1", "--verify", "x", code=2)
    assert "no fact" in escrow("order", "evidence", "o-nobody", code=1).stderr


@pytest.mark.parametrize("order_id", [SPLIT, HELD, PARKED])
def test_the_recipe_by_hand_proves_it_and_finds_what_was_touched(
    escrow: Program, tmp_path: Path, order_id: str
) -> None:
    """As docs/evidence.md says it, run as it stands there."""
    page = (Path(__file__).parents[2] / "docs/evidence.md").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    file = tmp_path / "pack.zip"
    made = escrow.json("order", "evidence", order_id, "-o", str(file))
    by_hand = [sys.executable, "-c", recipe, str(file)]
    done = subprocess.run(by_hand, capture_output=True, text=True, check=True)
    assert done.stdout.split()[1] == verify_pack(file.read_bytes()).chain_head
    assert done.stdout.split()[3] == made["digest"]
    content = changed(file.read_bytes(), lambda _, raw: raw.replace(b"/", b"!", 1))
    file.write_bytes(content)
    assert subprocess.run(by_hand, capture_output=True, check=False).returncode == 1
