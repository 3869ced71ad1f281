"""An order is found by whatever id somebody holds, and explained as the command line explains it."""

import json
import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from consumers.engine.config import Settings
from ops.web.app import create_app
from ops.web.timeline import ENTRIES_MAX
from schemas.commands import command_id
from storage import finding
from tests.builders import T0
from tests.integration.filled import Filler, corrupt
from tests.integration.program import Program
from tests.integration.small_world import HELD, PARKED, RELEASED, SPLIT, a_small_world, said
from tests.integration.test_statements import counted
from tests.unit.looks import Eyes, a_sample, seen_by

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def client(database_url: str, settings: Settings) -> Iterator[TestClient]:
    Filler(database_url).records(a_small_world())
    app = create_app(settings, Eyes(seen_by([a_sample(0)]), settings))
    with TestClient(app, base_url="http://127.0.0.1", follow_redirects=False) as client:
        yield client


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


@pytest.mark.parametrize(
    ("id_", "order_id"),
    [
        (RELEASED, RELEASED),
        (f"  {RELEASED} ", RELEASED),
        (f"p-{SPLIT}", SPLIT),  # a payment
        (command_id(RELEASED, "payout", 1), RELEASED),
        (command_id(RELEASED, "payout", 1)[:12], RELEASED),
        (f"{HELD}.3", HELD),  # a fact
        ("cb-1", HELD),  # a chargeback
        ("o-rel", RELEASED),  # the beginning of an order id
    ],
)
def test_any_id_leads_to_its_order(client: TestClient, id_: str, order_id: str) -> None:
    answer = client.get("/orders", params={"q": id_})
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/orders/{order_id}"


def test_an_id_of_several_orders_gives_a_choice(client: TestClient) -> None:
    page = client.get("/orders", params={"q": "r-1"}).text  # a request id in two of them
    assert f'href="/orders/{HELD}"' in page
    assert f'href="/orders/{SPLIT}"' in page
    assert "request or offer" in page


@pytest.mark.parametrize("id_", ["nothing", EVIL, "%", "a\0b", "x" * 5_000, "’; DROP TABLE facts"])
def test_what_is_not_there_is_said_to_be_so(client: TestClient, id_: str) -> None:
    answer = client.get("/orders", params={"q": id_})
    assert answer.status_code == 200
    assert EVIL not in answer.text
    assert client.get("/orders/" + quote(id_[:300])).status_code == 404


