"""THE exactly-once step: position, decisions and outbox move in one transaction, or not at all.

A fixed number of statements whatever the batch size, each over arrays. Locks are taken in one
order everywhere: positions, orders, payment ids, identities, outbox; each sorted.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple, cast

from consumers.engine import crash
from consumers.engine.crash import crash_point
from consumers.engine.instructing import Instructed
from consumers.engine.records import Chunk, Partition, record_digest
from consumers.engine.second_signature import SecondSignature
from consumers.engine.trail import Trail
from escrow.arrival import Decided, arrive
from escrow.state import Order
from escrow.telling import Outgoing, id_conflict_alarm
from schemas.door import (
    Fact,
    Instruction,
    Record,
    Rejected,
    Trust,
    decode,
    decode_with_instructions,
    seal,
)
from schemas.payments import PaymentCaptured
from schemas.reasons import OUTCOMES, Outcome
from storage import batches, outbox, sending
from storage.batches import BatchRow
from storage.dead_letters import (
    DeadLetter,
    from_fact,
    from_record,
    from_rejected,
    publication,
    write_dead_letters,
)
from storage.decisions import Decisions, Written
from storage.engine import Connection
from storage.facts import Known, identity_of, known_identities
from storage.orders import load_named, load_payments, lock_orders
from storage.positions import Position, Step, fence

Place = tuple[str, int, int]  # topic, partition, offset
Ending = tuple[Outcome, str | None]  # outcome and code of one record


class Fenced(Exception):
    """Another worker has taken over some of these partitions; nothing was written."""

    def __init__(self, lost: set[Partition]) -> None:
        super().__init__(f"taken over by another worker: {sorted(lost)}")
        self.lost = lost


class Job(NamedTuple):
    """What stays the same from batch to batch of one stage."""

    stage: str
    cluster_id: str
    trust: Trust | None = None
    second: SecondSignature | None = None
    instructions: bool = False  # operators may tell the sending side what to do


def run_batch(
    connection: Connection,
    job: Job,
    positions: Mapping[Partition, Position],
    chunk: Chunk,
    not_storable: frozenset[Place] = frozenset(),
    trail: Trail | None = None,
) -> Counter[Ending]:
    """Decide the chunk and move the positions to its ends, in one transaction.

    `not_storable` names records that the database has refused before; a `trail` notes what became
    of each. Returns the number of records by ending. Raises Fenced, or the database's error: then nothing has happened.
    """
    taken = [_decode(job, record, not_storable) for record in chunk.records]
    facts = [fact for fact in taken if isinstance(fact, Fact)]
    said = [one for one in taken if isinstance(one, Instruction)]
    with connection.begin():
        crash_point("batch.begun")
        _fence(connection, job.stage, positions, chunk, facts)
        crash_point("batch.fenced")
        payments: dict[str, str] = {}
        order_ids = {fact.order_id for fact in facts if fact.order_id is not None}
        orders = lock_orders(connection, order_ids, payments)
        crash_point("batch.locked")
        # in later statements than the lock's, so that nothing read here can be stale
        load_named(connection, orders, facts)
        payments.update(load_payments(connection, _payment_ids(facts)))
        crash_point("batch.loaded")
        known = known_identities(connection, {identity_of(fact) for fact in facts})
        crash_point("batch.identities_read")
        batch = _Batch(job, orders, known)
        if said:
            batch.instructed.known = sending.known_instructions(connection, said)
        for record, fact in zip(chunk.records, taken, strict=True):
            ending = batch.take(record, fact)
            if trail is not None and trail.every_record:
                trail.ended(record, fact, *ending)
        crash_point("batch.decided")
        batch.decisions.write(connection, _written)
        if batch.instructed.new:
            sending.carry_out(connection, batch.instructed.new)
        letters = write_dead_letters(connection, job.cluster_id, batch.letters)
        crash_point("batch.dead_letters_written")
        outbox.append(connection, batch.messages(job.cluster_id, letters))
        crash_point("batch.outbox_written")
        batches.append(connection, batch.rows(positions, chunk))
        crash_point("batch.committing")
    crash_point("batch.committed")
    if trail is not None:
        trail.committed(batch.letters, batch.alarms())
    return batch.endings


class _Batch:
    """The decisions of one batch, record by record, in offset order."""

    def __init__(self, job: Job, orders: dict[str, Order], known: dict[bytes, Known]) -> None:
        self.decisions = Decisions(orders)
        self.letters: list[DeadLetter] = []
        self.endings: Counter[Ending] = Counter()
        self.instructed = Instructed()
        self._stage = job.stage
        self._second = job.second
        self._orders = orders
        self._known = known
        self._alarms: dict[Place, Outgoing] = {}
        self._counts: Counter[tuple[str, int, Outcome]] = Counter()

    def take(self, record: Record, fact: Fact | Instruction | DeadLetter) -> Ending:
        """Decide one record: every record has exactly one outcome."""
        if isinstance(fact, DeadLetter):
            outcome, code = self._reject(fact)
        elif isinstance(fact, Instruction):
            outcome, code = self._instruct(record, fact)
        elif self._second is not None and self._lacks_second(record, fact):
            outcome, code = self._reject(_one_signature(self._stage, record, fact))
        else:
            identity = identity_of(fact)
            known = self._known.get(identity)
            if known is None:
                outcome, code = self._decide(record, fact, identity)
            elif known.same(fact):
                outcome, code = "duplicate", None
            else:
                outcome, code = self._conflict(record, fact)
        self.endings[outcome, code] += 1
        self._counts[record.topic, record.partition, outcome] += 1
        return outcome, code

    def _reject(self, letter: DeadLetter) -> Ending:
        self.letters.append(letter)
        return "dead_letter", letter.code

    def _instruct(self, record: Record, said: Instruction) -> Ending:
        outcome, code = self.instructed.take(said)
        if outcome == "dead_letter":
            self.letters.append(from_record(self._stage, record, said, "id_conflict"))
        return outcome, code

    def _lacks_second(self, record: Record, fact: Fact) -> bool:
        if self._second is None or fact.order_id is None:
            return False
        return self._second.is_missing(record, fact, self._orders[fact.order_id])

    def _conflict(self, record: Record, fact: Fact) -> Ending:
        self.letters.append(from_record(self._stage, record, fact, "id_conflict"))
        self._alarms[record.topic, record.partition, record.offset] = id_conflict_alarm(fact)
        return "dead_letter", "id_conflict"

    def _decide(self, record: Record, fact: Fact, identity: bytes) -> Ending:
        sealed = seal(fact, os.urandom(16)) if fact.text is not None else fact
        ending: Ending = ("applied", None)
        if sealed.order_id is None:
            self.decisions.add_report(sealed)
        else:
            order = self._orders[sealed.order_id]
            steps = arrive(order, sealed)
            self.decisions.add(order, steps)
            for step in steps:
                if isinstance(step, Decided):
                    if step.step == "arrival":
                        ending = step.outcome, step.code
                    elif step.outcome == "dead_letter":
                        self.letters.append(from_fact(self._stage, step.fact, "parked_too_long"))
        if ending[0] == "dead_letter":  # `parking_full` leaves no identity behind
            self.letters.append(from_record(self._stage, record, fact, "parking_full"))
        else:
            self._known[identity] = Known(fact.digest[:16], sealed.salt, sealed.text_digest)
            self.decisions.identities.append((identity, self._known[identity]))
        return ending

    def messages(self, cluster_id: str, letters: list[DeadLetter]) -> Iterator[Outgoing]:
        """All that is to be sent: decisions, then the dead letters that are new, and alarms."""
        yield from self.decisions.messages
        for letter in letters:
            yield publication(cluster_id, letter)
            alarm = self._alarms.get((letter.topic, letter.partition, letter.offset))
            if alarm is not None:
                yield alarm

    def alarms(self) -> Iterator[Outgoing]:
        """What a person must hear of, among all that is sent."""
        yield from (said for said in self.decisions.messages if said.type == "alarm.raised")
        yield from self._alarms.values()

    def rows(self, positions: Mapping[Partition, Position], chunk: Chunk) -> Iterator[BatchRow]:
        """One row a partition for the record of batches."""
        for (topic, partition), end in sorted(chunk.ends.items()):
            position = positions[topic, partition]
            counts = (self._counts[topic, partition, outcome] for outcome in OUTCOMES)
            yield BatchRow(
                self._stage, topic, partition, position.epoch, position.next_offset, end, *counts
            )


def _decode(
    job: Job, record: Record, not_storable: frozenset[Place]
) -> Fact | Instruction | DeadLetter:
    """Before the transaction begins: whatever a sender's bytes cost, no lock waits for it."""
    if (record.topic, record.partition, record.offset) in not_storable:
        fact: Fact | Instruction | Rejected = Rejected(
            "not_storable", "the database refused it", record
        )
    elif job.instructions:
        fact = decode_with_instructions(record, job.trust)
    else:
        fact = decode(record, job.trust)
    return from_rejected(job.stage, fact) if isinstance(fact, Rejected) else fact


