"""A child a job: few at a time, each limited in seconds and memory, and all of them gone at the end."""

import gc
import os
import resource
import select
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple, TypeVar

MEMORY_BYTES_MAX: Final = 3 << 30
TIMED_OUT: Final = "(too slow)"
BROKEN: Final = "(the run itself broke)"
Job = TypeVar("Job")


class _Child(NamedTuple):
    number: int  # of its job
    pid: int


def each_in_a_child(
    jobs: Iterable[Job], work: Callable[[Job], str], cpu_seconds_max: int, at_once: int
) -> Iterator[tuple[Job, str]]:
    """(job, what `work` said of it in a process of its own), as they end.

    Seconds are the processor's: on a busy machine nothing is taken for endless because it waits.
    """
    gc.collect()
    gc.freeze()  # what is there already is shared with the children, not copied
    waiting = list(enumerate(jobs))
    told = dict(waiting)
    waiting.reverse()
    children: dict[int, _Child] = {}  # by the end of the pipe that is read
    try:
        while waiting or children:
            while waiting and len(children) < at_once:
                number, job = waiting.pop()
                reads, pid = _begin(job, work, cpu_seconds_max)
                children[reads] = _Child(number, pid)
            ready, _, _ = select.select(children, [], [])
            for reads in ready:
                child = children.pop(reads)
                yield told[child.number], _end(reads, child)
    finally:
        for reads, child in children.items():
            os.kill(child.pid, signal.SIGKILL)
            _end(reads, child)


def _begin(job: Job, work: Callable[[Job], str], cpu_seconds_max: int) -> tuple[int, int]:
    sys.stdout.flush()
    sys.stderr.flush()
    reads, writes = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writes)
        return reads, pid
    try:
        gc.disable()
        os.close(reads)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds_max, cpu_seconds_max + 5))
        os.write(writes, b"." + work(job).encode())
    except BaseException:  # noqa: BLE001 (a child must not go on as a second parent)
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(0)


def _end(reads: int, child: _Child) -> str:
    with os.fdopen(reads, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child.pid, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
        return TIMED_OUT
    return said[1:].decode() if said.startswith(b".") else BROKEN
