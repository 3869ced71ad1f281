"""A kit file says how an adapter is started and what its sandbox can do; all else comes from the contract.

The kit brings a broker of its own, so that no command of a trial ever reaches a real gateway.
"""

import json
import os
import shlex
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args

from consumers.engine.admin import apply_topics
from consumers.engine.config import load_settings
from ops.conformance.on_kafka import Line
from ops.conformance.relay_key import jwks_of, new_key
from ops.conformance.rig import Trick
from ops.conformance.run import NoAdapter
from ops.conformance.sandbox import Described, NoAnswer
from ops.local.child import Child, tail
from ops.local.kafka import KafkaServer
from ops.local.progress import Report, silent

SANDBOX_SECONDS_MAX: Final = 30.0
_FIELDS: Final = {"program", "payments", "sandbox", "signed", "patience_seconds", "amounts"}


class Kit(NamedTuple):
    """What a kit file says; {data}, {bootstrap} and {keys} in its commands are filled in."""

    program: str  # the adapter
    payments: str  # prints all that has been paid, or the http address that does
    sandbox: str | None  # a program that is started before the adapter
    signed: bool  # the adapter verifies signatures with the JWKS in {keys}
    patience_seconds: float
    amounts: dict[Trick, int]


def read_kit(path: Path) -> Kit:
    """Raises NoAdapter, with what is wrong with the file."""
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NoAdapter(f"{path}: {error}") from None
    if wrong := list(_faults(said)):
        raise NoAdapter(f"{path}: {'; '.join(wrong)}")
    return Kit(
        said["program"],
        said["payments"],
        said.get("sandbox"),
        said.get("signed", False),
        said.get("patience_seconds", 15.0),
        said.get("amounts", {}),
    )


def _faults(said: dict[str, Any]) -> Iterator[str]:
    for name in sorted(said.keys() - _FIELDS):
        yield f"unknown: {name}"
    for name in ("program", "payments", "sandbox"):
        is_given = name in said or name != "sandbox"
        if is_given and not (isinstance(said.get(name), str) and said[name].strip()):
            yield f"{name} is a command"
    if not isinstance(said.get("signed", False), bool):
        yield "signed is true or false"
    patience = said.get("patience_seconds", 15.0)
    if type(patience) not in (int, float) or patience <= 0:
        yield "patience_seconds is a number above 0"
    amounts = said.get("amounts", {})
    if not isinstance(amounts, dict):
        yield "amounts is a table"
        return
    for trick, amount in amounts.items():
        if trick not in get_args(Trick):
            yield f"unknown trick: {trick}"
        elif type(amount) is not int or amount < 1:
            yield f"{trick} is an amount in minor units"


@contextmanager
def line(kit: Kit, report: Report = silent) -> Iterator[Line]:
    """A broker, the sandbox and the adapter, in a folder that goes with them. Raises NoAdapter."""
    with tempfile.TemporaryDirectory(prefix="escrow-conformance-") as name:
        folder = Path(name)
        broker = KafkaServer(folder / "kafka", heap_mb=256, report=report)
        broker.start()
        try:
            with _on(kit, folder, broker.bootstrap_servers) as working:
                yield working
        finally:
            broker.stop(immediate=True)


@contextmanager
def _on(kit: Kit, folder: Path, bootstrap: str) -> Iterator[Line]:
    settings = load_settings(profile="local", kafka={"bootstrap_servers": bootstrap})
    apply_topics(settings)
    data, keys = folder / "adapter", folder / "keys.json"
    data.mkdir()
    key = new_key() if kit.signed else None
    if key is not None:
        keys.write_text(json.dumps(jwks_of(key)), encoding="utf-8")

    def words(command: str) -> tuple[str, ...]:
        places = {"{data}": str(data), "{bootstrap}": bootstrap, "{keys}": str(keys)}
        found = shlex.split(command)
        for place, what in places.items():
            found = [word.replace(place, what) for word in found]
        return tuple(found)

    env = _with_our_python()
    sandbox = Described(words(kit.payments), kit.amounts, env)
    if key is not None:
        env["ESCROW_SIGNING__KEYS_FILE"] = str(keys)
    with ExitStack() as until_the_end:
        if kit.sandbox is not None:
            beside = Child(
                "the sandbox", words(kit.sandbox), log_path=folder / "sandbox.log", env=env
            )
            until_the_end.callback(beside.stop)
            _start(beside, sandbox)
        working = Line(
            settings,
            words(kit.program),
            sandbox,
            folder / "adapter.log",
            env=env,
            relay_key=key,
            patience_seconds=kit.patience_seconds,
        )
        yield until_the_end.enter_context(working)


def _with_our_python() -> dict[str, str]:
    """`python` in a kit file is the one that has our packages."""
    return {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def _start(sandbox: Child, payments: Described) -> None:
    """Return once it can tell what it has paid."""
    try:
        sandbox.start()
    except OSError as error:
        raise NoAdapter(f"{sandbox.command[0]}: {error.strerror}") from None
    deadline = time.monotonic() + SANDBOX_SECONDS_MAX
    while True:
        try:
            payments.moved()
            return
        except NoAnswer as error:
            if time.monotonic() >= deadline or not sandbox.running:
                log = tail(sandbox.log_path)
                raise NoAdapter(f"{error}. The end of the sandbox's log:\n{log}") from None
        time.sleep(0.1)
