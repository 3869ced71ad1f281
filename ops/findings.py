"""What the audit can find: one closed list of checks, each with the sentence that it proves."""

from typing import Final, Literal, NamedTuple

Check = Literal[
    "money",
    "chain",
    "history",
    "decisions",
    "rows",
    "settlement",
    "gateway",
    "commands_sent",
    "identities",
    "payments",
    "totals",
    "batches",
    "guards",
]
CHECKS: Final[dict[Check, str]] = {
    "money": "captured = held + refunded + paid out + charged back, as the postings say",
    "chain": "each order's hash chain, recomputed from its facts, ends at its head",
    "history": "decision numbers have no gap, texts fit their digests",
    "decisions": "each fact, decided again, has the stored outcome",
    "rows": "orders, children, commands, postings and parked facts are what the facts make",
    "settlement": "at most one settlement an order, and its parts are its commands",
    "gateway": "each command's state is what applied gateway results make of it",
    "commands_sent": "what is sent to gateways is a decided command, and each one is sent",
    "identities": "each fact has its identity, and each identity its fact",
    "payments": "each used payment id has the capture that used it",
    "totals": "the totals of gauges and pages are the sum of the rows",
    "batches": "batches join without gap, and their counts are the facts and dead letters",
    "guards": "append-only triggers and constraints are in force",
}


class Finding(NamedTuple):
    """Something that is not as it must be. `subject`: an order id, or what else it is about."""

    check: Check
    subject: str
    text: str
