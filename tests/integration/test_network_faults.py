"""What the proxy of the chaos line does to a network, and that a swallowed answer ends a wait for the database."""

import contextlib
import socket
from collections.abc import Iterator

import pytest
from kafka.record.default_records import DefaultRecordBatchBuilder
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from ops.local.ports import LOOPBACK, free_port
from storage import engine as storage_engine
from storage.engine import Remedy, remedy, stage_engine
from storage.rows import fetch
from tests.chaos.proxy import Proxy, Weather, batch_in


@pytest.fixture
def proxy(database_url: str) -> Iterator[Proxy]:
    port = make_url(database_url).port
    assert port is not None
    made = Proxy(free_port(), port)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def proxied(proxy: Proxy, database_url: str) -> Iterator[Engine]:
    url = make_url(database_url).set(port=proxy.port).render_as_string(hide_password=False)
    made = stage_engine(url)
    yield made
    made.dispose()


def ask(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT 41 + 1")).scalar_one())


def failure(engine: Engine) -> Exception:
    with pytest.raises(storage_engine.CONNECTION_LOST) as caught:
        ask(engine)
    return caught.value


def test_in_fair_weather_everything_passes(proxy: Proxy, proxied: Engine) -> None:
    assert ask(proxied) == 42
    assert not proxy.done


def test_an_answer_that_never_comes_ends_the_wait_and_its_outcome_is_unknown(
    proxy: Proxy, proxied: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_engine, "ANSWER_SECONDS", 0.5)
    assert ask(proxied) == 42
    proxy.weather = Weather(is_silent=True)
    assert remedy(failure(proxied)) is Remedy.UNKNOWN
    proxy.fair()
    assert ask(proxied) == 42  # on a connection of its own: the dead one is not used again
    assert proxy.done["lost"] > 0


@pytest.mark.parametrize(
    ("weather", "what"),
    [
        (Weather(cut_requests=1), "request cut"),
        (Weather(cut_replies=1), "reply cut"),
        (Weather(bad_frames=1), "bad frame"),
    ],
)
def test_a_lost_commit_and_a_damaged_message_leave_the_outcome_unknown(
    proxy: Proxy, proxied: Engine, weather: Weather, what: str
) -> None:
    assert ask(proxied) == 42
    proxy.weather = weather
    with pytest.raises(storage_engine.CONNECTION_LOST) as caught, proxied.begin() as connection:
        connection.execute(text("SELECT 1"))
    assert remedy(caught.value) is Remedy.UNKNOWN
    assert proxy.done[what] == 1
    assert ask(proxied) == 42


def speak(engine: Engine, proxy: Proxy, place: str) -> None:
    """A transaction in which one of the server's messages is damaged."""
    with engine.connect() as connection:
        if place == "the beginning":
            proxy.weather = Weather(bad_frames=1)
        with connection.begin():
            fetch(connection, "SELECT 41")
            if place == "an answer":
                proxy.weather = Weather(bad_frames=1)
                fetch(connection, "SELECT 42 FROM generate_series(1, 3)")
            proxy.weather = Weather(bad_frames=1)


@pytest.mark.parametrize("place", ["the beginning", "an answer", "the end"])
def test_a_connection_whose_words_are_not_understood_is_lost_and_answers_nothing_more(
    proxy: Proxy, proxied: Engine, place: str
) -> None:
    """Whatever comes on it next may be the answer to an earlier question: the next is a new one."""
    backends: set[int] = set()
    for number in range(5):
        with proxied.connect() as connection, connection.begin():
            ((said, backend),) = fetch(connection, "SELECT %(n)b::int4, pg_backend_pid()", n=number)
        assert said == number
        assert backend not in backends
        backends.add(backend)
        with pytest.raises(storage_engine.CONNECTION_LOST):
            speak(proxied, proxy, place)
        proxy.fair()
    assert proxy.done["bad frame"] == 5


def test_pieces_delay_and_reset(proxy: Proxy, proxied: Engine) -> None:
    proxy.weather = Weather(is_in_pieces=True, delay_seconds=0.01)
    assert ask(proxied) == 42
    assert proxy.done["in pieces"] == proxy.done["delayed"] > 0
    proxy.fair()
    assert proxy.reset() == 1
    assert remedy(failure(proxied)) is Remedy.UNKNOWN


def test_a_program_that_dies_before_it_has_read_its_answer_ends_its_connection_to_the_server() -> (
    None
):
    """The kernel sends a reset then, not an end; the server must hear of either."""
    with socket.create_server((LOOPBACK, 0)) as server:
        between = Proxy(free_port(), server.getsockname()[1])
        between.start()
        try:
            with socket.create_connection((LOOPBACK, between.port)) as program:
                at_server, _ = server.accept()
                at_server.settimeout(10)
                program.sendall(b"question")
                assert at_server.recv(8) == b"question"
                at_server.sendall(b"answer")
                assert program.recv(1, socket.MSG_PEEK) == b"a"  # it has come, and stays unread
            with at_server, contextlib.suppress(ConnectionResetError):
                assert at_server.recv(1) == b""
        finally:
            between.stop()


def test_where_nobody_listens_the_proxy_says_so() -> None:
    lonely = Proxy(free_port(), free_port())
    lonely.start()
    try:
        with socket.create_connection((LOOPBACK, lonely.port)) as program:
            program.settimeout(10)
            with contextlib.suppress(ConnectionResetError):
                assert program.recv(1) == b""
    finally:
        lonely.stop()


def test_a_bit_is_flipped_only_where_a_checksum_covers_it() -> None:
    builder = DefaultRecordBatchBuilder(2, 0, False, -1, -1, -1, 100_000)
    builder.append(0, 1_700_000_000_000, b"key", b"value", [])
    batch = bytes(builder.build())
    where = batch_in(b"\0\0\2\2" + batch + b"more")
    assert where == (4 + 21, 4 + len(batch))
    damaged = bytearray(batch)
    damaged[30] ^= 4
    assert batch_in(bytes(damaged)) is None
    assert batch_in(batch[:-1]) is None
