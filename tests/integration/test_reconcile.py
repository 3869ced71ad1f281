"""The gateway simulator's own file against the rows it was told of: clean, or exactly what was planted."""

import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import NullPool, create_engine, text

from consumers.engine.config import Settings
from consumers.engine.publishing import binary_headers
from ops.audit import run_audit
from ops.local.gateway.deciding import work_on
from ops.local.gateway.store import Store
from ops.local.gateway.wire import SOURCE, Channels
from schemas.door import Record
from schemas.facts import GATEWAY_RESULTS
from tests.builders import T0
from tests.integration.filled import Filler, corrupt
from tests.integration.program import Program
from tests.integration.small_world import said

ORDERS: Final = 24
COMMANDS: Final = (
    "SELECT topic, key, type, sent_id, t, payload FROM outbox"
    " WHERE type IN ('refund.issue', 'payout.release') ORDER BY id"
)


class Told:
    """A record of a command topic as the simulator's client gives it."""

    def __init__(self, offset: int, row: Any) -> None:
        self.topic, _, type_name, id_, self.timestamp, payload = row
        self.partition, self.offset, self.value = 0, offset, payload.encode()
        self.headers = binary_headers("escrow", type_name, id_)


@pytest.fixture
def gateway(database_url: str, tmp_path: Path) -> Path:
    """Orders released and split, their commands executed, the results decided."""
    filler = Filler(database_url)
    names = [f"o-{n}" for n in range(ORDERS)]
    filler.records(said("payment.captured", name, 1) for name in names)
    filler.records(
        said("delivery.confirmed", name, 2)
        if n % 3
        else said("refund.requested", name, 2, amount_minor=300)
        for n, name in enumerate(names)
    )
    filler.records(said("refund.offer_accepted", name, 3) for name in names[::3])
    filler.records([said("payment.captured", names[0], 4, payment_id="p-twice")])
    engine = create_engine(database_url, poolclass=NullPool)
    with engine.connect() as connection:
        commands = connection.execute(text(COMMANDS)).all()
    data = tmp_path / "gateway"
    with Store(data, "cluster") as store:
        store.keep(
            work_on(store, [Told(n, row) for n, row in enumerate(commands)], Channels().kinds)
        )
        answers = store.due(all_of_them=True)
    filler.records(
        Record(
            GATEWAY_RESULTS,
            0,
            0,
            answer.t,
            answer.key.encode(),
            answer.value,
            binary_headers(SOURCE, answer.type, answer.id),
        )
        for _, answer in answers
    )
    return data


@pytest.fixture
def escrow(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Program:
    return Program(settings, monkeypatch, columns=140)


@pytest.mark.parametrize("name", ["day.csv", "day.jsonl"])
def test_the_true_file_agrees(escrow: Program, gateway: Path, tmp_path: Path, name: str) -> None:
    file = str(tmp_path / name)
    assert escrow("gateway", "--data", str(gateway), "--write-file", file).stdout == ""
    said = escrow.json("reconcile", file)
    assert (said["verdict"], said["matched"], said["open"]) == ("matched", ORDERS + 9, 0)
    assert all(total["file_minor"] == total["commands_minor"] for total in said["totals"])
    assert "all agree" in escrow("reconcile", file).stdout
    assert "gateway file" in escrow("audit", "--gateway-file", file).stdout


def test_what_was_planted_is_found_and_nothing_else(
    escrow: Program, gateway: Path, tmp_path: Path
) -> None:
    file, out = str(tmp_path / "day.csv"), tmp_path / "found.csv"
    made = ("gateway", "--data", str(gateway), "--write-file", file, "--plant")
    plants = [json.loads(line) for line in escrow(*made, "16", "--seed", "5").stdout.splitlines()]
    assert len(plants) == 16
    found = escrow.json("reconcile", file, "--csv", str(out), code=1)["differences"]
    assert Counter((d["kind"], d["command_id"]) for d in found) == Counter(
        (plant["kind"], plant["command_id"]) for plant in plants
    )
    assert len(out.read_text().splitlines()) == 17
    page = escrow("reconcile", file, code=1).stdout
    assert "16 differences" in page
    audit = escrow.json("audit", "--gateway-file", file, code=1)
    assert audit["checks"]["gateway_file"]["findings"] == 16
    escrow(*made, "999", code=2)


def test_a_posting_that_no_command_paid(
    escrow: Program, gateway: Path, tmp_path: Path, database_url: str
) -> None:
    file = str(tmp_path / "day.csv")
    escrow("gateway", "--data", str(gateway), "--write-file", file)
    corrupt(
        database_url,
        "UPDATE postings SET amount_minor = 299 WHERE order_id = 'o-3' AND credit = 'refunds_payable'",
    )
    (gap,) = escrow.json("reconcile", file, code=1)["differences"]
    assert (gap["kind"], gap["order_id"]) == ("unposted", "o-3")


def test_what_cannot_be_read_is_unknown(
    escrow: Program, settings: Settings, gateway: Path, tmp_path: Path
) -> None:
    assert "cannot read" in escrow("reconcile", str(tmp_path / "gone.csv"), code=2).stderr
    (tmp_path / "bad.csv").write_text("what,is,this\n")
    assert "no column" in escrow("reconcile", str(tmp_path / "bad.csv"), code=2).stderr
    assert (
        escrow.json("audit", "--gateway-file", str(tmp_path / "bad.csv"), code=2)["verdict"]
        == "unknown"
    )
    assert run_audit(settings, T0).clean
