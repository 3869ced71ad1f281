"""The first schema: every table, append-only history guarded by triggers, sixteen outbox slices."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


_APPEND_ONLY = (
    "facts",
    "resolutions",
    "postings",
    "batches",
    "dead_letter_actions",
    "position_moves",
)


def upgrade() -> None:
    op.execute("CREATE SEQUENCE fact_seq")
    op.create_table(
        "batches",
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("first_offset", sa.BigInteger(), nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.Column("applied", sa.Integer(), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.Column("parked", sa.Integer(), nullable=False),
        sa.Column("duplicate", sa.Integer(), nullable=False),
        sa.Column("dead_letter", sa.Integer(), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.CheckConstraint(
            "least(applied, refused, parked, duplicate, dead_letter) >= 0 AND applied + refused + parked + duplicate + dead_letter <= next_offset - first_offset",
            name=op.f("ck_batches_one_outcome_a_record"),
        ),
        sa.PrimaryKeyConstraint(
            "stage", "topic", "partition", "epoch", "first_offset", name=op.f("pk_batches")
        ),
    )
    op.create_table(
        "chargebacks",
        sa.Column("order_id", sa.Text(collation="C"), nullable=False),
        sa.Column("chargeback_id", sa.Text(collation="C"), nullable=False),
        sa.Column("payment_id", sa.Text(collation="C"), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("matching", sa.Boolean(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_chargebacks_amount_is_positive")),
        sa.CheckConstraint("state IN ('open', 'won', 'lost')", name=op.f("ck_chargebacks_state")),
        sa.PrimaryKeyConstraint("order_id", "chargeback_id", name=op.f("pk_chargebacks")),
    )
    op.create_table(
        "command_holds",
        sa.Column("order_id", sa.Text(collation="C"), nullable=False),
        sa.Column("command_id", sa.Text(collation="C"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("order_id", "command_id", name=op.f("pk_command_holds")),
    )
    op.create_table(
        "commands",
        sa.Column("order_id", sa.Text(collation="C"), nullable=False),
        sa.Column("command_id", sa.Text(collation="C"), nullable=False),
        sa.Column("decision_no", sa.Integer(), nullable=False),
        sa.Column("n", sa.SmallInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(collation="C"), nullable=False),
        sa.Column("party_id", sa.Text(collation="C"), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("cause_source", sa.Text(), nullable=False),
        sa.Column("cause_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("reissue_id", sa.Text(collation="C"), nullable=True),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("status_asked_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_commands_amount_is_positive")),
        sa.CheckConstraint(
            "attempt BETWEEN 1 AND failures + 1 AND failures >= 0",
            name=op.f("ck_commands_attempts_counted"),
        ),
        sa.CheckConstraint("kind IN ('refund', 'payout')", name=op.f("ck_commands_kind")),
        sa.CheckConstraint(
            "purpose IN ('settlement', 'duplicate_payment', 'not_eligible', 'reissue')",
            name=op.f("ck_commands_purpose"),
        ),
        sa.CheckConstraint(
            "state IN ('PENDING', 'ACCEPTED', 'SETTLED', 'FAILED', 'RETURNED')",
            name=op.f("ck_commands_state"),
        ),
        sa.PrimaryKeyConstraint("order_id", "command_id", name=op.f("pk_commands")),
    )
    op.create_index(
        "ix_commands_open",
        "commands",
        [sa.literal_column("GREATEST(asked_at, status_asked_at)")],
        unique=False,
        postgresql_where=sa.text("state IN ('PENDING', 'ACCEPTED')"),
    )
    op.create_index(
        "uq_commands_settlement",
        "commands",
        ["order_id", "kind"],
        unique=True,
        postgresql_where=sa.text("purpose = 'settlement'"),
    )
    op.create_table(
        "consumer_positions",
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("cluster_id", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.Column("last_offset", sa.BigInteger(), nullable=True),
        sa.Column("last_digest", sa.LargeBinary(), nullable=True),
        sa.Column("t_max", sa.BigInteger(), server_default="-1", nullable=False),
        sa.CheckConstraint(
            "next_offset >= 0", name=op.f("ck_consumer_positions_offset_not_negative")
        ),
        sa.PrimaryKeyConstraint("stage", "topic", "partition", name=op.f("pk_consumer_positions")),
        postgresql_with={"fillfactor": 50},
    )
    op.create_table(
        "dead_letter_actions",
        sa.Column("action_no", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("cluster_id", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("new_id", sa.Text(), nullable=True),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("action_no", name=op.f("pk_dead_letter_actions")),
    )
    op.create_index(
        "ix_dead_letter_actions_letter",
        "dead_letter_actions",
        ["topic", "partition", "offset"],
        unique=False,
    )
    op.create_table(
        "dead_letters",
        sa.Column("cluster_id", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("type", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("id", sa.Text(), nullable=True),
        sa.Column("t", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=True),
        sa.Column("value_bytes", sa.Integer(), nullable=True),
        sa.Column("value_sha256", sa.LargeBinary(), nullable=True),
        sa.Column("cut", sa.Boolean(), nullable=False),
        sa.Column("redacted", sa.Boolean(), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint(
            "cluster_id", "topic", "partition", "offset", name=op.f("pk_dead_letters")
        ),
    )
    op.create_index("ix_dead_letters_at", "dead_letters", ["at"], unique=False)
    op.create_table(
        "deadlines",
        sa.Column("order_id", sa.Text(collation="C"), nullable=False),
        sa.Column("request_id", sa.Text(collation="C"), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("ticks", sa.Integer(), server_default="0", nullable=False),
        sa.Column("ticked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("order_id", "request_id", name=op.f("pk_deadlines")),
    )
    op.create_index(
        "ix_deadlines_due_at",
        "deadlines",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("ticked_at IS NULL"),
    )
    op.create_index(
        "ix_deadlines_ticked_at",
        "deadlines",
        ["ticked_at"],
        unique=False,
        postgresql_where=sa.text("ticked_at IS NOT NULL"),
    )
    op.create_table(
        "escrows",
        sa.Column("order_id", sa.Text(collation="C"), nullable=False),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("frozen_from", sa.Text(), nullable=True),
        sa.Column("policy_version", sa.Integer(), nullable=True),
        sa.Column("payment_id", sa.Text(collation="C"), nullable=True),
        sa.Column("buyer_id", sa.Text(collation="C"), server_default="", nullable=False),
        sa.Column("supplier_id", sa.Text(collation="C"), server_default="", nullable=False),
        sa.Column("currency", sa.Text(), server_default="", nullable=False),
        sa.Column("captured_minor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("held_minor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("refunded_minor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("paid_out_minor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("charged_back_minor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("supplier_debt_minor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "loss_minor", sa.Numeric(precision=40, scale=0), server_default="0", nullable=False
        ),
        sa.Column("request_id", sa.Text(collation="C"), nullable=True),
        sa.Column("request_reason", sa.Text(), nullable=True),
        sa.Column("offer_id", sa.Text(collation="C"), nullable=True),
        sa.Column("offer_by", sa.Text(), nullable=True),
        sa.Column("offer_minor", sa.BigInteger(), nullable=True),
        sa.Column("first_requested_at", sa.BigInteger(), nullable=True),
        sa.Column("shipments_known", sa.Integer(), server_default="0", nullable=False),
        sa.Column("shipments_failed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("chargebacks_open", sa.Integer(), server_default="0", nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("ruling_outcome", sa.Text(), nullable=True),
        sa.Column("ruling_minor", sa.BigInteger(), nullable=True),
        sa.Column("refund_commands", sa.Integer(), server_default="0", nullable=False),
        sa.Column("payout_commands", sa.Integer(), server_default="0", nullable=False),
        sa.Column("parked", sa.Integer(), server_default="0", nullable=False),
        sa.Column("decision_no", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "chain_head", sa.LargeBinary(), server_default=sa.text("''::bytea"), nullable=False
        ),
        sa.CheckConstraint(
            "parked >= 0 AND chargebacks_open >= 0", name=op.f("ck_escrows_counts_not_negative")
        ),
        sa.CheckConstraint(
            "CASE WHEN status IS DISTINCT FROM 'FROZEN' THEN frozen_from IS NULL ELSE coalesce(frozen_from IN ('HELD', 'DISPUTED', 'IN_MEDIATION'), false)  AND (frozen_from = 'HELD') = (request_id IS NULL) END",
            name=op.f("ck_escrows_frozen_from_where"),
        ),
        sa.CheckConstraint(
            "captured_minor = held_minor + refunded_minor + paid_out_minor + charged_back_minor",
            name=op.f("ck_escrows_money_adds_up"),
        ),
        sa.CheckConstraint(
            "held_minor >= 0 AND refunded_minor >= 0 AND paid_out_minor >= 0 AND charged_back_minor >= 0 AND loss_minor >= 0 AND supplier_debt_minor BETWEEN 0 AND paid_out_minor",
            name=op.f("ck_escrows_money_is_not_negative"),
        ),
        sa.CheckConstraint(
            "num_nulls(offer_id, offer_by, offer_minor) IN (0, 3)",
            name=op.f("ck_escrows_offer_is_whole"),
        ),
        sa.CheckConstraint(
            "CASE WHEN status IN ('RELEASED', 'REFUNDED', 'SPLIT') THEN decided_by IS NOT NULL WHEN status = 'CHARGED_BACK' THEN decided_by IS NOT DISTINCT FROM 'card_network' ELSE decided_by IS NULL END",
            name=op.f("ck_escrows_settled_by_someone"),
        ),
        sa.CheckConstraint(
            "shipments_failed BETWEEN 0 AND shipments_known",
            name=op.f("ck_escrows_shipments_counted"),
        ),
        sa.CheckConstraint(
            "CASE status WHEN 'HELD' THEN held_minor > 0 AND request_id IS NULL WHEN 'DISPUTED' THEN held_minor > 0 AND request_id IS NOT NULL WHEN 'IN_MEDIATION' THEN held_minor > 0 AND request_id IS NOT NULL WHEN 'FROZEN' THEN held_minor > 0 AND chargebacks_open > 0 WHEN 'RELEASED' THEN held_minor = 0 AND refunded_minor = 0 AND paid_out_minor > 0 WHEN 'REFUNDED' THEN held_minor = 0 AND refunded_minor > 0 AND paid_out_minor = 0 WHEN 'SPLIT' THEN held_minor = 0 AND refunded_minor > 0 AND paid_out_minor > 0 WHEN 'CHARGED_BACK' THEN charged_back_minor > 0  AND charged_back_minor = captured_minor WHEN 'NOT_PROTECTED' THEN captured_minor = 0 ELSE status IS NULL AND captured_minor = 0 END",
            name=op.f("ck_escrows_status_fits_money"),
        ),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_escrows")),
        postgresql_with={"fillfactor": 60},
    )
    op.create_table(
        "evidence",
        sa.Column("order_id", sa.Text(collation="C"), nullable=False),
        sa.Column("evidence_id", sa.Text(collation="C"), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(collation="C"), nullable=False),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("t", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("by IN ('buyer', 'supplier')", name=op.f("ck_evidence_by")),
        sa.PrimaryKeyConstraint("order_id", "evidence_id", name=op.f("pk_evidence")),
        sa.UniqueConstraint(
            "order_id", "by", "sha256", name=op.f("uq_evidence_order_id_by_sha256")
        ),
    )
    op.create_table(
        "fact_texts",
        sa.Column("order_id", sa.Text(collation="C"), nullable=False),
        sa.Column("decision_no", sa.Integer(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("order_id", "decision_no", name=op.f("pk_fact_texts")),
    )
    op.create_table(
        "facts",
        sa.Column(
            "seq", sa.BigInteger(), server_default=sa.text("nextval('fact_seq')"), nullable=False
        ),
        sa.Column("order_id", sa.Text(collation="C"), nullable=False),
        sa.Column("decision_no", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("t", sa.BigInteger(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("text_digest", sa.LargeBinary(), nullable=True),
        sa.Column("attributes", sa.JSON(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "outcome IN ('applied', 'refused', 'parked')", name=op.f("ck_facts_outcome")
        ),
        sa.PrimaryKeyConstraint("order_id", "decision_no", name=op.f("pk_facts")),
    )
    op.create_table(
        "identities",
        sa.Column("identity", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=True),
        sa.Column("text_digest", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("identity", name=op.f("pk_identities")),
    )
    op.create_table(
        "offers",
        sa.Column("order_id", sa.Text(collation="C"), nullable=False),
        sa.Column("offer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("request_id", sa.Text(collation="C"), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("t", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_offers_amount_is_positive")),
        sa.CheckConstraint("by IN ('buyer', 'supplier')", name=op.f("ck_offers_by")),
        sa.PrimaryKeyConstraint("order_id", "offer_id", name=op.f("pk_offers")),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("slice", sa.SmallInteger(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("sent_id", sa.Text(), nullable=False),
        sa.Column("t", sa.BigInteger(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("command_id", sa.Text(), nullable=True),
        sa.Column("let_go", sa.Boolean(), nullable=True),
        sa.Column("attributes", sa.JSON(), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        postgresql_with={"autovacuum_vacuum_scale_factor": 0.02},
    )
    op.create_index(
        "ix_outbox_unsent",
        "outbox",
        ["slice", "id"],
        unique=False,
        postgresql_where=sa.text("sent_at IS NULL"),
    )
    op.create_table(
        "outbox_slices",
        sa.Column("slice", sa.SmallInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("slice", name=op.f("pk_outbox_slices")),
    )
    op.create_table(
        "parked",
        sa.Column("order_id", sa.Text(collation="C"), nullable=False),
        sa.Column("decision_no", sa.Integer(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("ticks", sa.Integer(), server_default="0", nullable=False),
        sa.Column("ticked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("order_id", "decision_no", name=op.f("pk_parked")),
    )
    op.create_index(
        "ix_parked_expires_at",
        "parked",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("ticked_at IS NULL"),
    )
    op.create_index(
        "ix_parked_ticked_at",
        "parked",
        ["ticked_at"],
        unique=False,
        postgresql_where=sa.text("ticked_at IS NOT NULL"),
    )
    op.create_table(
        "payments",
        sa.Column("payment_id", sa.Text(collation="C"), nullable=False),
        sa.Column("order_id", sa.Text(collation="C"), nullable=False),
        sa.PrimaryKeyConstraint("payment_id", name=op.f("pk_payments")),
    )
    op.create_table(
        "position_moves",
        sa.Column("move_no", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("cluster_id", sa.Text(), nullable=False),
        sa.Column("from_offset", sa.BigInteger(), nullable=True),
        sa.Column("to_offset", sa.BigInteger(), nullable=False),
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("move_no", name=op.f("pk_position_moves")),
    )
    op.create_table(
        "postings",
        sa.Column("order_id", sa.Text(collation="C"), nullable=False),
        sa.Column("decision_no", sa.Integer(), nullable=False),
        sa.Column("n", sa.SmallInteger(), nullable=False),
        sa.Column("debit", sa.Text(), nullable=False),
        sa.Column("credit", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "credit IN ('buyer_funds', 'held', 'supplier_payable', 'refunds_payable', 'sent_back', 'charged_back', 'card_network', 'supplier_receivable', 'platform_loss')",
            name=op.f("ck_postings_credit"),
        ),
        sa.CheckConstraint(
            "debit IN ('buyer_funds', 'held', 'supplier_payable', 'refunds_payable', 'sent_back', 'charged_back', 'card_network', 'supplier_receivable', 'platform_loss')",
            name=op.f("ck_postings_debit"),
        ),
        sa.CheckConstraint(
            "amount_minor > 0 AND debit <> credit", name=op.f("ck_postings_moves_something")
        ),
        sa.PrimaryKeyConstraint("order_id", "decision_no", "n", name=op.f("pk_postings")),
    )
    op.create_table(
        "resolutions",
        sa.Column("order_id", sa.Text(collation="C"), nullable=False),
        sa.Column("decision_no", sa.Integer(), nullable=False),
        sa.Column("parked_no", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "outcome IN ('applied', 'refused', 'dead_letter')", name=op.f("ck_resolutions_outcome")
        ),
        sa.PrimaryKeyConstraint("order_id", "decision_no", name=op.f("pk_resolutions")),
    )
    op.create_table(
        "shipments",
        sa.Column("order_id", sa.Text(collation="C"), nullable=False),
        sa.Column("shipment_id", sa.Text(collation="C"), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(state = 'returned') = (cause IS NOT NULL)",
            name=op.f("ck_shipments_cause_of_a_return"),
        ),
        sa.CheckConstraint(
            "state IN ('dispatched', 'delivered', 'lost', 'returned')",
            name=op.f("ck_shipments_state"),
        ),
        sa.PrimaryKeyConstraint("order_id", "shipment_id", name=op.f("pk_shipments")),
    )
    op.create_table(
        "supplier_reports",
        sa.Column(
            "seq", sa.BigInteger(), server_default=sa.text("nextval('fact_seq')"), nullable=False
        ),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("supplier_id", sa.Text(collation="C"), nullable=False),
        sa.Column("report_id", sa.Text(collation="C"), nullable=False),
        sa.Column("t", sa.BigInteger(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("source", "id", name=op.f("pk_supplier_reports")),
    )
    op.create_index(
        "ix_supplier_reports_supplier_id", "supplier_reports", ["supplier_id"], unique=False
    )
    op.create_table(
        "total_deltas",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("orders", sa.BigInteger(), nullable=False),
        sa.Column("captured", sa.Numeric(precision=40, scale=0), nullable=False),
        sa.Column("held", sa.Numeric(precision=40, scale=0), nullable=False),
        sa.Column("refunded", sa.Numeric(precision=40, scale=0), nullable=False),
        sa.Column("paid_out", sa.Numeric(precision=40, scale=0), nullable=False),
        sa.Column("charged_back", sa.Numeric(precision=40, scale=0), nullable=False),
        sa.Column("debt", sa.Numeric(precision=40, scale=0), nullable=False),
        sa.Column("loss", sa.Numeric(precision=40, scale=0), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_total_deltas")),
    )
    op.create_table(
        "totals",
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("orders", sa.BigInteger(), nullable=False),
        sa.Column("captured", sa.Numeric(precision=40, scale=0), nullable=False),
        sa.Column("held", sa.Numeric(precision=40, scale=0), nullable=False),
        sa.Column("refunded", sa.Numeric(precision=40, scale=0), nullable=False),
        sa.Column("paid_out", sa.Numeric(precision=40, scale=0), nullable=False),
        sa.Column("charged_back", sa.Numeric(precision=40, scale=0), nullable=False),
        sa.Column("debt", sa.Numeric(precision=40, scale=0), nullable=False),
        sa.Column("loss", sa.Numeric(precision=40, scale=0), nullable=False),
        sa.PrimaryKeyConstraint("status", "currency", name=op.f("pk_totals")),
    )
    op.execute(
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    for table in _APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    op.execute("INSERT INTO outbox_slices (slice) SELECT generate_series(0, 15)")


def downgrade() -> None:
    op.drop_table("totals")
    op.drop_table("total_deltas")
    op.drop_index("ix_supplier_reports_supplier_id", table_name="supplier_reports")
    op.drop_table("supplier_reports")
    op.drop_table("shipments")
    op.drop_table("resolutions")
    op.drop_table("postings")
    op.drop_table("position_moves")
    op.drop_table("payments")
    op.drop_index("ix_parked_ticked_at", table_name="parked")
    op.drop_index("ix_parked_expires_at", table_name="parked")
    op.drop_table("parked")
    op.drop_table("outbox_slices")
    op.drop_index(
        "ix_outbox_unsent", table_name="outbox", postgresql_where=sa.text("sent_at IS NULL")
    )
    op.drop_table("outbox")
    op.drop_table("offers")
    op.drop_table("identities")
    op.drop_table("facts")
    op.drop_table("fact_texts")
    op.drop_table("evidence")
    op.drop_table("escrows")
    op.drop_index("ix_deadlines_ticked_at", table_name="deadlines")
    op.drop_index("ix_deadlines_due_at", table_name="deadlines")
    op.drop_table("deadlines")
    op.drop_index("ix_dead_letters_at", table_name="dead_letters")
    op.drop_table("dead_letters")
    op.drop_index("ix_dead_letter_actions_letter", table_name="dead_letter_actions")
    op.drop_table("dead_letter_actions")
    op.drop_table("consumer_positions")
    op.drop_index(
        "uq_commands_settlement",
        table_name="commands",
        postgresql_where=sa.text("purpose = 'settlement'"),
    )
    op.drop_index(
        "ix_commands_open",
        table_name="commands",
        postgresql_where=sa.text("state IN ('PENDING', 'ACCEPTED')"),
    )
    op.drop_table("commands")
    op.drop_table("command_holds")
    op.drop_table("chargebacks")
    op.drop_table("batches")
    op.execute("DROP SEQUENCE fact_seq")
    op.execute("DROP FUNCTION refuse_change")
