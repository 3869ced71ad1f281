"""A stage is a name and a topic; everything else is the same for all of them."""

from typing import NamedTuple


class Stage(NamedTuple):
    """One consumer group: scaled by starting more of its processes, failing alone."""

    name: str
    topic: str
