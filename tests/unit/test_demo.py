"""The demo's story is true by the rules, reads at 80 columns, and its summary hides nothing."""

import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from escrow.arrival import Decided
from escrow.policy import CURRENT
from escrow.replay import Replay
from escrow.schedule import deadline_id
from escrow.telling import Outgoing, tell
from ops.audit import AuditReport
from ops.demo.page import WIDE, StoryPage
from ops.demo.records import Pen, answers
from ops.demo.run import DAYS_BACK
from ops.demo.scenes import scenes
from ops.demo.script import DAYS, Answer, Beat, Pays, Scene, Tells
from ops.demo.summary import Summary, show_summary
from ops.demo.teller import Reply, Sent
from ops.findings import CHECKS, Finding
from ops.local.listener import Heard
from schemas.door import Fact, Record, Rejected, decode
from schemas.order_events import SOURCE, rfc3339
from schemas.topics import DAY_MS, TOPICS
from storage.dead_letters import from_rejected, publication
from storage.pulse import Fate

BEGIN_MS = 1_790_000_000_000
ALL = tuple(scenes())


def heard(out: Outgoing) -> Heard:
    data = json.loads(out.payload)
    return Heard(out.topic, 0, 0, out.key, out.t, SOURCE, out.id, out.type, data, 0.0)


class DryRun:
    """The pipeline, without the pipes."""

    def __init__(self) -> None:
        self.replay = Replay()
        self.pen = Pen(BEGIN_MS)
        self.offset = 0

    def take(self, scene: Scene, beat: Beat) -> tuple[Record, str, list[Heard]]:
        self.offset += 1
        record = self.pen.write(scene, beat)._replace(offset=self.offset)
        fact = decode(record)
        if isinstance(fact, Rejected):
            letter = from_rejected("payments", fact)
            return record, "dead_letter", [heard(publication("cluster", letter))]
        steps = self.replay.take(fact)
        if isinstance(steps, str):
            return record, steps, []
        (decided,) = [step for step in steps if isinstance(step, Decided)]
        told = [heard(out) for out in tell(decided)]
        return record, decided.outcome, told + self.ticker(fact)

    def ticker(self, fact: Fact) -> list[Heard]:
        """What the ticker's deadline makes of the order once ten days are over."""
        assert fact.order_id is not None
        row = self.replay.orders[fact.order_id].escrow
        first = row.first_requested_at
        if first is None or fact.t < first + CURRENT.mediation_after_ms:
            return []
        due = first + CURRENT.mediation_after_ms
        id_ = deadline_id(fact.order_id, "mediation_available", due, row.request_id or "", 1)
        data = {
            "order_id": fact.order_id,
            "deadline_id": id_,
            "kind": "mediation_available",
            "due_at": rfc3339(due),
        }
        headers = {
            "content-type": "application/json",
            "ce_specversion": "1.0",
            "ce_id": f"{id_}-{fact.id}",
            "ce_source": SOURCE,
            "ce_type": "deadline.reached",
        }
        tick = decode(
            Record(
                "escrow.deadlines.v1",
                0,
                0,
                fact.t,
                fact.order_id.encode(),
                json.dumps(data).encode(),
                tuple((name, text.encode()) for name, text in headers.items()),
            )
        )
        assert isinstance(tick, Fact)
        steps = self.replay.take(tick)
        return [heard(out) for step in steps if isinstance(step, Decided) for out in tell(step)]


def played() -> Iterator[tuple[Scene, Beat, Record, str, list[Heard]]]:
    line = DryRun()
    for scene in ALL:
        for beat in scene.beats:
            yield scene, beat, *line.take(scene, beat)


def test_every_fact_ends_as_the_story_says() -> None:
    told = [(scene.order, beat.type, beat.outcome) for scene in ALL for beat in scene.beats]
    assert told == [(s.order, beat.type, outcome) for s, beat, _, outcome, _ in played()]


def test_every_answer_is_given_by_the_rules_and_no_command_goes_unmentioned() -> None:
    for scene, beat, record, _, said in played():
        for answer in beat.answers:
            assert any(answers(answer, one, record) for one in said), (scene.order, beat, answer)
        commands = [one for one in said if one.topic.endswith("-commands.v1")]
        assert len(commands) == sum(isinstance(answer, Pays) for answer in beat.answers)
        changes = [one for one in said if one.type == "order.changed"]
        untold = [one for one in changes if not any(answers(a, one, record) for a in beat.answers)]
        assert untold == []


