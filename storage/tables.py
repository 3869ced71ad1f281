"""Every table, with each invariant also as a CHECK or a unique key: a row that lies cannot exist.

Ids compare by bytes (`COLLATE "C"`), so that all writers sort, and lock, in one order. No foreign
keys: the locks on orders say who may write. Two tables are global, `identities` and `payments`;
every other key of an order's data begins with the order id, so that tables can be distributed.
"""

from typing import Any, Final, get_args

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Sequence,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from escrow.postings import ACCOUNTS
from schemas.commands import Kind, Purpose
from schemas.instructions import INSTRUCTION_TYPES, Scope
from schemas.reasons import OUTCOMES

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)


# One sequence for all accepted facts: taken while the order is locked, it puts what was decided
# about any two facts that can know of each other into the order in which it was decided.
fact_seq: Final = Sequence("fact_seq", metadata=metadata)


def _id(name: str, **options: Any) -> Column[str]:
    return Column(name, Text(collation="C"), **{"nullable": False, **options})


def _minor(name: str, **options: Any) -> Column[int]:
    return Column(name, BigInteger, nullable=False, **options)


def _seq() -> Column[int]:
    return Column("seq", BigInteger, fact_seq, server_default=fact_seq.next_value(), nullable=False)


def _ticks() -> tuple[Column[int], Column[int]]:
    """How far the ticker is with a deadline: ticks decided in vain, and when the last was sent."""
    return (
        Column("ticks", Integer, nullable=False, server_default="0"),
        Column("ticked_at", BigInteger),  # the ticker's now, ms; null: to be sent (again)
    )


# Where rows change or leave, dead ones are cleared away early: they would be stepped over again and
# again. What they are for, table by table: docs/years.md.
_EARLY: Final = {"autovacuum_vacuum_scale_factor": 0.02, "autovacuum_vacuum_threshold": 500}
_SOON: Final = {"autovacuum_vacuum_scale_factor": 0.05}


def _one_of(column: str, values: tuple[str, ...], name: str) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=name)


