"""Free ports on loopback, outside the range from which the system takes the ports of outgoing connections.

Inside that range a client that keeps trying a stopped server can be given the server's own port, connect
to itself, and keep the server from coming back.
"""

import ipaddress
import random
import socket
from typing import Final

LOOPBACK = "127.0.0.1"
AT_HOME: Final = ipaddress.IPv4Interface(LOOPBACK)  # an address, and the network around it
_FIRST, _LAST = 20_000, 32_000
_chance = random.SystemRandom()


def is_open(port: int) -> bool:
    """Whether somebody accepts connections there now."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0


def free_port() -> int:
    """A port that nobody listens on now. Another process may still take it first: be ready to try again."""
    for _ in range(200):
        port = _chance.randint(_FIRST, _LAST)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port on {LOOPBACK} between {_FIRST} and {_LAST}")
