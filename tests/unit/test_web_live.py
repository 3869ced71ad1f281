"""A live page hears of each look at the lag at once, and of other news with it; where nobody can look, all the same."""

import asyncio
from collections.abc import Callable, Mapping
from types import SimpleNamespace

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse

from consumers.engine.config import Settings, WebSettings
from ops.web import app
from ops.web.console import Console
from ops.web.kept_views import KeptViews
from ops.web.limits import Meters
from ops.web.people import People
from tests.unit.looks import Eyes, a_sample, seen_by

Change = Callable[[Eyes], None]


def lag(eyes: Eyes) -> None:
    """A new look at the lag, which finds nothing new."""
    assert eyes.seen.look is not None
    eyes._keep(look=eyes.seen.look._replace())


def books(eyes: Eyes) -> None:
    """The books were looked at."""
    eyes._keep(figures=eyes.seen.figures)


def told(
    monkeypatch: pytest.MonkeyPatch, changes: Mapping[int, Change], tenths: int
) -> list[float]:
    """When the page heard something, in seconds; `changes`: tenths of a second → what was seen then."""
    settings, eyes, now = Settings(), Eyes(seen_by([a_sample(0)])), 0
    within = Starlette()
    within.state.console = Console(
        settings, eyes, People(WebSettings()), KeptViews(settings), Meters()
    )

    async def sleep(seconds: float) -> None:
        nonlocal now
        assert seconds == app.LIVE_LOOK_SECONDS
        now += 1
        if now in changes:
            changes[now](eyes)
        if now == tenths:
            eyes._stop.set()

    monkeypatch.setattr(app, "asyncio", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(app, "time", SimpleNamespace(monotonic=lambda: now / 10))

    async def heard() -> list[float]:
        answer = await app._live(Request({"type": "http", "app": within}))
        assert isinstance(answer, StreamingResponse)
        return [now / 10 async for event in answer.body_iterator if "event: seen" in str(event)]

    return asyncio.run(heard())


def test_a_look_at_the_lag_is_told_at_once_and_other_news_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    changes: dict[int, Change] = {3: lag, 5: books, 13: lag, 15: books, 23: lag}
    assert told(monkeypatch, changes, 26) == [0.3, 1.3, 2.3]


def test_while_nobody_can_look_at_the_lag_other_news_are_told_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert told(monkeypatch, {5: books, 15: books, 25: books}, 45) == [2.0, 4.0]


def test_where_nothing_was_seen_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(monkeypatch, {}, 50) == []