# The order: money, status, what is open. `status` null: no escrow yet, the row is only a lock.
# fillfactor leaves room for HOT updates; no index but the key, so that every update can be one.
escrows: Final = Table(
    "escrows",
    metadata,
    _id("order_id", primary_key=True),
    Column("status", Text),
    Column("frozen_from", Text),
    Column("policy_version", Integer),
    _id("payment_id", nullable=True),
    _id("buyer_id", server_default=""),
    _id("supplier_id", server_default=""),
    Column("currency", Text, nullable=False, server_default=""),
    _minor("captured_minor", server_default="0"),
    _minor("held_minor", server_default="0"),
    _minor("refunded_minor", server_default="0"),
    _minor("paid_out_minor", server_default="0"),
    _minor("charged_back_minor", server_default="0"),
    _minor("supplier_debt_minor", server_default="0"),
    Column("loss_minor", Numeric(40, 0), nullable=False, server_default="0"),
    _id("request_id", nullable=True),
    Column("request_reason", Text),
    _id("offer_id", nullable=True),
    Column("offer_by", Text),
    Column("offer_minor", BigInteger),
    Column("first_requested_at", BigInteger),
    Column("shipments_known", Integer, nullable=False, server_default="0"),
    Column("shipments_failed", Integer, nullable=False, server_default="0"),
    Column("chargebacks_open", Integer, nullable=False, server_default="0"),
    Column("decided_by", Text),
    Column("ruling_outcome", Text),
    Column("ruling_minor", BigInteger),
    Column("refund_commands", Integer, nullable=False, server_default="0"),
    Column("payout_commands", Integer, nullable=False, server_default="0"),
    Column("parked", Integer, nullable=False, server_default="0"),
    Column("decision_no", Integer, nullable=False, server_default="0"),
    Column("chain_head", LargeBinary, nullable=False, server_default=text("''::bytea")),
    Column("silent_since", BigInteger),  # ms; where the policy lets silence decide
    CheckConstraint(
        "captured_minor = held_minor + refunded_minor + paid_out_minor + charged_back_minor",
        name="money_adds_up",
    ),
    CheckConstraint(
        "held_minor >= 0 AND refunded_minor >= 0 AND paid_out_minor >= 0"
        " AND charged_back_minor >= 0 AND loss_minor >= 0"
        " AND supplier_debt_minor BETWEEN 0 AND paid_out_minor",
        name="money_is_not_negative",
    ),
    # no clause may come out null, which a CHECK lets pass
    CheckConstraint(
        "CASE status"
        " WHEN 'HELD' THEN held_minor > 0 AND request_id IS NULL"
        " WHEN 'DISPUTED' THEN held_minor > 0 AND request_id IS NOT NULL"
        " WHEN 'IN_MEDIATION' THEN held_minor > 0 AND request_id IS NOT NULL"
        " WHEN 'FROZEN' THEN held_minor > 0 AND chargebacks_open > 0"
        " WHEN 'RELEASED' THEN held_minor = 0 AND refunded_minor = 0 AND paid_out_minor > 0"
        " WHEN 'REFUNDED' THEN held_minor = 0 AND refunded_minor > 0 AND paid_out_minor = 0"
        " WHEN 'SPLIT' THEN held_minor = 0 AND refunded_minor > 0 AND paid_out_minor > 0"
        " WHEN 'CHARGED_BACK' THEN charged_back_minor > 0"
        "  AND charged_back_minor = captured_minor"
        " WHEN 'NOT_PROTECTED' THEN captured_minor = 0"
        " ELSE status IS NULL AND captured_minor = 0 END",
        name="status_fits_money",
    ),
    CheckConstraint(
        "CASE WHEN status IN ('RELEASED', 'REFUNDED', 'SPLIT') THEN decided_by IS NOT NULL"
        " WHEN status = 'CHARGED_BACK' THEN decided_by IS NOT DISTINCT FROM 'card_network'"
        " ELSE decided_by IS NULL END",
        name="settled_by_someone",
    ),
    CheckConstraint("num_nulls(offer_id, offer_by, offer_minor) IN (0, 3)", name="offer_is_whole"),
    CheckConstraint("shipments_failed BETWEEN 0 AND shipments_known", name="shipments_counted"),
    CheckConstraint(
        "CASE WHEN status IS DISTINCT FROM 'FROZEN' THEN frozen_from IS NULL"
        " ELSE coalesce(frozen_from IN ('HELD', 'DISPUTED', 'IN_MEDIATION'), false)"
        "  AND (frozen_from = 'HELD') = (request_id IS NULL) END",
        name="frozen_from_where",
    ),
    CheckConstraint("parked >= 0 AND chargebacks_open >= 0", name="counts_not_negative"),
    postgresql_with={"fillfactor": 60, **_SOON},
)

