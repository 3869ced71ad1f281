"""Alarms: which alert rules hold now, since when, what to do first, and where the runbook goes on."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ops.web.console import console_of
from ops.web.pages import page
from ops.web.runbook import there_is_one


def show(request: Request) -> Response:
    """What fires, what holds but not for long enough, and what is quiet or cannot be known here."""
    seen = console_of(request).watcher.seen
    judged = seen.judged
    return page(
        request,
        "alarms.html",
        "Alarms",
        seen=seen,
        firing=[] if judged is None else judged.firing,
        pending=[] if judged is None else [one for one in judged.alarms if not one.fires],
        quiet=() if judged is None else judged.quiet,
        unknown=() if judged is None else judged.unknown,
        has_runbook=there_is_one(),
    )


routes: Final = [Route("/alarms", show)]
