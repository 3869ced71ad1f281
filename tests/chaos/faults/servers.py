"""PostgreSQL and Kafka killed, ended at once, stopped and started."""

import time
from typing import Final

from tests.chaos.faults.hand import Fault, Nemesis


def _postgres(*, kill: bool) -> Fault:
    def fault(nemesis: Nemesis) -> bool:
        server = nemesis.line.servers.postgres
        if kill:
            server.kill()
        else:
            server.stop(immediate=True)
        time.sleep(nemesis.rng.uniform(0, 2))
        server.start()
        return True

    return fault


def _kafka(*, kill: bool) -> Fault:
    def fault(nemesis: Nemesis) -> bool:
        server = nemesis.rng.choice(nemesis.line.servers.nodes)
        if kill:
            server.kill()
        else:
            server.stop()
        time.sleep(nemesis.rng.uniform(0, 2))
        server.start()
        return True

    return fault


FAULTS: Final[dict[str, Fault]] = {
    "PostgreSQL restarted at once": _postgres(kill=False),
    "PostgreSQL killed": _postgres(kill=True),
    "Kafka stopped and started": _kafka(kill=False),
    "Kafka killed": _kafka(kill=True),
}
