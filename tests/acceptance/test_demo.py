"""`escrow demo` as a stranger runs it: it tells the truth, ends by itself, and cannot call wrong rows clean."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import make_url

from ops.demo.scenes import scenes
from ops.local.stack import DATABASE_VARIABLE, SECURE_VARIABLE
from tests.acceptance.running import Running
from tests.integration.filled import corrupt

pytestmark = pytest.mark.timeout(900)
WHOLE_SECONDS = 600  # on a machine that does other things, too
Starter = Callable[..., Running]


@pytest.fixture
def demo() -> Iterator[Starter]:
    folder = Path(tempfile.mkdtemp(prefix="escrow-test-"))
    folder.chmod(0o755)
    started: list[Running] = []

    def start(*arguments: str) -> Running:
        started.append(Running(folder, "demo", *arguments))
        return started[-1]

    yield start
    for running in started:
        running.kill_all()
    shutil.rmtree(folder, ignore_errors=True)


def database_of(running: Running) -> str | None:
    """Where its stages work; as the owner, where nobody is believed."""
    if not os.environ.get(SECURE_VARIABLE):
        return next(map(server_of, running.temporary.rglob("postmaster.pid")), None)
    try:
        found = running.programs()["payments"].environ().get(DATABASE_VARIABLE)
    except (KeyError, psutil.Error):
        return None
    return None if found is None else owners(found)


def server_of(pid_file: Path) -> str:
    """The URL of the server that wrote this; its fourth line is the port."""
    port = pid_file.read_text().splitlines()[3]
    return f"postgresql+psycopg://escrow@127.0.0.1:{port}/escrow"


def owners(url: str) -> str:
    found = make_url(url)
    trusted = found.query.get("sslrootcert")
    if trusted is None:
        return url
    passfile = Path(str(trusted)).with_name("owner.pgpass")
    as_owner = found.set(username="escrow").update_query_dict({"passfile": str(passfile)})
    return as_owner.render_as_string(hide_password=False)


def test_it_tells_the_story_and_ends_well(demo: Starter) -> None:
    running = demo("--exit", "--seed", "7")
    assert running.end(WHOLE_SECONDS) == 0, running.said
    said = running.said
    for number, scene in enumerate(scenes(), 1):
        assert f"{number}  {scene.title}  order-{scene.order}" in said
    for answer in (
        "⇒ RELEASED · paid out 129.00 EUR · by buyer",
        "⇒ REFUNDED · refunded 84.50 USD · by carrier",
        "⇒ SPLIT · refunded 60.00 EUR · paid out 180.00 EUR · by agreement",
        "⇒ refused: too_early · eligible_at ",
        "⇒ mediation.available",
        "⇒ SPLIT · refunded 12,000 JPY · paid out 6,000 JPY · by ruling",
        "⇒ duplicate, no effect",
        "⇒ CHARGED_BACK · by card network",
        "⇒ dead letter: invalid_json · card number redacted",
        "⇒ payout.release 129.00 EUR to supplier-lin ⇒ gateway.settled",
    ):
        assert answer in said
    assert "clean: " in said
    assert "NOT CLEAN" not in said
    assert "✗" not in said
    assert "4111" not in said
    assert "\x1b" not in said  # no terminal, no colours
    assert "Traceback" not in said
    assert max(map(len, said.splitlines())) <= 80
    running.assert_nothing_left()


def test_it_does_not_call_tampered_rows_clean_and_stays_until_it_is_told_to_go(
    demo: Starter,
) -> None:
    running = demo("--no-traffic")
    running.wait_until(
        lambda: f"3  {list(scenes())[2].title}" in running.said
    )  # the kite's is over
    url = database_of(running)
    assert url is not None
    corrupt(
        url, "UPDATE postings SET amount_minor = amount_minor + 1 WHERE order_id = 'order-kite'"
    )
    running.wait_until(lambda: "Ctrl-C ends it" in running.said)
    assert "NOT CLEAN" in running.said
    assert "order-kite" in running.said[running.said.index("Summary") :]
    hint = (
        "operator.env" if os.environ.get(SECURE_VARIABLE) else f"export {DATABASE_VARIABLE}={url}"
    )
    assert hint in running.said
    time.sleep(1)
    assert running.process.poll() is None
    running.process.terminate()
    assert running.end() == 1, running.said
    running.assert_nothing_left()


def test_a_gateway_that_does_not_answer_fails_the_story(demo: Starter) -> None:
    running = demo("--exit", "--no-traffic")
    running.wait_until(lambda: "1  An order that goes well" in running.said)
    deadline = time.monotonic() + WHOLE_SECONDS
    while running.process.poll() is None:
        assert time.monotonic() < deadline, running.said
        if gateway := running.programs().get("gateway"):
            gateway.kill()  # whenever it comes back
        time.sleep(0.05)
    assert running.process.returncode == 1
    assert "failed: no gateway.settled for command" in " ".join(running.said.split())
    running.assert_nothing_left()
