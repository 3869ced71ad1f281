"""Webhooks: who takes what it is told, what is tried again, what was given up and why; operators have that sent again.

It reads the store of `escrow webhooks run` and nothing else: no order and no money waits for any of it.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ops.cli.terminal import how_long
from ops.web.acting import Act, done
from ops.web.console import console_of
from ops.web.pages import page
from ops.web.verdict import Finding, Level
from ops.webhooks.run import WAITING_MAX
from ops.webhooks.sending import RETRY_SECONDS
from ops.webhooks.standing import CannotRead, Receiver, Standing, Told, read_standing, told_of
from ops.webhooks.store import Delivery, Store

SHOWN_MAX: Final = 30  # deliveries of either kind
BODY_SHOWN: Final = 1_000  # characters
TRIES: Final = len(RETRY_SECONDS) + 1
_ORDER: Final = ("bad", "warn", "note")
_WHY: Final = "see why, then have them sent again"


class Shown(NamedTuple):
    """One delivery as the page has it."""

    delivery: Delivery
    told: Told
    body: str


def show(request: Request) -> Response:
    """Receivers, what is tried again, what was given up; `?endpoint=` shows only that one's."""
    folder = console_of(request).settings.web.webhooks
    endpoint = request.query_params.get("endpoint", "").strip()[:64]
    standing, trouble = None, ""
    if folder is not None:
        try:
            standing = read_standing(folder, limit=SHOWN_MAX, endpoint=endpoint)
        except CannotRead as error:
            trouble = str(error)
    now = time.time()
    findings = [] if standing is None else judge(standing, now)
    return page(
        request,
        "webhooks.html",
        "Webhooks",
        folder=folder,
        endpoint=endpoint,
        standing=standing,
        trouble=trouble,
        findings=findings,
        level=findings[0].level if findings else "good",
        sentence=_sentence(findings),
        retried=[] if standing is None else [_shown(one) for one in standing.retried],
        given_up=[] if standing is None else [_shown(one) for one in standing.given_up],
        number=0 if standing is None else _dead_of(standing, endpoint),
        tries=TRIES,
    )


def again(request: Request, act: Act) -> Response:
    """Have those chosen, or all of one endpoint, tried from the beginning."""
    folder, now = console_of(request).settings.web.webhooks, time.time()
    if folder is None:
        raise HTTPException(404, "This console was not told where the webhooks are.")
    chosen = [int(n) for n in act.texts("n") if n.isascii() and n.isdigit() and len(n) < 19]
    all_of = act.text("all_of")
    if not chosen and not all_of:
        raise HTTPException(400, "Choose at least one.")
    _is_there(folder)
    with Store(folder) as store:
        number = (
            store.again(now, endpoint=all_of) if all_of else store.again_these(now, set(chosen))
        )
    act.log("webhooks_again", endpoint=all_of or None, chosen=chosen, number=number)
    return page(request, "webhooks_again.html", "Sent again", number=number)


def judge(standing: Standing, now: float) -> list[Finding]:
    """What a person must know, the worst first, each with its first action."""
    findings = [*_of_the_runner(standing, now)]
    for receiver in standing.receivers:
        findings += _of_a_receiver(receiver, now)
    return sorted(findings, key=lambda finding: _ORDER.index(finding.level))


def _of_the_runner(standing: Standing, now: float) -> Iterator[Finding]:
    if standing.is_stale(now):
        since = "" if standing.looked_at is None else f" for {_long(now - standing.looked_at)}"
        text = f"nobody has looked at the events{since}: nothing is told"
        yield Finding("bad", text, "/", "start `escrow webhooks run`")
    waiting = sum(receiver.waiting for receiver in standing.receivers)
    if waiting >= WAITING_MAX:
        text = f"{waiting:,} events wait: no more are read until some are taken or given up"
        yield Finding("bad", text, "#receivers", "which receiver is it?")


def _of_a_receiver(receiver: Receiver, now: float) -> Iterator[Finding]:
    name = receiver.endpoint
    if receiver.state == "not named":
        text = (
            f"{name} is not in the file of endpoints any more, and {receiver.waiting:,} wait for it"
        )
        yield Finding("warn", text, "/", "put it back, and start `escrow webhooks run` anew")
    elif receiver.state == "failing" and receiver.waiting:
        since = "" if receiver.failed_at is None else f", {_long(now - receiver.failed_at)} ago"
        text = f"{name} does not take what it is told: {receiver.error}{since}"
        yield Finding("warn", text, "/", "ask who runs it; nothing is lost yet")
    if receiver.dead:
        text = f"{receiver.dead:,} for {name} {'was' if receiver.dead == 1 else 'were'} given up"
        yield Finding("warn", text, "#given-up", _WHY)


def _sentence(findings: list[Finding]) -> str:
    said: dict[Level, str] = {
        "bad": "Webhooks are not told as they should be",
        "warn": "Webhooks are told, and something needs a person",
    }
    return said[findings[0].level] if findings else "Every receiver takes what it is told"


def _dead_of(standing: Standing, endpoint: str) -> int:
    return sum(one.dead for one in standing.receivers if endpoint in ("", one.endpoint))


def _shown(delivery: Delivery) -> Shown:
    body = delivery.body.decode("utf-8", "backslashreplace")
    return Shown(delivery, told_of(delivery.body), body[:BODY_SHOWN])


def _is_there(folder: Path) -> None:
    try:
        read_standing(folder, limit=0)
    except CannotRead as error:
        raise HTTPException(503, f"{error}.") from None


def _long(seconds: float) -> str:
    return how_long(int(seconds * 1000))


routes: Final = [
    Route("/webhooks", show, methods=["GET"]),
    Route("/webhooks/again", done("operator", again), methods=["POST"]),
]
