"""What each process may do in the database, cell by cell; whatever is not named here is refused.

One group role a process, without a login: whoever logs in for it is a member. Nobody here may define
anything, and history has no UPDATE and no DELETE for anybody. `escrow db grant` puts this into force.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from schemas.facts import STAGE_TOPICS
from storage.tables import escrows, metadata

PREFIX: Final = "escrow_"

Cells = Mapping[str, tuple[str, ...]]  # table → privileges, as SQL writes them


class Role(NamedTuple):
    """A process, and the cells that are open to it."""

    process: str
    purpose: str
    cells: Cells
    draws_numbers: bool = False  # from the one sequence of all facts
    calls: tuple[str, ...] = ()  # functions that do what no cell allows

    @property
    def name(self) -> str:
        """In the database."""
        return PREFIX + self.process


class Policy(NamedTuple):
    """Which rows of a table these roles may touch; a role without one touches none of them."""

    table: str
    name: str
    roles: tuple[str, ...]  # empty: everyone who may read the table at all
    rows: str  # FOR, USING and WITH CHECK as SQL writes them

    @property
    def sql(self) -> str:
        """How it is made."""
        to = ", ".join(self.roles) or "PUBLIC"
        command, _, rest = self.rows.partition(" ")
        return f"CREATE POLICY {self.name} ON {self.table} FOR {command} TO {to} {rest}"


def _columns(verb: str, columns: Iterable[str]) -> str:
    return f"{verb} ({', '.join(columns)})"


# What a decision writes. It never reads a text, a posting or the outbox, and a command's amount and
# receiver are written once.
_DECIDING: Final[Cells] = {
    "escrows": (
        "SELECT",
        "INSERT",
        _columns("UPDATE", (c.name for c in escrows.columns if not c.primary_key)),
    ),
    "facts": ("SELECT", "INSERT"),
    "fact_texts": ("INSERT",),
    "resolutions": ("INSERT",),
    "postings": ("INSERT",),
    "identities": ("SELECT", "INSERT"),
    "payments": ("SELECT", "INSERT"),
    "parked": ("SELECT", "INSERT", "UPDATE (code)", "DELETE"),
    "shipments": ("SELECT", "INSERT", "UPDATE (state, cause)"),
    "offers": ("SELECT", "INSERT"),
    "evidence": ("SELECT", "INSERT"),
    "chargebacks": (
        "SELECT",
        "INSERT",
        "UPDATE (payment_id, amount_minor, currency, matching, state)",
    ),
    "commands": (
        "SELECT",
        "INSERT",
        "UPDATE (state, attempt, failures, reissue_id, asked_at)",
    ),
    "command_holds": ("INSERT",),
    "deadlines": ("SELECT", "INSERT", "DELETE"),
    "silences": ("SELECT", "INSERT", "DELETE"),
    "total_deltas": ("INSERT",),
}
# What every stage writes about itself and its records.
_READING_ON: Final[Cells] = {
    "consumer_positions": (
        "SELECT",
        "INSERT",
        "UPDATE (epoch, next_offset, last_offset, last_digest, t_max)",
    ),
    "batches": ("INSERT",),
    "policies": ("SELECT",),
    "outbox": ("INSERT",),
    "dead_letters": ('SELECT (topic, partition, "offset")', "INSERT"),
}
_REPORTING: Final[Cells] = {
    "identities": ("SELECT", "INSERT"),
    "supplier_reports": ("INSERT",),
}
# What an operator tells the sending side is kept, and takes effect; it can end a pause, nothing else.
_INSTRUCTING: Final[Cells] = {
    "instructions": ("SELECT", "INSERT"),
    "sending_pauses": ("SELECT", "INSERT", "UPDATE (why, by, note, t, at)", "DELETE"),
    "sending_holds": ("SELECT", "INSERT", "UPDATE (why, by, note, released, at)"),
    "dead_letters": ('SELECT (cluster_id, topic, partition, "offset")', "INSERT"),
    "dead_letter_actions": ("INSERT",),
}
_RELAYING: Final[Cells] = {
    "outbox": ("SELECT", "UPDATE (sent_at, let_go)"),
    "outbox_slices": ("SELECT", "UPDATE (epoch, seen_at)"),
    "command_holds": ("SELECT",),
    "commands": ("SELECT (order_id, command_id, attempt)",),
    "lineages": ("SELECT", "INSERT"),
    "promises": ("SELECT", "INSERT", "DELETE"),
    "escrows": ("SELECT (order_id)", "UPDATE (parked)"),  # to lock a row; a policy refuses a change
    # it may stop by itself, never let go what a person has stopped
    "instructions": ("SELECT (type, at)",),
    "sending_pauses": ("SELECT", "INSERT"),
    "sending_holds": ("SELECT", "INSERT"),
    "sending_grants": ("SELECT", "INSERT", "DELETE"),
}
_TICKING: Final[Cells] = {
    "consumer_positions": ("SELECT",),
    "identities": ("SELECT",),
    "escrows": ("SELECT (order_id, status, policy_version)",),
    "deadlines": ("SELECT", "UPDATE (ticks, ticked_at)"),
    "silences": ("SELECT", "UPDATE (ticks, ticked_at)"),
    "policies": ("SELECT",),
    "parked": ("SELECT", "UPDATE (ticks, ticked_at)"),
    "commands": ("SELECT", "UPDATE (status_asked_at)"),
    "outbox": ("SELECT (id, sent_at)", "INSERT", "DELETE"),
    "total_deltas": (
        "SELECT",
        "UPDATE (id)",
        "DELETE",
    ),  # the update is a lock: nobody can set an id
    "totals": ("SELECT", "INSERT", "UPDATE"),
}
# Counts and ages: no text, no payload, no buyer.
_EXPORTING: Final[Cells] = {
    "consumer_positions": ("SELECT",),
    "batches": ("SELECT",),
    "outbox": ("SELECT (id, slice, t, type, let_go, sent_at)",),
    "totals": ("SELECT",),
    "total_deltas": ("SELECT",),
    "commands": (
        "SELECT (order_id, command_id, kind, amount_minor, currency, state, reissue_id, asked_at)",
    ),
    "command_holds": ("SELECT",),
    "dead_letters": ('SELECT (cluster_id, topic, partition, "offset", stage, code, at)',),
    "dead_letter_actions": ('SELECT (cluster_id, topic, partition, "offset", action)',),
    "parked": ("SELECT",),
    "facts": ("SELECT (order_id, decision_no, t)",),
    "deadlines": ("SELECT",),
    "silences": ("SELECT",),
    "policies": ("SELECT",),
    "sending_pauses": ("SELECT",),
    "sending_holds": ("SELECT",),
}
# Erases words and salts; reads no note and no decision.
_FORGETTING: Final[Cells] = {
    "escrows": ("SELECT (order_id, buyer_id)",),
    "facts": ("SELECT (order_id, decision_no, source, id)",),
    "fact_texts": ("SELECT (order_id, decision_no)", "DELETE"),
    "supplier_reports": ("SELECT (source, id, payload, text)", "UPDATE (text)"),
    "identities": ("SELECT (identity)", "UPDATE (salt)"),
    "dead_letters": ("SELECT (key, value)", "UPDATE (value, cut)"),
    "erasures": ("INSERT",),
}
# Copies what is decided into files and notes where it is; facts leave by the owner's function alone.
_ARCHIVING: Final[Cells] = {
    **dict.fromkeys(
        ("escrows", "resolutions", "parked", "postings", "commands", "command_holds"), ("SELECT",)
    ),
    **dict.fromkeys(("shipments", "offers", "evidence", "chargebacks"), ("SELECT",)),
    **dict.fromkeys(("deadlines", "silences", "policies", "consumer_positions"), ("SELECT",)),
    "fact_texts": ("SELECT",),
    "facts": ("SELECT", "INSERT"),
    "archives": ("SELECT", "INSERT", "UPDATE (folder)"),
    "archived_orders": ("SELECT", "INSERT", "DELETE"),
    "archived_counts": ("SELECT", "INSERT"),
    "restorals": ("SELECT", "INSERT"),
}
_LOOKING: Final[Cells] = dict.fromkeys((*metadata.tables, "alembic_version"), ("SELECT",))
_CONSOLE: Final[Cells] = {**_LOOKING, "dead_letter_actions": ("SELECT", "INSERT")}
_OPERATING: Final[Cells] = {
    **_CONSOLE,
    "position_moves": ("SELECT", "INSERT"),
    "policies": ("SELECT", "INSERT"),
    "consumer_positions": (
        "SELECT",
        "INSERT",
        "UPDATE (cluster_id, epoch, next_offset, last_offset, last_digest)",
    ),
}


def _cells_of(stage: str) -> Cells:
    if stage == "supplier_reports":
        return {**_READING_ON, **_REPORTING}
    told = _INSTRUCTING if stage == "operator_actions" else {}
    return {**_READING_ON, **_DECIDING, **told}


_STAGES: Final = tuple(
    Role(
        stage,
        f"The stage `{stage}`.",
        _cells_of(stage),
        draws_numbers=True,
    )
    for stage in STAGE_TOPICS
)
ROLES: Final = (
    *_STAGES,
    Role("relay", "Sends what the outbox holds; cannot put anything into it.", _RELAYING),
    Role("ticker", "Announces deadlines, asks about commands, folds totals, tidies.", _TICKING),
    Role("metrics", "Counts for Prometheus; reads no text, no payload, no buyer.", _EXPORTING),
    Role("console", "The pages; writes down what a person does about a letter.", _CONSOLE),
    Role("operator", "The command line of who acts: the console's, and positions.", _OPERATING),
    Role("privacy", "The command line of who erases a buyer's words.", _FORGETTING),
    Role(
        "archivist",
        "The command line of who archives facts, and brings them back.",
        _ARCHIVING,
        calls=("let_facts_go(bigint)",),
    ),
    Role("auditor", "Reads everything and writes nothing.", _LOOKING),
)
POLICIES: Final = (
    Policy("consumer_positions", "everyone_looks", (), "SELECT USING (true)"),
    *(
        Policy("consumer_positions", f"own_{role.process}", (role.name,), f"ALL USING ({own})")
        for role in _STAGES
        for own in (f"stage = '{role.process}'",)
    ),
    Policy("consumer_positions", "by_hand", (f"{PREFIX}operator",), "ALL USING (true)"),
    Policy("escrows", "everyone_looks", (), "SELECT USING (true)"),
    Policy(
        "escrows",
        "decided",
        tuple(role.name for role in _STAGES if "escrows" in role.cells),
        "ALL USING (true)",
    ),
    # a relay locks an order for a moment, so that a decision cannot hold what is on its way
    Policy("escrows", "only_locked", (f"{PREFIX}relay",), "UPDATE USING (true) WITH CHECK (false)"),
)