def test_a_search_that_takes_too_long_is_given_up(
    client: TestClient, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    corrupt(
        database_url,
        "INSERT INTO shipments (order_id, shipment_id, state)"
        " SELECT 'x' || n, 's' || n, 'lost' FROM generate_series(1, 200000) n",
    )
    monkeypatch.setattr(finding, "SCAN_MS_MAX", 1)
    page = client.get("/orders", params={"q": "nothing"}).text
    assert "took too long and was given up" in page


def test_the_page_says_where_the_money_is_why_and_what_next(client: TestClient) -> None:
    text = text_of(client.get(f"/orders/{SPLIT}").text)
    assert "held 0.00 EUR refunded 3.00 EUR paid out 7.00 EUR captured 10.00 EUR" in text
    assert "supplier s-1 accepted offer r-1 → split" in text
    assert "3.00 EUR from escrow to the buyer" in text
    assert "ordered refund" in text
    assert "waits to be sent" in text
    assert "torn" in text  # the buyer's note
    text = text_of(client.get(f"/orders/{PARKED}").text)
    assert "no payment yet" in text
    assert "everything waits for the payment" in text
    assert "parcel sh-1 was delivered" in text


def test_what_was_refused_is_said_with_its_reason(client: TestClient) -> None:
    text = text_of(client.get(f"/orders/{RELEASED}").text)
    assert "already_settled" in text
    assert "RULES 3.3, P4" in text


def test_programs_get_the_same_as_the_command_line(
    client: TestClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Program(settings, monkeypatch).json("order", "explain", SPLIT)
    answer = client.get(f"/orders/{SPLIT}", headers={"accept": "application/json"})
    assert answer.headers["content-type"] == "application/json"
    got = answer.json()
    assert got == client.get(f"/api/orders/{SPLIT}").json()
    assert got["where_the_money_is"] == told.pop("money")
    assert {name: got[name] for name in told} == told
    assert got["money"]["refunded_minor"] == 300
    assert got["currency"] == "EUR"
    rows = client.get(f"/api/orders/{SPLIT}", params={"rows": "true"}).json()["rows"]
    assert rows == Program(settings, monkeypatch).json("order", "show", SPLIT)
    answer = client.get("/api/orders/o-nobody")
    assert answer.status_code == 404
    assert answer.json() == {"error": "No fact of order o-nobody has come."}


def test_texts_of_others_are_text(client: TestClient, database_url: str) -> None:
    order_id = "o-evil"
    Filler(database_url, {"escrow.payments.v1": 99, "escrow.refund-requests.v1": 99}).records(
        [
            said("payment.captured", order_id, 1),
            said("refund.requested", order_id, 2, note=f'{EVIL}"\u202e\u2066 &amp; \n\tb'),
        ]
    )
    corrupt(database_url, f"UPDATE facts SET id = '{EVIL}' WHERE order_id = '{order_id}'")
    page = client.get(f"/orders/{order_id}").text
    assert EVIL not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "\u202e" not in page
    assert "\\u202e" in page
    assert json.loads(client.get(f"/api/orders/{order_id}?rows=true").text)


def test_a_long_life_is_told_in_pages_and_costs_no_more_statements(
    client: TestClient, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with counted(monkeypatch) as few:
        client.get(f"/orders/{HELD}")
    order_id = "o-long"
    evidence = [
        said("evidence.submitted", order_id, n, evidence_id=f"e-{n}", sha256=f"{n:064x}")
        for n in range(2, 2 * ENTRIES_MAX + 30)
    ]
    offsets = {"escrow.payments.v1": 99, "escrow.refund-requests.v1": 99}
    Filler(database_url, offsets).records([said("payment.captured", order_id, 1), *evidence])
    with counted(monkeypatch) as seen:
        first = client.get(f"/orders/{order_id}")
    assert len(seen) <= len(few) + 2  # two looks at texts or claims that the other has none of
    assert len(first.content) < 100_000
    older = re.search(r'href="(/orders/o-long\?before=\d+)"', first.text)
    assert older is not None
    second = client.get(older[1]).text
    numbers = [
        [int(no) for no in re.findall(r'id="no-(\d+)"', page)] for page in (first.text, second)
    ]
    assert [len(page) for page in numbers] == [ENTRIES_MAX, ENTRIES_MAX]
    assert numbers[0][-1] == numbers[1][0] + 1
    for bad in ("x", "-1", "9" * 30, "١"):
        assert client.get(f"/orders/{order_id}?before={bad}").status_code == 200


def test_a_row_that_is_not_what_its_facts_make_is_doubted(
    client: TestClient, database_url: str
) -> None:
    corrupt(database_url, f"UPDATE escrows SET buyer_id = 'mallory' WHERE order_id = '{HELD}'")
    assert "run <code>escrow audit</code>" in client.get(f"/orders/{HELD}").text
    corrupt(database_url, f"UPDATE facts SET payload = '{{}}' WHERE order_id = '{HELD}'")
    page = client.get(f"/orders/{HELD}")
    assert page.status_code == 200
    assert "cannot be decided again" in page.text
    assert "a payment.captured that cannot be read" in page.text


def test_times_are_the_records(client: TestClient) -> None:
    assert T0 == 1_700_000_000_000
    assert "2023-11-14 22:13:20" in client.get(f"/orders/{SPLIT}").text
