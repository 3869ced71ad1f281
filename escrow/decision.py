"""What a rule answers: one value of a closed union. Refusals are values, never exceptions."""

from collections.abc import Iterable
from typing import NamedTuple

from escrow.postings import Movement
from escrow.state import Child, Command, Escrow
from schemas.reasons import AlarmCode, AppliedCode, ParkCode, RefusalCode


class Alarm(NamedTuple):
    """Something that a person must look at."""

    code: AlarmCode
    detail: tuple[tuple[str, str], ...] = ()


class Applied(NamedTuple):
    """The fact took effect: the new row, and all that goes with it in the same commit."""

    escrow: Escrow
    children: tuple[Child, ...] = ()
    movements: tuple[Movement, ...] = ()
    sends: tuple[Command, ...] = ()  # commands to send; each stands in `children` too
    alarms: tuple[Alarm, ...] = ()
    holds: tuple[str, ...] = ()  # command ids that must not be sent any more
    mediation_available: bool = False
    code: AppliedCode | None = None


class Refused(NamedTuple):
    """The fact has no effect, and its sender is told why."""

    code: RefusalCode
    detail: tuple[tuple[str, str], ...] = ()
    alarms: tuple[Alarm, ...] = ()


class Parked(NamedTuple):
    """The fact waits for another one."""

    code: ParkCode


Outcome = Applied | Refused | Parked


def join(parts: Iterable[Applied]) -> Applied:
    """Effects one after the other as one value; the row is the last one's."""
    first, *rest = parts
    for part in rest:
        first = Applied(
            part.escrow,
            first.children + part.children,
            first.movements + part.movements,
            first.sends + part.sends,
            first.alarms + part.alarms,
            first.holds + part.holds,
            first.mediation_available or part.mediation_available,
            first.code,
        )
    return first
