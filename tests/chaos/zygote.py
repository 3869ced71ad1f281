"""A warm parent that forks real `escrow` processes: a second of imports is paid once, not a kill.

Reads one JSON object a line: {"argv", "env", "log"}; says {"pid"}, and {"dead", "code"} when one ends.
At the end of its input it kills what is left; the kernel does so where it is killed itself.
"""

import ctypes
import gc
import json
import os
import resource
import select
import signal
import sys
from typing import Any, Final, NoReturn

# what the programs import when they start
import ops.local.gateway  # noqa: F401
from consumers.engine import crash
from ops.cli.main import app

MEMORY_BYTES: Final = 1_536 * 1_048_576  # of addresses; who wants more dies of it
_LOOK_SECONDS: Final = 0.02
_PR_SET_PDEATHSIG: Final = 1


def main() -> None:
    gc.freeze()
    children: set[int] = set()
    while True:
        ready, _, _ = select.select([0], [], [], _LOOK_SECONDS)
        if ready:
            line = _line()
            if not line:
                break
            pid = _fork(json.loads(line))
            children.add(pid)
            _say({"pid": pid})
        for pid, code in _ended(children):
            _say({"dead": pid, "code": code})
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def _line() -> bytes:
    """One line, unbuffered, so that `select` sees the next one."""
    found = b""
    while not found.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            return b""
        found += byte
    return found


def _say(what: dict[str, int]) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


def _ended(children: set[int]) -> list[tuple[int, int]]:
    ended = []
    for pid in list(children):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            children.discard(pid)
            ended.append((pid, os.waitstatus_to_exitcode(status)))
    return ended


def _fork(order: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        _become(order)
    finally:
        os._exit(99)


def _become(order: dict[str, Any]) -> NoReturn:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(order["env"])
    crash.arm(os.environ.get(crash.VARIABLE))
    sys.argv = ["escrow", *order["argv"]]
    code = 1
    try:
        app()
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    finally:
        sys.stderr.flush()
        os._exit(code)
    raise AssertionError


if __name__ == "__main__":
    main()
