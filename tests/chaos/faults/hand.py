"""What every fault needs: the line, chance, a feed, and who is frozen or held just now; `heal` undoes all of it."""

import contextlib
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg

from tests.chaos.kills import Feed
from tests.chaos.line import PROGRAMS, Line


@dataclass
class Nemesis:
    """What the faults need: the line, chance, and who is frozen or doubled just now."""

    line: Line
    feed: Feed
    rng: random.Random
    frozen: list[str] = field(default_factory=list)
    doubles: list[str] = field(default_factory=list)
    held: list[psycopg.Connection] = field(default_factory=list)

    @property
    def database(self) -> str:
        return self.line.url.replace("postgresql+psycopg://", "postgresql://")

    def sql(self, statement: str) -> int:
        """Rows touched; a database that is away just now is no error of ours."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            return connection.execute(statement.encode()).rowcount

    def keep_up(self) -> None:
        """Who has died comes back, as under a supervisor."""
        for death in self.line.deaths():
            if death.returncode != -signal.SIGKILL:
                self.line.unexpected.append(death)
            if death.name in PROGRAMS and death.name not in self.line.running:
                self.line.start_program(death.name)

    def heal(self) -> None:
        for proxy in self.line.servers.proxies:
            proxy.fair()
        for connection in self.held:
            with contextlib.suppress(psycopg.Error):
                connection.rollback()
            connection.close()
        for name in self.frozen:
            if name in self.line.running:
                self.line.send(name, signal.SIGCONT)
        for name in self.doubles:
            self.line.stop(name)
        self.held, self.frozen, self.doubles = [], [], []
        self.keep_up()
        self.line.start_missing()


Fault = Callable[[Nemesis], bool]  # whether it was really done
