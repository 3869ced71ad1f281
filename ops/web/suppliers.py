"""Suppliers by risk, as the derived views say; where the views are stale or down, that comes first.

Nothing is decided by them: a view that nobody writes any more is old, never wrong money.
"""

from collections import Counter
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ops.view_reading import StandingViews
from ops.web.console import console_of
from ops.web.pages import page
from streams.suppliers import Limits

SHOWN_MAX: Final = 200


class FlowRow(NamedTuple):
    """One type of record: how many in the last hour, and in its fullest minute."""

    type: str
    records: int
    most_a_minute: int


def show(request: Request) -> Response:
    """Flagged ones first, then by refund rate; `?q=` finds one by the beginning of its id."""
    views = console_of(request).views.read()
    text = request.query_params.get("q", "").strip()[:64]
    found = [risk for risk in views.suppliers if risk.supplier_id.startswith(text)]
    return page(
        request,
        "suppliers.html",
        "Suppliers",
        views=views,
        text=text,
        suppliers=found[:SHOWN_MAX],
        number=len(found),
        flagged=sum(bool(risk.flags) for risk in views.suppliers),
        limits=Limits(),
        flow=flow_rows(views),
    )


def flow_rows(views: StandingViews) -> list[FlowRow]:
    """Traffic of the last hour by type, the most first."""
    records: Counter[str] = Counter()
    most: dict[str, int] = {}
    for window in views.flow.get("windows", ()):
        for kind, number in window["counts"].items():
            records[kind] += number
            most[kind] = max(number, most.get(kind, 0))
    return [FlowRow(kind, number, most[kind]) for kind, number in records.most_common()]


routes: Final = [Route("/suppliers", show)]
