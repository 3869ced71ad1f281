"""Facts of settled orders in files: every question has the answer that it has without, and no fact is decided otherwise."""

import gzip
import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import Engine, NullPool, create_engine

from consumers.engine.config import Settings
from ops.archive import Gone, Step, Told, archive, move, restore, to_archive, verify
from ops.audit import run_audit
from ops.export import export_lines
from ops.rebuild import rebuild
from ops.record_lines import read_records
from ops.simulate import simulate
from schemas.commands import Kind, command_id
from schemas.door import Record
from storage.archive_files import data_file, manifest_file, opened
from storage.archived import ArchiveTrouble, archives
from storage.archiving import NotAsRead
from storage.exporting import count_facts, stream_facts
from storage.forgetting import forget
from storage.ledger_reading import stream_bookings, sums
from storage.reading import DatabaseTrouble, snapshot
from tests.builders import T0
from tests.conftest import SEED
from tests.integration.filled import Filler, corrupt
from tests.integration.program import Program
from tests.integration.sending import rows
from tests.integration.small_world import HELD, PARKED, RELEASED, SPLIT, a_small_world, said
from tests.integration.test_batch_equals_dry_run import STAGE_OF, orders_of
from tests.integration.test_rebuild import assert_every_table_equal, empty
from tests.model.generator import generate

__all__ = ["empty"]
TOLD: Final = Told("anna", "the year is over")
NEVER: Final = 2**62  # every fact is older
STAYED: Final = "SELECT order_id, decision_no, text_digest IS NULL FROM facts ORDER BY 1, 2"


@pytest.fixture
def db(database_url: str) -> Engine:
    return create_engine(database_url, poolclass=NullPool)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "archive"
    made.mkdir()
    return made


def settled() -> list[Record]:
    """The small world, and the gateways' last words: two of its orders are at rest."""
    both: list[tuple[Kind, int]] = [("refund", 300), ("payout", 700)]
    return [
        *a_small_world(),
        *(
            said(
                "gateway.settled",
                SPLIT,
                20 + n,
                command_id=command_id(SPLIT, kind, 1),
                amount_minor=amount,
            )
            for n, (kind, amount) in enumerate(both)
        ),
    ]


def put_away(url: str, folder: Path, before: int = NEVER, **options: Any) -> Gone:
    gone, passed_over = archive(url, folder, before, "20260101", TOLD, **options)
    assert passed_over == []
    return gone


def exported(url: str, order_id: str | None = None) -> list[str]:
    with snapshot(url) as connection:
        return list(export_lines(stream_facts(connection, order_id)))


