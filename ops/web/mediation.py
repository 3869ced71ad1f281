"""Open disputes: who waits for a mediator, both sides' evidence, and what each ruling would pay.

A ruling is issued as a fact on its topic; whether it holds, the stage decides.
"""

import time
from contextlib import suppress
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from consumers.engine.admin import republish
from consumers.engine.signing import signed
from escrow.state import Escrow
from ops.order_answer import Answer, answer
from ops.rulings import CannotRule, Outcome, Preview, Ruling, preview, previews, ruling_record
from ops.web.acting import Act, done, looked_at
from ops.web.console import console_of
from ops.web.pages import page
from ops.web.timeline import timeline
from schemas.door import Fact
from schemas.money import EXPONENTS
from schemas.refund_requests import EvidenceSubmitted, RefundRequested
from storage.attention import rules_now
from storage.mediation import Dispute, disputes_of
from storage.reading import Snapshot, snapshot

SHOWN_MAX: Final = 100
SIDES: Final = ("buyer", "supplier")
_OUTCOMES: Final[dict[str, Outcome]] = {
    "refund_full": "refund_full",
    "refund_partial": "refund_partial",
    "release": "release",
}


def queue(request: Request) -> Response:
    """Those in mediation first, the longest waiting on top: found by the watcher, read by key."""
    console = console_of(request)
    counts = console.watcher.seen.counts
    found: list[Dispute] = []
    with snapshot(console.url) as connection:
        if counts is not None:
            found = disputes_of(connection, counts.counted.disputes)
        now = _now(request, connection)
    return page(
        request,
        "mediation.html",
        "Mediation",
        disputes=found[:SHOWN_MAX],
        more=len(found) > SHOWN_MAX,
        rules_now=now,
        counts=counts,
    )


def case(request: Request) -> Response:
    """One dispute: what each side says, and what each ruling would pay."""
    order_id = request.path_params["order_id"]
    with snapshot(console_of(request).url) as connection:
        found = _answer(request, connection, order_id)
        now = _now(request, connection)
        rulings: list[Preview] = []
        if found.explanation.status == "IN_MEDIATION":
            rulings = previews(connection, order_id, now)
    accepted = _accepted(found)
    return page(
        request,
        "case.html",
        f"Dispute {order_id}",
        answer=found,
        row=found.dossier.row,
        previews=rulings,
        asked=_asked(accepted, found.dossier.row),
        sides={side: _evidence(accepted, side) for side in SIDES},
        entries=timeline(found)[0],
        rules_now=now,
    )


def look_at_ruling(request: Request, act: Act) -> Response:
    """What this ruling would pay; nothing is sent."""
    order_id = request.path_params["order_id"]
    with snapshot(console_of(request).url) as connection:
        found = _answer(request, connection, order_id)
        ruling = _ruling(act, found)
        shown = _previewed(request, connection, order_id, ruling)
    fields = {name: act.text(name) for name in ("outcome", "amount", "rationale")}
    return page(
        request,
        "ruling.html",
        f"Ruling on {order_id}",
        order_id=order_id,
        row=found.dossier.row,
        shown=shown,
        fields=fields,
    )


def issue(request: Request, act: Act) -> Response:
    """Put the ruling onto its topic."""
    console, order_id = console_of(request), request.path_params["order_id"]
    with snapshot(console.url) as connection:
        ruling = _ruling(act, _answer(request, connection, order_id))
        shown = _previewed(request, connection, order_id, ruling)
        if shown.told.outcome != "applied":
            raise HTTPException(400, f"It would be {shown.told.title}. Nothing was sent.")
        try:
            now = _now(request, connection)
            record, fact = ruling_record(connection, order_id, ruling, act.operator, now)
        except CannotRule as error:
            raise HTTPException(400, f"{error}. Nothing was sent.") from None
    partition, offset = republish(console.settings, signed(console.settings, record))
    act.log("ruling", order_id=order_id, outcome=ruling.outcome, ruling_id=fact.id)
    place = f"{record.topic}/{partition}/{offset}"
    return page(request, "issued.html", "Ruling issued", order_id=order_id, place=place)


