"""The lives of the database and what earlier ones promised: expands only."""

import sqlalchemy as sa
from alembic import op

revision = "years_lineages"
down_revision = "years_policies"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lineages",
        sa.Column("life", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("system_id", sa.Text(), nullable=False),
        sa.Column("timeline", sa.BigInteger(), nullable=False),
        sa.Column("known", sa.BigInteger(), nullable=False),
        sa.Column("marked", sa.BigInteger(), nullable=False),
        sa.Column("promised", sa.BigInteger(), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("life", name=op.f("pk_lineages")),
    )
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON lineages"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    op.create_table(
        "promises",
        sa.Column("order_id", sa.Text(collation="C"), nullable=False),
        sa.Column("sent_id", sa.Text(collation="C"), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("order_id", "sent_id", name=op.f("pk_promises")),
    )


def downgrade() -> None:
    op.drop_table("promises")
    op.drop_table("lineages")
