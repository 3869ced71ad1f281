"""An order as it stood at any moment is what the database held at that moment."""

import pytest

from consumers.engine.config import Settings
from ops.record_lines import read_records
from ops.redecide import claimed_elsewhere, payment_ids, read_facts
from ops.time_travel import NothingYet, as_of
from storage.dossiers import Dossier, read_order
from storage.reading import snapshot
from tests.builders import T0, a_record, sample
from tests.conftest import SEED
from tests.integration.filled import Filler
from tests.integration.program import Program
from tests.integration.small_world import HELD, RELEASED, SPLIT, a_small_world, said
from tests.model.generator import generate

MOST_LINES = 100


def stored(url: str, order_id: str) -> Dossier | None:
    with snapshot(url) as connection:
        return read_order(connection, order_id)


def then(url: str, order_id: str, decision: int) -> Dossier:
    with snapshot(url) as connection:
        dossier = read_order(connection, order_id)
        assert dossier is not None
        facts = read_facts(dossier)
        _, elsewhere = claimed_elsewhere(connection, {order_id: payment_ids(facts)})
    return as_of(order_id, facts, elsewhere, decision=decision).dossier


def plain(dossier: Dossier) -> Dossier:
    """Without what no decision says, and in one order."""
    dossier.commands = [sent._replace(unsent=False) for sent in dossier.commands]
    for children in (dossier.shipments, dossier.offers, dossier.evidence, dossier.chargebacks):
        children.sort()
    return dossier


@pytest.mark.parametrize("number", range(2))
def test_every_past_state_comes_back(database_url: str, number: int) -> None:
    seed = SEED % 1_000_000 + number
    content, _ = generate(seed, orders=2, facts_per_order=16, hostility=0.1)
    filler = Filler(database_url)
    seen: dict[tuple[str, int], Dossier] = {}
    lines = content.split(b"\n")[:MOST_LINES]  # each costs a read of the whole order
    for record in read_records(lines):
        filler.records([record])
        order_id = (record.key or b"").decode("utf-8", "replace")
        dossier = stored(database_url, order_id) if order_id.isascii() else None
        if dossier is not None and dossier.row is not None:
            seen[order_id, dossier.row.decision_no] = dossier
    assert seen, f"seed {seed}"
    for (order_id, no), dossier in seen.items():
        assert plain(then(database_url, order_id, no)) == plain(dossier), (
            f"seed {seed}, {order_id} at {no}"
        )


def test_a_tick_from_before_the_request_does_not_end_its_deadline(database_url: str) -> None:
    """What is stored, what is decided again and what the audit expects must be one reading."""
    at = T0 + 30 * 86_400_000
    tick = {"request_id": "r-1", "kind": "mediation_available", "due_at_ms": at}
    Filler(database_url).records(
        [
            said("payment.captured", HELD, 1),
            a_record("deadline.reached", sample("deadline.reached", HELD, **tick), id="d", t=at),
            said("refund.requested", HELD, 2),
        ]
    )
    dossier = stored(database_url, HELD)
    assert dossier is not None
    assert dossier.row is not None
    assert [deadline.request_id for deadline in dossier.deadlines] == ["r-1"]
    assert plain(then(database_url, HELD, dossier.row.decision_no)) == plain(dossier)


def test_before_its_first_fact_there_is_no_order(database_url: str) -> None:
    Filler(database_url).records(a_small_world())
    dossier = stored(database_url, SPLIT)
    assert dossier is not None
    with pytest.raises(NothingYet):
        as_of(SPLIT, read_facts(dossier), {}, until=T0)


def test_at_a_time_on_the_page_and_as_json(
    database_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    Filler(database_url).records(a_small_world())
    escrow = Program(settings, monkeypatch)
    for at in (str(T0 + 2), "2023-11-14T22:13:20.002Z"):
        shown = escrow.json("order", "show", RELEASED, "--at", at)
        assert (shown["order"]["status"], len(shown["facts"]), shown["commands"]) == ("HELD", 2, [])
    said = escrow("order", "show", RELEASED, "--at", str(T0 + 3))
    assert "RELEASED" in said.stdout
    assert "as after decision 3; 3 facts were decided since" in said.stderr
    assert escrow.json("order", "show", HELD, "--decision", "2")["order"]["status"] == "DISPUTED"
    assert "had come then" in escrow("order", "show", HELD, "--at", "0", code=1).stderr
    assert "neither" in escrow("order", "show", HELD, "--at", "yesterday", code=2).stderr