def _previewed(request: Request, connection: Snapshot, order_id: str, ruling: Ruling) -> Preview:
    try:
        return preview(connection, order_id, ruling, _now(request, connection))
    except CannotRule as error:
        raise HTTPException(400, f"{error}. Nothing was sent.") from None


def _ruling(act: Act, found: Answer) -> Ruling:
    """The form's ruling; its amount in the currency's own units. Raises HTTPException."""
    outcome = _OUTCOMES.get(act.text("outcome"))
    if outcome is None:
        raise HTTPException(400, "Choose a ruling.")
    row = found.dossier.row
    refund = None
    if outcome == "refund_partial":
        refund = minor_of(act.text("amount"), "" if row is None else row.currency)
    rationale = act.text("rationale").replace("\r\n", "\n").strip()
    return Ruling(outcome, refund, rationale or None)


def minor_of(text: str, currency: str) -> int:
    """`12.50` of EUR → 1250, by its digits alone. Raises HTTPException."""
    exponent: int = EXPONENTS.get(currency, 0)
    major, point, minor = text.strip().partition(".")
    digits = major + minor
    fits = not point or (exponent > 0 and len(minor) == exponent)
    if not (digits.isascii() and digits.isdigit() and major and fits and len(digits) <= 16):
        places = f"{exponent} decimals" if exponent else "no decimals"
        raise HTTPException(
            400, f"Write an amount of {currency} with {places}, like {_like(exponent)}."
        )
    return int(major + (minor or "0" * exponent))


def _like(exponent: int) -> str:
    return "1250" if not exponent else f"12.{'5'.ljust(exponent, '0')}"


def _answer(request: Request, connection: Snapshot, order_id: str) -> Answer:
    found = None
    if len(order_id) <= 64 and "\0" not in order_id:
        found = answer(connection, console_of(request).settings, order_id, _wall_ms())
    if found is None or found.dossier.row is None:
        raise HTTPException(404, f"No fact of order {order_id} has come.")
    return found


def _accepted(found: Answer) -> list[Fact]:
    """The facts that were applied: when they came, or when what they waited for was there."""
    woken = {r.parked_no for r in found.dossier.resolutions if r.outcome == "applied"}
    facts = []
    for stored in found.dossier.facts:
        if stored.outcome == "applied" or stored.no in woken:
            with suppress(ValueError, LookupError):  # the explanation has said so
                facts.append(stored.fact())
    return facts


def _asked(accepted: list[Fact], row: Escrow | None) -> RefundRequested | None:
    """The open request, as the buyer sent it."""
    asked = (fact.data for fact in accepted if isinstance(fact.data, RefundRequested))
    return next((data for data in asked if row and data.request_id == row.request_id), None)


def _evidence(accepted: list[Fact], side: str) -> list[dict[str, Any]]:
    """What this side submitted, the newest last."""
    return [
        {**fact.data.model_dump(), "t": fact.t}
        for fact in sorted(accepted, key=lambda fact: fact.t)
        if isinstance(fact.data, EvidenceSubmitted) and fact.data.by == side
    ]


def _now(request: Request, connection: Snapshot) -> int:
    """The time of a fact that is sent now, ms UTC: the rules' own, where producers set it."""
    now = rules_now(connection, _wall_ms(), console_of(request).settings.timestamp_type)
    return now if now >= 0 else _wall_ms()


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


_CASE: Final = "/mediation/{order_id}"
routes: Final = [
    Route("/mediation", queue),
    Route(_CASE, case),
    Route(f"{_CASE}/look", looked_at("mediator", look_at_ruling), methods=["POST"]),
    Route(f"{_CASE}/issue", done("mediator", issue), methods=["POST"]),
]
