"""The judge of the outbox: what is told in order, and what has no order between it."""

import json
from collections import defaultdict

from tests.chaos.case import Case
from tests.chaos.checks.telling import all_is_told
from tests.chaos.recorded import Recorded, Seen

TOPIC = "escrow.payout-commands.v1"
COMMAND, QUESTION = "payout.release", "command.status_requested"
LETTERS, LETTER = "escrow.dead-letters.v1", "dead_letter.recorded"
Row = tuple[str, str, str, str]  # topic, type, id, payload


def command(id_: str) -> Row:
    return TOPIC, COMMAND, id_, "{}"


def question(id_: str) -> Row:
    return TOPIC, QUESTION, id_, "{}"


def letter(id_: str, topic: str) -> Row:
    return LETTERS, LETTER, id_, json.dumps({"topic": topic, "partition": 0})


def said(rows: list[Row], told: list[Row]) -> list[str]:
    """Violations where these rows of one key's outbox, in this order, were told in that order."""
    outbox = [
        {"topic": topic, "key": "o1", "type": type_, "sent_id": id_, "sent_at": 1, "payload": text}
        for topic, type_, id_, text in rows
    ]
    topics: dict[tuple[str, int], list[Seen]] = defaultdict(list)
    for topic, type_, id_, text in told:
        headers = (("ce_id", id_.encode()), ("ce_type", type_.encode()))
        log = topics[topic, 0]
        log.append(Seen(topic, 0, len(log), 0, b"o1", text.encode(), headers))
    empty: list[dict[str, object]] = []
    tables = dict.fromkeys(("facts", "reports", "letters", "resolutions"), empty)
    return list(all_is_told(Case(Recorded(topics, {**tables, "outbox": outbox}))))


def test_commands_of_an_order_are_told_in_their_order() -> None:
    rows = [command("a"), command("b")]
    assert said(rows, rows) == []
    assert said(rows, [*rows, command("a")]) == []  # a second telling
    assert len(said(rows, rows[::-1])) == 1


def test_a_question_about_a_command_locks_no_order_and_has_a_queue_of_its_own() -> None:
    """A command written before it may be committed, and so told, after it."""
    rows = [command("a"), command("b"), question("a.1"), question("a.2")]
    assert said(rows, [rows[0], rows[2], rows[1], rows[3]]) == []
    assert len(said(rows, [*rows[:2], rows[3], rows[2]])) == 1
    assert len(said(rows, rows[:3])) == 1
    assert len(said(rows[:3], rows)) == 1


def test_letters_of_one_partition_are_told_in_their_order() -> None:
    rows = [letter("a", "t"), letter("b", "t"), letter("c", "u")]
    assert said(rows, [rows[2], *rows[:2]]) == []
    assert len(said(rows, [rows[1], rows[0], rows[2]])) == 1
