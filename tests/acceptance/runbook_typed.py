"""`make runbook`: docs/runbook.md followed on a real line: each trouble is made, its section's commands are typed as they
stand there, and the trouble is gone.

Only names in capitals, places and partitions are filled in; what asks is answered with y, at a terminal. At the end every
command of the page was typed, or another test is named that does it.
"""

import json
import os
import pty
import re
import shlex
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from consumers.engine.admin import spans
from ops.local.pipeline import Pipeline
from ops.local.processes import escrow
from ops.local.traffic import publish
from schemas.commands import command_id
from schemas.facts import FACT_TYPES, PAYMENTS
from schemas.instructions import INSTRUCTION_TYPES
from storage.reading import snapshot
from tests.acceptance.drills import BROKEN, MENDED
from tests.acceptance.test_prometheus import Line
from tests.integration.test_top import Terminal, at_a_terminal
from tests.integration.waiting import until

pytestmark = pytest.mark.timeout(360)
PAGE: Final = (Path(__file__).parents[2] / "docs" / "runbook.md").read_text(encoding="utf-8")
CONTROLS: Final = {"ESCROW_SENDING__OPERATOR_CONTROLS": "true", "COLUMNS": "200"}
RULES_FILE: Final = "source-rules.json"
HEAD: Final = "Runbook"
PARTITIONS: Final = range(4)
CTRL_C: Final = 130
# Followed by another test, and which.
ELSEWHERE: Final = {
    "another cluster": "test_halting.py, test_positions.py: a second cluster",
    "moving to another cluster": "the same",
    "commands were lost": "test_gateway.py: the simulator halts, and begins anew",
    "after a restore": "recovery.py (`make recovery`)",
    "archive not readable": "test_archive.py: files damaged, gone, verified and moved",
    "database away": "drills.py (`make drills`)",
    "topic missing": "drills.py",
    "keys or rules cannot be used": "test_secure.py, test_keys.py",
}


