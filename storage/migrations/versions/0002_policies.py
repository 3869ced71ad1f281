"""Versions of the policy as rows, and what the two switches need: expands only.

Code that knows nothing of it runs on this schema as before: the column is null, the tables are empty.
"""

import sqlalchemy as sa
from alembic import op

revision = "years_policies"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("escrows", sa.Column("silent_since", sa.BigInteger(), nullable=True))
    op.create_table(
        "silences",
        sa.Column("order_id", sa.Text(collation="C"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("ticks", sa.Integer(), server_default="0", nullable=False),
        sa.Column("ticked_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('auto_confirm', 'supplier_silence')", name=op.f("ck_silences_kind")
        ),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_silences")),
    )
    op.create_index(
        "ix_silences_due_at",
        "silences",
        ["due_at"],
        postgresql_where=sa.text("ticked_at IS NULL"),
    )
    op.create_index(
        "ix_silences_ticked_at",
        "silences",
        ["ticked_at"],
        postgresql_where=sa.text("ticked_at IS NOT NULL"),
    )
    op.create_table(
        "policies",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.CheckConstraint("version > 1", name=op.f("ck_policies_first_one_ships")),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_policies")),
    )
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON policies"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def downgrade() -> None:
    op.drop_table("policies")
    op.drop_table("silences")
    op.drop_column("escrows", "silent_since")
