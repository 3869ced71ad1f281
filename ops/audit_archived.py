"""What whole-table questions prove of facts in the table, proved of facts in files, order by order.

A fact that only a file has must still have its identity, and an applied capture its payment id.
"""

from collections.abc import Iterable, Iterator, Mapping

from ops.audit_order import Facts
from ops.findings import Finding
from schemas.door import Fact, fact_digest
from schemas.payments import PaymentCaptured
from storage.dossiers import Dossier, StoredFact
from storage.facts import Known, identity_of, known_identities
from storage.reading import Snapshot


def archived_apart(
    connection: Snapshot, orders: Iterable[tuple[Dossier, Facts]], owners: Mapping[str, str]
) -> Iterator[Finding]:
    """Archived facts without their identity, captures without their payment id.

    `owners`: which order has used each payment id that these orders name.
    """
    filed = [
        (dossier.order_id, stored, fact)
        for dossier, facts in orders
        if dossier.archived
        for stored, fact in facts
        if stored.no in dossier.archived
    ]
    known = known_identities(connection, {identity_of(fact) for _, _, fact in filed})
    for order_id, stored, fact in filed:
        wrong = _identity(fact, known)
        if wrong:
            yield Finding("identities", order_id, f"{wrong} for {fact.type} {fact.id}")
        if _claims(stored, fact) and owners.get(fact.data.payment_id) != order_id:  # type: ignore[union-attr]
            text = f"capture {fact.id} was applied, and its payment id is not marked as used"
            yield Finding("payments", order_id, text)


def _identity(fact: Fact, known: Mapping[bytes, Known]) -> str | None:
    found = known.get(identity_of(fact))
    if found is None:
        return "no identity"
    same = found.digest == fact_digest(fact.type, fact.payload)[:16] and found.text_digest is None
    return None if same else "another identity"


def _claims(stored: StoredFact, fact: Fact) -> bool:
    return isinstance(fact.data, PaymentCaptured) and stored.outcome == "applied"