def sections() -> dict[str, str]:
    """Heading → its text; what stands before the first one is the head."""
    parts = re.split(r"^## (.+)$", PAGE, flags=re.MULTILINE)
    return {HEAD: parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def commands(section: str) -> list[str]:
    """What it says to type: lines of its blocks, and what stands in its sentences."""
    blocks = "\n".join(re.findall(r"^```\n(.*?)^```", section, re.MULTILINE | re.DOTALL))
    lines = [line.partition("  #")[0].strip() for line in blocks.splitlines()]
    return [line for line in (*lines, *re.findall(r"`(escrow [^`]+)`", section)) if line]


class Person:
    """Somebody with the runbook in one hand and a terminal at the other."""

    def __init__(self, line: Line, desk: Path, environment: Mapping[str, str]) -> None:
        self.line, self.desk, self._environment = line, desk, dict(environment)
        self.typed: set[tuple[str, str]] = set()
        self._sections = {name: commands(text) for name, text in sections().items()}

    def types(
        self, section: str, written: str, *, code: int | None = 0, fill: Mapping[str, str] = {}
    ) -> str:
        """Type a command of this section; what it says. `fill`: what stands there → what is meant."""
        self.notes(section, written)
        line = written
        for placeholder, meant in {**fill, "NAME": "olga", "WHY": "looked-at"}.items():
            line = re.sub(rf"(?<![\w/]){re.escape(placeholder)}(?![\w/])", meant, line)
        return self._run(shlex.split(line)[1:], code)

    def notes(self, section: str, written: str) -> None:
        """It stands there, and is done."""
        assert written in self._sections[section], (section, written)
        self.typed.add((section, written))

    def _run(self, words: list[str], code: int | None) -> str:
        ours, its = pty.openpty()
        os.write(ours, b"y\n")
        try:
            done = subprocess.run(
                escrow(*words),
                cwd=self.desk,
                env={**os.environ, **self.line.pipeline.stack.environment, **self._environment},
                stdin=its,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
        finally:
            os.close(its)
            os.close(ours)
        said = done.stdout + done.stderr
        assert code in (None, done.returncode), f"{words}: {done.returncode}\n{said}"
        return said

    def starts(self, section: str, written: str, name: str) -> None:
        """A program that stays: the line runs this very command, and ends it with the test."""
        self.notes(section, written)
        self.line.pipeline.start_program(name)

    def left(self) -> set[tuple[str, str]]:
        """What stands on the page, and nobody has typed."""
        return {
            (section, written)
            for section, found in self._sections.items()
            for written in found
            if section not in ELSEWHERE and (section, written) not in self.typed
        }


def allow(desk: Path, *sources: str) -> None:
    """Who may say that a parcel is lost; everybody may say all else."""
    rules = {name: ["*"] for name in (*FACT_TYPES, *INSTRUCTION_TYPES)} | {
        "shipment.lost": list(sources)
    }
    (desk / RULES_FILE).write_text(json.dumps(rules))


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    desk = tmp_path_factory.mktemp("desk")
    allow(desk, "/carrier*")
    environment = CONTROLS | {"ESCROW_SOURCE_RULES": str(desk / RULES_FILE)}
    with Pipeline(gateway=False, metrics=True, env=environment) as pipeline:
        line = Line(pipeline)
        yield Person(line, desk, environment)
        line.db.dispose()


@pytest.fixture(autouse=True)
def sound(person: Person) -> Iterator[None]:
    """However it was, at its end all stages work, all is decided, and the books are right."""
    yield
    for name in ("relay", "ticker"):
        if name not in person.line.pipeline.pids:
            person.line.pipeline.start_program(name)
    assert person.line.pipeline.halted == {}
    person.line.pipeline.wait_idle()
    person.types(HEAD, "escrow audit")


def paid(line: Line, count: int = 6, prefix: str = "paid") -> list[str]:
    """So many orders more, in all partitions."""
    orders = [f"{prefix}-{uuid.uuid4().hex[:8]}" for _ in range(count)]
    publish(
        [line.record("payment.captured", order, 0.01) for order in orders], line.pipeline.settings
    )
    return orders


def held(line: Line, count: int = 6) -> list[str]:
    orders = paid(line, count)
    line.pipeline.wait_idle()
    return orders


def payout_of(line: Line, day: float = 1) -> tuple[str, str]:
    """A new order that was delivered well, and its payout's id; it is sent, and nobody has answered."""
    (order,) = held(line, 1)
    line.tell("delivery.confirmed", order, day)
    line.pipeline.wait_idle()
    return order, command_id(order, "payout", 1)


def ask(line: Line, sql: str) -> list[Any]:
    with snapshot(line.pipeline.settings.database.connection_url) as connection:
        return [tuple(row) for row in connection.execute(text(sql))]


def states(line: Line, order: str) -> list[str]:
    """Of an order's commands."""
    sql = f"SELECT state FROM commands WHERE order_id = '{order}' ORDER BY decision_no"
    return [str(row[0]) for row in ask(line, sql)]


def halted(line: Line, stage: str, section: str) -> None:
    """It has said one sentence, which names the section."""
    until(lambda: stage in line.pipeline.halted)
    assert f"`{section}`" in line.pipeline.halted[stage]


@contextmanager
def made_anew(line: Line) -> Iterator[None]:
    """The topic of payments is deleted, and made again; its stage does not look meanwhile."""
    line.pipeline.stop_program("payments")
    admin = AdminClient({"bootstrap.servers": line.pipeline.stack.bootstrap_servers})
    for future in admin.delete_topics([PAYMENTS]).values():
        future.result(30)
    subprocess.run(
        escrow("topics", "apply", "--yes"),
        env={**os.environ, **line.pipeline.stack.environment},
        check=True,
        capture_output=True,
    )
    yield
    line.pipeline.start_program("payments")


def put_back(person: Person, section: str, at: str, offsets: Mapping[int, int]) -> None:
    """The block of a section that puts each partition somewhere, and starts the stage."""
    show, put, start = commands(sections()[section])[:3]
    assert "payments" in person.types(section, show, code=None)
    for partition, offset in offsets.items():
        there = {"--partition 0": f"--partition {partition}", at: f"--offset {offset}"}
        person.types(section, put, fill=there)
    person.starts(section, start, "payments")


def log_ends(line: Line) -> dict[int, int]:
    return {n: span.end for (_, n), span in spans(line.pipeline.settings, [PAYMENTS]).items()}


def is_known(line: Line, order: str) -> bool:
    return ask(line, f"SELECT status FROM escrows WHERE order_id = '{order}'") == [("HELD",)]


def test_the_head(person: Person) -> None:
    held(person.line)
    for written in ("escrow doctor", "escrow lag", "escrow positions show"):
        person.types(HEAD, written, code=None if "doctor" in written else 0)


def test_the_log_changed(person: Person) -> None:
    line, section = person.line, "the log changed"
    held(line, 20)
    with made_anew(line):
        new = paid(line, 200, "again")
    halted(line, "payments", section)
    put_back(person, section, "--offset 0", dict.fromkeys(PARTITIONS, 0))
    until(lambda: is_known(line, new[-1]))
    line.pipeline.wait_idle()
    person.types(section, "escrow audit")
    person.types(section, "escrow audit --witness")


def test_the_log_is_shorter(person: Person) -> None:
    line, section = person.line, "the log is shorter"
    held(line, 20)
    with made_anew(line):
        pass
    halted(line, "payments", section)
    put_back(person, section, "--offset END", log_ends(line))
    held(line)


def test_retention_passed_us(person: Person) -> None:
    line, section = person.line, "retention passed us"
    held(line)
    line.pipeline.stop_program("payments")
    lost = paid(line, 20, "lost")
    admin = AdminClient({"bootstrap.servers": line.pipeline.stack.bootstrap_servers})
    ends = log_ends(line)
    there = [TopicPartition(PAYMENTS, n, end) for n, end in ends.items()]
    for future in admin.delete_records(there).values():
        future.result(30)
    line.pipeline.start_program("payments")
    halted(line, "payments", section)
    person.types(section, "escrow lag", code=None)
    person.types(section, "escrow facts export --output facts.jsonl")
    put_back(person, section, "--offset BEGIN", ends)
    held(line)
    assert not is_known(line, lost[0])
    assert "moved ahead by hand" in person.types(section, "escrow audit")
    assert "retention, incident 17" in person.types(section, "escrow positions show")


def test_a_check_failed(person: Person) -> None:
    """What it says to look at; the bug itself is not made (test_remedies.py makes several)."""
    section = "a check failed"
    order, _ = payout_of(person.line)
    person.types(section, "escrow doctor", code=None)
    person.types(section, "escrow positions show --stage payments", code=None)
    export = "escrow facts export --order ORDER --output facts.jsonl"
    person.types(section, export, fill={"ORDER": order})
    simulate = "escrow simulate facts.jsonl --outcomes outcomes.jsonl --orders orders.jsonl"
    person.types(section, simulate)
    assert order in (person.desk / "orders.jsonl").read_text()
    person.types(section, "escrow audit")


def test_the_database_refused_a_batch(person: Person) -> None:
    """Somebody has taken a column away from under the stages."""
    line, section = person.line, "the database refused a batch"
    line.run("ALTER TABLE postings RENAME TO postings_away")
    new = paid(line)
    halted(line, "payments", section)
    line.run("ALTER TABLE postings_away RENAME TO postings")
    person.types(section, "escrow migrate", fill={"escrow migrate": "escrow migrate --yes"})
    person.types(section, "escrow db grant", code=None)
    line.pipeline.start_program("payments")
    until(lambda: is_known(line, new[-1]))
    person.types(section, "escrow audit")


def test_not_storable(person: Person) -> None:
    line, section = person.line, "not storable"
    line.run(BROKEN.replace("= 'order-drill'", "LIKE 'drill-%'"))
    paid(line, 150, "drill")
    halted(line, "payments", section)
    person.types(section, "escrow doctor", code=None)
    line.run(MENDED)
    person.starts(section, "escrow consume payments", "payments")
    line.pipeline.wait_idle()
    listed = person.types(section, "escrow dlq list --code not_storable")
    places = re.findall(r"payments/\d+/\d+", listed)
    replay = (
        "escrow dlq replay payments/0/17 payments/0/18 --operator NAME"
        ' --reason "column mended, incident 17"'
    )
    person.types(section, replay, fill={"payments/0/17 payments/0/18": " ".join(places)})
    line.pipeline.wait_idle()
    (found,) = ask(line, "SELECT count(*) FROM escrows WHERE order_id LIKE 'drill-%'")
    assert found[0] >= len(places) > 1


def test_adding_partitions(person: Person) -> None:
    section, topic = "adding partitions", "escrow.supplier-reports.v1"
    person.types(section, "escrow lag")
    grow = "escrow topics grow TOPIC --partitions N --yes"
    person.types(section, grow, fill={"TOPIC": topic, "N": "5"})
    assert "as the catalogue says" in person.types(section, "escrow topics plan")


def test_stuck(person: Person) -> None:
    """Somebody holds a position in a transaction that does not end."""
    line, section = person.line, "stuck"
    query, end = re.findall(r"`(SELECT [^`]+?);?`", sections()[section])
    with suppress(OperationalError), line.locked("payments"):  # which is ended
        new = paid(line)
        until(lambda: "stuck" in person.types(section, "escrow lag", code=None))
        sessions = ask(line, " ".join(query.split()))
        foreign = [row for row in sessions if not str(row[1]).startswith("escrow-")]
        (holder,) = [row[0] for row in foreign if row[2] == "idle in transaction"]
        line.run(end.replace("PID", str(holder)))
        until(lambda: is_known(line, new[-1]))
    person.starts(section, "escrow consume STAGE", "payments-2")
    line.pipeline.stop_program("payments-2")
    person.types(section, "escrow order show ORDER", fill={"ORDER": new[0]})


def test_dead_letters_growing(person: Person) -> None:
    """A carrier whose source no rule names; then the rule is mended."""
    line, section = person.line, "dead letters growing"
    (order,) = held(line, 1)
    line.tell("shipment.lost", order, 1)
    line.pipeline.wait_idle()
    listed = person.types(section, "escrow dlq list --code unauthorized_source --limit 200")
    (place,) = set(re.findall(r"shipments/\d+/\d+", listed))
    assert place in person.types(section, "escrow dlq list")
    assert order in person.types(section, "escrow dlq show PLACE", fill={"PLACE": place})
    allow(person.desk, "/carrier*", "/shop")
    line.pipeline.stop_program("shipments")
    line.pipeline.start_program("shipments")
    replay = 'escrow dlq replay payments/0/17 --operator NAME --reason "source rule added"'
    there = {"payments/0/17": place}
    assert "applied" in person.types(section, f"{replay} --dry-run", fill=there)
    person.types(section, replay, fill=there)
    line.pipeline.wait_idle()
    person.types(section, "escrow order explain ORDER", fill={"ORDER": order})
    sql = f"SELECT outcome FROM facts WHERE order_id = '{order}' AND type = 'shipment.lost'"
    assert ask(line, sql) == [("applied",)]
    a_letter_is_discarded(person, section)


def a_letter_is_discarded(person: Person, section: str) -> None:
    """A name that no rule knows, and nobody misses what it said."""
    line = person.line
    allow(person.desk, "/carrier*")
    line.pipeline.stop_program("shipments")
    line.pipeline.start_program("shipments")
    line.tell("shipment.lost", held(line, 1)[0], 1)
    line.pipeline.wait_idle()
    written = "escrow dlq list"
    (place,) = set(re.findall(r"shipments/\d+/\d+", person.types(section, written)))
    discard = "escrow dlq discard PLACE --operator NAME --reason WHY"
    person.types(section, discard, fill={"PLACE": place})
    until(lambda: place not in person.types(section, written))


def test_held_command(person: Person) -> None:
    line, section = person.line, "held command"
    order, payout = payout_of(line)
    line.pipeline.stop_program("relay")
    line.tell("gateway.failed", order, 1.1, command_id=payout)
    until(lambda: "FAILED" in states(line, order))
    line.tell("command.reissued", order, 1.2, command_id=payout)
    until(lambda: len(states(line, order)) == 2)
    line.tell("gateway.settled", order, 1.3, command_id=payout)
    until(lambda: ask(line, "SELECT count(*) FROM command_holds") == [(1,)])
    there = {"ORDER": order}
    assert "held" in person.types(section, "escrow commands list --order ORDER", fill=there)
    explained = person.types(section, "escrow order explain ORDER", fill=there)
    assert "settled_after_reissue" in explained
    line.tell("gateway.returned", order, 1.4, command_id=payout)
    line.pipeline.start_program("relay")
    (delete,) = re.findall(r"`(DELETE FROM command_holds [^`]+);`", sections()[section])
    ((held_one,),) = ask(line, "SELECT command_id FROM command_holds")
    line.run(
        delete.replace("ORDER", order, 1)
        .replace("'ORDER'", f"'{order}'")
        .replace("COMMAND", held_one)
    )


def test_a_command_that_a_person_holds(person: Person) -> None:
    line = person.line
    pause, hold = "sending paused", "escrow send hold COMMAND --operator NAME --note WHY"
    (order,) = held(line, 1)
    payout = command_id(order, "payout", 1)
    person.types(pause, "escrow send pause", fill={"pause": "pause --operator olga --note drill"})
    until(lambda: "drill" in person.types(pause, "escrow send status", code=None))
    line.tell("delivery.confirmed", order, 1)
    until(lambda: states(line, order))
    there = {"COMMAND": payout}
    assert payout[:8] in person.types(pause, "escrow commands list")
    person.types(pause, "escrow audit")
    person.types(pause, hold, fill=there)
    until(lambda: ask(line, f"SELECT 1 FROM sending_holds WHERE command_id = '{payout}'"))
    resume = 'escrow send resume --operator NAME --note "looked at, trade of the season"'
    person.types(pause, resume)
    section = "held command"
    until(lambda: payout[:8] in person.types(section, "escrow send status", code=1))
    assert payout[:8] in person.types(section, "escrow commands list")
    person.types(section, "escrow send release COMMAND --operator NAME --note WHY", fill=there)
    until(lambda: "nothing is stopped" in person.types(section, "escrow send status", code=None))
    line.tell("gateway.settled", order, 2, command_id=payout)


def test_silent_command(person: Person) -> None:
    line, section = person.line, "silent command"
    order, payout = payout_of(line)
    held(line, 1)
    line.tell("delivery.confirmed", held(line, 1)[0], 1.5)  # half a day goes by, as rules know it
    line.pipeline.wait_idle()
    assert payout[:8] in person.types(section, "escrow commands list --older 15")
    person.types(section, "escrow order explain ORDER", fill={"ORDER": order})
    person.types(section, "escrow lag")
    line.tell("gateway.failed", order, 1.6, command_id=payout, retryable=False)
    line.pipeline.wait_idle()
    assert payout[:8] in person.types(section, "escrow commands list --state failed")
    written = (
        'escrow commands reissue COMMAND --operator NAME --note "gateway confirms: never received"'
    )
    person.types(section, written, fill={"COMMAND": payout})
    until(lambda: len(states(line, order)) == 2)


def test_failed_command(person: Person) -> None:
    line, section = person.line, "failed command"
    order, payout = payout_of(line)
    line.tell("gateway.settled", order, 1.1, command_id=payout)
    line.tell("gateway.returned", order, 1.2, command_id=payout)
    line.pipeline.wait_idle()
    person.types(section, "escrow commands list --state failed", code=None)
    assert payout[:8] in person.types(section, "escrow commands list --state returned")
    person.types(section, "escrow order explain ORDER", fill={"ORDER": order})
    written = (
        'escrow commands reissue COMMAND --operator NAME --note "new account confirmed, case 4711"'
    )
    person.types(section, written, fill={"COMMAND": payout})
    until(lambda: len(states(line, order)) == 2)


def test_lag_growing(person: Person) -> None:
    line, section = person.line, "lag growing"
    person.types(section, "escrow lag")
    person.starts(section, "escrow consume payments", "payments-2")
    person.starts(section, "escrow relay", "relay-2")
    (query,) = re.findall(r"`(SELECT [^`]+);`", sections()[section])
    assert "escrows" in {row[0] for row in ask(line, query)}
    line.pipeline.stop_program("payments-2")
    line.pipeline.stop_program("relay-2")
    a_burst_drains(person, section)


def a_page(terminal: Terminal) -> str:
    """From its heading to the last stage."""
    while True:
        page = terminal.wait_for("supplier_reports").rpartition("drained in")[2]
        if "payments" in page and "supplier_reports" in page:
            return page


def a_burst_drains(person: Person, section: str) -> None:
    """Watched until Ctrl-C: nobody is there for what came, then somebody is, then nothing waits."""
    pipeline = person.line.pipeline
    pipeline.stop_program("payments")
    paid(person.line, 400, "burst")
    person.notes(section, "escrow lag --watch")
    with at_a_terminal(pipeline.stack.environment, "lag", "--watch") as (terminal, _):
        terminal.wait_for("drained in")  # the heading
        terminal.wait_for("no-members")
        pipeline.start_program("payments")
        pipeline.wait_idle()
        until(lambda: "no-members" not in a_page(terminal))
        terminal.press("\x03")
        assert terminal.process.wait(30) == CTRL_C


def test_money_imbalance(person: Person) -> None:
    row = (
        "INSERT INTO total_deltas"
        " (status, currency, orders, captured, held, refunded, paid_out, charged_back, debt, loss)"
        " VALUES ('RELEASED', 'EUR', 0, {}, 0, 0, 0, 0, 0, 0)"
    )
    person.line.run(row.format(1))
    assert "total" in person.types("money imbalance", "escrow audit", code=1)
    person.line.run(row.format(-1))


def test_programs_that_are_gone(person: Person) -> None:
    line = person.line
    for name in ("relay", "ticker", "metrics"):
        line.pipeline.stop_program(name)
    paid(line, 1)
    person.types("outbox growing", "escrow doctor", code=None)
    person.starts("outbox growing", "escrow relay", "relay")
    person.starts("deadlines overdue", "escrow ticker", "ticker")
    person.types("deadlines overdue", "escrow lag")
    person.starts("figures missing", "escrow metrics", "metrics")
    person.types("figures missing", "escrow lag")


def test_parked_long(person: Person) -> None:
    line = person.line
    line.tell("delivery.confirmed", "order-unpaid", 1)
    line.pipeline.wait_idle()
    written = "escrow order explain ORDER"
    said = person.types("parked long", written, fill={"ORDER": "order-unpaid"})
    assert "payment" in said


def test_who_must_do_it_with_another_one(person: Person) -> None:
    """Names without their arguments, in the head: their sections have typed them in full."""
    for written in ("escrow dlq replay", "escrow commands reissue", "escrow positions set"):
        assert any(line.startswith(written) for _, line in person.typed)
        person.notes(HEAD, written)


def test_nothing_is_left(person: Person) -> None:
    assert person.left() == set()
    assert ELSEWHERE.keys() <= sections().keys()
