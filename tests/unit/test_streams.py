"""The views are a fold: same records, same views, whatever partition is read first and how often."""

import asyncio
import json
from contextlib import nullcontext
from typing import Any

import pytest

from schemas.door import Record
from schemas.order_events import ORDER_EVENTS
from schemas.topics import VIEWS
from streams import app
from streams.app import PARTITION_BYTES_MAX, RECORDS_IN_HAND_MAX, make_app
from streams.broker import Broker
from streams.flow import EARLY_MS_MAX, MINUTE_MS, WINDOWS_MAX
from streams.suppliers import DAY_MS, Limits
from streams.views import Update, Views, to_wire
from tests.builders import T0, a_record, sample

NOW = T0 + MINUTE_MS
LIMITS = Limits(settled_min=2, rulings_against=1)


def captured(order: str, supplier: str = "s-1", *, fact: str = "", t: int = T0) -> Record:
    data = sample("payment.captured", order, supplier_id=supplier)
    return a_record("payment.captured", data, id=fact or f"{order}.paid", t=t)


def changed(order: str, to: str, **changes: Any) -> Record:
    t = changes.pop("t", T0)
    data = {
        "order_id": order,
        "from": "HELD",
        "to": to,
        "held_minor": 0,
        "refunded_minor": 0,
        "paid_out_minor": 0,
        "currency": "EUR",
        "decided_by": None,
        "cause": {"source": "tests", "id": f"{order}.paid"},
        "decision_no": 1,
        "chain_head": "00",
    }
    return event("order.changed", order, data | changes, t=t)


def event(type_name: str, key: str, data: Any, t: int = T0) -> Record:
    named = {"specversion": "1.0", "id": "e", "source": "escrow", "type": type_name}
    headers = [(f"ce_{name}", text.encode()) for name, text in named.items()]
    headers.append(("content-type", b"application/json"))
    return Record(ORDER_EVENTS, 0, 0, t, key.encode(), json.dumps(data).encode(), headers)


def opened(order: str, capture: Record) -> Record:
    headers = dict(capture.headers)
    cause = {"source": (headers["ce_source"] or b"").decode()}
    cause["id"] = (headers["ce_id"] or b"").decode()
    return changed(order, "HELD", **{"from": None, "cause": cause})


def a_story(order: str, to: str, supplier: str = "s-1", **changes: Any) -> list[Record]:
    capture = captured(order, supplier)
    return [capture, opened(order, capture), changed(order, to, **changes)]


def folded(records: list[Record], views: Views | None = None, now: int = NOW) -> Views:
    views = views or Views(LIMITS)
    for record in records:
        where = (record.topic, record.partition)
        views.fold(record._replace(offset=views.positions.get(where, 0)), now)
    return views


def by_key(updates: list[Update]) -> dict[str, Any]:
    return {update.key: update.data for update in updates}


def risk(views: Views, supplier: str = "s-1", now: int = NOW) -> Any:
    return by_key(views.updates(now, now))[f"supplier_risk/{supplier}"]


STORIES = [
    *a_story("o-1", "REFUNDED", refunded_minor=1000, decided_by="ruling"),
    *a_story("o-2", "RELEASED"),
    *a_story("o-3", "CHARGED_BACK", decided_by="card_network"),
]


def test_a_supplier_is_counted_by_how_his_orders_ended() -> None:
    found = risk(folded(STORIES))
    assert (found["orders_settled"], found["orders_refunded"]) == (3, 1)
    assert found["refund_rate_bp"] == 3333
    assert (found["rulings_against"], found["charged_back"]) == (1, 1)
    assert found["flags"] == ["refund_rate", "rulings_against"]


def test_it_does_not_matter_which_topic_is_read_first() -> None:
    events_first = sorted(STORIES, key=lambda record: record.topic != ORDER_EVENTS)
    assert events_first != STORIES
    assert risk(folded(events_first)) == risk(folded(STORIES))


def test_reading_again_changes_nothing() -> None:
    views, placed = Views(LIMITS), []
    for record in STORIES:
        where = (record.topic, record.partition)
        placed.append(record._replace(offset=views.positions.get(where, 0)))
        views.fold(placed[-1], NOW)
    for record in placed:
        views.fold(record, NOW)
    again, once = (by_key(found.updates(NOW, NOW)) for found in (views, folded(STORIES)))
    assert again == once


def test_an_event_that_was_sent_twice_counts_once() -> None:
    assert risk(folded([*STORIES, STORIES[2], STORIES[2]])) == risk(folded(STORIES))


def test_a_refused_capture_names_no_supplier() -> None:
    forged = captured("o-1", "s-victim", fact="forged")
    updates = by_key(folded([forged, *STORIES]).updates(NOW, NOW))
    assert "supplier_risk/s-victim" not in updates
    assert updates["supplier_risk/s-1"]["orders_settled"] == 3


def test_each_buyer_who_reports_counts_once_and_the_supplier_is_flagged() -> None:
    def report(buyer: str, n: int) -> Record:
        data = sample("supplier.reported", "", supplier_id="s-9", buyer_id=buyer)
        data = {name: value for name, value in data.items() if name != "order_id"}
        return a_record("supplier.reported", data, id=f"r-{buyer}-{n}", t=T0)

    views = folded([report("b-1", n) for n in range(5)])
    assert (risk(views, "s-9")["reporters"], risk(folded([report("b-1", 9)]), "s-9")["flags"]) == (
        1,
        [],
    )
    updates = by_key(folded([report("b-2", 1)], views).updates(NOW, NOW))
    assert updates["flagged_suppliers"]["suppliers"] == [
        {"supplier_id": "s-9", "flags": ["reported"]}
    ]


