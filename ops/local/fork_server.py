"""The process that has loaded what all programs share, and forks one whenever it is asked to.

It reads JSON lines `{"command": [...], "log": path, "env": {...}}` and answers `{"pid": n}`; when a fork ends it
says `{"ended": pid, "code": n}`. When its channel closes it ends. What it forks behaves as if its
command line had been run: its own session, log, arguments, environment, title, and a whole exit.
"""

import gc
import json
import os
import selectors
import signal
import socket
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any, Final

from setproctitle import setproctitle

LOADED: Final = (
    "consumers.engine.crash",
    "consumers.engine.relay",
    "consumers.engine.ticker",
    "consumers.engine.worker",
    "consumers.stages",
    "ops.cli.main",
    "ops.exporter",
    "ops.local.gateway",
)


def main() -> None:
    """Load, then serve; where this returns from serving with a wish, this is the fork that is to grant it."""
    for name in LOADED:
        import_module(name)
    gc.collect()
    gc.freeze()  # what is never looked at by the collector stays shared
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        wish = _serve(channel)
    if wish is not None:
        _become(wish)


def _serve(channel: socket.socket) -> dict[str, Any] | None:
    """None when the channel has closed; in a fork what it is to be."""
    woken, wakes = socket.socketpair()
    wakes.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.set_wakeup_fd(wakes.fileno())
    unheard: int | None = None  # the last fork, of which who asked may not have heard yet
    with woken, wakes, channel.makefile("rb") as lines, selectors.DefaultSelector() as selector:
        selector.register(channel, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if woken in ready:
                woken.recv(4096)
                _tell_of_ended(channel)
            if channel in ready:
                try:
                    line = lines.readline()  # one at a time: who asks waits for the answer
                except ConnectionResetError:  # who asked has died, with an answer unread
                    _end_alone(unheard)
                    return None
                if not line:
                    return None
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    wish: dict[str, Any] = json.loads(line)
                    return wish
                unheard = pid
                try:
                    _say(channel, pid=pid)
                except OSError:
                    _end_alone(unheard)
                    return None


def _end_alone(pid: int | None) -> None:
    """Nobody else knows of it: those that were heard of are ended by the asker's guardian."""
    with suppress(ChildProcessError):  # it has ended, and was told of
        if pid is not None and os.waitpid(pid, os.WNOHANG) == (0, 0):
            os.kill(pid, signal.SIGTERM)


def _tell_of_ended(channel: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        with suppress(OSError):  # the next look at the channel finds that nobody listens
            _say(channel, ended=pid, code=os.waitstatus_to_exitcode(status))


def _say(channel: socket.socket, **what: int) -> None:
    channel.sendall(json.dumps(what).encode() + b"\n")


def _become(wish: dict[str, Any]) -> None:
    os.setsid()
    sys.argv = ["escrow", *wish["command"][1:]]
    setproctitle(" ".join(sys.argv))  # while the environment is where exec has put it
    output = os.open(wish["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.environ.clear()
    os.environ.update(wish["env"])
    crash = sys.modules["consumers.engine.crash"]
    crash.arm(os.environ.get(crash.VARIABLE))  # which was read when it was loaded
    sys.modules["ops.cli.main"].main()


if __name__ == "__main__":
    main()
