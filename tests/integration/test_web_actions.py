"""What an operator or mediator does in the console goes out as a record, foretold first, kept with who and why."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from consumers.engine import admin
from consumers.engine.config import Role, Settings, WebSettings
from ops.dead_letters import parse_place
from ops.web.app import create_app
from schemas.facts import MEDIATION_RULINGS
from storage.dead_letter_reading import actions_on, letter_at
from storage.mediation import disputes_of, find_disputes
from storage.reading import snapshot
from tests.builders import T0, a_record, sample
from tests.integration.filled import Filler, corrupt
from tests.integration.sending import sent_to
from tests.integration.small_world import said
from tests.integration.test_statements import counted
from tests.unit.looks import Eyes, a_sample, seen_by

DAY = 86_400_000
EVIL = "<img src=x onerror=alert(1)>"
CASE = "o-case"


class Desk:
    """A person of a role in front of the console."""

    def __init__(self, settings: Settings, role: Role) -> None:
        web = WebSettings(role=role, operator="olga")
        settings = settings.model_copy(update={"web": web})
        self.eyes = Eyes(seen_by([a_sample(0)]), settings)
        app = create_app(settings, self.eyes)
        self.client = TestClient(app, base_url="http://127.0.0.1", follow_redirects=False)

    def get(self, path: str) -> str:
        answer = self.client.get(path)
        assert answer.status_code == 200, (path, answer.status_code)
        return answer.text

    def send(self, page: str, action: str, status: int = 200, **given: Any) -> str:
        """Send the form of this page that goes there, with its hidden fields and these."""
        form = next(
            f for f in re.findall(r"<form.*?</form>", page, re.DOTALL) if f'"{action}"' in f
        )
        hidden = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form)
        data: dict[str, Any] = {}
        for name, value in hidden:
            data[name] = [*data.get(name, []), value.replace("&#34;", '"')]
        answer = self.client.post(action, data={**data, **given})
        assert answer.status_code == status, (action, answer.status_code, answer.text)
        return answer.text


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


@pytest.fixture
def filled(database_url: str, settings: Settings) -> None:
    admin.apply_topics(settings)
    bad = sample("payment.captured", "o-1", amount_minor=5.5)
    Filler(database_url).records(
        [
            a_record("payment.captured", bad, t=T0, id="bad-1"),
            a_record(
                "payment.captured", sample("payment.captured", "o-2", method=EVIL), id="bad-2"
            ),
            said("payment.captured", "o-3", 1),
            a_record("payment.captured", sample("payment.captured", "o-9"), id="o-3.1"),  # conflict
        ]
    )


@pytest.fixture
def operator(filled: None, settings: Settings) -> Desk:
    return Desk(settings, "operator")


def kept(url: str, place: str) -> list[tuple[str, str, str]]:
    with snapshot(url) as connection:
        letter = letter_at(connection, *parse_place(place))
        assert letter is not None
        actions = actions_on(connection, letter)
    return [(action.action, action.operator_id, action.reason) for action in actions]


def test_the_list_is_filtered_and_shows_texts_as_text(operator: Desk) -> None:
    page = operator.get("/dead-letters")
    assert page.count('href="/dead-letters/payments/0/') == 3
    assert operator.get("/dead-letters?code=id_conflict").count('href="/dead-letters/pay') == 1
    assert "None like that" in operator.get("/dead-letters?topic=escrow.shipments.v1")
    for odd in ("code=x'--", "topic=%00", "order=%00", "order=" + "x" * 999, "all=2"):
        operator.get(f"/dead-letters?{odd}")
    letter = operator.get("/dead-letters/payments/0/1")
    assert EVIL not in letter
    assert "&lt;img src=x onerror=alert(1)&gt;" in letter
    for place in ("payments/0/77", "payments/99999999999/1", "x/0/0", f"payments/0/{2**70}"):
        assert operator.client.get(f"/dead-letters/{place}").status_code == 404, place


def test_a_letter_that_would_end_the_same_way_cannot_be_chosen(operator: Desk) -> None:
    assert "its sender must send it again under a new id" in text_of(
        operator.get("/dead-letters/payments/0/3")
    )
    page = operator.get("/dead-letters")
    assert 'value="payments/0/0"' in page
    assert 'value="payments/0/3"' not in page


def test_letters_are_foretold_then_sent_and_it_is_kept(
    operator: Desk, settings: Settings, database_url: str
) -> None:
    plan = operator.send(
        operator.get("/dead-letters"),
        "/dead-letters/forecast",
        place=["payments/0/0", "payments/0/1"],
    )
    assert "dead letter: invalid data 2" in text_of(plan)
    assert kept(database_url, "payments/0/0") == []  # nothing was sent yet
    operator.send(plan, "/dead-letters/replay", 400, reason="")
    with capture_logs() as logs:
        done = operator.send(plan, "/dead-letters/replay", reason="the schema was wrong")
    assert "2 sent again" in text_of(done)
    (line,) = [line for line in logs if line["event"] == "action"]
    assert (line["action"], line["operator"], line["reason"]) == (
        "replay",
        "olga",
        "the schema was wrong",
    )
    assert line["places"] == ["payments/0/0", "payments/0/1"]
    assert kept(database_url, "payments/0/1") == [("replayed", "olga", "the schema was wrong")]
    operator.send(plan, "/dead-letters/replay", 409, reason="again")
    to = re.findall(r"escrow\.payments\.v1/(\d+)/(\d+)", done)
    assert len(to) == 2
    record = admin.read_record(settings, ("escrow.payments.v1", int(to[0][0])), int(to[0][1]))
    assert record is not None
    assert record.key == b"o-1"


def test_all_open_ones_of_a_reason_are_foretold_together(operator: Desk) -> None:
    page = operator.get("/dead-letters?code=invalid_data")
    plan = operator.send(page, "/dead-letters/forecast", all_of="invalid_data")
    assert "What would become of 2 letters" in text_of(plan)
    operator.send(page, "/dead-letters/forecast", 400)


def test_a_mended_copy_shows_what_differs_and_goes_out_under_a_new_id(
    operator: Desk, settings: Settings, database_url: str
) -> None:
    place = "/dead-letters/payments/0/0"
    form = operator.get(f"{place}/mend")
    value = '{"order_id":"o-1","payment_id":"p-1","buyer_id":"b-1","supplier_id":"s-1",'
    value += '"amount_minor":%s,"currency":"EUR","method":"visa","paid_through":"escrow",'
    value += '"agreement_accepted":true}'
    fields = dict(re.findall(r'name="(header:[^"]+)" value="([^"]*)"', form)) | {"key": "o-1"}
    wrong = operator.send(form, f"{place}/compare", value=value % "-5", **fields)
    assert "It would be a dead letter again" in text_of(wrong)
    shown = operator.send(form, f"{place}/compare", value=value % "550", **fields)
    assert '"amount_minor": 550' in shown.replace("&#34;", '"')
    assert "applied" in text_of(shown)
    with capture_logs() as logs:
        done = operator.send(shown, f"{place}/send", reason="minor units, told by the shop")
    assert "1 sent again" in text_of(done)
    assert [line["action"] for line in logs if line["event"] == "action"] == ["replay_edited"]
    assert kept(database_url, "payments/0/0") == [
        ("replayed_edited", "olga", "minor units, told by the shop")
    ]
    partition, offset = re.findall(r"escrow\.payments\.v1/(\d+)/(\d+)", done)[0]
    record = admin.read_record(settings, ("escrow.payments.v1", int(partition)), int(offset))
    assert record is not None
    headers = dict(record.headers)
    assert (headers["ce_id"] or b"").startswith(b"edit:bad-1:")
    assert headers["ce_editedby"] == b"olga"
    assert b'"amount_minor":550' in (record.value or b"")


@pytest.mark.parametrize("path", ["forecast", "replay"])
def test_a_viewer_is_shown_no_button_and_could_not_use_it(
    filled: None, settings: Settings, path: str
) -> None:
    viewer = Desk(settings, "viewer")
    assert "<button>What would" not in viewer.get("/dead-letters")
    assert viewer.client.get("/dead-letters/payments/0/0/mend").status_code == 403
    answer = viewer.client.post(f"/dead-letters/{path}", data={"place": "payments/0/0"})
    assert answer.status_code == 403


@pytest.fixture
def disputed(database_url: str, settings: Settings) -> None:
    admin.apply_topics(settings)
    Filler(database_url).records(
        [
            said("refund.requested", CASE, 2, amount_minor=400, note=EVIL),
            said("evidence.submitted", CASE, 5, evidence_id="e-0", kind="video"),  # waits
            said("payment.captured", CASE, 1),
            said("evidence.submitted", CASE, 3, uri="https://example.test/photo"),
            said("payment.captured", "o-early", 4),
            said("refund.requested", "o-early", 11 * DAY, amount_minor=100),
            said("mediation.requested", CASE, 11 * DAY + 1),
        ]
    )


@pytest.fixture
def viewer(disputed: None, settings: Settings) -> Iterator[Desk]:
    desk = Desk(settings, "viewer")
    yield desk
    desk.eyes.stop()


def test_the_queue_says_who_waits_and_how_long_the_others_must(viewer: Desk) -> None:
    assert "No dispute is open" in viewer.get("/mediation")
    viewer.eyes.look_at_books()
    text = text_of(viewer.get("/mediation"))
    assert text.index(CASE) < text.index("o-early")
    assert "waits for a ruling" in text
    assert "in 9 d 23 h" in text


def test_the_queue_leaves_out_what_was_settled_since_it_was_counted(
    viewer: Desk, database_url: str
) -> None:
    viewer.eyes.look_at_books()
    corrupt(
        database_url,
        "UPDATE escrows SET status = 'REFUNDED', decided_by = 'carrier', held_minor = 0,"
        f" refunded_minor = captured_minor WHERE order_id = '{CASE}'",
    )
    text = text_of(viewer.get("/mediation"))
    assert CASE not in text
    assert "o-early" in text


def test_the_queue_costs_no_more_with_a_hundred_thousand_orders(
    viewer: Desk, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once each look at it read all of them."""
    corrupt(
        database_url,
        "INSERT INTO escrows (order_id, status, currency, captured_minor, held_minor, payment_id)"
        " SELECT 'x' || n, 'HELD', 'EUR', 1, 1, 'p' || n FROM generate_series(1, 100000) n",
        "ANALYZE escrows",
    )
    with snapshot(database_url) as connection:
        assert find_disputes(connection, limit=10) == [CASE, "o-early"]
    with snapshot(database_url) as connection:
        found = disputes_of(connection, [CASE, "o-early"])
        read = connection.execute(
            text(
                "SELECT sum(seq_tup_read), sum(idx_tup_fetch) FROM pg_stat_xact_user_tables"
                " WHERE relname = 'escrows'"
            )
        ).one()
    assert [one.order_id for one in found] == [CASE, "o-early"]
    assert tuple(map(int, read)) == (0, 2)
    with counted(monkeypatch) as statements:
        viewer.get("/mediation")
    assert sum("FROM escrows" in str(one) for one in statements) == 1


