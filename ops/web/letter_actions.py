"""Sending dead letters again: a forecast of what would become of each, then, with a reason, the sending.

Nothing is written but what `escrow dlq` writes: who and why, and a record on the letter's own topic.
"""

import difflib
import time
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from consumers.engine.admin import KafkaUnavailable
from consumers.engine.trusting import Trusting
from ops.dead_letters import CannotReplay, find_originals, place_of
from ops.edited_letters import CannotEdit, Edit, Mended, edited, send_edited
from ops.foretell import Foreteller
from ops.redrive import Planned, Sent, carry_out, histogram, plan
from ops.web.acting import Act, done, looked_at
from ops.web.console import console_of, require
from ops.web.letters import PLACE, letter_named, letter_of
from ops.web.pages import page
from storage.dead_letter_reading import LetterRow, letters
from storage.reading import Snapshot, snapshot

PLANNED_MAX: Final = 1_000
SHOWN_MAX: Final = 100
REASON_TO_COME: Final = "(the reason that you give)"


def forecast(request: Request, act: Act) -> Response:
    """What sending these would do; nothing is sent."""
    planned = _plan(request, act)
    return page(
        request,
        "replay.html",
        "Send again",
        planned=planned[:SHOWN_MAX],
        number=len(planned),
        sendable=sum(not one.why_not for one in planned),
        useful=any(one.foretold and one.foretold.outcome == "applied" for one in planned),
        histogram=histogram(planned),
        places=[place_of(one.letter) for one in planned if not one.why_not],
    )


def replay(request: Request, act: Act) -> Response:
    """Plan once more, send, and say where each went."""
    console = console_of(request)
    planned = _plan(request, act)
    sent: list[Sent] = []
    trouble = ""
    try:
        failed = carry_out(console.settings, planned, act.operator, act.reason, sent.append)
    except KafkaUnavailable as error:
        failed, trouble = [], f"Kafka does not answer: {error}"
    left = [(one.letter, one.why_not) for one in planned if one.why_not] + failed
    act.log(
        "replay",
        places=[place_of(one.letter) for one in sent],
        not_sent=[place_of(letter) for letter, _ in left],
        trouble=trouble,
    )
    return page(
        request,
        "replayed.html",
        "Sent again",
        status_code=503 if trouble else 200,
        sent=sent[:SHOWN_MAX],
        number=len(sent),
        left=left[:SHOWN_MAX],
        trouble=trouble,
    )


def _plan(request: Request, act: Act) -> list[Planned]:
    """The letters that the form names, oldest first, each with its forecast."""
    console = console_of(request)
    with snapshot(console.url) as connection:
        chosen = _chosen(connection, act)
        return plan(console.settings, connection, chosen, wall_ms=_wall_ms())


def _chosen(connection: Snapshot, act: Act) -> list[LetterRow]:
    """By name, or all open ones of a code."""
    if code := act.text("all_of"):
        return letters(connection, limit=PLANNED_MAX, code=code, open_only=True, oldest_first=True)
    places = list(dict.fromkeys(act.texts("place")))[:PLANNED_MAX]
    if not places:
        raise HTTPException(400, "Choose at least one dead letter.")
    chosen = [letter_named(connection, place) for place in places]
    return sorted(chosen, key=lambda letter: (letter.at, letter.topic, letter.offset))


def mend(request: Request) -> Response:
    """The form, filled with the best copy there is."""
    require(request, "operator")
    console = console_of(request)
    with snapshot(console.url) as connection:
        letter = letter_of(request, connection)
    (found,) = find_originals(console.settings, [letter._replace(code="edited")])
    whole = not isinstance(found, CannotReplay)
    value = found.record.value if not isinstance(found, CannotReplay) else letter.value
    return page(
        request,
        "mend.html",
        "Mend a dead letter",
        letter=letter,
        whole=whole,
        value=(value or b"").decode("utf-8", "backslashreplace"),
        key=letter.key or "",
        headers=letter.headers,
    )


def compare(request: Request, act: Act) -> Response:
    """What differs, and what would become of it; nothing is sent."""
    console = console_of(request)
    with snapshot(console.url) as connection:
        letter = letter_of(request, connection)
        mended = _mended(request, letter, act, act.reason or REASON_TO_COME)
        told = Foreteller(connection, Trusting(console.settings)).foretell(mended.record)
    fields = {name: act.text(name) for name in ("value", "key")}
    changed = {f"header:{name}": act.text(f"header:{name}") for name in letter.headers}
    return page(
        request,
        "mended.html",
        "Mend a dead letter",
        letter=letter,
        lines=diff_lines(mended),
        told=told,
        fields={**fields, **changed},
    )


def send_mended(request: Request, act: Act) -> Response:
    """Send the mended copy under a new id."""
    console = console_of(request)
    with snapshot(console.url) as connection:
        letter = letter_of(request, connection)
        mended = _mended(request, letter, act, act.reason)
        told = Foreteller(connection, Trusting(console.settings)).foretell(mended.record)
    if told.outcome == "dead_letter":
        raise HTTPException(400, f"It would be a dead letter again: {told.code}. Nothing was sent.")
    partition, offset = send_edited(console.settings, letter, mended, act.operator, act.reason)
    act.log("replay_edited", places=[place_of(letter)], new_id=mended.new_id)
    sent = [Sent(letter, partition, offset)]
    return page(request, "replayed.html", "Sent again", sent=sent, number=1, left=[], trouble="")


def _mended(request: Request, letter: LetterRow, act: Act, reason: str) -> Mended:
    """The changes of the form applied. Raises HTTPException where they cannot be."""
    value = act.text("value").replace("\r\n", "\n").encode()
    headers: dict[str, str] = {}
    for name, old in letter.headers.items():
        if (new := act.text(f"header:{name}")) != old:
            headers[name] = new
    key = act.text("key")
    change = Edit(value, headers, key if key != (letter.key or "") else None)
    try:
        settings = console_of(request).settings
        return edited(settings, letter, change, act.operator or "-", reason, _wall_ms())
    except CannotEdit as error:
        raise HTTPException(400, f"It cannot be mended so: {error}.") from None


def diff_lines(mended: Mended) -> list[tuple[str, str]]:
    """(`same` | `gone` | `new`, text) of what differs, with two lines around."""
    lines = difflib.unified_diff(
        mended.before.splitlines(), mended.after.splitlines(), lineterm="", n=2
    )
    kinds = {"+": "new", "-": "gone", "@": "cut"}
    return [(kinds.get(line[:1], "same"), line) for line in list(lines)[2:]]


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


_POST: Final[Any] = ["POST"]
routes: Final = [
    Route("/dead-letters/forecast", looked_at("operator", forecast), methods=_POST),
    Route("/dead-letters/replay", done("operator", replay), methods=_POST),
    Route(f"{PLACE}/mend", mend, methods=["GET"]),
    Route(f"{PLACE}/compare", looked_at("operator", compare), methods=_POST),
    Route(f"{PLACE}/send", done("operator", send_mended), methods=_POST),
]