def booked(url: str) -> tuple[Any, ...]:
    """The ledger in every way it can be asked for."""
    with snapshot(url) as connection:
        times = sorted({booking.t for booking in stream_bookings(connection, 0, None)})
        middle = times[len(times) // 2]
        return (
            list(stream_bookings(connection, 0, None)),
            list(stream_bookings(connection, middle, None)),
            list(stream_bookings(connection, 0, middle)),
            sums(connection, None),
            *(sums(connection, at) for at in (0, times[0], middle, times[-1], times[-1] + 1)),
        )


def answers(escrow: Program, orders: Iterable[str]) -> list[Any]:
    """What people are told of these orders; ages are told by the clock, so not those."""
    shown = [escrow.json("order", "show", order_id) for order_id in orders]
    told = [escrow.json("order", "explain", order_id) for order_id in orders]
    return [shown, told]


def test_every_answer_is_the_one_without_an_archive(
    db: Engine, database_url: str, folder: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    escrow = Program(settings, monkeypatch)
    Filler(database_url).records(settled())
    orders = [RELEASED, SPLIT, HELD, PARKED]
    before = (
        exported(database_url),
        [exported(database_url, order_id) for order_id in orders],
        booked(database_url),
        answers(escrow, orders[:2]),
    )
    with snapshot(database_url) as connection:
        number = count_facts(connection)
    assert to_archive(database_url, NEVER)[0] == Gone(0, 2, 12, 11)
    gone = put_away(database_url, folder)
    assert gone[:4] == (1, 2, 12, 11)
    assert (SPLIT, 2, False) in rows(db, STAYED), "what has a text can be forgotten where it is"
    assert {row[0] for row in rows(db, STAYED)} == {SPLIT, HELD, PARKED}
    after = (
        exported(database_url),
        [exported(database_url, order_id) for order_id in orders],
        booked(database_url),
        answers(escrow, orders[:2]),
    )
    assert after == before
    with snapshot(database_url) as connection:
        assert count_facts(connection) == number
    report = run_audit(settings, T0)
    assert report.findings == []
    assert report.facts == number - 1  # the report of a supplier is told beside
    assert verify(database_url)[:4] == (1, 2, 12, [])
    assert put_away(database_url, folder) == Gone()
    lines = gzip.decompress(data_file(folder, _names(database_url)[0]).read_bytes()).splitlines()
    assert [json.loads(line)["order_id"] for line in lines] == [RELEASED, SPLIT]


def test_orders_that_are_not_at_rest_or_not_old_enough_stay(
    db: Engine, database_url: str, folder: Path
) -> None:
    Filler(database_url).records(a_small_world())  # SPLIT waits for its gateways
    gone = put_away(database_url, folder, before=T0 + 6)
    assert gone == Gone(), "a fact of this very instant is not older"
    assert put_away(database_url, folder, before=T0 + 7).orders == 1
    assert RELEASED not in {row[0] for row in rows(db, STAYED)}
    assert len(rows(db, f"SELECT FROM facts WHERE order_id = '{SPLIT}'")) == 4


LATE: Final = {
    "a repetition": said("delivery.confirmed", RELEASED, 3),
    "the same id for something else": said("shipment.lost", RELEASED, 3),
    "a payment id used again": said(
        "payment.captured", "o-late", 1, payment_id=f"p-{RELEASED}"
    ),
    "a second payment": said("payment.captured", RELEASED, 60, payment_id="p-second"),
    "a late chargeback": said(
        "payment.charged_back", RELEASED, 61, chargeback_id="cb-9", payment_id=f"p-{RELEASED}"
    ),
    "that is lost": said(
        "payment.chargeback_closed", RELEASED, 62, chargeback_id="cb-9", outcome="lost"
    ),
    "a payout that comes back": said(
        "gateway.returned", RELEASED, 63, command_id=command_id(RELEASED, "payout", 1)
    ),
    "and is asked for again": said(
        "command.reissued", RELEASED, 64, command_id=command_id(RELEASED, "payout", 1)
    ),
    "a result for nobody": said("gateway.settled", SPLIT, 65, command_id="0" * 32),
    "a late offer": said("refund.offer_accepted", SPLIT, 66),
    "late evidence": said("evidence.submitted", SPLIT, 67, evidence_id="ev-late", sha256="9" * 64),
}  # fmt: skip


def test_what_comes_years_later_is_decided_as_without(
    db: Engine, database_url: str, folder: Path, settings: Settings
) -> None:
    world, filler = settled(), Filler(database_url)
    filler.records(world)
    put_away(database_url, folder)
    filler.records(LATE.values(), runs=False)
    outcomes, orders = simulate(_lines([*world, *LATE.values()]))
    assert orders_of(db) == orders
    asked = {(row["outcome"], row["code"]) for row in outcomes[-len(LATE) :]}
    assert {("duplicate", None), ("refused", "payment_reused"), ("refused", "already_settled"),
            ("parked", "awaiting_command"), ("dead_letter", "id_conflict")} <= asked  # fmt: skip
    kept = rows(db, "SELECT sum(duplicate), sum(dead_letter), sum(parked) FROM batches")
    counts = [
        sum(row["outcome"] == name for row in outcomes)
        for name in ("duplicate", "dead_letter", "parked")
    ]
    assert kept == [tuple(counts)]
    assert run_audit(settings, T0).findings == []
    assert put_away(database_url, folder).orders == 0  # its reissue is open, and one fact waits
    sent_back = command_id(RELEASED, "refund", 1)
    filler.records(
        said("gateway.settled", RELEASED, 70 + n, command_id=each)
        for n, each in enumerate((_reissue(db), sent_back))
    )
    assert put_away(database_url, folder).orders == 1
    runs = rows(
        db,
        f"SELECT from_no, until_no FROM archived_orders WHERE order_id = '{RELEASED}' ORDER BY 1",
    )
    assert len(runs) == 2
    assert runs[1][0] == runs[0][1] + 1
    assert run_audit(settings, T0).findings == []
    assert verify(database_url).wrong == []


def test_whatever_came_before_and_after(
    db: Engine, database_url: str, empty: str, folder: Path, settings: Settings
) -> None:
    """Hostile files from the model's generator, archived in the middle, twice; then made anew."""
    seed = SEED % 1_000_000 + 4
    content, _ = generate(seed, orders=4, facts_per_order=20, hostility=seed % 2 * 0.3)
    lines = [line for line in content.split(b"\n") if line.strip(b" \t\r")]
    kept = [(line, r) for line, r in zip(lines, read_records(lines), strict=True) if r.topic in STAGE_OF]  # fmt: skip
    filler, rng, at = Filler(database_url), random.Random(seed), 0
    for part in sorted([rng.randrange(len(kept)), rng.randrange(len(kept)), len(kept)]):
        filler.records([record for _, record in kept[at:part]])
        put_away(database_url, folder, facts_a_file=7)
        at = part
    _, orders = simulate([line for line, _ in kept])
    assert orders_of(db) == orders, f"seed {seed}"
    assert run_audit(settings, T0).findings == [], f"seed {seed}"
    assert verify(database_url).wrong == [], f"seed {seed}"
    assert rebuild(database_url, empty).differing == [], f"seed {seed}"
    corrupt(empty, "DELETE FROM escrows WHERE decision_no = 0")
    corrupt(database_url, "DELETE FROM escrows WHERE decision_no = 0")
    assert_every_table_equal(database_url, empty, f"seed {seed}")


class Killed(Exception):
    """As if the process had ended there."""


def test_killed_between_two_steps_it_goes_on(
    db: Engine, database_url: str, folder: Path, settings: Settings
) -> None:
    Filler(database_url).records(settled())
    everything = exported(database_url)
    kills: tuple[Step, ...] = ("written", "proved", "noted", "gone")
    for where in kills:

        def heard(step: Step, where: Step = where) -> None:
            if step == where:
                raise Killed

        with pytest.raises(Killed):
            put_away(database_url, folder, facts_a_file=1, heard=heard)
        assert rows(db, "SELECT count(*) FROM archives") == [(where == "gone",)]
        assert len(list(folder.glob("facts-*"))) == 2, "the same file was written again"
        assert exported(database_url) == everything
    assert run_audit(settings, T0).findings == []
    (folder / "1.part").write_bytes(b"of a process that was killed while it wrote")
    put_away(database_url, folder, facts_a_file=1)
    assert rows(db, "SELECT count(*) FROM archives") == [(2,)]
    assert exported(database_url) == everything
    assert verify(database_url).left_over == [folder / "1.part"]
    assert run_audit(settings, T0).findings == []


DAMAGES: Final[dict[str, Callable[[Path, Path], object]]] = {
    "a byte": lambda data, _: data.write_bytes(_flipped(data.read_bytes())),
    "the end": lambda data, _: data.write_bytes(data.read_bytes()[:-9]),
    "something more": lambda data, _: data.write_bytes(data.read_bytes() + gzip.compress(b"{}\n")),
    "the file": lambda data, _: data.unlink(),
    "the manifest": lambda _, manifest: manifest.write_bytes(manifest.read_bytes() + b" "),
    "no manifest": lambda _, manifest: manifest.unlink(),
}


def test_a_file_that_was_changed_is_found_and_never_believed(
    database_url: str, folder: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    Filler(database_url).records(settled())
    put_away(database_url, folder)
    (name,) = _names(database_url)
    files = data_file(folder, name), manifest_file(folder, name)
    good = [path.read_bytes() for path in files]
    for what, damage in DAMAGES.items():
        opened.cache_clear()  # as another process would find them
        damage(*files)
        assert run_audit(settings, T0).found["archive"] > 0, what
        assert verify(database_url).wrong != [], what
        if what != "something more":  # each frame is whole
            with pytest.raises(ArchiveTrouble, match="cannot be read"):
                exported(database_url)
        if what == "a byte":
            escrow = Program(settings, monkeypatch)
            said_so = escrow("order", "show", RELEASED, code=2).stderr
            assert name in said_so.replace("\n", "")
            assert HELD in escrow("order", "show", HELD).stdout
            assert escrow.json("archive", "verify", code=1)["wrong"]
        for path, content in zip(files, good, strict=True):
            path.write_bytes(content)
    opened.cache_clear()
    assert run_audit(settings, T0).findings == []


def test_rows_that_were_written_behind_the_archive_are_found(
    database_url: str, folder: Path, settings: Settings
) -> None:
    Filler(database_url).records(settled())
    put_away(database_url, folder)
    corrupt(
        database_url,
        f"UPDATE facts SET outcome = 'refused', code = 'frozen' WHERE order_id = '{SPLIT}'",
        f"DELETE FROM archived_orders WHERE order_id = '{RELEASED}'",
        "DELETE FROM identities WHERE identity IN (SELECT identity FROM identities LIMIT 1)",
    )
    found = run_audit(settings, T0).found
    assert found["archive"] >= 2
    assert found["identities"] > 0
    assert found["history"] > 0


def test_an_order_comes_back_as_it_was(
    db: Engine, database_url: str, folder: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    Filler(database_url).records(settled())
    whole = "SELECT f::text FROM facts f ORDER BY seq"
    before = rows(db, whole)
    put_away(database_url, folder)
    assert rows(db, whole) != before
    escrow = Program(settings, monkeypatch)
    who = ("--operator", "anna", "--reason", "a lawsuit")
    assert "6 facts" in escrow("archive", "restore", RELEASED, *who, "--dry-run").stderr
    assert "6 facts" in escrow("archive", "restore", RELEASED, *who, "--yes").stdout
    assert restore(database_url, SPLIT, TOLD) == 5
    assert rows(db, whole) == before
    assert run_audit(settings, T0).findings == []
    assert verify(database_url)[3:] == ([], [])
    again = escrow("archive", "restore", RELEASED, *who, "--yes", code=1)
    assert f"nothing of order {RELEASED}" in again.stderr
    assert put_away(database_url, folder).orders == 2  # the same content: the same file
    assert len(set(_names(database_url))) == 1
    assert len(_names(database_url)) == 2
    assert run_audit(settings, T0).findings == []
    assert verify(database_url)[3:] == ([], [])


def test_words_are_forgotten_though_their_facts_are_in_a_file(
    db: Engine, database_url: str, folder: Path, settings: Settings
) -> None:
    Filler(database_url).records(settled())
    put_away(database_url, folder)
    assert not any(b"torn" in gzip.decompress(path.read_bytes()) for path in folder.glob("*.gz"))
    assert forget(database_url, "b-1", "anna", "request 7").texts == 2
    assert rows(db, "SELECT FROM fact_texts") == []
    assert run_audit(settings, T0).findings == []


def test_files_may_be_moved_once_they_are_all_there(
    database_url: str, folder: Path, tmp_path: Path, settings: Settings
) -> None:
    Filler(database_url).records(settled())
    put_away(database_url, folder, facts_a_file=1)
    there = tmp_path / "there"
    there.mkdir()
    for path in folder.glob("*.json"):
        path.rename(there / path.name)
    with pytest.raises(ArchiveTrouble, match="nothing was changed"):
        move(database_url, there)
    for path in folder.iterdir():
        path.rename(there / path.name)
    assert move(database_url, there) == 2
    assert run_audit(settings, T0).findings == []


def test_nothing_goes_that_is_not_in_the_file_and_nobody_archives_beside_another(
    db: Engine, database_url: str, folder: Path
) -> None:
    Filler(database_url).records(settled())

    def another(step: Step) -> None:
        if step == "written":
            with pytest.raises(DatabaseTrouble, match="somebody else"):
                put_away(database_url, folder)

    put_away(database_url, folder, heard=another)
    assert rows(db, "SELECT count(*) FROM archives") == [(1,)]

    def vanished(step: Step) -> None:
        if step == "proved":
            corrupt(database_url, f"DELETE FROM facts WHERE order_id = '{RELEASED}'")

    restore(database_url, RELEASED, TOLD)
    with pytest.raises(NotAsRead, match="6 facts were to leave"):
        put_away(database_url, folder, heard=vanished)
    assert rows(db, "SELECT count(*) FROM archives") == [(1,)]


def test_an_order_whose_rows_prove_nothing_is_passed_over(database_url: str, folder: Path) -> None:
    Filler(database_url).records(settled())
    corrupt(database_url, f"UPDATE facts SET t = t - 1 WHERE order_id = '{RELEASED}'")
    gone, passed_over = archive(database_url, folder, NEVER, "20260101", TOLD)
    assert (gone.orders, passed_over) == (1, [(RELEASED, "its chain does not end at its head")])


def _names(url: str) -> list[str]:
    with snapshot(url) as connection:
        return [archive.name for archive in archives(connection)]


def _reissue(db: Engine) -> str:
    ((found,),) = rows(db, "SELECT command_id FROM commands WHERE purpose = 'reissue'")
    return str(found)


def _flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def _lines(records: Iterable[Record]) -> list[bytes]:
    return [
        json.dumps(
            {
                "topic": record.topic,
                "key": None if record.key is None else record.key.decode(),
                "timestamp_ms": record.timestamp_ms,
                "headers": {name: (value or b"").decode() for name, value in record.headers},
                "value": None if record.value is None else record.value.decode(),
            }
        ).encode()
        for record in records
    ]
