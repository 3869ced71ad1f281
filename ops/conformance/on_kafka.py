"""The same checks over the topics: the adapter is a program, in any language, that reads commands and writes results.

Nothing is known of it but what the contract says. After what a check gives it, it is given one more ordinary
command of the same order, a *mark*: once that is answered, what came before has been dealt with, since an order
stays in one partition. All checks share the program; each sees what came of its own commands, and strays.
"""

import json
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from consumers.engine.config import Settings
from consumers.engine.signing import Wire
from ops.conformance.rig import Given, Moved, Said, Trick
from ops.conformance.run import NoAdapter
from ops.conformance.sandbox import Sandbox
from ops.conformance.trial import VALID_MS, new_command, record_of, signed
from ops.local.child import Child, tail
from ops.local.gateway_topics import GatewayTopics
from schemas.commands import COMMAND_TOPIC, Kind, PaymentCommand
from schemas.keys import Signing

READY_SECONDS_MAX: Final = 60.0
MARK_AGAIN_SECONDS: Final = 0.5  # until a program that begins at the end of the topics is there
LISTEN_MS: Final = 50
DEAF_SECONDS: Final = 1.0  # waited for a mark where an earlier one was never answered
_KINDS: Final[tuple[Kind, ...]] = ("refund", "payout")
_FINAL: Final = (b"gateway.settled", b"gateway.failed", b"gateway.returned")


