"""`escrow up`: a line that says when it is ready, and that is gone when it ends, whenever it is told to.

Signals only set a flag, which is looked at between steps: nothing is torn in the middle, a second
signal changes nothing, and the way out is the same during the start as after it.
"""

import json
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console
from rich.text import Text

from consumers.engine.admin import KafkaUnavailable
from consumers.engine.config import ConfigError
from ops.local.observed import PROMETHEUS_FILE
from ops.local.pipeline import NO_RESTART, OnExit, Pipeline, StopWanted
from ops.local.processes import Exit
from ops.local.progress import shown
from storage.reading import DatabaseTrouble

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOPPED: Final = 0
FAILED: Final = 2
HALTED: Final = 3
# What a start can meet that is nobody's bug: one sentence, no traceback.
TROUBLES: Final = (RuntimeError, OSError, ConfigError, KafkaUnavailable, DatabaseTrouble)
_LOOK_SECONDS: Final = 0.5


class Addresses(NamedTuple):
    """What a program needs to use the line; `web_url` None: there is no console."""

    bootstrap_servers: str
    database_url: str
    web_url: str | None = None

    @property
    def exports(self) -> tuple[str, ...]:
        """For a shell, where everyone is believed."""
        return (
            f"export ESCROW_KAFKA__BOOTSTRAP_SERVERS={self.bootstrap_servers}",
            f"export ESCROW_DATABASE__URL={self.database_url}",
        )

    def as_json(self) -> str:
        """One object, one line."""
        return json.dumps(self._asdict())


def addresses_of(pipeline: Pipeline) -> Addresses:
    """Where a ready line is."""
    stack = pipeline.stack
    return Addresses(stack.bootstrap_servers, stack.database_url, pipeline.web_url)


def stop_on_signals() -> threading.Event:
    """An event that Ctrl-C, SIGTERM and a closed terminal set, for the rest of this process's life.

    What whoever started us has told us to ignore (`nohup`, `&`) stays ignored.
    """
    stop = threading.Event()
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: stop.set())
    return stop


@contextmanager
def ready_file(path: Path | None, addresses: Addresses) -> Iterator[None]:
    """The file is whole when it is there, and it is there only while the line is."""
    if path is None:
        yield
        return
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".", delete=False) as file:
        file.write(addresses.as_json() + "\n")
    fresh = Path(file.name)
    fresh.chmod(0o644)
    fresh.replace(path)
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()


def run_up(
    data_dir: Path | None, *, gateway: bool, secure: bool, signed: bool, ready: Path | None
) -> int:
    """Start everything, say where it is, work until told to stop. Returns the exit code."""
    stop = stop_on_signals()
    console = Console(stderr=True, highlight=False)
    try:
        if ready is not None:
            ready.unlink(missing_ok=True)  # of a run that was killed: it would speak too early
            ready.parent.mkdir(parents=True, exist_ok=True)
        with shown(console) as report:
            pipeline = Pipeline(
                data_dir,
                gateway=gateway,
                web=True,
                metrics=True,
                views=True,
                secure=secure,
                signed=signed,
                stop=stop,
                report=report,
                on_exit=loudly(console),
            )
            pipeline.start()
    except StopWanted:
        console.print("stopped before it was ready", style="dim")
        return STOPPED
    except TROUBLES as error:
        console.print(Text.assemble(("error: ", "bold red"), str(error)))
        return FAILED
    try:
        return _work(pipeline, stop, console, ready)
    finally:
        console.print("stopping", style="dim")
        pipeline.stop()


def loudly(console: Console) -> OnExit:
    """Tells a person which program has ended, what it said last, and what follows."""

    def tell(exit_: Exit, said: str) -> None:
        how = f"signal {-exit_.returncode}" if exit_.returncode < 0 else f"code {exit_.returncode}"
        if exit_.returncode in NO_RESTART:
            text = f"{exit_.name} DOES NOT GO ON ({how}): a person must look"
            console.print(Text(text, style="bold red"))
        else:
            text = f"{exit_.name} ended ({how}); it starts again in {exit_.restarts_in_seconds:g} s"
            console.print(Text(text, style="yellow"))
        if exit_.returncode > 0:
            console.print(Text(f"  {said}", style="dim"), soft_wrap=True)

    return tell


def _work(pipeline: Pipeline, stop: threading.Event, console: Console, ready: Path | None) -> int:
    addresses = addresses_of(pipeline)
    with ready_file(ready, addresses):
        with suppress(BrokenPipeError):
            sys.stdout.write(addresses.as_json() + "\n")
            sys.stdout.flush()
        console.print(f"ready; logs in {pipeline.log_dir}; Ctrl-C stops it", style="dim")
        config = pipeline.stack.data_dir / PROMETHEUS_FILE
        console.print(f"metrics: prometheus --config.file={config}", style="dim", soft_wrap=True)
        if operator_file := pipeline.stack.operator_file:
            text = f"nobody is believed here; to be the operator: . {operator_file}"
            console.print(text, style="dim", soft_wrap=True)
        while not stop.wait(_LOOK_SECONDS):
            if gone := pipeline.gone_server:
                console.print(Text(f"error: {gone} has ended", style="bold red"))
                return FAILED
    return HALTED if pipeline.halted else STOPPED
