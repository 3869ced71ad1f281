"""The type of the fixture `stack`."""

from typing import Protocol


class Servers(Protocol):
    """What a test needs to know of the stack, wherever it runs."""

    @property
    def bootstrap_servers(self) -> str: ...

    @property
    def database_url(self) -> str: ...