def test_a_ruling_shows_what_it_pays_and_is_issued_as_a_fact(
    disputed: None, settings: Settings
) -> None:
    mediator = Desk(settings, "mediator")
    page = mediator.get(f"/mediation/{CASE}")
    assert EVIL not in page
    text = text_of(page)
    assert "refund full refunded 10.00 EUR 0.00 EUR" in text
    assert "release released 0.00 EUR 10.00 EUR" in text
    assert "asked back 4.00 EUR" in text
    assert "photo e-1" in text
    assert "video e-0" in text
    place = f"/mediation/{CASE}"
    mediator.send(page, f"{place}/look", 400, outcome="refund_partial", amount="1,5")
    mediator.send(page, f"{place}/look", 400, outcome="")
    over = mediator.send(page, f"{place}/look", outcome="refund_partial", amount="10.00")
    assert "It would not hold." in text_of(over)
    shown = mediator.send(
        page, f"{place}/look", outcome="refund_partial", amount="2.50", rationale="torn\r\nsleeve"
    )
    assert "to the buyer 2.50 EUR to the supplier 7.50 EUR" in text_of(shown)
    done = mediator.send(shown, f"{place}/issue", reason="both sides heard")
    assert "The ruling is issued" in text_of(done)
    sent = sent_to(settings.kafka.bootstrap_servers, [MEDIATION_RULINGS])
    (said_,) = [json.loads(r.value or b"") for r in sent if r.key == CASE.encode()]
    assert (said_["order_id"], said_["refund_minor"], said_["mediator_id"]) == (CASE, 250, "olga")
    assert said_["rationale"] == "torn\nsleeve"


def test_only_a_mediator_rules(disputed: None, settings: Settings) -> None:
    operator = Desk(settings, "operator")
    page = operator.get(f"/mediation/{CASE}")
    assert "What it would pay" not in page
    answer = operator.client.post(f"/mediation/{CASE}/issue", data={"outcome": "release"})
    assert answer.status_code == 403


def test_where_kafka_is_away_it_is_said_and_written_down(
    filled: None, settings: Settings, database_url: str
) -> None:
    operator = Desk(settings, "operator")
    plan = operator.send(
        operator.get("/dead-letters"), "/dead-letters/forecast", place=["payments/0/0"]
    )
    with pytest.MonkeyPatch.context() as patch:

        def away(*_: object) -> None:
            raise admin.KafkaUnavailable("127.0.0.1:1: nobody there")

        patch.setattr(admin, "republish", away)
        page = operator.send(plan, "/dead-letters/replay", 503, reason="why")
    assert "Kafka does not answer" in page
    assert [action for action, _, _ in kept(database_url, "payments/0/0")] == [
        "replayed",
        "replay_failed",
    ]