def test_an_answer_is_taken_only_from_its_own_cause() -> None:
    line = DryRun()
    scene = ALL[0]
    record, _, said = line.take(scene, scene.beats[0])
    (answer,) = scene.beats[0].answers
    other = replace(scene, order="another")
    stranger, _, _ = line.take(other, scene.beats[0])
    assert [one for one in said if answers(answer, one, record)]
    assert not [one for one in said if answers(answer, one, stranger)]


def test_the_story_covers_what_was_promised() -> None:
    outcomes = Counter(outcome for _, _, _, outcome, _ in played())
    statuses = {one.data["to"] for *_, said in played() for one in said if "to" in one.data}
    assert outcomes["duplicate"] == outcomes["dead_letter"] == 1
    assert outcomes["refused"] == 2
    assert statuses >= {"RELEASED", "REFUNDED", "SPLIT", "IN_MEDIATION", "FROZEN", "CHARGED_BACK"}
    assert any(isinstance(a, Tells) for s in ALL for beat in s.beats for a in beat.answers)


def test_the_brokers_keep_the_whole_story() -> None:
    days = [beat.day for scene in ALL for beat in scene.beats]
    assert max(days) <= DAYS <= DAYS_BACK
    retention = min(topic.retention_ms for topic in TOPICS if not topic.compacted)
    assert retention >= (DAYS_BACK + 1) * DAY_MS


def test_no_amount_of_the_story_means_anything_to_the_gateway() -> None:
    from ops.local.gateway.tricks import is_magic

    paid = [a for s in ALL for beat in s.beats for a in beat.answers if isinstance(a, Pays)]
    assert paid
    assert not any(is_magic(answer.amount_minor) for answer in paid)


def test_ids_can_be_kept_apart() -> None:
    assert not {s.order for s in scenes("-a")} & {s.order for s in scenes("-b")}


def page(width: int) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    told = StoryPage(console)
    number = 0
    for scene, beat, record, outcome, said in played():
        if beat is scene.beats[0]:
            number += 1
            told.scene(number, scene)
        told.beat(beat, Sent(record, 0.0))
        for answer in beat.answers:
            told.reply(reply(answer, said, record))
        told.fate(beat, Fate(outcome, None), 0.081)  # type: ignore[arg-type]
        if beat is scene.beats[-1]:
            told.closing(scene)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def reply(answer: Answer, said: list[Heard], record: Record) -> Reply:
    one = next(one for one in said if answers(answer, one, record))
    result = one._replace(type="gateway.settled") if isinstance(answer, Pays) else None
    return Reply(answer, one, result, 0.123)


def test_nothing_is_cut_at_80_columns() -> None:
    text = page(80)
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "…" not in text
    assert "123 ms" not in text


def test_a_wide_page_says_where_and_how_long() -> None:
    text = page(WIDE)
    assert "…" not in text
    assert "123 ms" in text
    assert "payments[0]@1" in text
    assert "A chargeback is open; nothing else moves until it is closed." in text


def test_the_page_never_shows_the_card_number() -> None:
    assert "card number redacted" in page(80)
    assert "4111" not in page(WIDE)


def report(**other: Any) -> AuditReport:
    clean = {
        "orders": 2,
        "facts": 9,
        "reports": 0,
        "seconds": 0.1,
        "findings": [],
        "found": dict.fromkeys(CHECKS, 0),
        "ledgers": [],
        "statuses": {"RELEASED": 2},
        "waiting": [],
        "now": BEGIN_MS,
    }
    return AuditReport(**{**clean, **other})


GOOD = Summary(
    report(), {("payout", "SETTLED"): 2}, 2, {"invalid_json": 1}, {"invalid_json": 1}, []
)
FINDING = Finding("money", "order-teapot", "held is wrong")


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (
            GOOD._replace(report=report(found={"money": 1}, findings=[FINDING])),
            "the audit has 1 findings",
        ),
        (
            GOOD._replace(commands={("payout", "SETTLED"): 2, ("refund", "PENDING"): 1}),
            "1 commands have no final answer",
        ),
        (GOOD._replace(paid=3), "the gateway has paid 3 times, the rows say 2"),
        (GOOD._replace(letters={}), "dead letters are {}"),
        (GOOD._replace(unfinished=["4 outbox rows not sent"]), "4 outbox rows not sent"),
    ],
)
def test_each_source_can_spoil_the_summary(bad: Summary, says: str) -> None:
    console = Console(file=io.StringIO(), width=200)
    show_summary(console, bad)
    assert GOOD.complaints == []
    assert len(bad.complaints) == 1
    assert isinstance(console.file, io.StringIO)
    assert says in console.file.getvalue()
