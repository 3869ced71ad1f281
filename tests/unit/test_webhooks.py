"""Events reach a receiver that misbehaves in every way: at least once, signed, and given up in the end."""

import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from typing_extensions import override

from consumers.engine.config import ConfigError
from ops.webhooks.endpoints import EVENT_TYPES, Endpoint, read_endpoints
from ops.webhooks.sending import RETRY_SECONDS, Sender
from ops.webhooks.signing import event_of, headers_of, signature
from ops.webhooks.store import Delivery, Store, WrongCluster
from schemas.door import Record
from tests.builders import T0

SECRET: Final = b"s" * 32
BODY: Final = b'{"type":"order.changed"}'


class Got(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes


class Receiver(ThreadingHTTPServer):
    """Answers as it is told to, one way a request; keeps what it got."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.moods: list[str] = []
        self.got: list[Got] = []
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hooks?from=escrow"

    @override
    def handle_error(self, *_: Any) -> None:
        pass  # whoever hangs up on us is the point of some tests


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        got = Got(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
        self.server.got.append(got)
        mood = self.server.moods.pop(0) if self.server.moods else "204"
        match mood:
            case "hangs":
                self.server.released.wait(20)
            case "hangs up":
                self.connection.close()
            case "no http":
                self.wfile.write(b"hello\r\n\r\n")
            case "endless":
                self.send_response(500)
                self.end_headers()
                self.wfile.write(b"x" * 10_000_000)
            case _:
                self.send_response(int(mood))
                self.send_header("location", "http://127.0.0.1:1/")
                self.send_header("content-length", "0")
                self.end_headers()

    @override
    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def receiving() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


class Desk:
    """A sender whose clock is the test's."""

    def __init__(self, url: str, store: Store) -> None:
        self.now = 1_000_000.0
        self.store = store
        endpoint = Endpoint("shop", url, frozenset(EVENT_TYPES), (SECRET,))
        self.sender = Sender(endpoint, store, clock=lambda: self.now, answer_seconds=0.3)

    def event(self, id_: str) -> None:
        self.store.take_in([("shop", id_, "order.changed", BODY)], {}, self.now)

    def deliver(self, after: float = 0) -> int:
        self.now += after
        return self.sender.deliver()


@pytest.fixture
def desk(receiver: Receiver, tmp_path: Path) -> Iterator[Desk]:
    with Store(tmp_path) as store:
        yield Desk(receiver.url, store)


def test_the_signature_is_that_of_the_standard() -> None:
    """The example of its reference implementations."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    made = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_is_sent_can_be_verified(desk: Desk, receiver: Receiver) -> None:
    desk.event("e-1")
    assert desk.deliver() == 1
    (got,) = receiver.got
    assert (got.path, got.body) == ("/hooks?from=escrow", BODY)
    assert got.headers["webhook-id"] == "e-1"
    assert got.headers["webhook-timestamp"] == "1000000"
    signed = b"e-1.1000000." + got.body
    mine = base64.b64encode(hmac.new(SECRET, signed, sha256).digest()).decode()
    assert got.headers["webhook-signature"] == f"v1,{mine}"
    assert desk.store.waiting() == 0
    assert desk.deliver(1) == 0


def test_while_secrets_are_exchanged_both_sign() -> None:
    made = headers_of((SECRET, b"t" * 32), "e", 5, BODY)["webhook-signature"].split(" ")
    assert made == [signature(SECRET, "e", 5, BODY), signature(b"t" * 32, "e", 5, BODY)]


@pytest.mark.parametrize(
    ("mood", "error"),
    [
        ("500", "HTTP 500"),
        ("302", "HTTP 302"),
        ("404", "HTTP 404"),
        ("hangs", "TimeoutError"),
        ("hangs up", "RemoteDisconnected"),
        ("no http", "no HTTP: BadStatusLine"),
        ("endless", "HTTP 500"),
    ],
)
def test_whatever_a_receiver_does_it_is_tried_again_under_the_same_id(
    desk: Desk, receiver: Receiver, mood: str, error: str
) -> None:
    receiver.moods = [mood]
    desk.event("e-1")
    assert desk.deliver() == 1
    (waiting,) = desk.store.due("shop", desk.now + 10, 9)
    assert (waiting.attempts, waiting.error) == (1, error)
    assert desk.deliver(1) == 0  # not yet
    assert desk.deliver(RETRY_SECONDS[0] * 1.1) == 1
    assert [got.headers["webhook-id"] for got in receiver.got] == ["e-1", "e-1"]
    assert desk.store.waiting() == 0


def test_a_receiver_that_is_not_there_is_left_in_peace(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        desk = Desk("http://127.0.0.1:1/", store)
        for n in range(9):
            desk.event(f"e-{n}")
        tried = sum(desk.deliver(0.1) for _ in range(50))
        assert tried == 3  # at once, then after one and two seconds; four have not passed
        assert store.waiting() == 9


def test_in_the_end_it_is_given_up_and_can_be_sent_again(desk: Desk, receiver: Receiver) -> None:
    receiver.moods = ["503"] * (len(RETRY_SECONDS) + 1)
    desk.event("e-1")
    desk.deliver()
    for seconds in RETRY_SECONDS:
        assert desk.deliver(seconds * 1.1) == 1
    (dead,) = desk.store.dead(9)
    assert (dead.id, dead.attempts, dead.error) == ("e-1", len(RETRY_SECONDS) + 1, "HTTP 503")
    assert desk.deliver(10**6) == 0
    assert desk.store.again(desk.now, id_="another") == 0
    assert desk.store.again(desk.now, id_="e-1") == 1
    assert desk.deliver() == 1
    assert (desk.store.dead(9), desk.store.waiting()) == ([], 0)


def test_who_says_gone_is_asked_no_more(desk: Desk, receiver: Receiver) -> None:
    receiver.moods = ["410"]
    desk.event("e-1")
    desk.deliver()
    assert [dead.error for dead in desk.store.dead(9)] == ["HTTP 410"]


class Killed(Store):
    """The process ends between the answer and the commit."""

    @override
    def taken(self, delivery: Delivery, now: float) -> None:
        pass


def test_killed_before_it_was_noted_it_is_told_twice(receiver: Receiver, tmp_path: Path) -> None:
    with Killed(tmp_path) as store:
        desk = Desk(receiver.url, store)
        desk.event("e-1")
        desk.deliver()
    with Store(tmp_path) as store:
        again = Desk(receiver.url, store)
        assert again.deliver() == 1
    assert [got.headers["webhook-id"] for got in receiver.got] == ["e-1", "e-1"]


def test_one_event_waits_once_for_each_and_positions_move_with_it(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for _ in range(2):
            store.take_in([("shop", "e-1", "t", BODY), ("desk", "e-1", "t", BODY)], {0: 7}, 0)
        assert (store.waiting(), store.positions()) == (2, {0: 7})
        store.belongs_to("cluster")
        with pytest.raises(WrongCluster):
            store.belongs_to("another")


def record(type_: str, value: bytes, source: bytes = b"escrow") -> Record:
    headers = [("ce_id", b"e-1"), ("ce_source", source), ("ce_type", type_.encode())]
    return Record("escrow.order-events.v1", 0, 5, T0, b"o-1", value, headers)


def test_an_event_is_told_with_its_time_and_data() -> None:
    event = event_of(record("alarm.raised", '{"order_id":"o-é"}'.encode()))
    assert event is not None
    assert (event.id, event.type) == ("e-1", "alarm.raised")
    assert json.loads(event.body) == {
        "type": "alarm.raised",
        "timestamp": "2023-11-14T22:13:20.000Z",
        "data": {"order_id": "o-é"},
    }


@pytest.mark.parametrize(
    "other",
    [
        record("payment.captured", b"{}"),
        record("order.changed", b"{}", source=b"/shop"),
        record("order.changed", b"{"),
    ],
)
def test_what_is_no_event_of_ours_is_told_to_nobody(other: Record) -> None:
    assert event_of(other) is None


def write(
    folder: Path, secret: str = "whsec_" + base64.b64encode(SECRET).decode(), **more: Any
) -> Path:
    (folder / "secret").write_text(secret + "\n")
    given = {"name": "shop", "url": "https://shop.example/hooks", "secret_file": "secret"}
    file = folder / "endpoints.json"
    file.write_text(json.dumps([given | more]))
    return file


def test_endpoints_are_read_with_their_secrets(tmp_path: Path) -> None:
    (shop,) = read_endpoints(write(tmp_path, types=["alarm.raised"]))
    assert shop == Endpoint(
        "shop", "https://shop.example/hooks", frozenset({"alarm.raised"}), (SECRET,)
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "http://shop.example/"},
        {"url": "https://user:pass@shop.example/"},
        {"url": "ftp://shop.example/"},
        {"url": "https://"},
        {"url": "https://a:b/"},
        {"types": []},
        {"types": ["payment.captured"]},
        {"name": ""},
        {"extra": 1},
        {"secret_file": "missing"},
        {"secret": "whsec_c2hvcnQ="},
        {"secret": "sk_" + base64.b64encode(SECRET).decode()},
        {"secret": ""},
    ],
)
def test_endpoints_that_cannot_be_right_are_refused_before_anything_is_sent(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError) as refused:
        read_endpoints(write(tmp_path, **wrong))
    assert base64.b64encode(SECRET).decode() not in str(refused.value)


def test_two_of_one_name_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path)
    file.write_text(json.dumps(json.loads(file.read_text()) * 2))
    with pytest.raises(ConfigError, match="a name twice"):
        read_endpoints(file)


def test_a_sender_leaves_soon_when_told_to(desk: Desk) -> None:
    stop = threading.Event()
    began = time.monotonic()
    threading.Timer(0.05, stop.set).start()
    desk.sender.run(stop)
    assert time.monotonic() - began < 30  # it came back at all
