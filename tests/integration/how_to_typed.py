"""Every command of docs/how-to does what its page says, typed in the order of the pages on one working line.

A quarter of a minute, so it is part of `make examples`; tests/unit/test_how_to_pages.py is in every run.
"""

import logging
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest
import structlog
from sqlalchemy import Engine

from consumers.engine.admin import spans
from consumers.engine.config import Settings
from consumers.engine.kafka_clients import cluster_id_of
from consumers.stages import STAGES
from ops.local.gateway import run_gateway
from ops.local.gateway.store import Store
from schemas.commands import COMMAND_TOPIC
from tests.integration.example_line import ask, working_line
from tests.integration.program import Program
from tests.integration.waiting import until

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "docs" / "how-to"
PAGES: Final = (
    "README.md",
    "checkout.md",
    "carrier.md",
    "gateway.md",
    "mediator.md",
    "operator.md",
    "auditor.md",
)
ELSEWHERE: Final = {  # typed by another test, and why not here
    "escrow conformance gateway --kit examples/http_gateway/conformance.toml": (
        "tests/integration/examples_elsewhere.py"
    ),
    "escrow up": "tests/acceptance/test_up.py",
    "export ESCROW_KAFKA__BOOTSTRAP_SERVERS=127.0.0.1:...": "the fixture does it",
    "export ESCROW_DATABASE__URL=postgresql+psycopg://...": "the fixture does it",
}
SENT: Final = re.compile(r"^[a-z_.]+ ([0-9a-f]{32}) -> escrow\.", re.MULTILINE)
pytestmark = pytest.mark.timeout(240)


class Line(NamedTuple):
    """One command, and what must be in its answer."""

    words: str
    answer: str

    @property
    def output(self) -> str | None:
        """The file that standard output goes to."""
        return self.words.partition(" > ")[2] or None


def lines(page: str) -> list[Line]:
    text = (FOLDER / page).read_text(encoding="utf-8")
    found = []
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for line in [] if language else block.splitlines():
            words, _, answer = line.partition(" # ")
            found.append(Line(words.strip(), answer.strip()))
    return found


@pytest.fixture
def gateway(settings: Settings, tmp_path: Path) -> Iterator[None]:
    """The simulator, for commands that are still to come."""
    folder = tmp_path / "gateway"
    with Store(folder, cluster_id_of(settings)) as store:
        ends = spans(settings, COMMAND_TOPIC.values())
        store.begin({where: span.end for where, span in ends.items()})
    stop = threading.Event()
    thread = threading.Thread(target=run_gateway, args=(settings, folder, stop), daemon=True)
    thread.start()
    yield
    stop.set()
    thread.join(30)
    assert not thread.is_alive()


@pytest.fixture
def db(settings: Settings) -> Iterator[Engine]:
    """What the line's own threads would log belongs to no command's answer."""
    quiet = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=quiet)
    with working_line(settings, STAGES) as engine:
        yield engine
    structlog.reset_defaults()


class Terminal:
    """Types a line; what it has sent is decided before the next one is typed."""

    def __init__(self, escrow: Program, db: Engine, kafka: str) -> None:
        self._escrow, self._db, self._kafka = escrow, db, kafka

    def type(self, line: Line) -> None:
        words = shlex.split(line.words.partition(" > ")[0])
        if words[0] == "python":
            answer = self._python(words[1:])
        else:
            assert words[0] == "escrow", line
            answer = self._until_it_says(words[1:], line.answer)
        if line.output is not None:
            Path(line.output).write_text(answer, encoding="utf-8")
        assert line.answer in answer, answer
        for id_ in SENT.findall(answer):
            sql = f"SELECT count(*) FROM facts WHERE id = '{id_}'"
            until(lambda sql=sql: ask(self._db, sql) == [(1,)])  # type: ignore[misc]

    def _until_it_says(self, words: list[str], wanted: str) -> str:
        """What comes of a command may take a moment: looks are taken again, nothing is sent twice."""
        answers: list[str] = []

        def says() -> bool:
            answers.append(self._escrow(*words).stdout)
            return wanted in answers[-1] or "--yes" in words

        try:
            until(says)
        except AssertionError:
            raise AssertionError(f"{words} never says {wanted}, but:\n{answers[-1]}") from None
        return answers[-1]

    def _python(self, words: list[str]) -> str:
        return subprocess.run(
            [sys.executable, *words],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=110,
            check=True,
        ).stdout


def test_every_command_of_the_pages_does_what_is_said(
    kafka: str,
    settings: Settings,
    db: Engine,
    gateway: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT))
    terminal = Terminal(Program(settings, monkeypatch), db, kafka)
    typed = [line for page in PAGES for line in lines(page) if line.words not in ELSEWHERE]
    assert len(typed) > 50
    for line in typed:
        terminal.type(line)
    assert ask(db, "SELECT count(*) FROM dead_letters") == [(0,)]
    orders = ask(db, "SELECT order_id, status FROM escrows ORDER BY order_id")
    assert orders == [
        ("order-11", "RELEASED"),
        ("order-12", "SPLIT"),
        ("order-21", "REFUNDED"),
        ("order-22", "HELD"),
        ("order-31", "RELEASED"),
        ("order-41", "SPLIT"),
        ("order-51", "RELEASED"),
    ]
    assert (
        '"HELD"' in (tmp_path / "orders.jsonl").read_text()
        or "RELEASED" in (tmp_path / "orders.jsonl").read_text()
    )


def test_the_pages_are_those_and_lead_somewhere() -> None:
    assert {path.name for path in FOLDER.glob("*.md")} == set(PAGES)
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#]+)\)", (FOLDER / page).read_text(encoding="utf-8")):
            assert (FOLDER / link).exists(), f"{page}: {link}"
    typed = {line.words for page in PAGES for line in lines(page)}
    assert ELSEWHERE.keys() <= typed
