"""Find an order by any id of it; then where its money is, why, what next, and all that was said.

The same answer goes to programs as JSON, for a checkout's support desk.
"""

import json
import time
from typing import Any, Final
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ops.cli.terminal import jsonable
from ops.order_answer import Answer, answer, explanation_json, rows_json
from ops.web.console import console_of
from ops.web.pages import page
from ops.web.timeline import timeline
from storage.finding import Found, find_by_key, find_by_scan
from storage.reading import snapshot

ID_LENGTH_MAX: Final = 256
_MONEY: Final = (
    ("held", "held_minor"),
    ("refunded", "refunded_minor"),
    ("paid out", "paid_out_minor"),
    ("charged back", "charged_back_minor"),
)


def search(request: Request) -> Response:
    """One hit leads straight to its order."""
    text = request.query_params.get("q", "").strip()[:ID_LENGTH_MAX]
    found: list[Found] | None = []
    if text and "\0" not in text:
        url = console_of(request).url
        with snapshot(url) as connection:
            found = find_by_key(connection, text)
        if not found:
            with snapshot(url) as connection:
                found = find_by_scan(connection, text)
    if found and len({one.order_id for one in found}) == 1:
        return RedirectResponse(f"/orders/{quote(found[0].order_id, safe='')}", 303)
    return page(request, "search.html", "Orders", text=text, found=found)


def show(request: Request) -> Response:
    """The page, or JSON for who asks for it."""
    accept = request.headers.get("accept", "")
    if "application/json" in accept and "text/html" not in accept:
        return as_json(request)
    found = _answer(request)
    before = request.query_params.get("before", "")
    number = int(before) if before.isascii() and before.isdigit() and len(before) < 9 else None
    entries, older = timeline(found, number)
    row = found.dossier.row
    return page(
        request,
        "order.html",
        f"Order {found.dossier.order_id}",
        answer=found,
        row=row,
        explanation=found.explanation,
        parts=[] if row is None else [(name, getattr(row, column)) for name, column in _MONEY],
        entries=entries,
        older=older,
        newest=number is None,
        decided_at=found.now,
        path_quoted=quote(found.dossier.order_id, safe=""),
    )


def as_json(request: Request) -> Response:
    """`GET /api/orders/{id}`: what it means; `?rows=true`: all that is stored, too."""
    found = _answer(request)
    row = found.dossier.row
    money = [*(column for _, column in _MONEY), "captured_minor", "supplier_debt_minor"]
    shown: dict[str, Any] = explanation_json(found.explanation)
    shown["where_the_money_is"] = shown.pop("money")
    shown["money"] = None if row is None else {name: getattr(row, name) for name in money}
    shown["currency"] = None if row is None else row.currency or None
    shown["as_of_ms"] = found.now
    if request.query_params.get("rows") == "true":
        shown["rows"] = rows_json(found.dossier)
    text = json.dumps(shown, ensure_ascii=False, indent=2, default=jsonable)
    return Response(text + "\n", media_type="application/json")


def _answer(request: Request) -> Answer:
    order_id = request.path_params["order_id"]
    console = console_of(request)
    found = None
    if len(order_id) <= ID_LENGTH_MAX and "\0" not in order_id:
        with snapshot(console.url) as connection:
            wall_ms = time.time_ns() // 1_000_000
            found = answer(connection, console.settings, order_id, wall_ms)
    if found is None:
        raise HTTPException(404, f"No fact of order {order_id} has come.")
    return found


routes: Final = [
    Route("/orders", search),
    Route("/orders/{order_id}", show),
    Route("/api/orders/{order_id}", as_json),
]
