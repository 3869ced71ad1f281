"""What operators tell the sending side, and what follows; what caps count; whose words were erased."""

import sqlalchemy as sa
from alembic import op

revision = "0002_signing"
down_revision = "years_vacuum"
branch_labels = None
depends_on = None


def _at() -> sa.Column[object]:
    return sa.Column(
        "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
    )


def upgrade() -> None:
    op.create_table(
        "instructions",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("t", sa.BigInteger(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        _at(),
        sa.CheckConstraint(
            "type IN ('sending.paused', 'sending.resumed', 'command.held', 'command.released',"
            " 'dead_letter.discarded')",
            name=op.f("ck_instructions_type"),
        ),
        sa.PrimaryKeyConstraint("source", "id", name=op.f("pk_instructions")),
    )
    op.create_table(
        "sending_pauses",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("t", sa.BigInteger(), nullable=False),
        _at(),
        sa.CheckConstraint(
            "scope IN ('all', 'refund', 'payout')", name=op.f("ck_sending_pauses_scope")
        ),
        sa.CheckConstraint("why IN ('operator', 'breaker')", name=op.f("ck_sending_pauses_why")),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_sending_pauses")),
    )
    op.create_table(
        "sending_holds",
        sa.Column("order_id", sa.Text(collation="C"), nullable=False),
        sa.Column("command_id", sa.Text(collation="C"), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("released", sa.Boolean(), nullable=False),
        _at(),
        sa.CheckConstraint(
            "why IN ('operator', 'command_cap', 'supplier_cap')",
            name=op.f("ck_sending_holds_why"),
        ),
        sa.PrimaryKeyConstraint("order_id", "command_id", name=op.f("pk_sending_holds")),
    )
    op.create_index(
        "ix_sending_holds_held",
        "sending_holds",
        ["at"],
        postgresql_where=sa.text("NOT released"),
    )
    op.create_table(
        "sending_grants",
        sa.Column("order_id", sa.Text(collation="C"), nullable=False),
        sa.Column("command_id", sa.Text(collation="C"), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("party_id", sa.Text(collation="C"), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        _at(),
        sa.PrimaryKeyConstraint(
            "order_id", "command_id", "attempt", name=op.f("pk_sending_grants")
        ),
    )
    op.create_index("ix_sending_grants_party_id", "sending_grants", ["party_id", "at"])
    op.create_index("ix_sending_grants_at", "sending_grants", ["at"])
    op.create_table(
        "erasures",
        sa.Column("erasure_no", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("buyer_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("orders", sa.Integer(), nullable=False),
        sa.Column("texts", sa.Integer(), nullable=False),
        sa.Column("reports", sa.Integer(), nullable=False),
        sa.Column("letters", sa.Integer(), nullable=False),
        _at(),
        sa.PrimaryKeyConstraint("erasure_no", name=op.f("pk_erasures")),
    )
    for table in ("instructions", "erasures"):
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    op.drop_table("erasures")
    op.drop_table("sending_grants")
    op.drop_table("sending_holds")
    op.drop_table("sending_pauses")
    op.drop_table("instructions")
