"""Dead letters: which, why, what was done about them; and, for operators, what could be done now.

What senders wrote is shown as text, from the redacted copy.
"""

import json
from typing import Any, Final, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ops.dead_letters import POINTLESS, parse_place
from ops.web.console import console_of
from ops.web.pages import page
from schemas.facts import STAGE_TOPICS
from schemas.reasons import DEAD_LETTERS
from storage.dead_letter_reading import ActionRow, LetterRow, actions_on, letter_at, letters
from storage.reading import Snapshot, snapshot

SHOWN_MAX: Final = 50
VALUE_SHOWN: Final = 16_000


class Filter(NamedTuple):
    """What the list shows; None: whatever."""

    code: str | None
    topic: str | None  # in full
    order_id: str | None
    all_: bool  # also those replayed before

    @classmethod
    def of(cls, request: Request) -> "Filter":
        """As the address says; what cannot be is left out."""
        given = {name: text.strip() for name, text in request.query_params.items()}
        code, topic = given.get("code", ""), given.get("topic", "")
        order_id = given.get("order", "").replace("\0", "")[:256]
        return cls(
            code if code in DEAD_LETTERS else None,
            topic if topic in STAGE_TOPICS.values() else None,
            order_id or None,
            given.get("all") == "1",
        )


def show_list(request: Request) -> Response:
    """The newest that fit."""
    console, wanted = console_of(request), Filter.of(request)
    with snapshot(console.url) as connection:
        found = letters(
            connection,
            limit=SHOWN_MAX + 1,
            code=wanted.code,
            topic=wanted.topic,
            order_id=wanted.order_id,
            open_only=not wanted.all_,
        )
    counts = console.watcher.seen.counts
    return page(
        request,
        "letters.html",
        "Dead letters",
        wanted=wanted,
        letters=found[:SHOWN_MAX],
        more=len(found) > SHOWN_MAX,
        codes=DEAD_LETTERS,
        topics=tuple(STAGE_TOPICS.values()),
        counts={}
        if counts is None
        else {code: group.number for code, group in counts.counted.rows.dead_letters.items()},
        pointless=POINTLESS,
    )


def show_one(request: Request) -> Response:
    """Why, the copy, what was done, and what to do first."""
    with snapshot(console_of(request).url) as connection:
        letter = letter_of(request, connection)
        actions = actions_on(connection, letter)
    return page(request, "letter.html", "Dead letter", **figures_of(letter, actions))


def figures_of(letter: LetterRow, actions: list[ActionRow]) -> dict[str, Any]:
    """What the page of a letter shows."""
    return {
        "letter": letter,
        "actions": actions,
        "reason": DEAD_LETTERS.get(letter.code, letter.detail),
        "value": readable(letter.value),
        "is_cut": letter.value is not None and len(letter.value) > VALUE_SHOWN,
        "pointless": POINTLESS.get(letter.code),
    }


def letter_of(request: Request, connection: Snapshot) -> LetterRow:
    """The letter that the address names. Raises HTTPException."""
    place = "/".join(str(request.path_params[name]) for name in ("topic", "partition", "offset"))
    return letter_named(connection, place)


def letter_named(connection: Snapshot, place: str) -> LetterRow:
    """The letter of a place as people write it. Raises HTTPException."""
    try:
        topic, partition, offset = parse_place(place)
    except ValueError:
        raise HTTPException(404, "A dead letter's place is TOPIC/PARTITION/OFFSET.") from None
    letter = None
    if partition < 2**31 and offset < 2**63 and "\0" not in topic:
        letter = letter_at(connection, topic, partition, offset)
    if letter is None:
        raise HTTPException(404, f"There is no dead letter at {place}.")
    return letter


def readable(value: bytes | None) -> str:
    """The copy as text; JSON that is whole is laid out."""
    if value is None:
        return ""
    if len(value) <= VALUE_SHOWN:
        try:
            return json.dumps(json.loads(value), ensure_ascii=False, indent=2)
        except (ValueError, RecursionError):
            pass
    return value[:VALUE_SHOWN].decode("utf-8", "backslashreplace")


PLACE: Final = "/dead-letters/{topic}/{partition:int}/{offset:int}"
routes: Final = [
    Route("/dead-letters", show_list),
    Route(PLACE, show_one),
]
