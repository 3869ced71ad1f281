"""Hosts of one machine: network namespaces on one bridge, each with a cable that can be pulled; nothing of them stays.

What a killed process leaves no test can show: its sockets are closed for it. Where the cable is
pulled nobody says anything any more, on either side. Needs root and Linux.
"""

import os
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path
from typing import Final, NamedTuple

import psutil

_PREFIX: Final = "esc"  # and the pid of who made it: names of interfaces are short
_OURS: Final = re.compile(rf"{_PREFIX}(\d+)(?:[a-z].*)?")
_TRIES: Final = 20
_chance: Final = random.SystemRandom()


class NoHosts(Exception):
    """They cannot be made here; the text says why."""


class Host(NamedTuple):
    """A namespace with an address of its own."""

    name: str
    address: str
    cable: str  # its other end, here

    def command(self, *arguments: str) -> tuple[str, ...]:
        """The command line that runs this there, under the same pid."""
        return ("ip", "netns", "exec", self.name, *arguments)

    def pull(self) -> None:
        """What is sent from now on, either way, is lost without a word."""
        _ip("link", "set", self.cable, "down")

    def plug(self) -> None:
        _ip("link", "set", self.cable, "up")


class Hosts(NamedTuple):
    """Where servers of this machine can be reached, and from where."""

    near: IPv4Interface  # our own address
    others: tuple[Host, ...]


@contextmanager
def hosts(*names: str) -> Iterator[Hosts]:
    """So many others. Raises NoHosts. At the end, however it goes, all of it is removed."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        raise NoHosts("network namespaces are made by root, with the program `ip` (iproute2)")
    _sweep()
    mark = f"{_PREFIX}{os.getpid()}"
    try:
        near, *addresses = _free_network(len(names))
        _ip("link", "add", mark, "type", "bridge")
        _ip("addr", "add", str(near), "dev", mark)
        _ip("link", "set", mark, "up")
        made = [_made(mark, *each) for each in zip(names, addresses, strict=True)]
        yield Hosts(near, tuple(made))
    finally:
        _remove(mark)


def _made(mark: str, name: str, address: IPv4Interface) -> Host:
    host = Host(f"{mark}{name}", str(address.ip), f"{mark}{name[0]}")
    _ip("netns", "add", host.name)
    there = ("peer", "name", "eth0", "netns", host.name)
    _ip("link", "add", host.cable, "type", "veth", *there)
    _ip("link", "set", host.cable, "master", mark, "up")
    inside = ("-n", host.name)
    _ip(*inside, "addr", "add", str(address), "dev", "eth0")
    _ip(*inside, "link", "set", "lo", "up")
    _ip(*inside, "link", "set", "eth0", "up")
    return host


def _free_network(others: int) -> list[IPv4Interface]:
    """Our address and theirs, in a private network that touches none of this machine's."""
    said = _ip("-4", "-o", "route", "show", "table", "all")
    taken = [IPv4Network(text) for text in re.findall(r"\b[\d.]+/\d+\b", said)]
    for _ in range(_TRIES):
        network = IPv4Network((10 << 24 | _chance.randrange(1 << 21) << 3, 29))
        if not any(network.overlaps(other) for other in taken):
            return [IPv4Interface((int(network[n]), 29)) for n in range(1, others + 2)]
    raise NoHosts("no private network is free here")


def _sweep() -> None:
    """What killed runs have left."""
    left = [*Path("/sys/class/net").iterdir(), *Path("/run/netns").glob(f"{_PREFIX}*")]
    pids = {int(ours[1]) for path in left if (ours := _OURS.fullmatch(path.name))}
    for pid in pids:
        if not psutil.pid_exists(pid):
            _remove(f"{_PREFIX}{pid}")


def _remove(mark: str) -> None:
    """Namespaces take their end of the cable along, and so the other end."""
    for path in Path("/run/netns").glob(f"{mark}[a-z]*"):
        for pid in map(int, _ip("netns", "pids", path.name).split()):
            with suppress(psutil.NoSuchProcess):  # of a run that was killed: nobody else enters
                psutil.Process(pid).kill()
        _ip("netns", "del", path.name)
    for path in Path("/sys/class/net").glob(f"{mark}*"):
        with suppress(NoHosts):  # it went with the namespace a moment later
            _ip("link", "del", path.name)


def _ip(*arguments: str) -> str:
    done = subprocess.run(("ip", *arguments), capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoHosts(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
