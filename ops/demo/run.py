"""`escrow demo`: up in a temporary folder, the story, traffic, a summary; the exit code believes the summary.

Told to stop, it stops at the next step, and nothing of it stays behind.
"""

import time
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from ops.demo.page import StoryPage
from ops.demo.scenes import scenes
from ops.demo.summary import Summary, show_summary, summarize
from ops.demo.teller import TOPICS, StoryFailed, StoryStopped, Teller
from ops.demo.traffic import Sending, look, send_traffic
from ops.local.listener import Listener
from ops.local.pipeline import NotReady, Pipeline, StopWanted
from ops.local.progress import shown
from ops.local.traffic import stories
from ops.local.up import TROUBLES, addresses_of, loudly, stop_on_signals
from schemas.door import Record
from storage.pulse import dead_letter_codes
from storage.reading import snapshot

GOOD: Final = 0
NOT_GOOD: Final = 1
NOT_SHOWN: Final = 2
# Record time begins here before now: the brokers keep 30 days, and take nothing from the future.
DAYS_BACK: Final = 28
IDLE_SECONDS_MAX: Final = 45.0
TRICKLE_PER_SECOND: Final = 15.0
_TRICKLE_ORDERS: Final = 2_000
_LOOK_SECONDS: Final = 1.0


def run_demo(*, traffic: bool, leave: bool, seed: int) -> int:
    """Show it all; returns the exit code: 0 good, 1 not good or stopped early, 2 not shown."""
    stop = stop_on_signals()
    console = Console(highlight=False)
    began = time.monotonic()
    _greet(console)
    pipeline = Pipeline(web=True, views=True, stop=stop, on_exit=loudly(console))
    try:
        with shown(console) as report:
            pipeline.reports_to(report)
            pipeline.start()
    except StopWanted:
        return NOT_GOOD
    except TROUBLES as error:
        console.print(Text.assemble(("error: ", "bold red"), str(error)))
        return NOT_SHOWN
    try:
        ready = f"ready after {time.monotonic() - began:.1f} s"
        console.print(
            Text(f"{ready}; the console: {pipeline.web_url}", style="dim"), soft_wrap=True
        )
        return _Show(pipeline, console, stop, seed).run(traffic=traffic, leave=leave)
    except (StoryStopped, StopWanted):
        return NOT_GOOD
    except (StoryFailed, *TROUBLES) as error:
        console.print(Text.assemble(("failed: ", "bold red"), str(error)))
        return NOT_GOOD
    finally:
        console.print(Text("stopping", style="dim"))
        pipeline.stop()


class _Show:
    """One evening."""

    def __init__(self, pipeline: Pipeline, console: Console, stop: Event, seed: int) -> None:
        self._pipeline, self._console, self._stop, self._seed = pipeline, console, stop, seed
        self._settings = pipeline.settings
        own = pipeline.stack.kafka is not None and pipeline.stack.postgres is not None
        # Servers that are not ours may have seen the story before.
        self._suffix = "" if own else f"-{uuid.uuid4().hex[:6]}"
        day = datetime.now(UTC).replace(hour=9, minute=0, second=0, microsecond=0)
        self._begin_ms = int((day - timedelta(days=DAYS_BACK)).timestamp() * 1000)
        self._planted = Counter(self._letters())

    def run(self, *, traffic: bool, leave: bool) -> int:
        """Story, traffic, summary; then stay, unless told to leave."""
        self._story()
        if traffic:
            self._traffic()
        summary = self._summary()
        if self._stop.is_set():
            return NOT_GOOD
        code = NOT_GOOD if summary.complaints else GOOD
        if not leave:
            self._stay(traffic=traffic)
        return code

    def _story(self) -> None:
        page = StoryPage(self._console)
        with Listener(self._settings, TOPICS) as listener:
            teller = Teller(self._settings, listener, page, self._stop, self._begin_ms)
            try:
                for number, scene in enumerate(scenes(self._suffix), 1):
                    teller.tell(number, scene)
            finally:
                teller.close()
        self._planted["invalid_json"] += 1

    def _traffic(self) -> None:
        self._console.print()
        self._console.print(Text("Now many orders at once", style="bold"))
        began = time.monotonic()
        prefix = f"{self._seed}{self._suffix}"
        sending = send_traffic(
            self._settings, self._console, self._seed, prefix, self._begin_ms, self._stop
        )
        self._planted += sending.planted
        seconds = time.monotonic() - began
        text = f"{sending.sent:,} facts in {seconds:.0f} s, repeated and spoilt ones among them"
        self._console.print(Text(f"  {text}", style="dim"))

    def _summary(self) -> Summary:
        unfinished: list[str] = []
        try:
            self._pipeline.wait_idle(IDLE_SECONDS_MAX)
        except (TimeoutError, NotReady) as error:
            unfinished.append(str(error))
        gateway = self._pipeline.gateway_dir
        summary = summarize(self._settings, gateway, self._planted, unfinished)
        show_summary(self._console, summary)
        return summary

    def _stay(self, *, traffic: bool) -> None:
        """A little traffic goes on until somebody stops it."""
        addresses = addresses_of(self._pipeline)
        operator_file = self._pipeline.stack.operator_file
        told = (f". {operator_file}",) if operator_file else addresses.exports
        self._console.print()
        for line in (
            f"The console: {addresses.web_url}",
            *told,
            f".venv/bin/escrow order explain order-violin{self._suffix}",
            ".venv/bin/escrow lag        .venv/bin/escrow audit        .venv/bin/escrow dlq list",
        ):
            self._console.print(Text(f"  {line}"), soft_wrap=True)
        self._console.print(Text("Look at it from another terminal; Ctrl-C ends it.", style="dim"))
        trickle = self._trickle() if traffic else None
        self._watch()
        if trickle is not None:
            trickle.join()

    def _trickle(self) -> Sending:
        def for_ever() -> Iterator[Record]:
            round_ = 0
            while not self._stop.is_set():
                round_ += 1
                prefix = f"{self._seed}{self._suffix}-{round_}"
                seed = self._seed + round_
                yield from stories(seed, _TRICKLE_ORDERS, prefix=prefix, start_ms=self._begin_ms)

        return Sending(self._settings, for_ever(), TRICKLE_PER_SECOND, self._stop)

    def _watch(self) -> None:
        """One line that lives, on a terminal only."""
        if not self._console.is_terminal:
            self._stop.wait()
            return
        with Live(console=self._console, transient=True, refresh_per_second=4) as live:
            while not self._stop.wait(_LOOK_SECONDS):
                now = look(self._settings).counts
                parts = (
                    f"{now.facts:,} facts",
                    f"{now.commands:,} commands, {now.answered:,} answered",
                    f"{now.dead_letters:,} dead letters",
                )
                live.update(Text("  " + " · ".join(parts), style="cyan"))

    def _letters(self) -> dict[str, int]:
        with snapshot(self._settings.database.connection_url) as connection:
            return dead_letter_codes(connection)


def _greet(console: Console) -> None:
    console.print(Text.assemble(("escrow demo", "bold"), " · a real Kafka, a real PostgreSQL"))