def _one_signature(stage: str, record: Record, fact: Fact) -> DeadLetter:
    detail = "a ruling over so much needs the signatures of two mediators"
    return from_rejected(
        stage, Rejected("bad_signature", detail, record, fact.source, fact.id, fact.type)
    )


def _written(what: Written) -> None:
    crash_point(cast(crash.Place, f"batch.{what}_written"))


def _payment_ids(facts: list[Fact]) -> set[str]:
    return {fact.data.payment_id for fact in facts if isinstance(fact.data, PaymentCaptured)}


def _fence(
    connection: Connection,
    stage: str,
    positions: Mapping[Partition, Position],
    chunk: Chunk,
    facts: list[Fact],
) -> None:
    """Move the positions, or raise Fenced with those that are no longer ours.

    The ticker's time may be the largest t decided: what the door refused does not move it.
    """
    last = {(record.topic, record.partition): record for record in chunk.records}
    t_max: dict[Partition, int] = {}
    for fact in facts:
        partition = (fact.topic, fact.partition)
        t_max[partition] = max(t_max.get(partition, -1), fact.t)
    steps = []
    for partition, end in sorted(chunk.ends.items()):
        position = positions[partition]
        place = (*partition, position.epoch, position.next_offset, end)
        if partition in last:
            record = last[partition]
            steps.append(
                Step(*place, record.offset, record_digest(record), t_max.get(partition, -1))
            )
        else:
            steps.append(Step(*place, None, None, -1))
    lost = chunk.ends.keys() - fence(connection, stage, steps)
    if lost:
        raise Fenced(set(lost))
