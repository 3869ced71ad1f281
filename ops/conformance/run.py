"""Run the checks against an adapter, each on a rig of its own, and say what came of each."""

import importlib
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, NamedTuple, cast

from ops.conformance.checks import CHECKS, Check
from ops.conformance.rig import Rig
from ops.conformance.trial import NotTried, Trial

Make = Callable[[], Rig]


class NoAdapter(Exception):
    """There is nothing to run the checks against; the text says why."""


class Verdict(NamedTuple):
    """What came of one check."""

    check: str
    verdict: Literal["kept", "broken", "not tried"]
    why: str  # empty where it is kept
    sentence: str


def run_check(check: Check, make: Make) -> None:
    """One check on a new rig. Raises AssertionError, or NotTried. For pytest: parametrize CHECKS."""
    rig = make()
    try:
        trial = Trial(rig)
        check(trial)
        trial.sound()
    finally:
        rig.close()


def verdicts(make: Make, only: Iterable[str] = ()) -> list[Verdict]:
    """All checks, or those named."""
    names = tuple(only) or tuple(CHECKS)
    return [_verdict(name, make) for name in names]


def _verdict(name: str, make: Make) -> Verdict:
    sentence = " ".join((CHECKS[name].__doc__ or "").split())
    try:
        run_check(CHECKS[name], make)
    except NotTried as reason:
        return Verdict(name, "not tried", str(reason), sentence)
    except Exception as error:  # noqa: BLE001  an adapter may break in any way
        why = (
            str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
        )
        return Verdict(name, "broken", why, sentence)
    return Verdict(name, "kept", "", sentence)


def adapter(named: str) -> Make:
    """`package.module:name` of something that makes a Rig; looked for from the current folder, too.

    Raises NoAdapter.
    """
    module, _, name = named.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), name or "make")
    except (ImportError, AttributeError) as error:
        raise NoAdapter(f"{named}: {error}") from None
    finally:
        sys.path.pop(0)
    if not callable(found):
        raise NoAdapter(f"{named} makes nothing")
    return cast(Make, found)
