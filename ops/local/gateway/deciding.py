"""Records of one poll become one piece of work, in the order in which they were read."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from consumers.engine.records import Partition
from ops.local.gateway.core import Case, Reaction, react, react_to_question
from ops.local.gateway.reading import Effect, Entry
from ops.local.gateway.store import Store, Unsent, Work
from ops.local.gateway.wire import limit_of, trace_in, value_of
from schemas.command_door import Unreadable, read_command, read_signed_command
from schemas.commands import CommandStatusRequested, Kind, PaymentCommand
from schemas.keys import KeyRing
from schemas.signatures import Unsigned

LATER_COMMANDS: Final = 20  # how many further commands a late answer waits for, unless all is idle

_Refused = Unreadable | Unsigned
_Read = PaymentCommand | CommandStatusRequested | _Refused


def work_on(
    store: Store,
    records: Iterable[Any],
    kinds: Mapping[str, Kind],
    ring: KeyRing | None = None,
) -> Work:
    """Decide Kafka records of the command topics, `kinds`; nothing is written yet.

    With a ring, what none of its keys has signed is not looked at.
    """
    read = [(record, _read(record, kinds[record.topic], ring)) for record in records]
    cases = store.cases({c.command_id for _, c in read if not isinstance(c, _Refused)})
    positions: dict[Partition, int] = {}
    work = Work(positions, [], {}, [], [])
    changed: dict[str, Case] = {}
    for line, (record, command) in enumerate(read, store.entries + 1):
        reaction = _react(cases, record, command, kinds[record.topic])
        if reaction.case is not None:
            cases[reaction.case.command_id] = changed[reaction.case.command_id] = reaction.case
        _add(work, record, command, reaction, line)
        positions[record.topic, record.partition] = record.offset + 1
    return work._replace(cases=changed)


def _read(record: Any, kind: Kind, ring: KeyRing | None) -> _Read:
    try:
        if ring is None:
            return read_command(kind, record.headers, record.value)
        place = (record.topic, record.key, record.value, record.headers, record.timestamp)
        return read_signed_command(ring, *place)
    except (Unreadable, Unsigned) as error:
        return error


def _react(cases: Mapping[str, Case], record: Any, command: _Read, kind: Kind) -> Reaction:
    if isinstance(command, Unsigned):
        return Reaction("forged", None)
    if isinstance(command, Unreadable):
        return Reaction("unreadable", None)
    case = cases.get(command.command_id)
    if isinstance(command, CommandStatusRequested):
        return react_to_question(case, record.timestamp)
    return react(case, command, kind, record.timestamp, limit_of(command.not_after))


def _add(work: Work, record: Any, command: _Read, reaction: Reaction, line: int) -> None:
    command_id = None if isinstance(command, _Refused) else command.command_id
    attempt = command.attempt if isinstance(command, PaymentCommand) else None
    place = (record.timestamp, record.topic, record.partition, record.offset)
    work.entries.append(Entry(*place, command_id, attempt, reaction.does))
    case = reaction.case
    if case is None:
        return
    if reaction.does == "pays":
        paid = (*case[:6], case.attempt, record.timestamp, reaction.comes_back)
        work.effects.append(Effect._make(paid))
    for answer in reaction.answers:
        due = line + (LATER_COMMANDS if answer.is_late else 0)
        value = value_of(case, answer)
        told = (answer.id, answer.type, answer.t, value, trace_in(record.headers))
        work.answers.append(Unsent(due, case.order_id, *told))
