"""`escrow up` with real signals: ready when it says so, gone when it is told to go, whenever that is."""

import json
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import create_engine, text

from ops.local.guardian import GRACE_SECONDS
from ops.local.pipeline import NotReady, Pipeline
from ops.local.stack import Stack
from ops.local.traffic import Knobs, publish, stories
from schemas.facts import STAGE_TOPICS
from tests.acceptance.running import START_SECONDS, Running, is_open

PROGRAMS = {*STAGE_TOPICS, "relay", "ticker", "gateway", "web", "metrics", "views"}
pytestmark = pytest.mark.timeout(400)
Starter = Callable[..., Running]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may go through, as PostgreSQL's must be."""
    folder = Path(tempfile.mkdtemp(prefix="escrow-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def up(open_folder: Path) -> Iterator[Starter]:
    started: list[Running] = []

    def start(*arguments: str) -> Running:
        folder = open_folder / str(len(started))
        folder.mkdir(mode=0o755)
        started.append(Running(folder, "up", "--ready-file", str(folder / "ready"), *arguments))
        return started[-1]

    yield start
    for running in started:
        running.kill_all()


def ready(running: Running) -> dict[str, Any]:
    file = running.folder / "ready"
    running.wait_until(file.exists)
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_it_says_where_it_is_restarts_what_dies_and_leaves_nothing(up: Starter) -> None:
    running = up()
    addresses = ready(running)
    assert json.dumps(addresses) in running.said.splitlines()
    assert addresses.keys() == {"bootstrap_servers", "database_url", "web_url"}
    assert is_open(addresses["web_url"])
    servers = [addresses["bootstrap_servers"], addresses["database_url"]]
    assert all(is_open(server) for server in servers)
    assert running.programs().keys() == PROGRAMS

    killed = running.programs()["shipments"].pid
    running.programs()["shipments"].kill()
    running.wait_until(lambda: running.programs().get("shipments", killed) != killed, 30)
    assert "shipments ended (signal 9)" in running.said

    running.signal(signal.SIGTERM)
    for _ in range(3):  # an impatient person
        running.signal(signal.SIGINT)
    assert running.end() == 0
    running.assert_nothing_left()
    assert not any(is_open(server) for server in servers)
    assert not (running.folder / "ready").exists()
    assert "Traceback" not in running.said


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("starting PostgreSQL", signal.SIGTERM),
        ("starting Apache Kafka", signal.SIGINT),
        ("starting the stages", signal.SIGTERM),
    ],
)
def test_told_to_go_while_it_comes_up_it_goes(up: Starter, said: str, number: Any) -> None:
    running = up()
    running.wait_until(lambda: said in running.said)
    running.signal(number)
    assert running.end() == 0
    running.assert_nothing_left()
    assert "stopped before it was ready" in running.said
    assert "Traceback" not in running.said
    assert not (running.folder / "ready").exists()


def test_killed_it_still_leaves_nothing(up: Starter) -> None:
    running = up("--no-gateway")
    addresses = ready(running)
    assert running.programs().keys() == PROGRAMS - {"gateway"}
    assert len(running.family()) >= len(PROGRAMS) + 2
    running.signal(signal.SIGKILL)
    running.end()
    running.assert_nothing_left(GRACE_SECONDS * 2 + 10)
    assert not is_open(addresses["bootstrap_servers"])
    assert not is_open(addresses["database_url"])


def test_a_folder_in_use_is_refused_in_one_sentence(up: Starter, open_folder: Path) -> None:
    data = open_folder / "data"
    with Stack(data):
        running = up("--data", str(data))
        assert running.process.wait(START_SECONDS) == 2
        assert f"{data} is in use by the process" in " ".join(running.said.split())
        assert "Traceback" not in running.said
        running.assert_nothing_left()


def test_data_stay_workers_come_and_go_and_a_halted_stage_is_not_started_again(
    open_folder: Path,
) -> None:
    data = open_folder / "data"
    with Pipeline(data) as pipeline:
        publish(stories(5, 40, knobs=Knobs(duplicates=0.1)), pipeline.settings)
        pipeline.wait_idle()
        before = orders(pipeline)
        assert before >= 40
        pipeline.workers("payments", 2)
        assert {"payments", "payments-2"} <= pipeline.pids.keys()
        pipeline.kill("relay")
        publish(stories(6, 40), pipeline.settings)
        pipeline.wait_idle()
        pipeline.workers("payments", 1)
        assert "payments-2" not in pipeline.pids
        pipeline.kill("ticker", stays_down=True)
        assert "ticker" not in pipeline.pids
        after = orders(pipeline)
    assert after >= before + 40

    with Pipeline(data) as pipeline:
        assert orders(pipeline) == after
        pipeline.stop_program("shipments")
        forget_the_log(pipeline, "shipments")
        pipeline.start_program("shipments")
        assert soon(lambda: "shipments" in pipeline.halted, 60)
        with pytest.raises(NotReady, match="shipments does not go on"):
            pipeline.wait_idle()
        assert "shipments" not in pipeline.pids
        family = [psutil.Process(pid) for pid in pipeline.pids.values()]
    assert [process for process in family if process.is_running()] == []


def soon(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def orders(pipeline: Pipeline) -> int:
    engine = create_engine(pipeline.stack.database_url)
    with engine.connect() as connection:
        count = connection.execute(text("SELECT count(*) FROM escrows WHERE status IS NOT NULL"))
        found = int(count.scalar_one())
    engine.dispose()
    return found


def forget_the_log(pipeline: Pipeline, stage: str) -> None:
    """The rows have read further than the log goes: somebody has made the topic anew."""
    engine = create_engine(pipeline.stack.database_url)
    with engine.begin() as connection:
        moved = "UPDATE consumer_positions SET next_offset = 1000000 WHERE stage = :stage"
        connection.execute(text(moved), {"stage": stage})
    engine.dispose()
