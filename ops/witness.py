"""Chains held against what was published of them: a topic that the database's owner cannot rewrite.

Every change of status carries decision number and chain head (RULES 4.8). Read from the log's
beginning to its end as it is now, a batch of records and one short snapshot at a time.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from pydantic import ValidationError

from consumers.engine.config import Settings
from consumers.engine.log_reading import read_log
from ops.chain import BrokenChain, heads
from ops.findings import Finding
from schemas.door import Record
from schemas.envelope import last_headers
from schemas.order_events import SOURCE, OrderChanged
from storage.dossiers import Dossier, read_orders
from storage.reading import Snapshots


class Witness(NamedTuple):
    """One published head."""

    order_id: str
    decision_no: int
    chain_head: str  # hex
    place: str


def compare_with_topic(
    settings: Settings, take: Snapshots, topic: str
) -> Iterator[tuple[int, list[Finding]]]:
    """Batch by batch: how many heads were compared, and what is wrong.

    Raises KafkaUnavailable or DatabaseTrouble.
    """
    for records in read_log(settings, topic):
        said = [witness for record in records if (witness := witness_of(record)) is not None]
        with take() as connection:  # begun after the record was read: its rows are there
            dossiers = read_orders(connection, {witness.order_id for witness in said})
        yield len(said), list(compare(said, dossiers))


def witness_of(record: Record) -> Witness | None:
    """What a record of order events says of a chain; None for all that says nothing of one."""
    headers = last_headers(record.headers)
    if headers.get("ce_type") != b"order.changed" or headers.get("ce_source") != SOURCE.encode():
        return None
    try:
        said = OrderChanged.model_validate_json(record.value or b"")
    except ValidationError:
        return None
    place = f"{record.topic}/{record.partition}/{record.offset}"
    return Witness(said.order_id, said.decision_no, said.chain_head, place)


def compare(said: Iterable[Witness], dossiers: Mapping[str, Dossier]) -> Iterator[Finding]:
    """Every published head that is not the one which the stored decisions make."""
    made: dict[str, dict[int, str]] = {}
    for witness in said:
        order_id, no = witness.order_id, witness.decision_no
        known = made.get(order_id)
        if known is None:
            known = made[order_id] = _made(dossiers.get(order_id))
        head = known.get(no)
        if head is None:
            text = f"decision {no} was published at {witness.place}, and is not stored"
            yield Finding("witness", order_id, text)
        elif head != witness.chain_head:
            text = (
                f"the chain at decision {no} is {head[:12]}, published at {witness.place}"
                f" was {witness.chain_head[:12]}"
            )
            yield Finding("witness", order_id, text)


def _made(dossier: Dossier | None) -> dict[int, str]:
    if dossier is None:
        return {}
    made: dict[int, str] = {}
    try:
        for no, head in heads(dossier):
            made[no] = head.hex()
    except BrokenChain:
        return {}  # the audit's own check says so, too
    return made
