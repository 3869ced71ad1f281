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
    "archive",
    "witness",
    "gateway_file",
]
CHECKS: Final[dict[Check, str]] = {
    "money": "each order's money adds up, and its postings say the same",
    "chain": "each order's hash chain, recomputed, ends at its head",
    "history": "no decision is missing, no text was changed",
    "decisions": "each fact, decided again, has its stored outcome",
    "rows": "all rows of each order are what its facts make",
    "settlement": "one settlement an order at most; its commands are its parts",
    "gateway": "each command's state is what gateways answered",
    "commands_sent": "only decided commands are sent, and each of them is",
    "identities": "each fact has its identity, each identity its fact",
    "payments": "each used payment id has the capture that used it",
    "totals": "the totals that gauges show are the sum of the rows",
    "batches": "each record read has one outcome, and none was skipped",
    "guards": "append-only triggers and constraints are in force",
    "archive": "each file of archived facts is the one that was written",
    "witness": "each chain is the one whose heads were published",
    "gateway_file": "the gateway's file, commands and postings agree",
}
OPTIONAL: Final[frozenset[Check]] = frozenset(
    {"witness", "gateway_file"}
)  # looked at when asked for


class Finding(NamedTuple):
    """Something that is not as it must be. `subject`: an order id, or what else it is about."""

    check: Check
    subject: str
    text: str
