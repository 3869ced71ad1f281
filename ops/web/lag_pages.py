"""Lag in detail: each stage, and each of its partitions, as the watcher saw them last."""

from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from consumers.stages import STAGES
from ops.web.console import console_of
from ops.web.overview import stage_rows
from ops.web.pages import page
from schemas.topics import TOPICS

_CELL: Final = 14


def all_stages(request: Request) -> Response:
    """Every partition of every stage."""
    seen = console_of(request).watcher.seen
    stages = [] if seen.look is None else stage_rows(seen.look, seen.columns)
    return page(request, "lag.html", "Lag", seen=seen, stages=stages)


def one_stage(request: Request) -> Response:
    """One stage: who writes to it, where it stands, what to do when it stands still."""
    name = request.path_params["stage"]
    if name not in STAGES:
        raise HTTPException(404, "There is no such stage.")
    seen = console_of(request).watcher.seen
    rows = [] if seen.look is None else stage_rows(seen.look, seen.columns, _CELL)
    row = next((row for row in rows if row.lag.stage == name), None)
    topic = next(topic for topic in TOPICS if topic.name == STAGES[name].topic)
    return page(request, "stage.html", name, seen=seen, stage=row, name=name, topic=topic)


routes: Final = [
    Route("/lag", all_stages),
    Route("/lag/{stage}", one_stage),
]