# Facts, once each, with the outcome of their arrival; append-only. Free text lies in `fact_texts`.
facts: Final = Table(
    "facts",
    metadata,
    _seq(),
    _id("order_id", primary_key=True),
    Column("decision_no", Integer, primary_key=True),
    Column("source", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("t", BigInteger, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("payload", Text, nullable=False),  # canonical JSON, as the identity's digest saw it
    Column("text_digest", LargeBinary),  # salted SHA-256 of the free text, if there is one
    # CloudEvents time and extensions, if there are any; not JSONB, which takes no U+0000
    Column("attributes", JSON),
    Column("outcome", Text, nullable=False),
    Column("code", Text),
    _one_of("outcome", OUTCOMES[:3], "outcome"),
    postgresql_with=_SOON,  # rows leave it for the archive, a month's at a time
)

# Notes and rationales, which can be forgotten: the chain knows their salted digest only.
fact_texts: Final = Table(
    "fact_texts",
    metadata,
    _id("order_id", primary_key=True),
    Column("decision_no", Integer, primary_key=True),
    Column("salt", LargeBinary, nullable=False),
    Column("text", Text, nullable=False),
)

# What became of a parked fact: woken (applied or refused) or expired; append-only.
resolutions: Final = Table(
    "resolutions",
    metadata,
    _id("order_id", primary_key=True),
    Column("decision_no", Integer, primary_key=True),
    Column("parked_no", Integer, nullable=False),  # the decision under which it was parked
    Column("outcome", Text, nullable=False),
    Column("code", Text),
    _one_of("outcome", ("applied", "refused", "dead_letter"), "outcome"),
)

# Who has said what before: 16 bytes of SHA-256 over source and id, and over type and payload.
identities: Final = Table(
    "identities",
    metadata,
    Column("identity", LargeBinary, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("salt", LargeBinary),  # with free text: its salt and salted digest
    Column("text_digest", LargeBinary),
)

# Facts that wait; a work table, rows leave it. `expires_at` null: a ruling waits for ever.
parked: Final = Table(
    "parked",
    metadata,
    _id("order_id", primary_key=True),
    Column("decision_no", Integer, primary_key=True),
    Column("code", Text, nullable=False),
    Column("expires_at", BigInteger),
    *_ticks(),
    # the ticker asks for the next ones, and now and then for those that it has told of
    Index("ix_parked_expires_at", "expires_at", postgresql_where=text("ticked_at IS NULL")),
    Index("ix_parked_ticked_at", "ticked_at", postgresql_where=text("ticked_at IS NOT NULL")),
    postgresql_with=_EARLY,
)

# Payment ids that applied captures have used, over all orders.
payments: Final = Table(
    "payments",
    metadata,
    _id("payment_id", primary_key=True),
    _id("order_id"),
)

shipments: Final = Table(
    "shipments",
    metadata,
    _id("order_id", primary_key=True),
    _id("shipment_id", primary_key=True),
    Column("state", Text, nullable=False),
    Column("cause", Text),
    _one_of("state", ("dispatched", "delivered", "lost", "returned"), "state"),
    CheckConstraint("(state = 'returned') = (cause IS NOT NULL)", name="cause_of_a_return"),
    postgresql_with={"fillfactor": 80},
)

# Requests are their own first offers, so that one id is used once for either.
offers: Final = Table(
    "offers",
    metadata,
    _id("order_id", primary_key=True),
    _id("offer_id", primary_key=True),
    _id("request_id"),
    Column("by", Text, nullable=False),
    _minor("amount_minor"),
    Column("t", BigInteger, nullable=False),
    CheckConstraint("amount_minor > 0", name="amount_is_positive"),
    _one_of("by", ("buyer", "supplier"), "by"),
)

evidence: Final = Table(
    "evidence",
    metadata,
    _id("order_id", primary_key=True),
    _id("evidence_id", primary_key=True),
    Column("by", Text, nullable=False),
    Column("sha256", Text(collation="C"), nullable=False),
    Column("late", Boolean, nullable=False),
    Column("t", BigInteger, nullable=False),
    UniqueConstraint("order_id", "by", "sha256"),
    _one_of("by", ("buyer", "supplier"), "by"),
)

chargebacks: Final = Table(
    "chargebacks",
    metadata,
    _id("order_id", primary_key=True),
    _id("chargeback_id", primary_key=True),
    _id("payment_id"),
    _minor("amount_minor"),
    Column("currency", Text, nullable=False),
    Column("matching", Boolean, nullable=False),
    Column("state", Text, nullable=False),
    CheckConstraint("amount_minor > 0", name="amount_is_positive"),
    _one_of("state", ("open", "won", "lost"), "state"),
)

# Orders to gateways and how far they got; `decision_no`, `n` say in which order they were decided.
commands: Final = Table(
    "commands",
    metadata,
    _id("order_id", primary_key=True),
    _id("command_id", primary_key=True),
    Column("decision_no", Integer, nullable=False),
    Column("n", SmallInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    _id("payment_id"),
    _id("party_id"),
    _minor("amount_minor"),
    Column("currency", Text, nullable=False),
    Column("decided_by", Text),
    Column("cause_source", Text, nullable=False),
    Column("cause_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    _id("reissue_id", nullable=True),
    Column("asked_at", BigInteger, nullable=False),
    Column("status_asked_at", BigInteger),  # when a silent one was last asked about
    CheckConstraint("amount_minor > 0", name="amount_is_positive"),
    CheckConstraint(
        "attempt BETWEEN 1 AND failures + 1 AND failures >= 0", name="attempts_counted"
    ),
    _one_of("kind", get_args(Kind), "kind"),
    _one_of("purpose", get_args(Purpose), "purpose"),
    _one_of("state", ("PENDING", "ACCEPTED", "SETTLED", "FAILED", "RETURNED"), "state"),
    # one settlement an order, with at most one refund and one payout in it
    Index(
        "uq_commands_settlement",
        "order_id",
        "kind",
        unique=True,
        postgresql_where=text("purpose = 'settlement'"),
    ),
    # the ticker looks for silent ones: those asked, or asked about, longest ago
    Index(
        "ix_commands_open",
        text("GREATEST(asked_at, status_asked_at)"),
        postgresql_where=text("state IN ('PENDING', 'ACCEPTED')"),
    ),
    postgresql_with=_SOON,
)

# Commands that a person must look at before they may be sent.
command_holds: Final = Table(
    "command_holds",
    metadata,
    _id("order_id", primary_key=True),
    _id("command_id", primary_key=True),
    Column("reason", Text, nullable=False),
)

# Double entry: one row a movement, so that it cannot be unbalanced; append-only.
postings: Final = Table(
    "postings",
    metadata,
    _id("order_id", primary_key=True),
    Column("decision_no", Integer, primary_key=True),
    Column("n", SmallInteger, primary_key=True),
    Column("debit", Text, nullable=False),
    Column("credit", Text, nullable=False),
    _minor("amount_minor"),
    Column("currency", Text, nullable=False),
    CheckConstraint("amount_minor > 0 AND debit <> credit", name="moves_something"),
    _one_of("debit", ACCOUNTS, "debit"),
    _one_of("credit", ACCOUNTS, "credit"),
)

# Each batch appends what it changed; the ticker folds them into `totals` for gauges and pages.
total_deltas: Final = Table(
    "total_deltas",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("status", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("orders", BigInteger, nullable=False),
    *(
        Column(name, Numeric(40, 0), nullable=False)
        for name in ("captured", "held", "refunded", "paid_out", "charged_back", "debt", "loss")
    ),
    postgresql_with=_EARLY,
)
totals: Final = Table(
    "totals",
    metadata,
    Column("status", Text, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("orders", BigInteger, nullable=False),
    *(
        Column(name, Numeric(40, 0), nullable=False)
        for name in ("captured", "held", "refunded", "paid_out", "charged_back", "debt", "loss")
    ),
)

# What must still be sent. Unsent rows by partial index, never a cursor over ids; the id is taken
# while the order is locked, so that within an order (hence a slice) ids follow decisions.
outbox: Final = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("slice", SmallInteger, nullable=False),
    Column("topic", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("sent_id", Text, nullable=False),  # CloudEvents id, deterministic
    Column("t", BigInteger, nullable=False),  # record timestamp, ms
    Column("payload", Text, nullable=False),
    Column("command_id", Text),  # of the commands
    Column("let_go", Boolean),  # null: no hold can stop it; false: one still can; true: too late
    Column("attributes", JSON),  # extensions carried along, such as a trace
    Column("sent_at", DateTime(timezone=True)),
    Index("ix_outbox_unsent", "slice", "id", postgresql_where=text("sent_at IS NULL")),
    # every row that was sent leaves a dead entry in that index, which each look steps over
    postgresql_with={"autovacuum_vacuum_scale_factor": 0.02},
)
outbox_slices: Final = Table(
    "outbox_slices",
    metadata,
    Column("slice", SmallInteger, primary_key=True),
    Column("epoch", BigInteger, nullable=False, server_default="0"),
    Column("seen_at", DateTime(timezone=True)),  # the writer's last sign of life; null: it has left
)

# The lives of this database: a relay that finds another one reads the command topics first.
lineages: Final = Table(
    "lineages",
    metadata,
    Column("life", BigInteger, Identity(always=True), primary_key=True),
    Column("system_id", Text, nullable=False),
    Column("timeline", BigInteger, nullable=False),
    Column("known", BigInteger, nullable=False),  # of the commands found on the topics
    Column("marked", BigInteger, nullable=False),
    Column("promised", BigInteger, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
# What gateways were told in an earlier life, until it is decided again.
promises: Final = Table(
    "promises",
    metadata,
    _id("order_id", primary_key=True),
    _id("sent_id", primary_key=True),
    Column("digest", LargeBinary, nullable=False),  # SHA-256 of the body
)

# The truth about how far a stage has read; the fence is its epoch.
consumer_positions: Final = Table(
    "consumer_positions",
    metadata,
    Column("stage", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("cluster_id", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("next_offset", BigInteger, nullable=False),
    Column("last_offset", BigInteger),  # the last record read, and its digest:
    Column("last_digest", LargeBinary),  # to see that the log is still the same log
    Column("t_max", BigInteger, nullable=False, server_default="-1"),  # largest timestamp decided
    CheckConstraint("next_offset >= 0", name="offset_not_negative"),
    postgresql_with={"fillfactor": 50},
)

# Where operators put a position, from where, and why; append-only.
position_moves: Final = Table(
    "position_moves",
    metadata,
    Column("move_no", BigInteger, Identity(always=True), primary_key=True),
    Column("stage", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("cluster_id", Text, nullable=False),
    Column("from_offset", BigInteger),  # null: the stage had never read there
    Column("to_offset", BigInteger, nullable=False),
    Column("operator_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

# One row a partition and batch: each record has exactly one outcome; append-only.
batches: Final = Table(
    "batches",
    metadata,
    Column("stage", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("epoch", BigInteger, primary_key=True),
    Column("first_offset", BigInteger, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
    *(Column(f"{outcome}", Integer, nullable=False) for outcome in OUTCOMES),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # markers take offsets too, so that there can be fewer records than offsets, never more
    CheckConstraint(
        "least(applied, refused, parked, duplicate, dead_letter) >= 0"
        " AND applied + refused + parked + duplicate + dead_letter <= next_offset - first_offset",
        name="one_outcome_a_record",
    ),
)

# Records that an operator must look at, redacted; the same record never makes a second row.
dead_letters: Final = Table(
    "dead_letters",
    metadata,
    Column("cluster_id", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("offset", BigInteger, primary_key=True),
    Column("stage", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("order_id", Text),  # for those that got past the door
    Column("type", Text),
    Column("source", Text),
    Column("id", Text),
    Column("t", BigInteger, nullable=False),
    Column("key", Text),
    Column("headers", JSONB, nullable=False),
    Column("value", LargeBinary),
    Column("value_bytes", Integer),  # of the original
    Column("value_sha256", LargeBinary),  # of the original
    Column("cut", Boolean, nullable=False),
    Column("redacted", Boolean, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("ix_dead_letters_at", "at"),
)

# What operators did about dead letters; append-only.
dead_letter_actions: Final = Table(
    "dead_letter_actions",
    metadata,
    Column("action_no", BigInteger, Identity(always=True), primary_key=True),
    Column("cluster_id", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("action", Text, nullable=False),  # replayed | replayed_edited | discarded
    Column("operator_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("new_id", Text),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("ix_dead_letter_actions_letter", "topic", "partition", "offset"),
)

# When mediation becomes available, one row an open request; park limits are in `parked`.
deadlines: Final = Table(
    "deadlines",
    metadata,
    _id("order_id", primary_key=True),
    _id("request_id", primary_key=True),
    Column("due_at", BigInteger, nullable=False),
    *_ticks(),
    Index("ix_deadlines_due_at", "due_at", postgresql_where=text("ticked_at IS NULL")),
    Index("ix_deadlines_ticked_at", "ticked_at", postgresql_where=text("ticked_at IS NOT NULL")),
    postgresql_with=_EARLY,
)

# Whose silence will decide an order, and when; only where its policy lets silence decide.
silences: Final = Table(
    "silences",
    metadata,
    _id("order_id", primary_key=True),
    Column("kind", Text, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    *_ticks(),
    _one_of("kind", ("auto_confirm", "supplier_silence"), "kind"),
    Index("ix_silences_due_at", "due_at", postgresql_where=text("ticked_at IS NULL")),
    Index("ix_silences_ticked_at", "ticked_at", postgresql_where=text("ticked_at IS NOT NULL")),
    postgresql_with=_EARLY,
)

# Versions of the policy after the first, which ships with the program; append-only.
policies: Final = Table(
    "policies",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("content", Text, nullable=False),  # as in a policy file (docs/policy.md)
    Column("operator_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("version > 1", name="first_one_ships"),
)

# Buyers' reports of suppliers who asked for payment outside escrow; they concern no order.
supplier_reports: Final = Table(
    "supplier_reports",
    metadata,
    _seq(),
    Column("source", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    _id("supplier_id"),
    _id("report_id"),
    Column("t", BigInteger, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("payload", Text, nullable=False),
    Column("text", Text),
    Index("ix_supplier_reports_supplier_id", "supplier_id"),
)

# What operators told the sending side; append-only. What follows from it stands in the next tables.
instructions: Final = Table(
    "instructions",
    metadata,
    Column("source", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("type", Text, nullable=False),
    Column("subject", Text, nullable=False),  # a scope, a command id, a dead letter's place
    Column("operator_id", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("t", BigInteger, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("payload", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    _one_of("type", tuple(INSTRUCTION_TYPES), "type"),
)

# Commands of these scopes are not sent; the row goes when sending is resumed.
sending_pauses: Final = Table(
    "sending_pauses",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("why", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("t", BigInteger, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    _one_of("scope", get_args(Scope), "scope"),
    _one_of("why", ("operator", "breaker"), "why"),
)

# Commands that wait for a person, and those that a person has released: no cap stops them again.
sending_holds: Final = Table(
    "sending_holds",
    metadata,
    _id("order_id", primary_key=True),
    _id("command_id", primary_key=True),
    Column("why", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("released", Boolean, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    _one_of("why", ("operator", "command_cap", "supplier_cap"), "why"),
    Index("ix_sending_holds_held", "at", postgresql_where=text("NOT released")),
)

# What the relay let through while caps are on, for two days; counted once an attempt.
sending_grants: Final = Table(
    "sending_grants",
    metadata,
    _id("order_id", primary_key=True),
    _id("command_id", primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    _id("party_id"),
    Column("currency", Text, nullable=False),
    _minor("amount_minor"),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # what one supplier got within the hour, and what everybody did
    Index("ix_sending_grants_party_id", "party_id", "at"),
    Index("ix_sending_grants_at", "at"),
)

# Whose words were erased, by digest, and by whom; append-only.
erasures: Final = Table(
    "erasures",
    metadata,
    Column("erasure_no", BigInteger, Identity(always=True), primary_key=True),
    Column("buyer_sha256", LargeBinary, nullable=False),
    Column("operator_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    *(Column(name, Integer, nullable=False) for name in ("orders", "texts", "reports", "letters")),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

# Files of facts that have left the table `facts`, and how each is known to be the one that was
# written. The folder changes where files are moved; nothing else does.
archives: Final = Table(
    "archives",
    metadata,
    Column("archive_no", BigInteger, Identity(always=True), primary_key=True),
    Column("folder", Text, nullable=False),
    Column(
        "name", Text, nullable=False
    ),  # of the content: restored and archived again, it is the same
    Column("manifest_sha256", LargeBinary, nullable=False),
    Column("orders", Integer, nullable=False),
    Column("facts", Integer, nullable=False),  # in the file; those with a text stay here as well
    Column("bytes", BigInteger, nullable=False),
    Column("t_min", BigInteger, nullable=False),  # times of its facts, ms
    Column("t_max", BigInteger, nullable=False),
    Column("operator_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

# Which decisions of an order are in which file; the row goes when the order is restored.
archived_orders: Final = Table(
    "archived_orders",
    metadata,
    _id("order_id", primary_key=True),
    Column("from_no", Integer, primary_key=True),
    Column("until_no", Integer, nullable=False),
    Column("archive_no", BigInteger, nullable=False),
    CheckConstraint("from_no BETWEEN 1 AND until_no", name="a_run_of_decisions"),
    Index("ix_archived_orders_archive_no", "archive_no"),
)

# How many facts of which kind have left, and (negative) come back, so that every record read is
# accounted for without opening a file; append-only.
archived_counts: Final = Table(
    "archived_counts",
    metadata,
    Column("count_no", BigInteger, Identity(always=True), primary_key=True),
    Column("archive_no", BigInteger, nullable=False),
    Column("type", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("facts", Integer, nullable=False),
)

# Orders whose facts were brought back from files, by whom and why; append-only.
restorals: Final = Table(
    "restorals",
    metadata,
    Column("restoral_no", BigInteger, Identity(always=True), primary_key=True),
    _id("order_id"),
    Column("archive_no", BigInteger, nullable=False),
    Column("operator_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

# History: a trigger refuses UPDATE and DELETE on these. Facts leave by the function of the archive
# alone, which lets go what `archived_orders` names.
APPEND_ONLY: Final = (
    facts,
    resolutions,
    postings,
    batches,
    dead_letter_actions,
    position_moves,
    policies,
    lineages,
    instructions,
    erasures,
    archived_counts,
    restorals,
)
