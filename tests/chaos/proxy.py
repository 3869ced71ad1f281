"""A TCP proxy between programs and a server: what a network can do wrong, it does on order, and counts.

It changes nothing of itself: in fair weather every byte passes as it came. What it did is in `done`,
counted when it really happened.
"""

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Final, Literal

import crc32c

from ops.local.ports import LOOPBACK

PIECES_MAX: Final = 3_000  # bytes of a chunk that go one by one; the rest follows at once
_CHUNK: Final = 65_536
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST
_BATCH_MIN: Final = 61  # bytes of the header of a batch of records
Way = Literal["up", "down"]  # to the server, from the server


@dataclass
class Weather:
    """What happens to every chunk until it is changed."""

    delay_seconds: float = 0.0
    is_in_pieces: bool = False  # one byte a segment
    is_held: bool = False  # nothing passes until it is fair again; nothing is lost
    is_silent: bool = False  # half open: accepted, and lost; what was open then stays dead
    flips: int = 0  # batches of records in which one byte is changed
    bad_frames: int = 0  # messages of PostgreSQL's protocol whose first byte is changed
    cut_requests: int = 0  # COMMITs that never arrive
    cut_replies: int = 0  # COMMITs that arrive, and whose answer does not


class _Link:
    """One connection of a program, and ours to the server."""

    def __init__(self, program: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.writers = {"up": server, "down": program}
        self.is_dead = False
        self.awaits_cut = False

    def end(self, *, by_reset: bool) -> None:
        for writer in self.writers.values():
            sock = writer.get_extra_info("socket")
            if by_reset and sock is not None:
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()


class Proxy:
    """Listens on `port` and passes on to `target_port`, in a thread of its own."""

    def __init__(self, port: int, target_port: int, seed: int = 0) -> None:
        self.port = port
        self.weather = Weather()
        self.done: Counter[str] = Counter()
        self._target_port = target_port
        self._rng = random.Random(f"proxy {seed}")
        self._links: set[_Link] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        self._thread.start()
        starting = asyncio.start_server(self._accept, LOOPBACK, self.port)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(10)

    def stop(self) -> None:
        if not self._thread.is_alive():
            return
        self.reset()
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def fair(self) -> None:
        """From now on everything passes; connections that have lost bytes stay dead."""
        self.weather = Weather()

    def reset(self) -> int:
        """End every connection with RST, on both sides; returns how many there were."""

        async def end() -> int:
            links = list(self._links)
            for link in links:
                link.end(by_reset=True)
            return len(links)

        number = asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self.done["reset"] += number
        return number

    async def _accept(
        self, from_program: asyncio.StreamReader, to_program: asyncio.StreamWriter
    ) -> None:
        try:
            from_server, to_server = await asyncio.open_connection(LOOPBACK, self._target_port)
        except OSError:  # as if nobody listened
            to_program.transport.abort()
            return
        link = _Link(to_program, to_server)
        self._links.add(link)
        ways = (self._pump(link, "up", from_program), self._pump(link, "down", from_server))
        try:
            await asyncio.gather(*ways)
        finally:
            self._links.discard(link)
            link.end(by_reset=False)

    async def _pump(self, link: _Link, way: Way, reader: asyncio.StreamReader) -> None:
        was_reset = False
        try:
            while data := await reader.read(_CHUNK):
                await self._pass(link, way, data)
            await link.writers[way].drain()
        except OSError:  # who is killed before it has read its answer ends so
            was_reset = True
        if not link.is_dead:  # the end of a lost stream is lost, too
            link.end(by_reset=was_reset)

    async def _pass(self, link: _Link, way: Way, data: bytes) -> None:
        if self.weather.is_silent:
            link.is_dead = True
        if link.is_dead:
            self.done["lost"] += 1
            return
        if self._is_cut(link, way, data):
            return
        if self.weather.is_held:
            self.done["held"] += 1
        while self.weather.is_held:  # noqa: ASYNC110  the weather is changed by another thread
            await asyncio.sleep(0.02)
        if self.weather.delay_seconds:
            self.done["delayed"] += 1
            await asyncio.sleep(self.weather.delay_seconds * self._rng.uniform(0.5, 1.5))
        data = self._damaged(way, data)
        writer = link.writers[way]
        if self.weather.is_in_pieces:
            self.done["in pieces"] += 1
            for at in range(min(len(data), PIECES_MAX)):
                writer.write(data[at : at + 1])
                await asyncio.sleep(0)
            data = data[PIECES_MAX:]
        writer.write(data)
        await writer.drain()

    def _is_cut(self, link: _Link, way: Way, data: bytes) -> bool:
        """Whether this chunk was the COMMIT, or the answer to it, that gets lost."""
        if way == "up" and b"COMMIT" in data:
            if self.weather.cut_requests:
                self.weather.cut_requests -= 1
                self.done["request cut"] += 1
                link.end(by_reset=True)
                return True
            if self.weather.cut_replies:
                self.weather.cut_replies -= 1
                link.awaits_cut = True
        elif way == "down" and link.awaits_cut:
            self.done["reply cut"] += 1
            link.end(by_reset=True)
            return True
        return False

    def _damaged(self, way: Way, data: bytes) -> bytes:
        weather = self.weather
        if weather.flips and (where := batch_in(data)) is not None:
            weather.flips -= 1
            self.done["flipped"] += 1
            at = self._rng.randrange(*where)
            return data[:at] + bytes([data[at] ^ 1 << self._rng.randrange(8)]) + data[at + 1 :]
        if weather.bad_frames and way == "down" and len(data) > 5 and data[:1].isalnum():
            weather.bad_frames -= 1
            self.done["bad frame"] += 1
            return b"\x01" + data[1:]
        return data


def batch_in(data: bytes) -> tuple[int, int] | None:
    """Where in these bytes the checked part of a whole batch of records lies, if there is one.

    Before it lie its offset and its length, which no checksum covers: those are TLS's to protect.
    """
    at = 0
    while (at := data.find(b"\x02", at)) >= 0:
        start = at - 16  # offset, length, epoch of the leader, magic 2, checksum
        at += 1
        if start < 0:
            continue
        end = start + 12 + int.from_bytes(data[start + 8 : start + 12])
        if not start + _BATCH_MIN <= end <= len(data):
            continue
        if crc32c.crc32c(data[start + 21 : end]) == int.from_bytes(data[start + 17 : start + 21]):
            return start + 21, end
    return None
