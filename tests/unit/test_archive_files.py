"""Files of archived facts: what is read is what was written, byte for byte, or nothing is."""

import gzip
import json
import random
from pathlib import Path

import pytest

from ops.archive import proved
from ops.chain import heads
from storage.archive_files import (
    _FACT,
    FORMAT,
    ORDERS_A_FRAME,
    ArchiveDamaged,
    ArchivedFact,
    ArchiveFile,
    History,
    Manifest,
    data_file,
    history_of,
    left_over,
    line_of,
    manifest_file,
    read_manifest,
    write,
)
from storage.archived import sorted_on_disk
from storage.dossiers import Dossier, Resolution, StoredFact
from storage.facts import FACT_COLUMNS
from tests.conftest import SEED

ODD = {"time": None, "extensions": {"traceparent": "00-\x00\u2028\r\n", "n": 5}}


def a_fact(order_id: str, no: int, **changes: object) -> ArchivedFact:
    payload = json.dumps({"order_id": order_id, "uri": "caf\u00e9 \U0001f4e6"}, ensure_ascii=False)
    columns = (order_id, "/s", f"i-{no}", "shipment.lost", 1_000 + no, 0, no, payload, None, ODD)
    fact = ArchivedFact(no, 10 * no, "parked", "awaiting_payment", columns)
    return fact._replace(**changes)  # type: ignore[arg-type]


def a_history(order_id: str, from_no: int = 1, before: bytes = b"") -> History:
    """Two facts, the first parked and woken by the second."""
    facts = (a_fact(order_id, from_no), a_fact(order_id, from_no + 1, outcome="applied", code=None))
    resolutions = ((from_no + 2, from_no, "applied", None),)
    alone = Dossier(
        order_id,
        facts=[StoredFact(*fact[:4], None, None, fact.columns) for fact in facts],
        resolutions=[Resolution(*resolutions[0])],
    )
    *_, (_, head) = heads(alone, before)
    return History(order_id, from_no, from_no + 2, before, head, facts, resolutions)


def test_a_line_is_read_as_it_was_written_and_proves_itself() -> None:
    first = a_history("o-1")
    second = a_history("o-1", 4, first.head)
    for history in (first, second):
        assert history_of(line_of(history)) == history
        assert line_of(history).count(b"\n") == 1
        assert proved(history)
    assert not proved(second._replace(before=b""))
    assert not proved(first._replace(until_no=4))
    assert not proved(first._replace(resolutions=((3, 9, "applied", None),)))
    changed = (*first.facts[1].columns[:4], 9, *first.facts[1].columns[5:])
    facts = (first.facts[0], first.facts[1]._replace(columns=changed))
    assert not proved(first._replace(facts=facts))


def test_any_order_is_found_and_none_that_is_not_there(tmp_path: Path) -> None:
    ids = [f"o-{n}" for n in range(ORDERS_A_FRAME * 2 + 7)]
    random.Random(SEED).shuffle(ids)
    histories = [a_history(order_id) for order_id in ids]
    manifest = write(tmp_path, "20260101", histories)
    assert len(manifest.frames) == 3
    assert (manifest.orders, manifest.facts) == (len(ids), 2 * len(ids))
    assert (manifest.t_min, manifest.t_max) == (1_001, 1_002)
    file = ArchiveFile(tmp_path, manifest)
    file.check_size()
    for history in histories:
        assert file.history(history.order_id) == history, f"seed {SEED}"
    assert [h.order_id for h in file.histories()] == sorted(ids, key=str.encode)
    for absent in ("a", "o-1x", "z"):
        with pytest.raises(ArchiveDamaged, match=f"nothing of order {absent}"):
            file.history(absent)
    whole = gzip.decompress(data_file(tmp_path, manifest.name).read_bytes())
    assert whole.count(b"\n") == len(ids), "any gzip reads all of it"


def test_the_same_content_is_the_same_file(tmp_path: Path) -> None:
    histories = [a_history("o-1"), a_history("o-2")]
    first = write(tmp_path, "20260101", histories)
    assert write(tmp_path, "20260101", histories[::-1]) == first
    other = write(tmp_path, "20260101", histories[:1])
    assert len(list(tmp_path.iterdir())) == 4
    assert left_over(tmp_path, [first.name, other.name]) == []
    assert left_over(tmp_path, [first.name]) == [
        data_file(tmp_path, other.name),
        manifest_file(tmp_path, other.name),
    ]


def read_whole(folder: Path, manifest: Manifest) -> list[History]:
    found = read_manifest(folder, manifest.name, manifest.digest)
    return list(ArchiveFile(folder, found).histories())


def test_every_changed_bit_is_seen(tmp_path: Path) -> None:
    manifest = write(tmp_path, "20260101", [a_history(f"o-{n}") for n in range(20)])
    rng = random.Random(SEED)
    for path in (data_file(tmp_path, manifest.name), manifest_file(tmp_path, manifest.name)):
        good = path.read_bytes()
        for _ in range(60):
            at, bit = rng.randrange(len(good)), 1 << rng.randrange(8)
            path.write_bytes(good[:at] + bytes([good[at] ^ bit]) + good[at + 1 :])
            with pytest.raises(ArchiveDamaged):
                read_whole(tmp_path, manifest)
        path.write_bytes(good)
    assert read_manifest(tmp_path, manifest.name, manifest.digest) == manifest


def test_a_manifest_of_another_format_is_not_read(tmp_path: Path) -> None:
    manifest = write(tmp_path, "20260101", [a_history("o-1")])
    path = manifest_file(tmp_path, manifest.name)
    for wrong in ('{"format": "escrow-archive/2"}', "[]", "{}", '{"format": "escrow-archive/1"}'):
        path.write_text(wrong)
        with pytest.raises(ArchiveDamaged):
            read_manifest(tmp_path, manifest.name)


def test_what_does_not_fit_into_memory_is_sorted_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("storage.archived.ROWS_A_RUN", 7)
    rows = [(n % 11, n, {"x": [n, None, "\u00e4"]}) for n in range(100)]
    random.Random(SEED).shuffle(rows)
    assert list(sorted_on_disk(rows, 2)) == [list(row) for row in sorted(rows, key=lambda r: r[:2])]
    assert list(sorted_on_disk([], 1)) == []


def test_the_names_in_a_file_are_those_of_the_table() -> None:
    """A column of `facts` that is added or renamed is a decision about the format, not a slip."""
    assert FACT_COLUMNS[0] == "order_id"
    assert FACT_COLUMNS[1:] == _FACT
    assert FORMAT == "escrow-archive/1"
    (written,) = {tuple(fact) for fact in json.loads(line_of(a_history("o-1")))["facts"]}
    assert set(FACT_COLUMNS[1:]) < set(written)