class Line:
    """The program at work on a Kafka, for as long as the `with` lasts. Makes a rig for each check."""

    def __init__(
        self,
        settings: Settings,
        program: Sequence[str],
        sandbox: Sandbox,
        log_path: Path,
        *,
        env: Mapping[str, str] | None = None,
        relay_key: Signing | None = None,
        patience_seconds: float = 15.0,
    ) -> None:
        """`relay_key`: whose signatures the program has been told to ask for."""
        bootstrap = {"ESCROW_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers}
        variables = {**bootstrap, **(env or {})}
        self._child = Child("the adapter", program, log_path=log_path, env=variables)
        self._topics = GatewayTopics(settings)
        self.sandbox, self.relay_key, self.patience_seconds = sandbox, relay_key, patience_seconds
        self.said: list[Said] = []
        self.marks: set[str] = set()
        self.former: set[str] = set()  # commands of checks that are over

    def __enter__(self) -> Self:
        """Return when it has dealt with a first command of each kind. Raises NoAdapter."""
        self._topics.__enter__()
        try:
            self._start()
            self._await_first()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._child.running:
            self._child.stop(grace_seconds=10)
        self._end()
        self._topics.__exit__()

    def rig(self) -> "TopicsRig":
        """For the next check."""
        if not self._child.running:
            self._start()
        return TopicsRig(self)

    def write(self, records: Sequence[Given]) -> None:
        topics = ((given, COMMAND_TOPIC[given.kind]) for given in records)
        self._topics.write(
            Wire(topic, given.key.encode(), given.value, list(given.headers), given.t)
            for given, topic in topics
        )

    def mark(self, kind: Kind, order_id: str) -> str:
        """Give an ordinary command of this order; its id."""
        command = new_command(kind, now_ms() + VALID_MS).model_copy(update={"order_id": order_id})
        self.marks.add(command.command_id)
        given = record_of(command, kind, now_ms())
        self.write([given if self.relay_key is None else signed(given, self.relay_key)])
        return command.command_id

    def wait(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Hear until it holds, or the time is up, or the program has ended."""
        deadline = time.monotonic() + seconds
        while True:
            self.hear()
            if holds():
                return True
            if time.monotonic() >= deadline or not self._child.running:
                return False

    def hear(self, wait_ms: int = LISTEN_MS) -> None:
        self.said += [Said(*result) for result in self._topics.hear(wait_ms)]

    def is_answered(self, command_id: str) -> bool:
        """Whether a final word about it has been heard."""
        return any(
            about(said) == command_id and dict(said.headers).get("ce_type") in _FINAL
            for said in reversed(self.said)
        )

    def must_live(self) -> None:
        """Raises AssertionError where the program has ended by itself."""
        if not self._child.running:
            raise AssertionError(f"the adapter has ended, with exit code {self._child.returncode}")

    def restart(self) -> None:
        """SIGKILL, and start again."""
        self._end()
        self._topics.forget_readers()
        self._start()

    def _start(self) -> None:
        try:
            self._child.start()
        except OSError as error:
            raise NoAdapter(f"{self._child.command[0]}: {error.strerror}") from None

    def _end(self) -> None:
        """With whatever it has started: a shell or a build tool may stand before it."""
        if self._child.returncode is None and not self._child.running:
            return  # never started
        with suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()

    def _await_first(self) -> None:
        deadline = time.monotonic() + READY_SECONDS_MAX
        for kind in _KINDS:
            ids: list[str] = []
            while not any(map(self.is_answered, ids)):
                if time.monotonic() >= deadline or not self._child.running:
                    raise NoAdapter(
                        f"the adapter has not answered a first {kind} in time. The end of its log:\n"
                        f"{tail(self._child.log_path)}"
                    )
                ids.append(self.mark(kind, f"order-mark-{len(self.marks)}"))
                self.wait(lambda id_=ids[-1]: self.is_answered(id_), MARK_AGAIN_SECONDS)  # type: ignore[misc]


class TopicsRig:
    """One check's view of a line: what came of its own commands, and of no one's."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._begin = len(line.said)
        self._own: set[str] = set()
        self._doomed: str | None = None
        self._deaf = False
        self._strays_before = {*line.former, *(one.command_id for one in line.sandbox.moved())}

    @property
    def patience_seconds(self) -> float:
        return self._line.patience_seconds

    @property
    def relay_key(self) -> Signing | None:
        return self._line.relay_key

    def now(self) -> int:
        return now_ms()

    def arrange(self, trick: Trick, command: PaymentCommand) -> PaymentCommand | None:
        if trick == "dies_after_the_effect":
            self._doomed = command.command_id
        return self._line.sandbox.arrange(trick, command)

    def give(self, *records: Given) -> None:
        """Write them, then wait for a mark behind each order's last one."""
        self._own |= {id_ for given in records if (id_ := named_in(given.value)) is not None}
        self._line.write(records)
        if self._doomed is not None:
            self._kill_once_paid(self._doomed)
            self._doomed = None
        for kind, key in dict.fromkeys((given.kind, given.key) for given in records):
            mark = self._line.mark(kind, key)
            seconds = DEAF_SECONDS if self._deaf else self._line.patience_seconds
            if not self._line.wait(lambda mark=mark: self._line.is_answered(mark), seconds):  # type: ignore[misc]
                self._line.must_live()
                self._deaf = True

    def said(self) -> list[Said]:
        self._line.hear(wait_ms=1)
        others = self._line.marks | self._line.former
        return [one for one in self._line.said[self._begin :] if about(one) not in others]

    def moved(self) -> list[Moved]:
        others = (self._line.marks | self._strays_before) - self._own
        return [one for one in self._line.sandbox.moved() if one.command_id not in others]

    def restart(self) -> None:
        self._line.restart()

    def close(self) -> None:
        strays = {id_ for one in self._line.said[self._begin :] if (id_ := about(one)) is not None}
        self._line.former |= self._own | strays

    def _kill_once_paid(self, command_id: str) -> None:
        def is_paid() -> bool:
            return any(one.command_id == command_id for one in self._line.sandbox.moved())

        assert self._line.wait(is_paid, self.patience_seconds), "no money moved in time"
        self._line.restart()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def about(said: Said) -> str | None:
    """The command that an answer names, if it can be read."""
    return named_in(said.value)


def named_in(value: bytes) -> str | None:
    """The command_id in the data of a record, if there is one."""
    try:
        data = json.loads(value)
    except ValueError:
        return None
    id_ = data.get("command_id") if isinstance(data, dict) else None
    return id_ if isinstance(id_, str) else None