def test_after_thirty_days_a_supplier_is_forgotten_and_a_tombstone_says_so() -> None:
    views = folded(STORIES)
    views.updates(NOW, NOW)
    later = by_key(views.updates(NOW + 31 * DAY_MS, NOW + 31 * DAY_MS))
    assert later["supplier_risk/s-1"] is None
    assert later["flagged_suppliers"]["count"] == 0


def test_memory_is_bounded_and_says_what_it_let_go() -> None:
    views = Views(LIMITS._replace(open_orders_max=10))
    folded([captured(f"o-{n}") for n in range(25)], views)
    assert by_key(views.updates(NOW, NOW))["status"]["orders_forgotten"] == 15


def test_what_is_behind_waits_in_kafka_and_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each start reads all topics: what the client takes in hand at once must not grow with them."""
    monkeypatch.setattr("aiokafka.AIOKafkaConsumer", lambda **given: given)

    async def asked_for() -> Any:
        broker = Broker(bootstrap_servers="127.0.0.1:9")
        made: Any = make_app(broker, group="tests", goes_by_records=True)
        thread = made.consumer._thread
        thread.thread_loop.close()  # it was made with one
        return thread._create_consumer(loop=asyncio.get_running_loop())

    asked = asyncio.run(asked_for())
    assert asked["max_poll_records"] == RECORDS_IN_HAND_MAX
    assert asked["max_partition_fetch_bytes"] == PARTITION_BYTES_MAX


@pytest.mark.parametrize("was_told", [True, False])
def test_what_fails_while_it_ends_as_it_was_told_is_no_crash(
    was_told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look that is under way finds the producer gone already."""

    class Ending:
        crash_reason: Exception | None = None

        async def start(self) -> None: ...

        async def wait(self, told: Any) -> None:
            told.close()

        async def stop(self) -> None:
            self.crash_reason = RuntimeError("no producer")

    def made(*_: Any, done: asyncio.Event, **__: Any) -> Ending:
        if was_told:
            done.set()
        return Ending()

    monkeypatch.setattr(app, "make_app", made)
    running = app._run(Broker(bootstrap_servers="127.0.0.1:9"), "tests", True, once=True)
    with nullcontext() if was_told else pytest.raises(RuntimeError):
        asyncio.run(running)


def test_flow_counts_by_minute_and_type_and_drops_what_is_old() -> None:
    views = folded([captured("o-1"), captured("o-2"), captured("o-3", t=T0 + MINUTE_MS)])
    windows = by_key(views.updates(NOW, NOW))["flow"]["windows"]
    assert [window["counts"] for window in windows] == [
        {"payment.captured": 2},
        {"payment.captured": 1},
    ]
    later = NOW + WINDOWS_MAX * MINUTE_MS
    assert by_key(views.updates(later, later))["flow"]["windows"] == []


def test_a_record_from_the_future_takes_no_window() -> None:
    views = folded([captured("o-1", t=NOW + EARLY_MS_MAX + 1)])
    flow = by_key(views.updates(NOW, NOW))["flow"]
    assert (flow["windows"], flow["records_too_early"]) == ([], 1)


@pytest.mark.parametrize("value", [None, b"\xff", b"{", b"[]", b'{"order_id": 5}'])
def test_what_the_door_rejects_is_only_counted(value: bytes | None) -> None:
    bad = [captured("o-1")._replace(value=value), changed("o-1", "HELD")._replace(value=value)]
    status = by_key(folded(bad).updates(NOW, NOW))["status"]
    assert (status["records_rejected"], status["suppliers"]) == (2, 0)


def own(key: str, data: Any) -> Record:
    return Record(VIEWS, 0, 0, T0, key.encode(), data, [])


def test_a_fresh_start_forgets_what_an_earlier_run_left_behind() -> None:
    left = [own("supplier_risk/s-gone", b'{"view": "supplier_risk"}'), own("nonsense", b"\xff")]
    updates = by_key(folded([*left, *STORIES]).updates(NOW, NOW))
    assert updates["supplier_risk/s-gone"] is None
    assert updates["nonsense"] is None


def test_what_somebody_wiped_is_written_again() -> None:
    views = folded(STORIES)
    views.updates(NOW, NOW)
    assert "supplier_risk/s-1" not in by_key(views.updates(NOW, NOW))
    folded([own("supplier_risk/s-1", None)], views)
    assert risk(views)["orders_settled"] == 3


def test_a_view_is_a_cloud_event_that_says_until_when_it_is_true() -> None:
    (flow,) = [update for update in folded(STORIES).updates(NOW, T0) if update.key == "flow"]
    key, value, headers = to_wire(flow, NOW)
    assert key == b"flow"
    assert json.loads(value or b"")["true_until"] == "2023-11-14T22:13:20.000Z"
    assert dict(headers)["ce_type"] == b"view.updated"
    assert dict(headers)["content-type"] == b"application/json"
    assert to_wire(Update("flow", None), NOW)[1] is None


def test_the_latest_record_time_is_that_of_facts_and_events_not_of_our_own_words() -> None:
    views = folded([captured("o-1", t=T0 + 5), captured("o-2", t=T0)])
    assert views.latest_t == T0 + 5
    views.fold(Record(VIEWS, 0, 0, T0 + 99, b"flow", b"{}", []), NOW)
    assert views.latest_t == T0 + 5
