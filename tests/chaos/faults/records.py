"""Records that come again, and spoilt ones between good ones."""

from typing import Final

from tests.chaos.faults.hand import Fault, Nemesis
from tests.chaos.inputs import garbage


def _again(times: int) -> Fault:
    """Records of before, byte for byte, once more or a hundred times."""

    def fault(nemesis: Nemesis) -> bool:
        return nemesis.feed.repeat(nemesis.rng, 20 if times > 1 else 200, times) > 0

    return fault


def _garbage(nemesis: Nemesis) -> bool:
    """Spoilt records of every kind, in the middle of good ones."""
    return nemesis.feed.send(garbage(nemesis.rng, 60, nemesis.feed.t)) > 0


FAULTS: Final[dict[str, Fault]] = {
    "records repeated": _again(1),
    "records repeated a hundred times": _again(100),
    "garbage between good records": _garbage,
}
